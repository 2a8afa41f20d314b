"""What the query of `/stats` may ask for (behaviour 7)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.query import BadQuery
from rgate.core.stats_query import Grouping, StatsQuery, parse_stats_query


@pytest.mark.clause("7.query.window")
@pytest.mark.parametrize(
    ("window", "minutes"),
    [("1s", 1), ("60s", 1), ("61s", 2), ("15m", 15), ("2h", 120), ("366d", 366 * 1440)],
)
def test_a_window_is_rounded_up_to_whole_minutes(window: str, minutes: int) -> None:
    assert parse_stats_query(f"window={window}") == StatsQuery(window_minutes=minutes)


@pytest.mark.clause("7.query.by")
@pytest.mark.parametrize("grouping", Grouping)
def test_figures_are_grouped_by_what_is_named(grouping: Grouping) -> None:
    assert parse_stats_query(f"by={grouping.value}&window=1m") == StatsQuery(1, grouping)


def test_without_a_query_it_is_the_whole_lifetime() -> None:
    assert parse_stats_query("") == StatsQuery(None, None)


@pytest.mark.clause("7.query.unknown")
@pytest.mark.parametrize(
    "query",
    [
        *(
            "window=",
            "window=0m",
            "window=15",
            "window=-1m",
            "window=1.5h",
            "window=15M",
            "window=1w",
            "window= 1m",
        ),
        *("window=367d", "window=9999999999s", "window=\u0661m", "by=", "by=method", "by=Route"),
        *("x=1", "by", "windows=1m", "by=route&by=route", "window=1m&window=2m"),
    ],
)
def test_what_is_not_offered_is_a_bad_query_in_one_sentence(query: str) -> None:
    with pytest.raises(BadQuery) as error:
        parse_stats_query(query)
    assert error.value.detail.endswith(".")
    assert "\n" not in error.value.detail


@given(query=st.text(alphabet="windowby=&15mshd%+;é\n", max_size=20))
def test_any_query_is_read_or_is_a_bad_query(query: str) -> None:
    with contextlib.suppress(BadQuery):
        parse_stats_query(query)
