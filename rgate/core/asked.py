"""Which requests may be asked about, and how they are written: text in, an `Asked` or a sentence out
(behaviour 9).

What a client can send may be asked about, malformed or not: the gateway's own reader says what is wrong with
it. Refused is what no client could have meant as one request.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line
from rgate.core.message import Fields
from rgate.core.names import wrong_with_host

DEFAULT_PORT: Final = 8080
"""The port that is asked where no URL names one: that of `serve`."""

_URL: Final = re.compile(
    r"https?://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL
)
_PORT: Final = re.compile(r":([0-9]*)\Z")
_ADDRESS: Final = re.compile(r"[0-9A-Za-z.:]+(?:%[0-9A-Za-z._-]+)?")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is asked about, as its client would send it.

    *target* is in origin or absolute form; *fields* stand behind the Host field, which says *host* unless
    they have one of their own. *peer* is the TCP peer's address, and *port* the one that it connects to.
    Text is UTF-8; bytes that are none are kept as `surrogateescape` does.
    """

    method: str
    target: str
    host: str = "localhost"
    fields: Fields = ()
    peer: str = "127.0.0.1"
    port: int = 8080


class BadQuestion(CannotTell):
    """Nothing of the kind can be asked. *detail* is one sentence a person can act on."""

    def __init__(self, detail: str) -> None:
        super().__init__(in_one_line(detail))
        self.detail = detail


class Url(NamedTuple):
    """What a client makes of a URL."""

    target: str
    host: str  # the Host field's value
    port: int  # that it connects to


def asked_of(
    target: str,
    *,
    method: str = "GET",
    host: str = "localhost",
    headers: Iterable[str] = (),
    client: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
) -> Asked:
    """Return the request that a *client* at this address would send. *headers* are each `Name: value`.

    Raises BadQuestion.
    """
    if not target:
        raise BadQuestion("The target is empty: name a path, such as /api/orders/7.")
    given = tuple(headers)
    for what, text in (
        ("method", method),
        ("target", target),
        ("host", host),
        *(("header", h) for h in given),
    ):
        if wrong := _wrong(text):
            raise BadQuestion(f"The {what} {wrong}.")
    return Asked(method, target, host, tuple(map(_field, given)), _address(client), port)


def _wrong(text: str) -> str:
    """Return why *text* can be no part of a line; "" where it can."""
    if "\r" in text or "\n" in text:
        return "holds a line break: what stands behind it would be another line"
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "holds half a surrogate pair, which is no text"
    return ""


def _field(header: str) -> tuple[bytes, bytes]:
    name, colon, value = header.partition(":")
    if not colon:
        raise BadQuestion(f"A header is `Name: value`, and not {header!r}.")
    return (
        name.encode("utf-8", "surrogateescape"),
        value.strip(" \t").encode("utf-8", "surrogateescape"),
    )


def _address(text: str) -> str:
    """Return the IP address *text* as a socket tells it."""
    try:
        address = ip_address(text) if _ADDRESS.fullmatch(text) else None
    except ValueError:
        address = None
    if address is None:
        raise BadQuestion(f"The client is an IP address, such as 192.0.2.7, and not {text!r}.")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def split_url(text: str) -> Url | None:
    """Return what a client makes of the URL *text*: its authority is the Host, and no fragment is sent.

    None where it is a target, such as a path. Raises BadQuestion where it is neither.
    """
    if text.startswith("/") or text == "*":
        return None
    matched = _URL.fullmatch(text)
    if matched is None:
        raise BadQuestion(f"{text!r} is neither a path, such as /api/orders/7, nor an http URL.")
    authority, target = matched["authority"], matched["target"]
    if "@" in authority:
        raise BadQuestion("The URL names a user: leave that out, and give the field that it stands for.")
    port = _PORT.search(authority)
    name = authority[: port.start()] if port else authority
    if wrong := wrong_with_host(name):
        raise BadQuestion(f"The URL's host {name!r} {wrong}.")
    if not target.startswith("/"):
        target = "/" + target
    return Url(target, authority, _port(port[1]) if port and port[1] else DEFAULT_PORT)


def _port(digits: str) -> int:
    if len(digits) > 5 or not 0 < int(digits) < 65536:
        raise BadQuestion(f"The URL's port {digits} is none: allowed are 1 to 65535.")
    return int(digits)
