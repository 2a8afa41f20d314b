"""Which events follow from two moments, and how many (behaviour 10)."""

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.live import (
    DOCUMENTS,
    MOST_A_SECOND,
    TURN_S,
    Burst,
    Event,
    Made,
    Moment,
    due,
    events_between,
    framed,
    full,
    is_same_verdict,
    more,
    one_line,
)

A_SECOND = round(1 / TURN_S)
TURNS = st.integers(0, 3)


def moment(tick: int = 0, verdict: int = 0, backends: int = 0, routes: int = 0) -> Moment:
    turns = (tick, verdict, backends, routes)
    return Moment(*(Made(turn, f'"{name} {turn}"') for name, turn in zip(Moment._fields, turns, strict=True)))


@pytest.mark.clause("10.live.first")
def test_who_knows_nothing_is_told_all() -> None:
    assert events_between(None, moment()) == [
        Event("tick", '"tick 0"'),
        Event("verdict", '"verdict 0"'),
        Event("backends", '"backends 0"'),
        Event("routes", '"routes 0"'),
    ]


@pytest.mark.clause("10.live.tick", "10.live.verdict", "10.live.backends", "10.live.routes")
@given(
    before=st.builds(moment, TURNS, TURNS, TURNS, TURNS), now=st.builds(moment, TURNS, TURNS, TURNS, TURNS)
)
def test_what_was_made_anew_is_told_and_nothing_else(before: Moment, now: Moment) -> None:
    told = {event.name for event in events_between(before, now)}
    assert told == {name for name in DOCUMENTS if getattr(before, name) != getattr(now, name)}
    assert events_between(now, now) == []


@pytest.mark.clause("10.live.tick", "10.live.routes", "10.live.backends")
@given(first=st.integers(0, 100))
def test_figures_are_made_each_second_and_the_rest_each_three(first: int) -> None:
    turns = range(first, first + 12 * A_SECOND)
    made = [due(turn, is_first=False, has_discovery_changed=False) for turn in turns]
    assert sum("tick" in names for names in made) == sum("verdict" in names for names in made) == 12
    assert sum("backends" in names for names in made) == sum("routes" in names for names in made) == 4
    for name, seconds in (("tick", 1), ("routes", 3)):
        at = [turn for turn, names in zip(turns, made, strict=True) if name in names]
        assert {second - one for one, second in itertools.pairwise(at)} == {seconds * A_SECOND}


@pytest.mark.clause("10.live.backends")
@given(turn=st.integers(0, 100))
def test_backends_are_made_at_once_when_discovery_changed(turn: int) -> None:
    usual = due(turn, is_first=False, has_discovery_changed=False)
    assert due(turn, is_first=False, has_discovery_changed=True) == usual | {"backends"}
    assert due(turn, is_first=True, has_discovery_changed=False) == DOCUMENTS


@pytest.mark.clause("10.live.verdict")
def test_a_verdict_is_another_by_what_it_says_and_not_by_how_fresh_it_is() -> None:
    one = {"level": "well", "headline": "all", "findings": [], "freshness": [{"is": "Docker", "at": 1.0}]}
    assert is_same_verdict(one, one | {"freshness": [], "window_s": 1})
    assert not is_same_verdict(one, one | {"level": "down"})
    assert not is_same_verdict(one, one | {"headline": "none"})
    assert not is_same_verdict(one, one | {"findings": [{}]})


@pytest.mark.clause("10.live.failure")
@given(turns=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 50)), max_size=30))
@example(turns=[(0, 21), (1, 0)])
@example(turns=[(0, 20), (0, 1), (1, 20), (0, 5), (1, 0)])
def test_of_many_at_most_twenty_a_second_are_told_and_of_the_rest_how_many(
    turns: list[tuple[int, int]],
) -> None:
    burst, second = Burst(), 0
    told, rest, came = dict[int, int](), dict[int, int](), 0
    for step, number in turns:
        second += step
        came += number
        burst, may, before = burst.take(second, number)
        assert 0 <= may <= number
        told[second] = told.get(second, 0) + may
        if before:
            assert second not in rest, "at most once a second"
            rest[second] = before
    assert all(number <= MOST_A_SECOND for number in told.values())
    assert sum(told.values()) + sum(rest.values()) + burst.withheld == came
    assert all(told[second] == MOST_A_SECOND for second in told if second + 1 in rest)


@pytest.mark.clause("10.live.format")
@given(st.lists(st.tuples(st.sampled_from(["tick", "failure"]), st.text(max_size=20)), max_size=4))
@example([("failure", "a\nb\rc\u2028d")])
def test_each_event_has_its_name_and_one_line_of_json(entries: list[tuple[str, str]]) -> None:
    sent = framed(Event(name, one_line({"x": text})) for name, text in entries)
    assert sent.count(b"\n\n") == len(entries)
    read = [block.split(b"\n") for block in sent.split(b"\n\n")[:-1]]
    assert all(len(lines) == 2 for lines in read)
    assert [
        (name.removeprefix(b"event: ").decode(), json.loads(data.removeprefix(b"data: "))["x"])
        for name, data in read
    ] == entries


@pytest.mark.clause("10.live.failure", "10.live.full")
def test_what_is_not_told_one_by_one_is_told_in_a_word() -> None:
    assert more("failure", 7) == Event("failure", '{"more":7}')
    name, data = full(20)
    assert name == "full"
    assert json.loads(data)["most"] == 20
