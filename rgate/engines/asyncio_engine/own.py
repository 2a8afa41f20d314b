"""rgate's own answers as bytes."""

from dataclasses import dataclass

from rgate.core.fields import frame_for_client
from rgate.core.message import RequestHead
from rgate.core.problem import OwnResponse
from rgate.engines.wire import date, response_head, status_line


@dataclass(frozen=True, slots=True)
class WholeResponse:
    """A response as bytes, how many of them are content, and whether the connection ends behind it."""

    message: bytes
    content_bytes: int
    closes: bool


def own_response(own: OwnResponse, request: RequestHead, *, closing: bool) -> WholeResponse:
    """Return *own* as the answer to *request*. *closing*: the connection ends, whatever the client asked."""
    bodiless = own.status in (204, 304)
    framing = frame_for_client(request, length_known=True, closing=closing or own.closes)
    length = () if bodiless else ((b"Content-Length", b"%d" % len(own.body)),)
    fields = (*own.fields, (b"Date", date()), *length, *framing.fields)
    body = b"" if bodiless or request.method == b"HEAD" else own.body
    return WholeResponse(response_head(status_line(own.status), fields) + body, len(body), framing.closes)


def refusal(own: OwnResponse) -> bytes:
    """Return *own* as the answer to what is no request."""
    length = (b"Content-Length", b"%d" % len(own.body))
    fields = (*own.fields, (b"Date", date()), length, (b"Connection", b"close"))
    return response_head(status_line(own.status), fields) + own.body
