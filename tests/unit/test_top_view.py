"""`top`: what it shows of the documents that a running rgate tells (behaviour 9)."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from rgate.cli.top_view import Shown, view_of
from rgate.web.documents import (
    FiguresDocument,
    RequestsDocument,
    RouteSeriesDocument,
    SeriesByRouteDocument,
    SeriesDocument,
)
from rgate.web.page import Inside
from tests.page_states import STATES, data, hostile


def shown(state: str, *, is_hostile: bool = False) -> Shown:
    page = hostile(state) if is_hostile else data(state)
    inside = page.whose
    assert isinstance(inside, Inside)
    series = SeriesDocument.of_series(inside.series)
    frame = {"now": page.now, "window_s": 3600, "step_s": 60, "start": 0}
    figures = {name: FiguresDocument.of(one.as_json()) for name, one in page.routes.items()}
    names = {name: RouteSeriesDocument(requests=[], errors=[], total=one) for name, one in figures.items()}
    return Shown(
        "1h",
        inside.verdict,
        series,
        SeriesByRouteDocument.model_validate({**frame, "names": names}),
        inside.backends,
        RequestsDocument(now=page.now, failed=True, missing_workers=0, requests=list(inside.failures)),
    )


def text_of(one: Shown, problem: str = "", *, colour: bool = False) -> str:
    stream = io.StringIO()
    Console(file=stream, width=160, force_terminal=colour, highlight=False).print(view_of(one, problem))
    return stream.getvalue()


@pytest.mark.clause("9.top.shown")
@pytest.mark.parametrize("state", [state for state in STATES if state != "stranger"])
def test_the_verdict_figures_routes_backends_and_failures_are_shown(state: str) -> None:
    one = shown(state)
    text = text_of(one)
    assert text.startswith(one.verdict.word)
    assert all(finding.command in text for finding in one.verdict.findings[:5])
    for name in (*one.routes.names, *one.backends.backends):
        assert name[:20] in text
    assert ("failed at" in text) is bool(one.failures.requests)
    assert "\x1b" not in text


def test_nothing_that_names_say_is_a_command_or_a_style() -> None:
    text = text_of(shown("\x1b[31m[red]\nx\u202e", is_hostile=True))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]" in text


def test_what_is_not_of_now_is_said_to_be_so() -> None:
    one = shown("well")
    at = time.strftime("%H:%M:%S", time.localtime(one.backends.now))
    assert text_of(one, "nobody answers").startswith(f"nobody answers; this is as it was at {at}\n")


def test_a_gateway_may_say_any_time() -> None:
    one = shown("trouble")
    far = [request.model_copy(update={"at": 1e300}) for request in one.failures.requests]
    assert "1e+300" in text_of(replace(one, failures=one.failures.model_copy(update={"requests": far})))
