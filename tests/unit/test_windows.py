"""What the queries of the pages over time may ask for (behaviour 10)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.query import BadQuery
from rgate.core.windows import WINDOWS_S, SeriesQuery, parse_series_query, parse_window
from rgate.stats import STEPS_S


@pytest.mark.clause("10.series.windows")
@pytest.mark.parametrize(
    ("window", "seconds"), [("15m", 900), ("1h", 3600), ("6h", 21600), ("24h", 86400), ("7d", 604800)]
)
def test_each_window_has_a_name(window: str, seconds: int) -> None:
    assert parse_series_query(f"window={window}") == SeriesQuery(seconds)
    assert parse_series_query(f"by=route&window={window}") == SeriesQuery(seconds, by_route=True)
    assert parse_window(f"window={window}") == seconds


@pytest.mark.clause("10.series.windows")
def test_without_a_query_it_is_an_hour() -> None:
    assert parse_series_query("") == SeriesQuery(3600)
    assert parse_window("") == 3600


def test_the_windows_are_those_that_there_are_figures_of() -> None:
    assert set(WINDOWS_S.values()) == set(STEPS_S)


@pytest.mark.clause("10.series.windows")
@pytest.mark.parametrize(
    "query",
    [
        *("window=", "window=60m", "window=1d", "window=1H", "window=900", "window= 1h", "window=\u0661h"),
        *("by=", "by=backend", "by=Route", "x=1", "windows=1h", "window=1h&window=1h", "by=route&by=route"),
    ],
)
def test_what_is_not_offered_is_a_bad_query_in_one_sentence(query: str) -> None:
    with pytest.raises(BadQuery) as error:
        parse_series_query(query)
    assert error.value.detail.endswith(".")
    assert "\n" not in error.value.detail


def test_a_window_alone_is_no_place_for_groups() -> None:
    with pytest.raises(BadQuery, match="`window`"):
        parse_window("by=route")


@given(query=st.text(alphabet="windowby=&15mhdrute%+;é\n", max_size=20))
def test_any_query_is_read_or_is_a_bad_query(query: str) -> None:
    for parse in (parse_series_query, parse_window):
        with contextlib.suppress(BadQuery):
            parse(query)
