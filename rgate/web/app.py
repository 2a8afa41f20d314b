"""The pages of rgate's own that are not answered at once (pages.py): the figures, and what it knows
(behaviour 7, 8 and 9).
"""

import logging
import math
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from rgate.core.accept import prefers_html
from rgate.core.admission import Stranger
from rgate.core.asked_query import asked_in
from rgate.core.config_document import document_of, text_of, without_secrets
from rgate.core.explain import explain
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.core.own import OwnPage
from rgate.core.own_query import backends_window, stats_asked
from rgate.core.problem import OWN_FIELDS, PAGE_FIELDS, Problem, page_problem
from rgate.core.reasons import Reason
from rgate.core.stats_query import StatsQuery
from rgate.core.story_query import parse_story_query
from rgate.core.windows import parse_series_query
from rgate.stats import Stats
from rgate.telling.live import Live
from rgate.telling.process import Process, Started
from rgate.telling.recent import Recent
from rgate.telling.rings import Rings
from rgate.telling.siblings import Siblings
from rgate.telling.timeline import Timeline
from rgate.web.backends_page import BackendsPage
from rgate.web.catch_all import catch_all
from rgate.web.documents import (
    Document,
    ExplanationDocument,
    FiguresDocument,
    SeriesByRouteDocument,
    SeriesDocument,
)
from rgate.web.gateway_now import GatewayNow
from rgate.web.metrics_page import MetricsPage
from rgate.web.moments import Moments
from rgate.web.operator_page import OperatorPage
from rgate.web.pages import LIVE
from rgate.web.requests_page import RequestsPage
from rgate.web.timeline_page import TimelinePage
from rgate.web.told_pages import explanation_page, problem_page, story_page
from rgate.web.verdict_page import VerdictPage
from rgate.web.worker_metrics import WorkerMetrics

log = logging.getLogger("rgate")


