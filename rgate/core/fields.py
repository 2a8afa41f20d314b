"""Which fields go on, and which are made. Everything about that is here and nowhere else;
this module knows neither sockets nor which engine asks (RFC 9110 7.6, behaviour 5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from rgate.core.grammar import REQUEST_ID
from rgate.core.message import CHUNKED, Fields, RequestHead, ResponseHead, list_items

SWITCHING_PROTOCOLS: Final = 101

# For one connection only (RFC 9110 7.6.1). Keep-Alive and Proxy-Connection are named by nobody any
# more and still sent. Proxy-Auth*: ours to ask for, not the upstream's. Transfer-Encoding: framed anew,
# and kept where both hops are chunked.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Connection may not name these away: framing and authority were decided from them already.
_NEVER_DROPPED: Final = frozenset({b"host", b"content-length"})
# `Proxy` becomes HTTP_PROXY in CGI, which libraries take for a setting (httpoxy). HTTP2-Settings belongs to
# an `Upgrade: h2c`, which does not go on.
_NEVER_FORWARDED: Final = frozenset({b"proxy", b"http2-settings"})
# Single-valued, and rgate's word counts: so that a user can always tell who said it.
_OURS_IN_RESPONSES: Final = frozenset({b"x-request-id", b"x-rgate-reason"})
_REQUEST_ID = re.compile(REQUEST_ID)
_REQUEST_ID_FIELD: Final = frozenset({b"x-request-id"})

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """What a connection tells of every request on it. *trusted*: the peer is in `trusted_proxies`, of which
    *judged_by* are those that were in force.

    *before_host* and *behind_host* are the lines that every ordinary request gets, around its host.
    """

    peer: str  # the TCP peer's IP address
    local_port: int
    trusted: bool = False
    peer_port: int = 0  # 0: not known
    judged_by: Networks = field(default=(), repr=False, compare=False)
    before_host: bytes = field(init=False, repr=False)
    behind_host: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        before = lines(((b"X-Forwarded-For", self.peer.encode()), SCHEME, (b"X-Forwarded-Host", b"")))
        behind = lines((self.forwarded_port, (b"Via", via(1))))
        object.__setattr__(self, "before_host", before.removesuffix(_LINE_END))
        object.__setattr__(self, "behind_host", _LINE_END + behind)

    @property
    def forwarded_port(self) -> tuple[bytes, bytes]:
        """The field that tells the port which the client asked."""
        return b"X-Forwarded-Port", b"%d" % self.local_port


_LINE_END: Final = b"\r\n"
SCHEME: Final = (b"X-Forwarded-Proto", b"http")


def lines(fields: Fields) -> bytes:
    """Return *fields* as lines."""
    return b"".join([b"%b: %b\r\n" % one for one in fields])


def via(minor_version: int) -> bytes:
    """Return what rgate says of a message that came to it as HTTP/1.*minor_version* (RFC 9110 7.6.3)."""
    return b"1.%d rgate" % minor_version


def is_in(peer: str, networks: Networks) -> bool:
    """Whether the address *peer* is in one of *networks*; IPv4-mapped IPv6 counts as IPv4."""
    if not networks:
        return False
    try:
        address = ip_address(unmapped(peer).partition("%")[0])  # link-local addresses may carry a zone
    except ValueError:
        return False
    return any(address in network for network in networks)


def unmapped(peer: str) -> str:
    """Return the address *peer*; a client of IPv4 on a socket of IPv6 (`::ffff:10.0.0.1`) as IPv4."""
    mapped = peer.removeprefix("::ffff:")
    return mapped if "." in mapped and ":" not in mapped else peer


def given_request_id(head: RequestHead) -> bytes:
    """Return the request's own id where it is one of 1-128 visible ASCII characters, else b""."""
    given = head.values(b"x-request-id")
    return given[0] if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else b""


def tells_of_earlier_hops(name: bytes) -> bool:
    """Whether the field *name*, in lower case and with `-` for `_`, tells where a request came from."""
    return name.startswith(b"x-forwarded-") or name in (b"forwarded", b"x-real-ip")


def told_by_a_proxy(head: RequestHead) -> bytes:
    """Return the name, as spelt, of a field in *head* that says that somebody forwarded it; b"" without one.

    Its peer is not its client then.
    """
    spelt = ((name, name.lower().replace(b"_", b"-")) for name, _ in head.fields)
    return next((name for name, same in spelt if same == b"via" or tells_of_earlier_hops(same)), b"")


def request_fields(head: RequestHead, client: ClientConnection, *, upgrading: bool) -> Fields:
    """Return the fields that go to the upstream, framing included, but for the request's id where one is
    made.

    What came goes on in its order and spelling but for what is meant for this hop only; what is
    made stands behind it. *upgrading*: the engine can tunnel what the client offers to switch to.
    """
    dropped = (HOP_BY_HOP | head.connection_options | _NEVER_FORWARDED) - _NEVER_DROPPED
    # Every request goes with one id, the given or a made one, whatever its Connection says.
    dropped = dropped - _REQUEST_ID_FIELD if given_request_id(head) else dropped | _REQUEST_ID_FIELD
    kept = []
    for name, value in head.fields:
        lower = name.lower()
        if lower == b"transfer-encoding":
            kept.append((name, b"chunked"))
        elif lower not in dropped and not _is_of_ours(lower, trusted=client.trusted):
            kept.append((name, head.host if lower == b"host" else value))
    if head.host and not head.values(b"host"):
        kept.insert(0, (b"Host", head.host))
    return (*_with_forwarded(kept, head, client), *_for_the_next_hop(head, upgrading))


