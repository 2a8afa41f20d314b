"""The flask engine: a Flask catch-all view, and `requests` to the upstreams. The executable
specification: it carries out what core/ decides, in the order in which it happens.

What WSGI cannot carry: switching protocols (answered 501), interim responses, trailers.
"""

import logging
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.routing import BaseConverter, Rule

from rgate.core.envelope import MOST_BYTES, envelope, enveloped_fields, may_be_enveloped
from rgate.core.exchange import Attempt, Exchange, Own
from rgate.core.fields import response_fields
from rgate.core.gateway import Gateway
from rgate.core.message import Fields, Refused, RequestHead, ResponseHead, parse_request_head
from rgate.core.problem import CLIENT_CLOSED_REQUEST, OwnResponse, problem
from rgate.core.reasons import Reason
from rgate.core.record import Record, RequestLog
from rgate.engines.records import answer_to_no_request, defect, record_of
from rgate.engines.requests_upstream import PIECE_BYTES, RequestsUpstream
from rgate.engines.upstream import (
    ClientGone,
    Sending,
    Upstream,
    UpstreamCut,
    UpstreamFailed,
    UpstreamResponse,
)
from rgate.engines.wire import date, phrase_of
from rgate.engines.wsgi_server import ServedRequest, WsgiServer

log = logging.getLogger("rgate")

# What of a request's content is kept to send it again after a failure; larger ones are sent once.
REPLAYABLE_BYTES: Final = 65536


class FlaskEngine:
    """Serves a gateway on a listener, with threads. See `rgate.cli` for who starts it."""

    def __init__(self, gateway: Gateway, web: Flask, log: RequestLog) -> None:
        self._server = WsgiServer(
            create_flask_app(gateway, web, log),
            limits=lambda: gateway.config.limits,
            client=gateway.client,
            refuse=lambda refused, client, began_ns: answer_to_no_request(refused, client, began_ns, log),
        )

    def start(self, listener: socket.socket) -> None:
        """Begin to accept on *listener*, and return."""
        self._server.start(listener)

    def drain(self, within_s: float) -> bool:
        """Stop accepting, and wait for what is under way; whether all ended in time."""
        return self._server.drain(within_s)

    def stop(self) -> None:
        """End at once."""
        self._server.stop()


def create_flask_app(
    gateway: Gateway, web: Flask, log: RequestLog, upstream: Upstream | None = None
) -> Flask:
    """Return the WSGI application: *web* answers rgate's own paths, all else goes to a backend.

    It runs on any WSGI server. On rgate's own it keeps all of a message; others give it less (fields
    joined and in another order, the target decoded).
    """
    app = Flask("rgate", static_folder=None)
    app.url_map.converters["everything"] = _Everything
    # Rules of werkzeug's own, as Flask's would take a list of methods, and rgate takes any.
    app.url_map.add(Rule("/<everything:path>", endpoint="forward", merge_slashes=False))
    carrier = _Carrier(gateway, web, log, upstream or RequestsUpstream())

    @app.endpoint("forward")
    def forward(path: str) -> Response:
        del path  # decoded; the target as received is in the request's head
        return carrier.answer(request.environ)

    return app


class _Everything(BaseConverter):
    regex = r"[\s\S]*"  # a path may hold an encoded line feed
    part_isolating = False


