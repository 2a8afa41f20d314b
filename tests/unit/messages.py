"""Messages as the readers make them, for tests of what comes behind."""

from itertools import count, pairwise

from hypothesis import strategies as st

from rgate.core.config import Limits
from rgate.core.fields import ClientConnection
from rgate.core.message import Fields
from rgate.core.onward import Request, Response
from rgate.core.reading import Reading, RequestReader, ResponseReader

READING = Reading(Limits(), upgrading=True)
TUNNEL_LESS = Reading(Limits(), upgrading=False)
STRANGER = ClientConnection("192.0.2.7", 8080)
PROXY = ClientConnection("192.0.2.7", 8080, trusted=True)


def request(
    first: bytes = b"GET /a HTTP/1.1",
    *lines: bytes,
    client: ClientConnection = STRANGER,
    reading: Reading = READING,
    host: tuple[bytes, ...] = (b"Host: h",),
) -> Request:
    """The request of a whole head: *lines* stand behind the first, and *host* where none is among them."""
    numbers = count()
    host = () if any(line.lower().startswith(b"host:") for line in lines) else host
    head = b"\r\n".join((first, *host, *lines, b"", b""))
    read = RequestReader().read(head, reading, client, lambda: b"id%d" % next(numbers))
    assert read is not None
    return read


def response(
    first: bytes, *lines: bytes, to: Request | None = None, content: bytes = b"", reused: bool = False
) -> Response:
    """The response of a whole head, with what of its *content* came with it."""
    head = b"\r\n".join((first, *lines, b"", content))
    read = ResponseReader().read(head, READING, to or request(), reused=reused)
    assert isinstance(read, Response)
    return read


def fields_of(head: bytes) -> Fields:
    """The fields of a head that goes on, as its lines say; there are no blanks around their values."""
    _, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    parts = (line.partition(b":") for line in lines)
    return tuple((name, value.strip(b" \t")) for name, _, value in parts)


cuts = st.lists(st.integers(0, 400), max_size=6) | st.just(range(10_000))
"""Where bytes are cut; by the range at each byte."""


def split(raw: bytes, at: "list[int] | range") -> list[bytes]:
    """The pieces of *raw*, cut *at* these places; none is empty."""
    edges = sorted({0, len(raw), *(cut for cut in at if cut < len(raw))})
    return [raw[start:end] for start, end in pairwise(edges)]
