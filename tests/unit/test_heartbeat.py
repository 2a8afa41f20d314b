"""A worker hangs when it is silent for as long as its supervisor looked (behaviour 8)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.heartbeat import LATE_S, LOOK_S, SILENT_S, STARTING_S, Watch

WORKERS = (1, 2)
ON_TIME = st.sampled_from([LOOK_S, 2 * LOOK_S, LATE_S - LOOK_S])
LATE = st.sampled_from([LATE_S, SILENT_S, 10 * SILENT_S])
LOOKS = st.lists(st.tuples(ON_TIME | LATE, st.sets(st.sampled_from(WORKERS))), max_size=40)
"""How long passes up to each look, and who beats in that time."""


def naive(looks: list[tuple[float, set[int]]], allowed_s: float) -> list[int]:
    """Who hangs at the last look: the seconds in which nothing was seen of each, added up."""
    silent_s, allowed = dict.fromkeys(WORKERS, 0.0), dict.fromkeys(WORKERS, allowed_s)
    for gap_s, beating in looks:
        for pid in WORKERS:
            begins = pid in beating or gap_s >= LATE_S or silent_s[pid] > allowed[pid]
            silent_s[pid] = 0.0 if begins else silent_s[pid] + gap_s
            if pid in beating:
                allowed[pid] = SILENT_S
    return [pid for pid in WORKERS if silent_s[pid] > allowed[pid]]


def watched(looks: list[tuple[float, set[int]]], first: int) -> Watch:
    now_s, beats = 0.0, dict.fromkeys(WORKERS, first)
    watch = Watch(now_s, {}).look(beats, now_s)
    for gap_s, beating in looks:
        now_s += gap_s
        beats = {pid: count + (pid in beating) for pid, count in beats.items()}
        watch = watch.look(beats, now_s)
    return watch


@pytest.mark.clause("8.restart.hangs")
@given(looks=LOOKS)
@example(looks=[(LOOK_S, set())] * 17)  # one look behind the limit
@example(looks=[(LOOK_S, set())] * 16)  # just at it
@example(looks=[(LOOK_S, set())] * 18)  # told once
@example(looks=[(10 * SILENT_S, set()), (LOOK_S, set())])  # the supervisor was stopped
def test_a_worker_hangs_when_it_was_silent_for_too_long_under_the_eyes_of_its_supervisor(
    looks: list[tuple[float, set[int]]],
) -> None:
    assert watched(looks, first=1).hanging() == naive(looks, SILENT_S)


@given(looks=LOOKS)
@example(looks=[(LOOK_S, set())] * int(STARTING_S / LOOK_S + 1))
def test_one_that_starts_has_a_minute(looks: list[tuple[float, set[int]]]) -> None:
    assert watched(looks, first=0).hanging() == naive(looks, STARTING_S)


def test_whoever_hangs_is_noticed_within_five_seconds() -> None:
    assert SILENT_S + 2 * LOOK_S < 5


def test_one_that_takes_the_place_of_another_begins_anew() -> None:
    watch = Watch(0.0, {}).look({1: 7}, 0.0)
    for now_s in (1.5, 3.0, 4.0):
        watch = watch.look({1: 7}, now_s)
    watch = watch.look({2: 7}, 4.25)
    assert watch.hanging() == []
    assert set(watch.pulses) == {2}