class _Carrier:
    """Takes requests from WSGI, and carries out the steps that their exchanges decide."""

    def __init__(self, gateway: Gateway, web: Flask, log: RequestLog, upstream: Upstream) -> None:
        self._gateway = gateway
        self._web = web
        self._log = log
        self._upstream = upstream

    def answer(self, environ: dict[str, Any]) -> Response:
        """Return the response to the request that *environ* describes."""
        served = environ.get("rgate.request") or _served_by_another(environ, self._gateway)
        made_id = secrets.token_hex(16).encode("ascii")
        try:
            return self._answer(environ, served, made_id)
        except Exception:  # a defect of ours costs one request its answer, and is told of
            log.exception("request failed")
            return self._whole(served, defect(made_id), _Told(made_id))

    def _answer(self, environ: dict[str, Any], served: ServedRequest, made_id: bytes) -> Response:
        begun = self._gateway.begin(served.head, served.client, made_id, can_tunnel=False)
        environ["rgate.request_id"] = begun.request_id.decode("latin-1")
        match begun.outcome:
            case Own():
                return self._own(environ)
            case OwnResponse() as own:
                return self._whole(served, own, _Told(begun.request_id))
            case Exchange() as exchange:
                return self._exchange(served, exchange)

    def _own(self, environ: dict[str, Any]) -> Response:
        """Return what the web application answers. It is not counted (behaviour 7)."""
        response = Response.from_app(self._web.wsgi_app, environ, buffered=True)
        fields = [(name, value) for name, value in response.headers]
        fields.append(("Date", date().decode("ascii")))
        return _Exact(f"{response.status_code} {phrase_of(response.status_code)}", fields, response.response)

    def _whole(self, served: ServedRequest, own: OwnResponse, told: "_Told") -> Response:
        """Return an answer of rgate's own."""
        told.reason = own.reason.value if own.reason is not None else ""
        fields = [*own.fields, (b"Date", date())]
        bodiless = own.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        if not bodiless:
            fields.append((b"Content-Length", b"%d" % len(own.body)))
        if own.closes:
            fields.append((b"Connection", b"close"))
        pieces = [] if bodiless or served.head.method == b"HEAD" else [own.body]
        delivery = _Delivery(
            served, told, self._log, own.status, iter(pieces), len(own.body) if pieces else 0
        )
        return _exact(own.status, phrase_of(own.status).encode(), tuple(fields), delivery)

    def _exchange(self, served: ServedRequest, exchange: Exchange) -> Response:
        told = _Told(exchange.request_id, exchange)
        body = _ReplayableBody(served)
        try:
            answer = self._answer_of_a_candidate(served, exchange, body)
            if isinstance(answer, OwnResponse):
                return self._whole(served, answer, told)
            return self._forwarded(served, exchange, answer, told)
        except ClientGone:
            served.client_gone = True
            told.reason = Reason.CLIENT_CLOSED.value
            return self._gone(served, told)
        except Refused as refused:
            identity = exchange.request_id.decode("latin-1")
            own = problem(refused.reason, refused.detail, request_id=identity, accept=exchange.accept)
            return self._whole(served, own, told)

    def _answer_of_a_candidate(
        self, served: ServedRequest, exchange: Exchange, body: "_ReplayableBody"
    ) -> UpstreamResponse | OwnResponse:
        """Carry out the exchange's steps, up to the head of a response or rgate's own."""
        step = exchange.next(time.monotonic())
        while isinstance(step, Attempt):
            sending = Sending(
                request=exchange.forwarded(),
                address=step.candidate.address,
                timeouts=exchange.backend.timeouts,
                limits=self._gateway.config.limits,
                body=body.pieces() if body.exists else None,
                fresh=step.fresh,
                client_descriptor=served.descriptor if served.descriptor >= 0 else None,
                accepted=exchange.accepted,
            )
            try:
                return self._upstream.send(sending)
            except UpstreamFailed as failed:
                step = exchange.failed(
                    failed.failure, time.monotonic(), sent=failed.sent, replayable=body.replayable
                )
        return step

    def _forwarded(
        self, served: ServedRequest, exchange: Exchange, response: UpstreamResponse, told: "_Told"
    ) -> Response:
        head, method = response.head, served.head.method
        fields = response_fields(head, exchange.request_id)
        pieces = _closing(response)
        length = head.framing if isinstance(head.framing, int) else None
        enveloping = exchange.route.response_format.value == "envelope"
        if enveloping and method == b"HEAD":
            # A HEAD says nothing of content that would have to be read for its envelope's length.
            fields = tuple(field for field in fields if field[0].lower() != b"content-length")
        elif enveloping and may_be_enveloped(head, method):
            fields, pieces, length = _enveloped(head, fields, pieces)
        delivery = _Delivery(served, told, self._log, head.status, pieces, length)
        return _exact(head.status, head.phrase, fields, delivery)

    def _gone(self, served: ServedRequest, told: "_Told") -> Response:
        """Return a response that nobody reads: the client is gone."""
        delivery = _Delivery(served, told, self._log, CLIENT_CLOSED_REQUEST, _nobody_reads(), None)
        return _exact(CLIENT_CLOSED_REQUEST, b"", (), delivery)


def _nobody_reads() -> Iterator[bytes]:
    raise ClientGone
    yield b""


def _closing(response: UpstreamResponse) -> Iterator[bytes]:
    """Yield the response's content, and let go of its connection whatever happens."""
    try:
        yield from response.pieces()
    finally:
        response.close()


def _enveloped(
    head: ResponseHead, fields: Fields, pieces: Iterator[bytes]
) -> tuple[Fields, Iterator[bytes], int | None]:
    """Return fields, content and length of the envelope; of the raw response where it cannot be one."""
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > MOST_BYTES:
            return fields, _chained(bytes(content), pieces), None
    made = envelope(head, bytes(content))
    if made is None:
        return fields, iter([bytes(content)]), len(content)
    return enveloped_fields(fields, len(made)), iter([made]), len(made)


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


class _Told:
    """What is known of a request beside its response, for its record."""

    def __init__(self, request_id: bytes, exchange: Exchange | None = None) -> None:
        self.request_id = request_id
        self.exchange = exchange
        self.reason = ""


