"""Counting now: into one arena while the other is folded, from any thread, within bounds."""

import sys
import threading
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.record import Record
from rgate.stats import live_file, recorder
from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import Histogram
from rgate.stats.live_file import Arena, Counts
from rgate.stats.recorder import Recorder

PLAIN = Record(600.0, "", "GET", "/", 200, 0, 1000, "/api", "b", "c")


def new_recorder() -> Recorder:
    return Recorder(Arena.in_memory("one", 1), Arena.in_memory("one", 0))


def counted(recorder: Recorder) -> Counts:
    """Return everything that the recorder has not yet given away."""
    together: Counts = {}
    for part in recorder.unfolded():
        for where, histogram in part.counts.items():
            together.setdefault(where, Histogram()).merge(histogram)
    return together


def requests(recorder: Recorder) -> int:
    return sum(histogram.count for histogram in counted(recorder).values())


records = st.builds(
    Record,
    ended_at_s=st.sampled_from([-1.0, 0.0, 59.9, 60.0, 6e11]),
    client=st.just(""),
    method=st.just("GET"),
    target=st.just("/"),
    status=st.sampled_from([200, 503]),
    bytes_sent=st.just(0),
    latency_ns=st.sampled_from([-5, 0, 1, 127, 128, 10**6, 2**52 - 1, 2**52, 2**63, 2**64 - 1, 2**64, 2**70]),
    route=st.sampled_from(["", "/a"]),
    backend=st.just("b"),
    attempts=st.just(1),
    reason=st.just(""),
    request_id=st.just(""),
    container=st.sampled_from(["", "c", "ü"]),
    cut=st.booleans(),
)


@given(added=st.lists(records, max_size=30), folds=st.sets(st.integers(0, 29)))
def test_whatever_is_added_is_counted_once_however_often_arenas_change(
    added: list[Record], folds: set[int]
) -> None:
    recorder = new_recorder()
    folded: Counter[Label] = Counter()
    sum_ns = 0
    for number, record in enumerate(added):
        recorder.add(record)
        if number in folds and (arena := recorder.seal()) is not None:
            for (_, label), histogram in arena.histograms().items():
                folded[label] += histogram.count
                sum_ns += histogram.sum_ns
            recorder.clear(arena)
    for (_, label), histogram in counted(recorder).items():
        folded[label] += histogram.count
        sum_ns += histogram.sum_ns
    assert folded == Counter(Label(r.route, r.backend, r.container, r.status, r.cut) for r in added)
    assert sum_ns == sum(max(record.latency_ns, 0) for record in added)


class Minutes:
    """A wall clock that stands at the beginning of minute *number*."""

    number = 10

    def __call__(self) -> float:
        return 60.0 * self.number


# What a counter counts, and in between: a fold, the next minute of both clocks, a record of another.
steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([200, 404]),
            st.sampled_from([-(10**9), 0, 127, 128, 10**6, 1 << 40, (1 << 40) + 1, 2**64]),
        ),
        st.sampled_from(["fold", "minute", "other"]),
    ),
    max_size=30,
)


@given(steps=steps)
@example(steps=[(200, 10**6), "fold", (200, 10**6)])  # the row of before is in the arena that was folded
@example(steps=[(200, 10**6), "fold", "other", "fold", (200, 10**6)])  # the same arena, emptied meanwhile
@example(steps=[(200, 10**6), "minute", (200, 10**6)])
def test_a_counter_counts_what_records_would(steps: list[tuple[int, int] | str]) -> None:
    with_records, with_counter, minutes = new_recorder(), new_recorder(), Minutes()
    counter = with_counter.counter("/api", "b", "c", minutes)
    began_ns, totals = 12345, [dict[object, Histogram]() for _ in range(2)]
    for step in steps:
        if step == "minute":
            minutes.number += 1
        elif step == "other":
            for recorder in (with_records, with_counter):
                recorder.add(PLAIN._replace(container="other"))
        elif step == "fold":
            for recorder, total in zip((with_records, with_counter), totals, strict=True):
                if (arena := recorder.seal()) is not None:
                    for where, histogram in arena.histograms().items():
                        total.setdefault(where, Histogram()).merge(histogram)
                    recorder.clear(arena)
        else:
            assert isinstance(step, tuple)
            status, latency_ns = step
            with_records.add(PLAIN._replace(ended_at_s=minutes(), status=status, latency_ns=latency_ns))
            counter.add(status, latency_ns, began_ns + 60 * 10**9 * (minutes.number - 10))
    for recorder, total in zip((with_records, with_counter), totals, strict=True):
        for where, histogram in counted(recorder).items():
            total.setdefault(where, Histogram()).merge(histogram)
    assert totals[0] == totals[1]


def test_an_arena_that_could_not_be_folded_is_given_again_unchanged() -> None:
    recorder = new_recorder()
    recorder.add(PLAIN)
    first = recorder.seal()
    recorder.add(PLAIN)
    again = recorder.seal()
    assert first is again is not None
    assert sum(histogram.count for histogram in again.histograms().values()) == 1
    assert requests(recorder) == 2


def test_each_filling_of_an_arena_has_a_generation_of_its_own() -> None:
    recorder = new_recorder()
    generations = []
    for _ in range(5):
        recorder.add(PLAIN)
        arena = recorder.seal()
        assert arena is not None
        generations.append(arena.generation)
        recorder.clear(arena)
    assert generations == [1, 2, 3, 4, 5]


def add_plain_ones(recorder: Recorder, count: int) -> None:
    counter = recorder.counter("/api", "b", "c", lambda: 600.0)
    for number in range(count // 2):
        recorder.add(PLAIN)
        counter.add(200, 1000, number)


def test_threads_lose_no_count_to_each_other() -> None:
    recorder = new_recorder()
    folded = 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=add_plain_ones, args=(recorder, 5000)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if (arena := recorder.seal()) is not None:
                folded += sum(histogram.count for histogram in arena.histograms().values())
                recorder.clear(arena)
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert folded + requests(recorder) == 20_000


def test_more_labels_than_allowed_a_minute_are_counted_without_names() -> None:
    recorder_ = new_recorder()
    for number in range(recorder.MOST_LABELS_A_MINUTE + 100):
        recorder_.add(PLAIN._replace(container=f"c{number}"))
    labels = {label for _, label in counted(recorder_)}
    assert len(labels) == recorder.MOST_LABELS_A_MINUTE + 1
    assert counted(recorder_)[10, Label(OTHER, OTHER, OTHER, 200, False)].count == 100


def test_what_does_not_fit_in_the_file_is_counted_in_memory() -> None:
    recorder_ = new_recorder()
    added = live_file.ROWS + 5000
    for number in range(added):
        recorder_.add(PLAIN._replace(ended_at_s=60.0 * number))
    assert requests(recorder_) == added


def test_memory_is_bounded_while_nothing_can_be_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST_SPILT", 100)
    recorder_ = new_recorder()
    added = live_file.ROWS + 6000
    for number in range(added):
        recorder_.add(PLAIN._replace(ended_at_s=60.0 * number))
    assert requests(recorder_) == added
    assert len(recorder_.unfolded()[0].counts) <= live_file.ROWS + 100 + 6000 // 60 + 1


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 100_000, "é" * 5000])
def test_a_name_that_no_database_takes_is_counted_under_one_that_it_does(name: str) -> None:
    recorder = new_recorder()
    recorder.add(PLAIN._replace(container=name))
    recorder.add(PLAIN._replace(container=name))
    ((_, label),) = counted(recorder)
    assert label.container.encode().count(b"\0") == 0
    assert len(label.container) <= 1000
    assert requests(recorder) == 2
