"""Who is one of us, and may read of containers, their addresses and labels; and why not (behaviour 8 and 9).

An insider asks from an address in `admin.allow`, through no proxy, and by a Host that is ours. A page in a
browser can be made to ask loopback under a name of its own (DNS rebinding): its requests come from the right
peer, and only the Host betrays them.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rgate.core.config import Admin
from rgate.core.fields import ClientConnection, is_in, told_by_a_proxy
from rgate.core.grammar import HOST
from rgate.core.message import RequestHead
from rgate.core.names import compared_host, compared_name, is_address, wrong_with_host

_HOST: Final = re.compile(HOST)
_LONGEST_TOLD: Final = 60  # characters of what a client sent
_ASK_BY: Final = "ask by an IP address or localhost, or add the name to `admin.hosts`."


class Why(Enum):
    """Why who asks is none of us."""

    TRUSTED_PROXY = "trusted_proxy"  # the peer is in `trusted_proxies`: somebody else is behind it
    FORWARDED = "forwarded"  # a field tells that somebody forwarded the request
    PEER = "peer"  # the TCP peer is not in `admin.allow`
    NO_HOST = "no_host"
    HOST = "host"  # the request is for a name that is none of ours
    CROSS_SITE = "cross_site"  # a browser says that a page of another site asks


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who is none of us. *found*: the peer, the field's name or the host that this rests on."""

    why: Why
    found: str = ""

    @property
    def detail(self) -> str:
        """One sentence for the stranger itself: what is wrong, and what to do."""
        found = self.found if len(self.found) <= _LONGEST_TOLD else self.found[: _LONGEST_TOLD - 1] + "…"
        match self.why:
            case Why.TRUSTED_PROXY:  # its address is none of the client's business
                return "The request came from a proxy, of `trusted_proxies`: ask without it."
            case Why.FORWARDED:
                return f"The field `{found}` says that a proxy forwarded the request: ask without one."
            case Why.PEER:
                peer = found or "A client without an address"
                return f"{peer} is not in `admin.allow`: ask from an address that is, or add it."
            case Why.NO_HOST:
                return f"The request has no Host: {_ASK_BY}"
            case Why.HOST:
                return f"`{found}` is no name of this machine's: {_ASK_BY}"
            case Why.CROSS_SITE:
                return (
                    "A page of another site asked (`Sec-Fetch-Site: cross-site`): type the address into the "
                    "browser instead."
                )


def why_a_stranger(
    head: RequestHead, client: ClientConnection, admin: Admin, machine_name: str
) -> Stranger | None:
    """Return why who sent *head* is none of us; None: it is an insider.

    What counts is the TCP peer. A request that somebody forwarded is a stranger's: else a proxy on the same
    machine would make everybody one of us. *machine_name*: of this machine, as `socket.gethostname` gives it.
    """
    if client.trusted:
        return Stranger(Why.TRUSTED_PROXY)
    if field := told_by_a_proxy(head):
        return Stranger(Why.FORWARDED, field.decode("ascii"))
    if not is_in(client.peer, admin.allow):
        return Stranger(Why.PEER, client.peer)
    if not head.host:  # browsers always send one: who does not is asked for it all the same
        return Stranger(Why.NO_HOST)
    if not is_ours(head.host, _names(admin, machine_name)):
        return Stranger(Why.HOST, head.host.decode("latin-1"))
    return None


def _names(admin: Admin, machine_name: str) -> frozenset[str]:
    """Return the names that are ours, as they are compared."""
    machine = compared_name(machine_name)
    return frozenset({*admin.hosts, machine, machine.partition(".")[0]})


def is_ours(host: bytes, names: AbstractSet[str]) -> bool:
    """Whether *host*, a Host field or an authority, is an address, localhost, or one of *names*.

    Nobody can point those here but who runs this machine: an address is looked up nowhere, and
    `localhost` and what ends with it is loopback by itself (RFC 6761 6.3). *names* are as they are compared.
    """
    if _HOST.fullmatch(host) is None:
        return False
    name = compared_host(host).decode("ascii")
    if name.endswith(".") or wrong_with_host(name):
        return False
    if is_address(name):
        return "%" not in name  # a zone is for URLs, and no part of a Host (RFC 6874 4)
    return name in names or name == "localhost" or name.endswith(".localhost")


def from_another_site(head: RequestHead) -> Stranger | None:
    """Return why the pages under `/_rgate/` are not for who sent *head*, where a browser says that another
    site's page made the request (W3C Fetch Metadata 2.3); else None. No page can set this field itself.
    """
    told = (
        value
        for name, values in head.named.items()
        if name.replace(b"_", b"-") == b"sec-fetch-site"
        for value in values
    )
    items = (item.partition(b";")[0] for value in told for item in value.split(b","))
    if any(item.strip(b' \t"').lower() == b"cross-site" for item in items):
        return Stranger(Why.CROSS_SITE)
    return None
