"""Latencies in buckets: small, mergeable, and within 1 % (behaviour 7)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.stats.histogram import Histogram

# All magnitudes alike: from a nanosecond to eleven days.
LATENCIES = st.lists(
    st.builds(lambda power, part: int(2**power * (1 + part)), st.integers(0, 49), st.floats(0, 0.999)),
    min_size=1,
    max_size=60,
)


@pytest.mark.clause("7.latency.exact")
@given(latencies=LATENCIES, percent=st.sampled_from([1, 50, 95, 99, 100]))
@example(latencies=[127, 128, 129], percent=50)
def test_any_percentile_is_within_one_percent_of_exact(latencies: list[int], percent: int) -> None:
    rank = max(-(-percent * len(latencies) // 100), 1)
    exact = sorted(latencies)[rank - 1]
    assert Histogram(latencies).percentile_ns(percent) == pytest.approx(exact, rel=0.01)


@given(one=LATENCIES, other=LATENCIES)
def test_a_merge_equals_the_union(one: list[int], other: list[int]) -> None:
    merged = Histogram(one)
    merged.merge(Histogram(other))
    assert merged == Histogram(one + other)


@given(latencies=LATENCIES)
def test_what_is_stored_is_read_back(latencies: list[int]) -> None:
    assert Histogram.from_bytes(Histogram(latencies).to_bytes()) == Histogram(latencies)


def test_of_nothing_all_is_zero() -> None:
    assert (Histogram().average_ns(), Histogram().percentile_ns(99)) == (0.0, 0.0)


@pytest.mark.parametrize("data", [b"", b"x" * 30, Histogram([5]).to_bytes()[:-1]])
def test_other_bytes_are_no_histogram(data: bytes) -> None:
    with pytest.raises(ValueError, match="no histogram"):
        Histogram.from_bytes(data)
