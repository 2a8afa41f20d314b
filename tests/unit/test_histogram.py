"""Latencies in buckets: small, mergeable, and within 1 % (behaviour 7)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.stats.histogram import BUCKETS, Histogram, bucket_of, most_of

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


@given(latencies=LATENCIES, again=st.integers(1, 2**40))
@example(latencies=[0], again=1)
@example(latencies=[1, 2**52, 2**60], again=2**32)
def test_what_is_counted_often_is_stored_and_read_back(latencies: list[int], again: int) -> None:
    often = Histogram()
    for latency in latencies:
        often.add(bucket_of(latency), again, again * latency)
    assert Histogram.from_bytes(often.to_bytes()) == often
    assert often.counts() == {bucket: again * n for bucket, n in Histogram(latencies).counts().items()}


def test_latencies_that_are_near_each_other_take_a_byte_or_two_a_bucket() -> None:
    near = Histogram(range(4_000_000, 8_000_000, 10_000))
    far = Histogram([1, 10**10])
    assert len(near.counts()) == 64
    assert len(near.to_bytes()) < 64 + 40
    assert len(far.to_bytes()) < 50


@given(latencies=LATENCIES)
def test_percentiles_that_are_asked_together_are_those_that_are_asked_one_by_one(
    latencies: list[int],
) -> None:
    histogram = Histogram(latencies)
    assert histogram.percentiles_ns(50, 95, 99) == tuple(map(histogram.percentile_ns, (50, 95, 99)))


def test_what_was_stored_before_can_be_read() -> None:
    # As the first version wrote it: buckets 1051 and 1100, with 2 and 3 latencies.
    stored = "010500000000000000e57e40010000000000000000000000001b044c0402000000000000000300000000000000"
    read = Histogram.from_bytes(bytes.fromhex(stored))
    assert (read.count, read.sum_ns, read.counts()) == (5, 0x1407EE5, {1051: 2, 1100: 3})


def test_of_nothing_all_is_zero() -> None:
    assert (Histogram().average_ns(), Histogram().percentile_ns(99)) == (0.0, 0.0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 30,
        Histogram([5]).to_bytes()[:-1],
        Histogram([1, 10**10]).to_bytes()[:-1],
        b"\2" + Histogram([5]).to_bytes()[1:-1],
        b"\2\3" + Histogram([5]).to_bytes()[2:],
    ],
)
def test_other_bytes_are_no_histogram(data: bytes) -> None:
    with pytest.raises(ValueError, match="no histogram"):
        Histogram.from_bytes(data)


@given(st.integers(0, BUCKETS - 2))
def test_the_greatest_latency_of_a_bucket_is_in_it_and_the_next_is_not(bucket: int) -> None:
    assert bucket_of(most_of(bucket)) == bucket
    assert bucket_of(most_of(bucket) + 1) == bucket + 1


@given(LATENCIES, st.lists(st.integers(0, BUCKETS - 1)))
@example([], [0, BUCKETS - 1])
@example([5, 5, 6], [0, 4, 5, 6, 7, BUCKETS - 1])
def test_it_says_how_many_are_in_a_bucket_or_before_it(latencies: list[int], buckets: list[int]) -> None:
    expected = tuple(sum(bucket_of(one) <= bucket for one in latencies) for bucket in buckets)
    assert Histogram(latencies).up_to(buckets) == expected
