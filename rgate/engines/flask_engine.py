"""The flask engine, to be read in one sitting: a Flask application with one view, which carries out what
core/ decides, in the order in which it happens.

What Flask does here: it calls the view, on rgate's own WSGI server (wsgi_server.py) or any other, and makes
the pages of rgate's own paths. What `requests` does: requests_upstream.py. WSGI has no way to take over a
connection: an offer to switch to WebSocket is answered 501, others are ignored.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from flask import Flask
from flask import Response as FlaskResponse
from flask import request as flask_request

from rgate.core.candidates import Candidate
from rgate.core.config import DefaultResponse, ResponseFormat, Route
from rgate.core.connections import Connections
from rgate.core.delivery import envelope_of, own_content
from rgate.core.exchange import Attempt
from rgate.core.gateway import Gateway, Own, Snapshot
from rgate.core.message import Refused
from rgate.core.onward import Request, Response, with_host
from rgate.core.problem import OwnStream, Problem
from rgate.core.reading import is_unasked
from rgate.core.reasons import Failure
from rgate.core.record import RequestLog
from rgate.core.routing import without_prefix
from rgate.core.succession import Listeners
from rgate.core.upload import may_be_repeated
from rgate.engines.crowd import Crowd
from rgate.engines.plain_wsgi import (
    FlaskAnswer,
    OwnFlaskResponse,
    StreamFlaskResponse,
    client_of,
    served_by_another,
)
from rgate.engines.records import BROKE_OFF, DEFECT, SAID_408, answer_to_no_request
from rgate.engines.requests_upstream import RequestsUpstream
from rgate.engines.underway import Answer, Underway
from rgate.engines.upstream import (
    ClientGone,
    Sending,
    Upstream,
    UpstreamCut,
    UpstreamFailed,
)
from rgate.engines.wsgi_connection import Service
from rgate.engines.wsgi_server import WsgiServer
from rgate.web.catch_all import catch_all
from rgate.web.pages import Web

log = logging.getLogger("rgate")

Asked = tuple[str, Candidate]
"""A backend's name, and who is asked for it."""

UNDER_WAY: Final = "rgate.under_way"


class FlaskEngine(WsgiServer):
    """Serves a gateway on listeners, with threads. See `rgate.cli` for who starts it."""

    def __init__(self, gateway: Gateway, web: Web, log: RequestLog) -> None:
        crowd = Crowd()
        self._upstream = RequestsUpstream(crowd, lambda: gateway.most_connections)
        self._app = create_flask_app(gateway, web, log, self._upstream)
        super().__init__(Service(self._app, gateway, log), crowd)
        self._web = web

    def under_way(self) -> Counter[Asked]:
        """Return how many requests each candidate of a backend, by its name, is asked for now."""
        return under_way_in(self._app)

    def drain(self, within_s: float, listeners: Listeners = Listeners.CLOSED) -> bool:
        """Stop accepting, and wait for what is under way but for streams of rgate's own, which have no end;
        whether all ended in time.
        """
        self._web.end_streams()
        return super().drain(within_s, listeners)

    def stop(self) -> None:
        """End at once."""
        self._web.end_streams()
        super().stop()

    def connections(self) -> Connections:
        """Return how many connections there are. Any thread may ask."""
        active, idle = self.clients()
        return replace(self._upstream.connections(), clients_active=active, clients_idle=idle)


