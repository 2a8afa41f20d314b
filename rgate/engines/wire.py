"""Heads as bytes, for both engines."""

from email.utils import formatdate
from http import HTTPStatus

from rgate.core.exchange import ForwardedRequest
from rgate.core.message import Fields


def request_head(request: ForwardedRequest) -> bytes:
    """Return the bytes of a request's head, with the empty line."""
    lines = [b"%b %b HTTP/1.1\r\n" % (request.method, request.target)]
    return b"".join((*lines, *(b"%b: %b\r\n" % field for field in request.fields), b"\r\n"))


def response_head(status_line: bytes, fields: Fields) -> bytes:
    """Return the bytes of a response's head, with the empty line."""
    lines = [b"%b\r\n" % status_line, *(b"%b: %b\r\n" % field for field in fields), b"\r\n"]
    return b"".join(lines)


def phrase_of(status: int) -> str:
    """Return the standard reason phrase of *status*, or nothing where it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def status_line(status: int) -> bytes:
    """Return the first line of a response of rgate's own, without its end."""
    return f"HTTP/1.1 {status} {phrase_of(status)}".encode()


def date() -> bytes:
    """Return the Date of now (RFC 9110 6.6.1)."""
    return formatdate(usegmt=True).encode()
