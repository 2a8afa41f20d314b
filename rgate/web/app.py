"""The pages that rgate answers itself: `stats.path`, and all under `/_rgate/` (behaviour 7, 8 and 9)."""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from rgate.core.admission import Stranger
from rgate.core.asked import BadQuestion
from rgate.core.config_document import document_of, text_of, without_secrets
from rgate.core.explain import explain
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.core.own import OwnPage
from rgate.core.problem import ALLOWED_TO_READ, OWN_FIELDS, OwnResponse, Problem, problem_response
from rgate.core.reasons import Reason
from rgate.stats import BadQuery, Grouping, Stats, parse_stats_query
from rgate.telling.siblings import Siblings
from rgate.web.asked import asked_in
from rgate.web.catch_all import catch_all
from rgate.web.documents import (
    BackendsDocument,
    Document,
    ExplanationDocument,
    FiguresDocument,
    HealthDocument,
    KnowledgeDocument,
    ReadyDocument,
)

log = logging.getLogger("rgate")


def create_web(
    gateway: Gateway, stats: Stats, knowledge: Callable[[], Sequence[Knowledge]], *, siblings: Siblings
) -> Flask:
    """Return the application. Which paths come here is decided in core/own.py.

    *siblings* are asked where a page tells of all workers.
    """
    app = Flask("rgate.web", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider, which this is
    catch_all(app, "own")  # as stats.path may change by a reload, and paths are compared undecoded
    pages = _Pages(gateway, stats, knowledge, siblings)

    @app.endpoint("own")
    def own(path: str) -> Response:  # noqa: ARG001 - what counts is the head as it came
        return pages.answer()

    # Else werkzeug answers with a page of its own.
    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
            detail = f"This is no request for rgate's own pages: {error.name}."
            return _problem(Problem(Reason.BAD_REQUEST, detail))
        log.error("answering %r failed", request.path, exc_info=error)
        return _problem(Problem(Reason.INTERNAL_ERROR, "A defect of rgate: its log says more."))

    @app.after_request
    def finished(answer: Response) -> Response:
        for name, value in OWN_FIELDS:
            answer.headers[name.decode("ascii")] = value.decode("ascii")
        answer.headers["X-Request-ID"] = _request_id()
        return answer

    return app


class _Pages:
    def __init__(
        self,
        gateway: Gateway,
        stats: Stats,
        knowledge: Callable[[], Sequence[Knowledge]],
        siblings: Siblings,
    ) -> None:
        self._gateway = gateway
        self._siblings = siblings
        self._stats = stats
        self._knowledge = knowledge
        self._pages: dict[OwnPage, Callable[[], Response]] = {
            OwnPage.STATS: self._stats_page,
            OwnPage.HEALTHZ: self._healthz,
            OwnPage.READYZ: self._readyz,
            OwnPage.BACKENDS: self._backends,
            OwnPage.EXPLAIN: self._explain,
            OwnPage.CONFIG: self._config,
        }

    def answer(self) -> Response:
        place = self._gateway.own_page(request.environ["rgate.head"], request.environ["rgate.client"])
        return _problem(place) if isinstance(place, Problem) else self._pages[place]()

    def _allowed(self) -> bool:
        return self._stranger() is None

    def _stranger(self) -> Stranger | None:
        return self._gateway.stranger(request.environ["rgate.head"], request.environ["rgate.client"])

    def _stats_page(self) -> Response:
        try:
            asked = parse_stats_query(request.query_string.decode("latin-1"))
        except BadQuery as error:
            return _problem(Problem(Reason.BAD_QUERY, error.detail))
        if asked.by is None:
            return _answer(FiguresDocument.of(self._stats.totals(asked.window_minutes).as_json()))
        if asked.by is Grouping.CONTAINER and (stranger := self._stranger()):
            return _problem(Problem(Reason.FORBIDDEN, stranger.detail))
        grouped = self._stats.grouped(asked.by, asked.window_minutes)
        return jsonify({name: FiguresDocument.of(one.as_json()).as_json() for name, one in grouped.items()})

    def _healthz(self) -> Response:
        return _answer(HealthDocument(status="ok"))

    def _readyz(self) -> Response:
        without = [name for name, view in self._gateway.views.items() if not view.candidates]
        document = ReadyDocument(status="not ready" if without else "ready")
        if self._allowed():
            knowledge = [KnowledgeDocument.of(one) for one in self._knowledge()]
            told = {"backends_without_candidates": without} if without else {}
            document = ReadyDocument(status=document.status, **told, knowledge=knowledge)
        answer = _answer(document)
        answer.status_code = HTTPStatus.SERVICE_UNAVAILABLE if without else HTTPStatus.OK
        return answer

    def _config(self) -> Response:
        # Not by jsonify: the file that it is saved in can be used as a configuration.
        text = text_of(document_of(without_secrets(self._gateway.config)))
        return Response(text, content_type="application/json")

    def _backends(self) -> Response:
        return _answer(BackendsDocument.of_views(self._knowledge(), self._gateway.views))

    def _explain(self) -> Response:
        try:
            asked = asked_in(request.query_string, request.environ["rgate.client"])
        except BadQuestion as error:
            return _problem(Problem(Reason.BAD_QUERY, error.detail))
        return _answer(ExplanationDocument.of(explain(self._gateway, asked, self._knowledge())))


def _answer(document: Document) -> Response:
    return jsonify(document.as_json())


def _problem(problem: Problem) -> Response:
    accept = request.headers.get("Accept", "").encode("latin-1")
    own: OwnResponse = problem_response(problem, request_id=_request_id(), accept=accept)
    answer = Response(own.body, own.status)
    for name, value in own.fields:
        answer.headers[name.decode("ascii")] = value.decode("latin-1")
    if problem.reason is Reason.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ALLOWED_TO_READ
    return answer


def _request_id() -> str:
    return str(request.environ.get("rgate.request_id", ""))
