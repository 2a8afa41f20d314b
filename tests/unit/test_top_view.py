"""`top`: what it shows of the documents that a running rgate tells (behaviour 9)."""

import io
import re
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


def text_of(
    one: Shown, problem: str = "", *, colour: bool = False, rows: int | None = None, width: int = 160
) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=colour, highlight=False).print(
        view_of(one, problem, rows)
    )
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


@pytest.mark.clause("9.top.small")
@pytest.mark.parametrize("rows", [1, 24, 50])
def test_a_small_terminal_shows_some_of_each_and_says_how_many_there_are_more(rows: int) -> None:
    one = shown("down")
    names = [f"/r{number:02}" for number in range(30)]
    figures, *_ = one.routes.names.values()
    backend, *_ = one.backends.backends.values()
    many = replace(
        one,
        routes=one.routes.model_copy(update={"names": dict.fromkeys(names, figures)}),
        backends=one.backends.model_copy(update={"backends": dict.fromkeys(names, backend)}),
    )
    routes, backends = text_of(many, rows=rows).partition("\nbackend ")[::2]
    shown_routes = sum(name in routes for name in names)
    shown_backends = sum(name in backends for name in names)
    assert 1 <= shown_routes <= max(rows // 6, 1)
    assert f"and {30 - shown_routes} more" in routes
    assert 1 <= shown_backends <= max(rows // 4, 1)
    assert re.search(r"^and \d+ more", backends, re.MULTILINE)
    assert "more" not in text_of(one)


@pytest.mark.clause("9.top.small")
def test_in_80_columns_names_are_cut_before_numbers() -> None:
    text = text_of(shown("long"), width=80)
    assert re.search(r"^backend +container +under way +requests +errors +p95 *$", text, re.MULTILINE)
    assert "…" in text.partition("\nbackend ")[2]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.clause("9.top.small")
def test_backends_that_have_none_come_first() -> None:
    table = text_of(shown("none")).partition("\nbackend ")[2].splitlines()
    assert table[1].startswith("orders "), "the only one of three that has none"


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