def create_web(
    gateway: Gateway,
    stats: Stats,
    knowledge: Callable[[], Sequence[Knowledge]],
    *,
    stories: Rings,
    siblings: Siblings,
    process: Process | None = None,
    metrics: WorkerMetrics | None = None,
) -> Flask:
    """Return the application. Which paths come here is decided in core/own.py.

    *siblings* are asked where a page tells of all workers. *process*: what this one knows of itself.
    *metrics*: what it says of itself for them; None: no more than the gateway knows.
    """
    process = process or Process(Timeline())
    app = Flask("rgate.web", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider, which this is
    catch_all(app, "own")  # as stats.path may change by a reload, and paths are compared undecoded
    now = GatewayNow(gateway, stats, knowledge, process, siblings)
    backends, verdict = BackendsPage(now), VerdictPage(now)
    recent = Recent(process.timeline)
    app.extensions[LIVE] = Live(Moments(gateway, stats, stories, recent, siblings, backends, verdict))
    worker = metrics or WorkerMetrics(gateway, knowledge, siblings.place)
    pages = _Pages(
        gateway,
        stats,
        knowledge,
        RequestsPage(stories, siblings),
        backends,
        TimelinePage(process.timeline, siblings),
        verdict,
        MetricsPage(gateway, worker, stats, siblings),
        process.started,
    )

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
        requests: RequestsPage,
        backends: BackendsPage,
        timeline: TimelinePage,
        verdict: VerdictPage,
        metrics: MetricsPage,
        started: Started,
    ) -> None:
        self._gateway = gateway
        self._requests = requests
        self._metrics = metrics
        self._stats = stats
        self._knowledge = knowledge
        self._started = started
        self._operator = OperatorPage(stats, requests, backends, timeline, verdict, started)
        self._pages: dict[OwnPage, Callable[[], Response]] = {
            OwnPage.STATS: self._stats_in_html_or_json,
            OwnPage.BACKENDS: lambda: _answer(backends.document(backends_window(_query()))),
            OwnPage.TIMELINE: lambda: _answer(timeline.document()),
            OwnPage.VERDICT: lambda: _answer(verdict.document()),
            OwnPage.EXPLAIN: self._explain,
            OwnPage.CONFIG: self._config,
            OwnPage.SERIES: self._series,
            OwnPage.REQUESTS: self._last_requests,
            OwnPage.STORY: self._story,
            OwnPage.METRICS: self._metrics_page,
        }

    def answer(self) -> Response:
        place = self._gateway.own_page(request.environ["rgate.head"], request.environ["rgate.client"])
        if isinstance(place, Problem):
            return _problem(place)
        return self._pages[place]()

    def _stranger(self) -> Stranger | None:
        return self._gateway.stranger(request.environ["rgate.head"], request.environ["rgate.client"])

    def _stats_in_html_or_json(self) -> Response:
        wanted = stats_asked(request.environ["rgate.head"])
        return self._in_html(wanted) if isinstance(wanted, int) else self._stats_page(wanted)

    def _in_html(self, window_s: int) -> Response:
        host = request.environ["rgate.head"].host.decode("latin-1")
        content, silent_s = self._operator.answer(window_s, host, self._stranger())
        return _with_age(_page(content), silent_s)

    def _stats_page(self, asked: StatsQuery) -> Response:
        counted = self._stats.counted(asked.window_minutes)
        if asked.by is None:
            answer = _answer(FiguresDocument.of(counted.totals().as_json()))
        else:
            grouped = counted.grouped(asked.by)
            answer = jsonify(
                {name: FiguresDocument.of(one.as_json()).as_json() for name, one in grouped.items()}
            )
        return _with_age(answer, counted.silent_s)

    def _metrics_page(self) -> Response:
        body, content_type = self._metrics.page(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    def _config(self) -> Response:
        # Not by jsonify: the file that it is saved in can be used as a configuration.
        text = text_of(document_of(without_secrets(self._gateway.config)))
        return Response(text, content_type="application/json")

    def _series(self) -> Response:
        wanted = parse_series_query(_query())
        if wanted.by_route:
            return _answer(SeriesByRouteDocument.of_series(*self._stats.series_by_route(wanted.window_s)))
        return _answer(SeriesDocument.of_series(self._stats.series(wanted.window_s)))

    def _last_requests(self) -> Response:
        return _answer(self._requests.requests(parse_story_query(_query())))

    def _story(self) -> Response:
        path: str = request.environ["rgate.path"]
        told = self._requests.story(unquote(path.removeprefix(OwnPage.STORY.value)))
        if isinstance(told, Problem):
            return _problem(told)
        if not _prefers_html():
            return _answer(told)
        return _page(story_page(told, None, self._started.program, self._started.url))

    def _explain(self) -> Response:
        asked = asked_in(request.query_string, request.environ["rgate.client"])
        told = ExplanationDocument.of(explain(self._gateway, asked, self._knowledge()))
        return _page(explanation_page(told, request.args["target"])) if _prefers_html() else _answer(told)


def _answer(document: Document) -> Response:
    return jsonify(document.as_json())


def _with_age(answer: Response, silent_s: float | None) -> Response:
    """Return *answer*, with how old its figures are while the database does not answer."""
    if silent_s is not None:
        answer.headers["X-Rgate-Stale"] = str(math.ceil(silent_s))
    return answer


def _page(content: bytes) -> Response:
    answer = Response(content)
    for name, value in PAGE_FIELDS:
        answer.headers[name.decode("ascii")] = value.decode("ascii")
    return answer


def _problem(problem: Problem) -> Response:
    own = page_problem(problem, request_id=_request_id(), accept=_accept(), page=problem_page)
    answer = Response(own.body, own.status)
    for name, value in own.fields:
        answer.headers[name.decode("ascii")] = value.decode("latin-1")
    return answer


def _prefers_html() -> bool:
    return prefers_html(_accept())


def _accept() -> bytes:
    return request.headers.get("Accept", "").encode("latin-1")


def _query() -> str:
    """Return the part of the target behind `?`, as it came."""
    return request.query_string.decode("latin-1")


def _request_id() -> str:
    return str(request.environ.get("rgate.request_id", ""))