def _is_of_ours(name: bytes, *, trusted: bool) -> bool:
    """Whether an application may take *name* for what its proxy says, and here a client said it.

    In CGI and WSGI `_` and `-` are one: a field with `_` is never a trusted peer's either.
    """
    spelt = name.replace(b"_", b"-")
    if spelt != name:
        return tells_of_earlier_hops(spelt) or spelt == b"x-request-id"
    return not trusted and tells_of_earlier_hops(name)


def _for_the_next_hop(head: RequestHead, upgrading: bool) -> Fields:
    """Return Via, and the hop-by-hop fields of the new hop."""
    made = [(b"Via", via(head.minor_version))]
    options = []
    if any(item.lower() == b"trailers" for item in list_items(head.values(b"te"))):
        made.append((b"TE", b"trailers"))
        options.append(b"TE")
    offered = head.offered if upgrading else ()
    if offered:
        made.append((b"Upgrade", b", ".join(offered)))
        options.append(b"Upgrade")
    if options:
        made.append((b"Connection", b", ".join(options)))
    return tuple(made)


def _with_forwarded(
    kept: list[tuple[bytes, bytes]], head: RequestHead, client: ClientConnection
) -> list[tuple[bytes, bytes]]:
    """Return *kept* with who asked for what; a trusted proxy's own words stay (behaviour 5)."""
    peer = client.peer.encode("ascii")
    there = {name.lower(): index for index, (name, _) in enumerate(kept)}  # the last of each name
    if (index := there.get(b"x-forwarded-for")) is not None:
        name, value = kept[index]
        kept[index] = (name, value + b", " + peer if value else peer)
    host = ((b"X-Forwarded-Host", head.host),) if head.host else ()
    made = ((b"X-Forwarded-For", peer), SCHEME, *host, client.forwarded_port)
    return kept + [one for one in made if one[0].lower() not in there]


def forwarded_prefix(head: RequestHead, *, trusted: bool) -> bytes | None:
    """Return what a trusted peer says was removed before, without a slash at its end; None where it says
    nothing.
    """
    told = head.values(b"x-forwarded-prefix") if trusted else ()
    return b"".join(one.rstrip(b"/") for one in told) if told else None


def response_fields(head: ResponseHead, *, chunks: bool) -> Fields:
    """Return the upstream's fields that go to the client, but for framing that is made anew and the request's
    id.

    Content-Length stays, once, as it frames both hops alike; so does Transfer-Encoding where the client takes
    *chunks* too. A 101 keeps its Upgrade and gets its Connection.
    """
    dropped = ((HOP_BY_HOP | head.connection_options) - _NEVER_DROPPED) | _OURS_IN_RESPONSES
    kept = list(_framed_once(head, keep_coding=chunks and head.framing is CHUNKED))
    kept = [one for one in kept if one[0].lower() not in dropped or one[0].lower() == b"transfer-encoding"]
    if head.status == SWITCHING_PROTOCOLS:
        kept.append((b"Connection", b"Upgrade"))
        kept += [(b"Upgrade", value) for value in head.values(b"upgrade")]
    return tuple(kept)


def _framed_once(head: ResponseHead, *, keep_coding: bool) -> Iterator[tuple[bytes, bytes]]:
    """Yield the fields of *head*, with one Content-Length, and Transfer-Encoding only if that is to stay."""
    length = head.length
    for name, value in head.fields:
        match name.lower():
            case b"content-length":
                if length is not None:
                    yield name, b"%d" % length if b"," in value else value
                length = None
            case b"transfer-encoding":
                if keep_coding:
                    yield name, b"chunked"
            case _:
                yield name, value


def interim_fields(head: ResponseHead) -> Fields:
    """Return the fields of an interim response (1xx) that go to the client (RFC 9110 15.2)."""
    dropped = HOP_BY_HOP | head.connection_options | _OURS_IN_RESPONSES | {b"content-length"}
    return tuple((name, value) for name, value in head.fields if name.lower() not in dropped)


_NEVER_IN_TRAILERS: Final = HOP_BY_HOP | _NEVER_DROPPED | _NEVER_FORWARDED | _OURS_IN_RESPONSES


def trailer_fields(fields: Fields) -> Fields:
    """Return the trailer fields that go on: none that speaks of framing, routing or who asks (RFC 9110
    6.5.1).
    """
    return tuple(
        (name, value)
        for name, value in fields
        if name.lower() not in _NEVER_IN_TRAILERS and not _is_of_ours(name.lower(), trusted=False)
    )


def connection_fields(*, minor_version: int, closes: bool) -> Fields:
    """Return what the client is told of the connection's end: it differs by HTTP version (RFC 9112 9.3)."""
    if closes:
        return ((b"Connection", b"close"),)
    return ((b"Connection", b"keep-alive"),) if minor_version < 1 else ()
