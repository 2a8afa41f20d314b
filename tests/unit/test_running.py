"""When a process ran, by its own account (behaviour 10)."""

from hypothesis import example, given
from hypothesis import strategies as st

from rgate.stats.running import Running

pauses = st.lists(st.integers(0, 7), max_size=12)


@given(pauses)
@example([5])
@example([6])
def test_it_ran_in_each_minute_that_it_ticked_in_and_between_two_that_are_near(pauses: list[int]) -> None:
    now, ran = 100, {100}
    running = Running(now)
    for pause in pauses:
        ran |= set(range(now, now + pause + 1)) if pause <= 5 else {now + pause}
        now += pause
        assert running.until(now)[-1][0] <= now <= running.until(now)[-1][1]
        running.tick(now)
    assert {minute for first, last in running.until(now) for minute in range(first, last + 1)} == ran


def test_what_is_stored_is_forgotten_but_for_the_present_stretch() -> None:
    running = Running(100)
    running.tick(200)
    stored = running.until(200)
    running.tick(300)
    running.stored(stored)
    assert running.until(301) == ((200, 200), (300, 301))


@given(st.lists(st.integers(90, 110), max_size=12))
def test_a_clock_that_is_set_back_makes_nothing_up(minutes: list[int]) -> None:
    running = Running(100)
    for minute in minutes:
        running.tick(minute)
    ran = {minute for first, last in running.until(100) for minute in range(first, last + 1)}
    assert {100, *minutes} <= ran
    for minute in ran - {100, *minutes}:
        assert any({100, *minutes} & {*range(minute - 5, minute)})
        assert any({100, *minutes} & {*range(minute + 1, minute + 6)})


def test_a_clock_that_is_set_ahead_between_two_looks_leaves_the_present_stretch() -> None:
    running = Running(10)
    running.stored(running.until(100))
    assert running.until(100)
