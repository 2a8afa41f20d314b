"""Events of rgate's own: their sentences, what is folded, and one telling of many workers (behaviour 10)."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config_errors import ConfigError
from rgate.core.facts import Level
from rgate.core.timeline import (
    FOLDED_WITHIN_S,
    Kind,
    TimelineEvent,
    Told,
    accepts_again,
    config_refused,
    config_taken,
    docker_away,
    docker_there,
    events_back,
    fold,
    full_list,
    length,
    listed,
    merged,
    refused,
    started,
    worker_ended,
)
from rgate.core.wording import code

AWAY = TimelineEvent(100.0, Kind.DOCKER, Level.BAD, "", "Docker away: x", about="away")
EVENTS = st.builds(
    TimelineEvent,
    at=st.sampled_from([0.0, 60.0, 120.0, 121.0, 241.0, 1000.0]),
    kind=st.sampled_from([Kind.IN, Kind.OUT, Kind.CONFIG]),
    level=st.just(Level.OK),
    backend=st.sampled_from(["", "a"]),
    text=st.sampled_from(["one", "two"]),
    about=st.sampled_from(["", "x", "x", "y"]),
    is_own=st.booleans(),
)


def sentence(event: TimelineEvent) -> tuple[str, str, str, str]:
    return event.kind.value, event.level.value, event.text, event.told_why


@pytest.mark.clause("10.timeline.folded")
def test_what_happens_again_soon_is_one_line_with_how_often() -> None:
    flaps = [replace(AWAY, at=100.0 + 60 * number) for number in range(4)]
    assert [(event.at, event.told_why) for event in fold(flaps)] == [(280.0, "4 times in 3 min")]


@pytest.mark.clause("10.timeline.folded")
@pytest.mark.parametrize(
    "other",
    [
        replace(AWAY, at=101.0 + FOLDED_WITHIN_S),
        replace(AWAY, at=101.0, about="other"),
        replace(AWAY, at=101.0, backend="b"),
        replace(AWAY, at=101.0, level=Level.OK),
        replace(AWAY, at=101.0, kind=Kind.IN),
    ],
)
def test_what_is_not_the_same_or_long_ago_is_a_line_of_its_own(other: TimelineEvent) -> None:
    assert fold([AWAY, other]) == [AWAY, other]


def test_what_is_about_nothing_is_never_folded() -> None:
    event = replace(AWAY, about="")
    assert fold([event, event]) == [event, event]


@given(st.lists(EVENTS))
@example([replace(AWAY, at=at) for at in (0.0, 120.0, 0.0)])
def test_folding_loses_no_count_and_keeps_the_order(events: list[TimelineEvent]) -> None:
    lines = fold(events)
    assert sum(line.times for line in lines) == len(events)
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    for key in {event.key for event in events}:
        ours = [event for event in events if event.key == key]
        of_key = [line for line in lines if line.key == key]
        assert sum(line.times for line in of_key) == len(ours)
        assert {line.first_at for line in of_key} <= {event.at for event in ours}
        gaps = [later.first_at - line.at for line, later in pairwise(of_key)]
        assert not key[3] or all(gap > FOLDED_WITHIN_S for gap in gaps)


@given(st.lists(EVENTS))
def test_what_is_folded_already_folds_no_further(events: list[TimelineEvent]) -> None:
    assert fold(fold(events)) == fold(events)


@given(st.lists(EVENTS.map(lambda event: replace(event, is_own=False)), unique=True), st.integers(1, 3))
def test_workers_that_saw_the_same_tell_it_once(events: list[TimelineEvent], workers: int) -> None:
    assert merged([Told(float(began), events) for began in range(workers)]) == fold(events)


def test_of_containers_the_one_tells_that_watches_the_longest_and_of_the_rest_all() -> None:
    seen = TimelineEvent(1.0, Kind.IN, Level.OK, "b", "`one` in")
    seen_too = replace(seen, at=1.01)
    began = TimelineEvent(0.5, Kind.START, Level.OK, "", "started")
    ended = TimelineEvent(2.0, Kind.WORKER, Level.WARN, "", "worker 7 ended")
    ours, theirs = refused(3.0, ["b"], "one", 1.0), refused(3.5, ["b"], "one", 1.0)
    told = [Told(2.5, [began, ended, seen_too, theirs]), Told(0.0, [began, seen, ended, ours])]
    both = replace(theirs, times=2, since=3.0)
    assert merged(told) == merged(told[::-1]) == [began, seen, ended, both]
    assert merged([]) == []


@given(EVENTS)
def test_what_workers_tell_each_other_comes_back_as_it_was(event: TimelineEvent) -> None:
    assert TimelineEvent.of_json(event.as_json()) == event


ERRORS = (
    ConfigError("config.yml", 14, "backends[0].polcy", "is unknown; did you mean policy?"),
    ConfigError("config.yml", 0, "", "more"),
)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (
            started(1.0, "0.1.0", 2, "127.0.0.1:8080"),
            ("start", "ok", "rgate 0.1.0 started, 2 workers, on 127.0.0.1:8080", ""),
        ),
        (
            started(1.0, "0.1.0", 1, "127.0.0.1:1, [::1]:1"),
            ("start", "ok", "rgate 0.1.0 started on 127.0.0.1:1, [::1]:1", ""),
        ),
        (
            worker_ended(1.0, 7, "SIGKILL", 0.5),
            (
                "worker",
                "warn",
                "worker 7 ended (SIGKILL); another starts in 0.5 s",
                "what it had under way was cut",
            ),
        ),
        (
            config_taken(1.0, "config.yml", "route `/api/cart` added"),
            ("config", "ok", "config.yml reloaded: route `/api/cart` added", ""),
        ),
        (config_taken(1.0, "config.yml", ""), ("config", "ok", "config.yml reloaded: nothing changed", "")),
        (
            config_refused(1.0, ERRORS[:1]),
            (
                "config",
                "bad",
                "config.yml not taken: line 14: `backends[0].polcy`: is unknown; did you mean policy?",
                "the old one stays",
            ),
        ),
        (
            config_refused(1.0, ERRORS[::-1]),
            ("config", "bad", "config.yml not taken: more (and 1 more error)", "the old one stays"),
        ),
        (
            docker_there(1.0, "27.3.1", None, "7 containers, 4 ms"),
            ("docker", "ok", "Docker answers: 27.3.1", "7 containers, 4 ms"),
        ),
        (
            docker_there(1.0, "27.3.1", 372.0, "7 containers, 4 ms"),
            ("docker", "ok", "Docker answers again, after 6 min: 27.3.1", "7 containers, 4 ms"),
        ),
        (
            docker_there(1.0, "27.3.1", -3590.0, "7 containers, 4 ms"),  # the clock was set back meanwhile
            ("docker", "ok", "Docker answers again, after 0.0 s: 27.3.1", "7 containers, 4 ms"),
        ),
        (
            docker_away(1.0, "connection refused", is_known=True),
            ("docker", "bad", "Docker away: connection refused", "the last known containers stay in use"),
        ),
        (
            docker_away(1.0, "connection refused", is_known=False),
            ("docker", "bad", "Docker away: connection refused", "no container is known yet"),
        ),
        (
            events_back(1.0, 0.04, "7 containers, 4 ms"),
            (
                "docker",
                "warn",
                "Docker's events had ended, and come again after 0.0 s",
                "7 containers, 4 ms",
            ),
        ),
        (
            full_list(1.0, listed(1, 0.0041), missed=False),
            ("docker", "ok", "full list: nothing had been missed", "1 container, 4 ms"),
        ),
        (
            full_list(1.0, listed(1200, 0.5), missed=True),
            ("docker", "warn", "full list: it had what events had missed", "1,200 containers, 500 ms"),
        ),
        (
            refused(1.0, ["a"], "one", 1.0),
            (
                "out",
                "warn",
                "`one` refused; left out for 1 s, and longer while it goes on",
                "others are asked first",
            ),
        ),
        (
            accepts_again(1.0, ["a", "b"], "one", 5400.0),
            ("in", "ok", "`one` accepts again", "it refused for 90 min"),
        ),
    ],
)
def test_each_is_told_in_a_sentence(event: TimelineEvent, told: tuple[str, str, str, str]) -> None:
    assert sentence(event) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0.0 s"),
        (0.94, "0.9 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (7140.0, "119 min"),
        (7200.0, "2 h"),
        (172800.0, "2 d"),
    ],
)
def test_lengths_of_time_are_told_in_one_unit(seconds: float, told: str) -> None:
    assert length(seconds) == told


def test_a_backtick_in_a_name_ends_no_code() -> None:
    assert code("a`b") == "`a\N{MODIFIER LETTER GRAVE ACCENT}b`"
