"""rgate's own pages for the engines: which are answered at once, and which may have to wait (behaviour 8).

`healthz` and `readyz` are asked by who restarts rgate when no answer comes. So they are answered from memory,
by whoever has the request: no thread is needed, no database, and no other page is waited for.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

from flask import Flask

from rgate.core.config import DefaultResponse
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.health import Status, readiness
from rgate.core.knowledge import Knowledge
from rgate.core.message import Fields, RequestHead
from rgate.core.onward import Request
from rgate.core.own import OwnPage
from rgate.core.own_query import query_of
from rgate.core.problem import OWN_FIELDS, OwnResponse, OwnStream, Problem, ToldProblem, page_problem
from rgate.core.record import Record
from rgate.core.windows import parse_window
from rgate.telling.live import Live
from rgate.telling.rings import Rings
from rgate.web.documents import Document, HealthDocument, KnowledgeDocument, ReadyDocument, StoryDocument
from rgate.web.environ import page
from rgate.web.static_files import StaticFiles
from rgate.web.told_pages import problem_page

Ended = Callable[[ToldProblem], Record]
"""What gives the record of a request that ends with a problem."""

LIVE: Final = "rgate.live"
"""Under this name the application has the `Live` of its pages, among its extensions."""


class Web:
    """Answers what is for rgate itself: from memory, or by the application *app*; and what it says in place
    of a container. *stories* tell of the latter; None: nothing is told of attempts.
    """

    def __init__(
        self,
        gateway: Gateway,
        app: Flask,
        knowledge: Callable[[], Sequence[Knowledge]],
        stories: Rings | None = None,
    ) -> None:
        self._gateway = gateway
        self._stories = stories
        self._app = app
        self._knowledge = knowledge
        self._static = StaticFiles()

    @property
    def live(self) -> Live:
        """What tells open pages; there is one in each application of `create_web`."""
        live: Live = self._app.extensions[LIVE]
        return live

    def end_streams(self) -> None:
        """End all streams, as rgate ends: they have no end of their own."""
        if LIVE in self._app.extensions:
            self.live.end()

    def at_once(self, request: Request, client: ClientConnection) -> OwnResponse | OwnStream | OwnPage:
        """Return the answer where it is in memory; else which page *request* is for, that `page` makes.

        What a stream brings comes from `live`.
        """
        head = request.head()
        place = self._gateway.own_page(head, client)
        request_id = request.identity.decode("latin-1")
        match place:
            case Problem():
                accept = b",".join(head.values(b"accept"))
                return page_problem(place, request_id=request_id, accept=accept, page=problem_page)
            case OwnPage.HEALTHZ:
                return _answer(HTTPStatus.OK, HealthDocument(status="ok"), request_id)
            case OwnPage.READYZ:
                return self._readyz(head, client, request_id)
            case OwnPage.STATIC:
                known = head.values(b"if-none-match")
                return self._static.answer(head.path.decode("ascii"), known, request.identity)
            case OwnPage.LIVE:
                return _stream(head, request_id, partial(self._gateway.is_insider, head, client))
            case _:
                return place

    def page(self, request: Request, client: ClientConnection) -> OwnResponse | OwnStream:
        """Return the page that *request* is for. It may ask the database, Docker's state or other workers."""
        own = self.at_once(request, client)
        return page(self._app, request, client) if isinstance(own, OwnPage) else own

    def own_response(
        self,
        place: Problem | DefaultResponse,
        request: Request,
        client: ClientConnection,
        ended: Ended | None = None,
    ) -> OwnResponse:
        """Return what tells *client* why *request* goes to no backend: a page, where it prefers one.

        *ended* gives the record of the request as it ends with that; None: there is no more to tell.
        """
        return self._gateway.own_response(place, request, client, partial(self._problem_page, ended))

    def _problem_page(self, ended: Ended | None, told: ToldProblem) -> bytes:
        if self._stories is None or ended is None or not told.insider:
            return problem_page(told)
        record = ended(told)
        if not record.backend:
            return problem_page(told)
        return problem_page(told, StoryDocument.of_story(self._stories.story(record)))

    def _readyz(self, head: RequestHead, client: ClientConnection, request_id: str) -> OwnResponse:
        gateway = self._gateway
        ready = readiness(gateway.views, draining=gateway.is_draining)
        document = ReadyDocument(status=ready.status)
        if gateway.is_insider(head, client):
            without = list(ready.backends_without_candidates)
            told = {"backends_without_candidates": without} if without else {}
            knowledge = [KnowledgeDocument.of(one) for one in self._knowledge()]
            document = ReadyDocument(status=ready.status, **told, knowledge=knowledge)
        is_ready = ready.status is Status.READY
        status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _answer(status, document, request_id)


def _stream(head: RequestHead, request_id: str, is_allowed: Callable[[], bool]) -> OwnStream:
    window_s = parse_window(query_of(head))
    return OwnStream(_fields(b"text/event-stream", request_id), window_s, is_allowed)


def _fields(media_type: bytes, request_id: str) -> Fields:
    return (
        (b"Content-Type", media_type),
        *OWN_FIELDS,
        (b"X-Request-ID", request_id.encode("latin-1")),
    )


def _answer(status: HTTPStatus, document: Document, request_id: str) -> OwnResponse:
    body = json.dumps(document.as_json(), separators=(",", ":")).encode() + b"\n"
    return OwnResponse(status.value, _fields(b"application/json", request_id), body)
