"""What is told of the numbers that only grow, over random histories of workers and databases."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.counters import Counters, highest, nothing, observed, of_json, summed
from rgate.core.counters import as_json as counters_as_json
from rgate.core.ledger import Counted, Figures, Ledger

NAMES = st.sampled_from(["a", "b"])
LABELS = st.tuples(st.sampled_from(["", "x", 'y"\n']))
COUNTERS = st.dictionaries(NAMES, st.dictionaries(LABELS, st.tuples(st.integers(0, 3), st.integers(0, 3))))


def falls(before: Counters, after: Counters) -> list[object]:
    """Return the series of *before* that are less, or missing, in *after*."""
    return [
        (name, labels)
        for name, series in before.items()
        for labels, numbers in series.items()
        if labels not in after.get(name, {})
        or any(new < old for old, new in zip(numbers, after[name][labels], strict=True))
    ]


@dataclass
class Worker:
    process: int = 0
    counters: dict[str, dict[tuple[str, ...], tuple[float, ...]]] = field(default_factory=dict)
    known: Counters | None = None  # of the database


STEP = st.one_of(
    st.tuples(st.just("count"), st.integers(0, 1), COUNTERS),
    st.tuples(st.just("die"), st.integers(0, 1)),
    st.tuples(st.just("fold"), COUNTERS),
    st.tuples(st.just("look"), st.integers(0, 1)),
    st.tuples(st.just("tell"), st.integers(0, 1), st.booleans(), st.booleans()),
)


@pytest.mark.clause("10.metrics.never_less")
@given(st.lists(STEP, max_size=25))
@example([("fold", {"a": {("x",): (2, 2)}}), ("look", 0), ("tell", 0, True, True), ("tell", 1, True, True)])
@example(
    [("count", 0, {"a": {("x",): (1, 0)}}), ("tell", 1, True, True), ("die", 0), ("tell", 1, True, True)]
)
def test_nothing_that_was_told_falls_whoever_tells_it_and_whoever_dies(
    steps: list[tuple[object, ...]],
) -> None:
    workers, ledger = [Worker(), Worker()], Ledger()
    database: Counters = {}
    told: Counters = {}
    for step in steps:
        match step:
            case "count", int(number), more:
                workers[number].counters = summed([workers[number].counters, more])  # type: ignore[list-item]
            case "die", int(number):
                workers[number] = Worker(process=workers[number].process + 1)
            case "fold", more:
                database = summed([database, more])  # type: ignore[list-item]
            case "look", int(number):
                workers[number].known = database
            case "tell", int(asked), *answers:
                counted = [
                    Counted(str(place), str(worker.process), worker.counters)
                    for place, worker in enumerate(workers)
                    if place == asked or answers[place]
                ]
                known = workers[asked].known
                ledger = ledger.with_workers(counted)
                ledger = ledger.with_figures(None if known is None else Figures(1, known))
                now = summed([ledger.since_start(), ledger.figures.counters if ledger.figures else {}])
                assert falls(told, now) == []
                told = now


@given(st.lists(COUNTERS, max_size=4))
def test_a_worker_that_answers_counts_what_it_says(said: list[Counters]) -> None:
    workers = [Counted(str(place), "1", counters) for place, counters in enumerate(said)]
    ledger = Ledger().with_workers(workers).with_workers(workers)
    assert ledger.since_start() == summed(said)


def test_a_database_that_was_made_anew_begins_anew() -> None:
    ledger = Ledger().with_figures(Figures(1, {"a": {("x",): (9,)}}))
    again = ledger.with_figures(Figures(2, {"a": {("x",): (1,)}}))
    assert again.figures == Figures(2, {"a": {("x",): (1,)}})


def test_what_nobody_knows_is_not_told_and_what_was_told_is() -> None:
    assert Ledger().with_figures(None).figures is None
    known = Figures(1, {"a": {("x",): (9,)}})
    assert Ledger().with_figures(known).with_figures(None).figures == known


@given(COUNTERS, COUNTERS)
def test_the_highest_of_two_is_no_less_than_either(one: Counters, other: Counters) -> None:
    both = highest([one, other])
    assert falls(one, both) == falls(other, both) == []
    assert highest([both, one]) == both


@given(COUNTERS, COUNTERS, COUNTERS)
def test_a_ledger_is_the_same_through_json(one: Counters, other: Counters, gone: Counters) -> None:
    ledger = Ledger({"0": Counted("0", "p", one)}, gone, Figures(7, other))
    assert Ledger.of_json(json.loads(json.dumps(ledger.as_json()))) == ledger
    assert of_json(json.loads(json.dumps(counters_as_json(one)))) == one


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 9.0])))
def test_a_histogram_says_how_many_are_no_greater_than_each_bound(values: list[float]) -> None:
    bounds = (0.5, 2.0)
    histogram = nothing(bounds)
    for value in values:
        histogram = observed(histogram, bounds, value)
    expected = (sum(values), *(sum(value <= bound for value in values) for bound in bounds), len(values))
    assert histogram == expected


@pytest.mark.clause("10.metrics.gone")
def test_figures_that_are_told_no_more_are_forgotten() -> None:
    assert Ledger().with_only(lambda *_: False) == Ledger()
    ledger = Ledger().with_figures(Figures(1, {"a": {("x",): (9,), ("y",): (9,)}, "b": {("x",): (9,)}}))
    kept = ledger.with_only(lambda name, labels: (name, labels) != ("a", ("x",)))
    assert kept.figures == Figures(1, {"a": {("y",): (9,)}, "b": {("x",): (9,)}})
