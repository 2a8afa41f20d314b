"""Amounts and times as people read them."""

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.web.amounts import amount, count, milliseconds, share, span, time_of_day


def spaced(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (None, "–"), (0, "0"), (0.004, "<0.01"), (0.005, "0.01"), (0.085, "0.09"), (1.25, "1.3"),
        (9.94, "9.9"), (10, "10"), (12345.5, "12,346"),
    ],
)  # fmt: skip
def test_an_amount_has_the_digits_it_needs(number: float | None, told: str) -> None:
    assert amount(number) == told


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (None, "–"), (0, "0.0 %"), (0.00005, "<0.01 %"), (0.0001, "0.01 %"), (0.0042, "0.42 %"),
        (0.042, "4.2 %"), (0.1, "10 %"), (0.125, "13 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_a_share_is_told_in_percent(part: float | None, told: str) -> None:
    assert spaced(share(part)) == told


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (None, "–"), (0, "0.0 ms"), (0.25, "0.3 ms"), (9.94, "9.9 ms"), (43.2, "43 ms"), (999.4, "999 ms"),
        (999.5, "1.00 s"), (30000, "30.0 s"), (9949, "9.95 s"),
    ],
)  # fmt: skip
def test_long_waits_are_told_in_seconds(number: float | None, told: str) -> None:
    assert spaced(milliseconds(number)) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s"),
        (0.5, "1 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "2 h"),
        (129600, "2 d"),
    ],
)
def test_a_span_is_told_in_the_largest_unit_that_says_enough(seconds: float, told: str) -> None:
    assert spaced(span(seconds)) == told


@given(st.floats(0, 1e9))
def test_a_count_is_whole(number: float) -> None:
    assert abs(int(count(number).replace(",", "")) - number) <= 0.5


def test_a_time_of_long_ago_has_its_day_and_is_told_in_the_zone() -> None:
    at = 1764164520.0  # 2025-11-26 13:42:00 UTC
    assert time_of_day(at, at + 60, UTC) == "13:42:00"
    assert time_of_day(at, at + 60, timezone(timedelta(hours=2))) == "15:42:00"
    assert time_of_day(at, at + 18 * 3600, UTC) == "11-26 13:42"
