"""The newest events are kept, folded, and told to who subscribes (behaviour 10)."""

import threading
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.balance import Balancer
from rgate.core.candidates import BackendView
from rgate.core.config import Backend, Policy
from rgate.core.config_errors import ConfigError
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.facts import Level
from rgate.core.selection import views_of
from rgate.core.timeline import (
    MOST,
    Kind,
    Life,
    TimelineEvent,
    config_refused,
    config_taken,
    fold,
    started,
)
from rgate.telling.timeline import Comings, Refusals, Timeline
from tests.unit.containers import seen

from .test_timeline import EVENTS

AWAY = TimelineEvent(100.0, Kind.DOCKER, Level.BAD, "", "Docker away: x", about="away")
BACKENDS = [Backend("a", match_labels=(("app", "a"),)), Backend("b", match_labels=(("app", "a"),))]
ONE = Container("1" * 64, "one", {"app": "a"}, State.RUNNING, published=(PublishedPort(80, "127.0.0.1", 1),))


def views(*containers: Container) -> Mapping[str, BackendView]:
    return views_of(BACKENDS, seen(containers, HostView()))


@given(st.lists(EVENTS), st.integers(0, 5))
def test_it_keeps_what_folding_all_at_once_gives(events: list[TimelineEvent], limit: int) -> None:
    timeline = Timeline()
    for event in sorted(events, key=lambda event: event.at):
        timeline.add(event)
    assert list(timeline.newest()) == fold(events)[::-1]
    assert timeline.newest(limit) == timeline.newest()[:limit]


@pytest.mark.clause("10.timeline.kept")
def test_of_too_many_the_oldest_of_the_kind_goes_that_there_is_most_of() -> None:
    timeline = Timeline([started(0.0, "1", 1, "x"), config_taken(1.0, "f", "")])
    for number in range(2 * MOST):
        timeline.add(TimelineEvent(2.0 + number, Kind.IN, Level.OK, "", f"{number}", about=f"{number}"))
    events = timeline.newest()
    assert len(events) == MOST
    assert [event.kind for event in events[-2:]] == [Kind.CONFIG, Kind.START]
    assert [event.text for event in events[:-2]] == [f"{2 * MOST - 1 - n}" for n in range(MOST - 2)]


def test_who_subscribes_gets_each_event_as_it_is_told_until_it_unsubscribes() -> None:
    timeline, got = Timeline([AWAY]), list[TimelineEvent]()

    def fails(_event: TimelineEvent) -> None:
        raise ValueError("a defect")

    timeline.subscribe(fails)
    unsubscribe = timeline.subscribe(got.append)
    timeline.add(replace(AWAY, at=101.0))
    unsubscribe()
    unsubscribe()
    timeline.add(replace(AWAY, at=102.0))
    assert [event.told_why for event in got] == ["2 times in 1 s"]


def test_texts_of_any_length_are_cut() -> None:
    timeline = Timeline([replace(AWAY, text="a" * 10**6, why="b" * 501, about="c" * 500)])
    (event,) = timeline.newest()
    assert (event.text, event.why, event.about) == ("a" * 500 + "…", "b" * 500 + "…", "c" * 500)


def test_threads_that_add_at_once_lose_nothing() -> None:
    timeline = Timeline()

    def add() -> None:
        for _ in range(200):
            timeline.add(AWAY)
            timeline.newest()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.times for event in timeline.newest()] == [800]


def test_it_knows_when_rgate_started_and_what_became_of_its_configuration() -> None:
    timeline = Timeline()
    assert timeline.life == Life()
    error = ConfigError("f", 3, "routes", "is missing")
    for event, life in [
        (started(1.0, "1", 1, "x"), Life(1.0, 1.0)),
        (config_refused(2.0, [error]), Life(1.0, 1.0, "line 3: `routes`: is missing")),
        (AWAY, Life(1.0, 1.0, "line 3: `routes`: is missing")),
        (config_taken(3.0, "f", ""), Life(1.0, 3.0)),
    ]:
        timeline.add(event)
        assert timeline.life == life


def test_each_look_tells_what_changed_since_the_last() -> None:
    timeline, seen = Timeline(), [views()]
    comings = Comings(timeline, lambda: seen[-1], lambda: float(len(seen)))
    moments = [views(ONE), views(ONE), views(), views(replace(ONE, id="2" * 64))]
    for moment in moments:
        seen.append(moment)
        comings.look()
    assert [(event.at, event.text, event.told_why) for event in timeline.newest()] == [
        (5.0, "`one` in at 127.0.0.1:1, for `a`, `b`", "recreated; 2 times in 3 s"),
        (4.0, "`one` out: removed, for `a`, `b`", "`a`, `b` have no container"),
    ]


@pytest.mark.clause("10.timeline.refused")
def test_a_candidate_that_refuses_is_told_once_until_it_accepts_again() -> None:
    timeline, now = Timeline(), [0.0]
    both = views(ONE)
    balancer = Balancer(lambda: 0.0)
    balancer.told = Refusals(timeline, lambda: both, unix_s=lambda: 500.0 + now[0], steady_s=lambda: now[0])
    candidate = both["a"].candidates[0]
    for now[0] in (1.0, 1.5, 2.5, 5.0):
        assert balancer.pick("a", Policy.RANDOM, both["a"].candidates, (), now[0]) == candidate
        balancer.refused(candidate, now[0])
    now[0] = 9.0
    balancer.accepted(candidate)
    balancer.accepted(candidate)
    assert [(event.at, event.backend, event.text, event.told_why) for event in timeline.newest()] == [
        (509.0, "", "`one` accepts again", "it refused for 8 s"),
        (501.0, "", "`one` refused; left out for 1 s, and longer while it goes on", "others are asked first"),
    ]
    alone = {"a": both["a"]}
    Refusals(timeline, lambda: alone)(candidate, False, None)
    assert timeline.newest(1)[0].backend == "a"


@pytest.mark.clause("10.timeline.refused")
def test_a_candidate_that_closes_without_an_answer_is_told_once_until_it_answers() -> None:
    timeline, now = Timeline(), [0.0]
    both = views(ONE)
    balancer, candidate = Balancer(lambda: 0.0), both["a"].candidates[0]
    balancer.told = Refusals(timeline, lambda: both, unix_s=lambda: 500.0 + now[0], steady_s=lambda: now[0])
    for now[0] in (1.0, 2.5, 5.0):
        balancer.closed_early(candidate, now[0])
        balancer.accepted(candidate)
    now[0] = 9.0
    balancer.answered(candidate)
    balancer.answered(candidate)
    assert [(event.at, event.text, event.told_why) for event in timeline.newest()] == [
        (509.0, "`one` answers again", "it closed without an answer for 8 s"),
        (
            501.0,
            "`one` accepted, and closed without an answer; left out for 1 s at a time until it answers",
            "others are asked first",
        ),
    ]


def test_until_when_a_candidate_is_left_out() -> None:
    balancer, candidate = Balancer(lambda: 0.0), views(ONE)["a"].candidates[0]
    assert balancer.left_out_until_s(candidate, 0.0) is None
    balancer.refused(candidate, 1.0)
    assert balancer.left_out_until_s(candidate, 1.5) == 2.0
    assert balancer.left_out_until_s(candidate, 2.0) is None
    balancer.refused(candidate, 2.0)
    assert balancer.left_out_until_s(candidate, 2.0) == 4.0