class _Delivery:
    """A response's pieces on their way to the client; recorded with the last, or when none can follow."""

    def __init__(
        self,
        served: ServedRequest,
        told: _Told,
        log: RequestLog,
        status: int,
        pieces: Iterator[bytes],
        length: int | None,
    ) -> None:
        self._served = served
        self._told = told
        self._log = log
        self._status = status
        self._pieces = pieces
        self._length = length
        self._sent = 0
        self._complete = False
        self._failed = False
        self._recorded = False

    def __iter__(self) -> "_Delivery":
        return self

    def __next__(self) -> bytes:
        try:
            piece = next(self._pieces)
        except StopIteration:
            self._complete = True
            self._record_once()
            raise
        except (UpstreamCut, ClientGone, Refused):
            self._failed = True
            raise
        self._sent += len(piece)
        if self._sent == self._length:
            # Now, and not behind its sending: who has the last byte finds the request in the figures,
            # even if rgate is killed the moment after.
            self._complete = True
            self._record_once()
        return piece

    def close(self) -> None:
        """Record the request, where it came to no good end. Called by the server when it is done."""
        if close := getattr(self._pieces, "close", None):
            close()
        if self._told.exchange is not None:
            self._told.exchange.ended()
        self._record_once()

    def _record_once(self) -> None:
        if not self._recorded:
            self._recorded = True
            self._log.add(self._record())

    def _record(self) -> Record:
        head, exchange = self._served.head, self._told.exchange
        gone = self._served.client_gone or not (self._complete or self._failed)
        return record_of(
            head,
            self._served.client,
            CLIENT_CLOSED_REQUEST if gone else self._status,
            request_id=self._told.request_id,
            started_ns=self._served.started_ns,
            bytes_sent=self._sent,
            reason=Reason.CLIENT_CLOSED.value if gone else self._told.reason,
            cut=self._failed and not gone,
            exchange=exchange,
        )


class _ReplayableBody:
    """A request's content that can be read again from its start while little of it was read."""

    def __init__(self, served: ServedRequest) -> None:
        self._source = served.body.pieces() if served.body is not None else iter(())
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._being_read = False
        self.exists = served.body is not None

    @property
    def replayable(self) -> bool:
        """Whether `pieces` may be called again: all that was read is kept, and nobody reads on."""
        return self._kept_bytes <= REPLAYABLE_BYTES and not self._being_read

    def pieces(self) -> Iterator[bytes]:
        """Yield the content from its start; only while `replayable`."""
        self._being_read = True
        try:
            yield from list(self._kept)
            for piece in self._source:
                self._kept_bytes += len(piece)
                if self._kept_bytes <= REPLAYABLE_BYTES:
                    self._kept.append(piece)
                else:
                    self._kept.clear()
                yield piece
        finally:
            self._being_read = False


class _Exact(Response):
    """A response that goes to the server as it is: werkzeug's own adds, drops and corrects fields."""

    def __init__(self, status: str, fields: list[tuple[str, str]], pieces: Iterable[Any]) -> None:
        super().__init__()
        self._exact = (status, fields, pieces)

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        del environ
        status, fields, pieces = self._exact
        start_response(status, fields)
        return pieces


def _exact(status: int, phrase: bytes, fields: Fields, pieces: Iterable[bytes]) -> Response:
    text = [(name.decode("ascii"), value.decode("latin-1")) for name, value in fields]
    return _Exact(f"{status} {phrase.decode('latin-1')}", text, pieces)


class _PlainBody:
    """The content of a request that another WSGI server read."""

    complete = True

    def __init__(self, environ: dict[str, Any]) -> None:
        self._input = environ["wsgi.input"]
        self._remaining = int(environ.get("CONTENT_LENGTH") or -1)

    def pieces(self) -> Iterator[bytes]:
        while self._remaining and (piece := self._read()):
            yield piece

    def _read(self) -> bytes:
        if self._remaining < 0:
            return bytes(self._input.read(PIECE_BYTES))
        piece = bytes(self._input.read(min(PIECE_BYTES, self._remaining)))
        self._remaining -= len(piece)
        return piece


def _served_by_another(environ: dict[str, Any], gateway: Gateway) -> ServedRequest:
    """Return the request as far as plain WSGI tells it (PEP 3333)."""
    started_ns = time.monotonic_ns()
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not target:
        query = environ.get("QUERY_STRING")
        target = (
            environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "/") + (f"?{query}" if query else "")
        )
    lines = [f"{environ['REQUEST_METHOD']} {target} HTTP/1.1\r\n".encode("latin-1")]
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
    for key, value in environ.items():
        name = key.removeprefix("HTTP_") if key.startswith("HTTP_") else ""
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value and not (chunked and key == "CONTENT_LENGTH"):
            name = key
        if name:
            lines.append(f"{name.replace('_', '-').title()}: {value}\r\n".encode("latin-1"))
    if "HTTP_HOST" not in environ:
        lines.append(f"Host: {environ['SERVER_NAME']}:{environ['SERVER_PORT']}\r\n".encode("latin-1"))
    head: RequestHead = parse_request_head(b"".join((*lines, b"\r\n")))
    client = gateway.client(environ.get("REMOTE_ADDR", ""), int(environ["SERVER_PORT"]))
    body: Any = _PlainBody(environ) if head.framing != 0 else None
    return ServedRequest(head, client, body, started_ns, descriptor=-1)
