"""Which fields go on, and which are made. Everything about that is here and nowhere else;
this module knows neither sockets nor which engine asks (RFC 9110 7.6, behaviour 5).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from rgate.core.message import (
    CHUNKED,
    Fields,
    RequestHead,
    ResponseHead,
    list_items,
)

VIA: Final = b"1.1 rgate"
SWITCHING_PROTOCOLS: Final = 101

# For one connection only (RFC 9110 7.6.1). Keep-Alive and Proxy-Connection are named by nobody any
# more and still sent. Proxy-Auth*: ours to ask for, not the upstream's. Transfer-Encoding: framed anew.
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
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_FORWARDED: Final = frozenset(
    {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"}
)
# Single-valued, and rgate's word counts: so that a user can always tell who said it.
_OURS_IN_RESPONSES: Final = frozenset({b"x-request-id", b"x-rgate-reason"})

Networks = tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """What a connection tells of every request on it. *trusted*: the peer is in `trusted_proxies`."""

    peer: str  # the TCP peer's IP address
    local_port: int
    trusted: bool = False


def is_in(peer: str, networks: Networks) -> bool:
    """Whether the address *peer* is in one of *networks*; IPv4-mapped IPv6 counts as IPv4."""
    try:
        address = ip_address(peer.partition("%")[0])  # link-local addresses may carry a zone
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def request_id(head: RequestHead, made: bytes) -> bytes:
    """Return the request's own id where it is one of 1-128 visible ASCII characters, else *made*."""
    given = head.values(b"x-request-id")
    return given[0] if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else made


def request_fields(
    head: RequestHead,
    client: ClientConnection,
    request_id: bytes,
    *,
    upgrading: bool = False,
    default_host: bytes = b"",
) -> Fields:
    """Return the fields that go to the upstream, framing included.

    What came goes on in its order and spelling but for what is meant for this hop only; what is
    made stands behind it. *upgrading*: the engine can tunnel what the client asks to switch to.
    *default_host* stands in for a Host that an HTTP/1.0 client did not send.
    """
    dropped = (HOP_BY_HOP | head.connection_options) - _NEVER_DROPPED
    if head.values(b"x-request-id") != (request_id,):
        dropped |= {b"x-request-id"}
    if not client.trusted:
        dropped |= _FORWARDED
    kept = []
    for field in head.fields:
        name = field[0].lower()
        if name not in dropped:
            kept.append((field[0], head.host) if name == b"host" else field)
    if not head.values(b"host"):
        kept.insert(0, (b"Host", head.host or default_host))
    kept += _kept_for_the_hop(head, upgrading)
    _add_forwarded(kept, head, client)
    kept.append((b"Via", VIA))
    if b"x-request-id" in dropped or not head.values(b"x-request-id"):
        kept.append((b"X-Request-ID", request_id))
    return tuple(kept)


def _kept_for_the_hop(head: RequestHead, upgrading: bool) -> list[tuple[bytes, bytes]]:
    """Return the hop-by-hop fields of the new hop."""
    made = []
    if any(item.lower() == b"trailers" for item in list_items(head.values(b"te"))):
        made.append((b"TE", b"trailers"))
    if head.framing is CHUNKED:
        made.append((b"Transfer-Encoding", b"chunked"))
    if upgrading and head.upgrade:
        made += [(b"Connection", b"Upgrade"), (b"Upgrade", head.upgrade)]
    return made


def _add_forwarded(kept: list[tuple[bytes, bytes]], head: RequestHead, client: ClientConnection) -> None:
    """Append who asked for what to *kept*; a trusted proxy's own words stay (behaviour 5)."""
    peer = client.peer.encode("ascii")
    there = {name.lower(): index for index, (name, _) in enumerate(kept)}  # the last of each name
    if (index := there.get(b"x-forwarded-for")) is not None:
        name, value = kept[index]
        kept[index] = (name, value + b", " + peer if value else peer)
    else:
        kept.append((b"X-Forwarded-For", peer))
    if b"x-forwarded-proto" not in there:
        kept.append((b"X-Forwarded-Proto", b"http"))
    if b"x-forwarded-host" not in there and head.host:
        kept.append((b"X-Forwarded-Host", head.host))
    if b"x-forwarded-port" not in there:
        kept.append((b"X-Forwarded-Port", b"%d" % client.local_port))


def response_fields(head: ResponseHead, request_id: bytes) -> Fields:
    """Return the upstream's fields that go to the client, without framing that is made anew.

    Content-Length stays, as it frames both hops alike. A 101 keeps its Upgrade and gets its Connection.
    """
    dropped = ((HOP_BY_HOP | head.connection_options) - _NEVER_DROPPED) | _OURS_IN_RESPONSES
    kept = [field for field in head.fields if field[0].lower() not in dropped]
    if head.status == SWITCHING_PROTOCOLS:
        kept.append((b"Connection", b"Upgrade"))
        kept += [(b"Upgrade", value) for value in head.values(b"upgrade")]
    return (*kept, *added_to_responses(request_id))


def added_to_responses(request_id: bytes) -> Fields:
    """Return what every forwarded response gets."""
    return ((b"Via", VIA), (b"X-Request-ID", request_id))


def interim_fields(fields: Fields, connection_options: Iterable[bytes]) -> Fields:
    """Return the fields of an interim response (1xx) that go to the client (RFC 9110 15.2)."""
    dropped = HOP_BY_HOP | frozenset(connection_options) | _OURS_IN_RESPONSES | {b"content-length"}
    return tuple((name, value) for name, value in fields if name.lower() not in dropped)


def trailer_fields(fields: Fields) -> Fields:
    """Return the trailer fields that go on: none that speaks of framing or routing (RFC 9110 6.5.1)."""
    dropped = HOP_BY_HOP | _NEVER_DROPPED | _FORWARDED | _OURS_IN_RESPONSES
    return tuple((name, value) for name, value in fields if name.lower() not in dropped)


@dataclass(frozen=True, slots=True)
class ClientFraming:
    """How a response is framed for the client: the *fields* that say so, whether content goes in
    *chunks*, and whether the connection *closes* behind it.
    """

    fields: Fields
    chunks: bool
    closes: bool


def frame_for_client(request: RequestHead, *, length_known: bool, closing: bool = False) -> ClientFraming:
    """Return how a response to *request* is framed for its client (RFC 9112 6, 9.3).

    *length_known*: a Content-Length field says it, or there is no content. *closing*: this side
    closes the connection behind the response, whatever the client asked for.
    """
    chunks = not length_known and request.minor_version >= 1
    closes = closing or not request.keep_alive or not (length_known or chunks)
    made = [(b"Transfer-Encoding", b"chunked")] if chunks else []
    return ClientFraming((*made, *connection_fields(request, closes=closes)), chunks, closes)


def connection_fields(request: RequestHead, *, closes: bool) -> Fields:
    """Return what the client must be told of the connection's end: it differs by HTTP version."""
    if closes:
        return ((b"Connection", b"close"),)
    return ((b"Connection", b"keep-alive"),) if request.minor_version < 1 else ()
