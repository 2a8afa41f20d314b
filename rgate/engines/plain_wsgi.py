"""What plain WSGI tells of a request on servers other than rgate's own, and takes of an answer (PEP 3333).

They give fields joined and in another order, some decode the target, and none tells that a client went away.
What they tell is written as a client would have sent it, and read as any other request.
"""

import secrets
import time
from collections.abc import Iterable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from flask import Response as FlaskResponse

from rgate.core.content import LAST_CHUNK, chunk
from rgate.core.delivery import deliver, response_bytes
from rgate.core.fields import HOP_BY_HOP, ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.message import CHUNKED, RequestFraming, parse_fields
from rgate.core.onward import LINE_END, Request
from rgate.core.patience import PIECE_BYTES
from rgate.core.problem import OwnResponse, OwnStream
from rgate.engines.live_stream import StreamAnswer
from rgate.engines.underway import Answer, OwnAnswer, ServedRequest
from rgate.engines.upstream import ClientGone, RequestContent
from rgate.telling.live import Live


def client_of(environ: dict[str, Any], gateway: Gateway) -> ClientConnection:
    """Return what is known of the client."""
    return gateway.client(environ.get("REMOTE_ADDR", ""), int(environ["SERVER_PORT"]))


def served_by_another(environ: dict[str, Any], gateway: Gateway) -> ServedRequest:
    """Return the request of *environ*. Raises Refused where it is none that rgate accepts."""
    reading, limits, client = gateway.snapshot.reading, gateway.config.limits, client_of(environ, gateway)
    request = gateway.reader().read(_head(environ), reading, client, _next_id)
    assert request is not None, "its head ends"  # noqa: S101 - for the types alone
    receive = partial(next, _as_sent(environ["wsgi.input"], request.framing), b"")
    content = RequestContent(request.framing, limits.body_bytes, receive)
    return ServedRequest(request, client, content, time.monotonic_ns(), lambda _: None, lambda: False)


def _next_id() -> bytes:
    return secrets.token_hex(16).encode("ascii")


def _head(environ: dict[str, Any]) -> bytes:
    version = _version(environ)
    line = f"{environ['REQUEST_METHOD']} {_target(environ)} {version}"
    lines = [line, *(f"{name}: {value}" for name, value in _fields(environ)), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _version(environ: dict[str, Any]) -> str:
    return "HTTP/1.0" if environ.get("SERVER_PROTOCOL") == "HTTP/1.0" else "HTTP/1.1"


def _target(environ: dict[str, Any]) -> str:
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        return str(raw)
    query = environ.get("QUERY_STRING")
    path = quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "/"), encoding="latin-1")
    return f"{path}?{query}" if query else path


def _fields(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "HTTP_HOST" not in environ and _version(environ) != "HTTP/1.0":  # which may go without
        yield "Host", f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key.removeprefix("HTTP_").replace("_", "-").title(), value
        elif value and (key == "CONTENT_TYPE" or (key == "CONTENT_LENGTH" and not chunked)):
            yield key.replace("_", "-").title(), value


def _as_sent(source: Any, framing: RequestFraming) -> Iterator[bytes]:
    """Yield the content of *source* as the client sent it: servers take the chunks off. Raises ClientGone."""
    try:
        if framing is CHUNKED:
            while piece := source.read(PIECE_BYTES):
                yield chunk(piece)
            yield LAST_CHUNK
            return
        while framing and (piece := source.read(min(framing, PIECE_BYTES))):
            framing -= len(piece)
            yield piece
    except OSError as error:
        raise ClientGone from error


class FlaskAnswer(FlaskResponse):
    """An upstream's response, as Flask hands it on: its own class would add, drop and correct fields."""

    def __init__(self, answer: Answer, request: Request) -> None:
        super().__init__()
        self._answer = answer
        self._request = request

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Tell the server the head, but for what is for a server to say, and return the answer."""
        del environ
        request, response = self._request, self._answer.response
        head = response_bytes(response, deliver(request, response, closing=False))
        line, _, rest = head.partition(LINE_END)
        _, status, phrase = (line + b" ").split(b" ", 2)
        fields = [
            (name.decode("ascii"), value.decode("latin-1"))
            for name, value in parse_fields(rest, most_fields=len(rest), lenient=True)
            if name.lower() not in HOP_BY_HOP
        ]
        try:
            start_response(f"{status.decode()} {phrase.rstrip().decode('latin-1')}", fields)
        except BaseException:
            self._answer.close()
            raise
        return self._answer


class OwnFlaskResponse(FlaskResponse):
    """A response of rgate's own, as Flask hands it on: whole to rgate's server, and plainly to others."""

    def __init__(self, own: OwnResponse) -> None:
        fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in own.fields]
        super().__init__(own.body, own.status, fields)
        self._own = own

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Return the answer."""
        if "rgate.request" in environ:
            return OwnAnswer(self._own)
        return super().__call__(environ, start_response)


class StreamFlaskResponse(FlaskResponse):
    """A stream of rgate's own, as Flask hands it on: to rgate's server as it is, and plainly to others."""

    def __init__(self, own: OwnStream, live: Live) -> None:
        fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in own.fields]
        self._stream = StreamAnswer(own, live)
        super().__init__(self._stream, HTTPStatus.OK, fields)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Return the answer."""
        if "rgate.request" in environ:
            return self._stream
        return super().__call__(environ, start_response)