def create_flask_app(gateway: Gateway, web: Web, log: RequestLog, upstream: Upstream | None = None) -> Flask:
    """Return the WSGI application: *web* answers rgate's own paths, all else goes to a backend.

    It runs on any WSGI server; see plain_wsgi.py for what others than rgate's tell less.
    """
    app = Flask("rgate", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = True  # to the server: a client that is gone is no defect
    catch_all(app, "forward")
    view = _View(gateway, web, log, upstream or RequestsUpstream())
    app.extensions[UNDER_WAY] = view.under_way

    @app.endpoint("forward")
    def forward(path: str) -> FlaskResponse:
        del path  # decoded; the target as received is in the request's head
        return view.response(flask_request.environ)

    return app


def under_way_in(app: Flask) -> Counter[Asked]:
    """Return how many requests each candidate is asked for now by *app*, which `create_flask_app` made."""
    count: Callable[[], Counter[Asked]] = app.extensions[UNDER_WAY]
    return count()


class _View:
    """Takes requests from WSGI, and carries out what their exchanges decide."""

    def __init__(self, gateway: Gateway, web: Web, log: RequestLog, upstream: Upstream) -> None:
        self._gateway = gateway
        self._web = web
        self._log = log
        self._upstream = upstream
        self._under_way: set[Underway] = set()

    def under_way(self) -> Counter[Asked]:
        """Return how many requests each candidate is asked for now. Any thread may call."""
        # To copy a set is one operation, while other threads add to it.
        asked = [(underway.route, underway.attempt) for underway in list(self._under_way)]
        return Counter((route.backend, one.candidate) for route, one in asked if route and one)

    def response(self, environ: dict[str, Any]) -> FlaskResponse:
        """Return the response to the request that *environ* describes. Raises ClientGone."""
        try:
            served = environ.get("rgate.request") or served_by_another(environ, self._gateway)
        except Refused as refused:
            client = client_of(environ, self._gateway)
            return OwnFlaskResponse(answer_to_no_request(refused, client, time.monotonic_ns(), self._log))
        underway = Underway(served, self._log, self._under_way)
        try:
            return self._answer(underway)
        except ClientGone:
            underway.record_unsent(503, 0)
            raise
        except Exception:  # a defect of ours costs one request its answer, and is told of
            log.exception("request failed")
            return self._own(underway, DEFECT)

    def _answer(self, underway: Underway) -> FlaskResponse:
        served, snapshot = underway.served, self._gateway.snapshot
        place = snapshot.place(served.request)
        if isinstance(place, Own):
            # Not counted (behaviour 7).
            own = self._web.page(served.request, served.client)
            if isinstance(own, OwnStream):
                return StreamFlaskResponse(own, self._web.live)
            return OwnFlaskResponse(own)
        if isinstance(place, int):
            return self._forward(underway, snapshot, snapshot.route(place))
        return self._own(underway, place)

    def _own(self, underway: Underway, place: Problem | DefaultResponse) -> FlaskResponse:
        """Return what tells the client why its request goes no further."""
        served = underway.served
        if isinstance(place, Problem):
            underway.detail = place.detail
        own = self._web.own_response(
            place,
            served.request,
            served.client,
            lambda told: underway.ended(told.status, 0, reason=told.reason),
        )
        underway.record(own.status, len(own_content(own, served.request.method)), reason=own.reason)
        return OwnFlaskResponse(own)

    def _forward(self, underway: Underway, snapshot: Snapshot, route: Route) -> FlaskResponse:
        request = underway.served.request
        onward = without_prefix(route, request) if route.strip_prefix else request
        if isinstance(onward, Problem):
            return self._own(underway, onward)
        underway.route, underway.generation = route, snapshot.generation
        try:
            answered = self._ask(underway, snapshot, route, onward)
        except Refused as refused:  # the request's content
            answered = Problem(refused.reason, refused.detail, route.backend)
        if isinstance(answered, Problem):
            return self._own(underway, answered)
        return FlaskAnswer(answered, request)

    def _ask(
        self, underway: Underway, snapshot: Snapshot, route: Route, request: Request
    ) -> Answer | Problem:
        """Return the response of who is asked last, or why there is none. Raises ClientGone and Refused."""
        served, content = underway.served, underway.served.content
        exchange = snapshot.exchange(route)
        underway.asks(exchange)
        step = exchange.first(time.monotonic())

        def accepted(waited_s: float) -> None:
            nonlocal step
            assert isinstance(step, Attempt)  # noqa: S101 - for the types alone
            underway.trace.connected(time.monotonic_ns())
            step = exchange.accepted(step, waited_s)

        while isinstance(step, Attempt):
            underway.attempt, address = step, step.candidate.address
            underway.trace.began(step.candidate, time.monotonic_ns())
            may_repeat = may_be_repeated(request, content.upload)
            sending = Sending(
                request if request.manner.has_host_field else with_host(request, str(address).encode()),
                content,
                address,
                exchange.backend.name,
                snapshot.reading,
                exchange.backend.timeouts,
                exchange.connect_within_s(step),
                exchange.stays_open_s(step, repeatable=may_repeat),
                step.fresh,
                underway.trace.connecting,
                accepted,
                served.interim,
            )
            try:
                answer = self._attempt(underway, route, sending)
            except UpstreamFailed as failed:
                underway.trace.ended(time.monotonic_ns(), failed.failure.value, failed.text)
                step = exchange.after(
                    step,
                    failed.failure,
                    time.monotonic(),
                    repeatable=may_be_repeated(request, content.upload),
                    sent=failed.sent,
                    waited_s=failed.waited_s,
                )
            else:
                exchange.answered(step)
                return answer
        return step

    def _attempt(self, underway: Underway, route: Route, sending: Sending) -> Answer:
        """Return the response of one candidate. Raises UpstreamFailed where there is none."""
        request, upstream = sending.request, self._upstream.send(sending)
        with ExitStack() as unless_it_is_delivered:
            unless_it_is_delivered.callback(upstream.close)
            response, pieces = upstream.response, upstream.pieces()
            repeatable = may_be_repeated(request, sending.content.upload)
            if repeatable and is_unasked(response, reused=upstream.reused):
                raise UpstreamFailed(Failure.STALE, sent=True, text=SAID_408)
            underway.trace.answered(time.monotonic_ns())
            if route.response_format is ResponseFormat.ENVELOPE:
                response, pieces = _enveloped(request, response, pieces)
            unless_it_is_delivered.pop_all()
        return Answer(underway, upstream, response, pieces)


def _enveloped(
    request: Request, response: Response, pieces: Iterator[bytes]
) -> tuple[Response, Iterator[bytes]]:
    """Return the response in an envelope, where it can be put into one. Nothing of it was sent before."""
    envelope = envelope_of(request, response)
    if isinstance(envelope, Response):
        return envelope, pieces
    try:
        for piece in pieces:
            if envelope.is_too_large(piece):
                response, content = envelope.raw()
                return response, chain((content,), pieces)
    except UpstreamCut as cut:
        raise UpstreamFailed(Failure.BAD_RESPONSE, sent=True, text=BROKE_OFF) from cut
    response, content = envelope.enveloped()
    return response, iter((content,))
