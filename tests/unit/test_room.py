"""How many connections there is room for, and what is told of too little."""

import errno
import logging
import os
import socket
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.reasons import Failure
from rgate.core.room import FEWEST, QUIET_S, Spell, most_clients, reserved, told_of_room
from rgate.engines.crowd import Crowd, is_lack


@pytest.mark.clause("2.limits.descriptors")
@given(
    connections=st.integers(1, 12) | st.integers(1, 1_000_000),
    workers=st.integers(1, 4),
    descriptors=st.integers(0, reserved(4, 40) + 30) | st.integers(0, 1 << 30),
    sources=st.sampled_from([0, 1, 2, 40]),
)
@example(connections=10_000, workers=1, descriptors=1024, sources=1)
@example(connections=10_000, workers=1, descriptors=20, sources=1)
@example(connections=1, workers=4, descriptors=1024, sources=1)
@example(connections=10_000, workers=1, descriptors=256, sources=40)
def test_all_that_find_room_may_be_active_with_the_reserve_untouched(
    connections: int, workers: int, descriptors: int, sources: int
) -> None:
    kept = reserved(workers, sources)
    assert kept >= 25 + 3 * sources + workers, (
        "what a gateway at rest has open, and one question to each worker"
    )
    most = most_clients(connections, workers, descriptors, sources)
    share = -(-connections // workers)
    assert 1 <= most <= share
    assert 2 * most + kept <= descriptors or most <= FEWEST
    fits = 2 * share + kept <= descriptors
    assert most == share or not fits
    assert not (fits and told_of_room(connections, workers, descriptors, sources)), (
        "what was asked for needs no word"
    )
    assert most == share or most >= FEWEST


def test_what_there_is_room_for_is_told_with_what_to_do() -> None:
    assert told_of_room(10_000, 1, 1 << 20) == ""
    assert told_of_room(10_000, 1, 20_000) == "", "9,968 are so few less that nobody would change anything"
    one, two = told_of_room(10_000, 1, 256), told_of_room(10_000, 2, 4096)
    assert one.startswith(
        "room for 96 connections of clients, not for the 10000 of limits.connections: a process"
    )
    assert "256 descriptors; raise the hard limit" in one
    assert two.startswith("room for 4030 connections of clients")
    assert "2 processes may have 4096 descriptors each" in two


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0, QUIET_S])), max_size=12))
def test_a_spell_is_over_when_nothing_of_it_was_noticed_for_long_enough(
    steps: list[tuple[bool, float]],
) -> None:
    spell, now_s, noticed_s = Spell(), 0.0, None
    for notices, later_s in steps:
        now_s += later_s
        if notices:
            spell, noticed_s = spell.noticed(now_s), now_s
        assert spell.is_on == (noticed_s is not None)
        assert spell.is_over(now_s) == (noticed_s is not None and now_s - noticed_s >= QUIET_S)


class Told:
    """A crowd whose time is set, and what it told."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "rgate")
        self.now_s = 0.0
        self.crowd = Crowd(lambda: self.now_s)
        self._caplog = caplog

    def lines(self) -> list[str]:
        lines = [record.getMessage() for record in self._caplog.records]
        self._caplog.clear()
        return lines


@pytest.mark.clause("2.limits.told")
@pytest.mark.parametrize("what", ["makes way", "full", "lacks"])
def test_it_is_told_once_when_it_begins_and_once_when_it_is_over(
    caplog: pytest.LogCaptureFixture, what: str
) -> None:
    told = Told(caplog)
    notices: Callable[[], None] = {
        "makes way": lambda: told.crowd.makes_way(8),
        "full": lambda: told.crowd.full(8),
        "lacks": lambda: told.crowd.lacks(OSError(errno.EMFILE, "Too many open files")),
    }[what]
    for _ in range(100):
        notices()
        told.now_s += QUIET_S / 2
        told.crowd.look()
    assert len(told.lines()) == 1
    told.now_s += QUIET_S
    for _ in range(100):
        told.crowd.look()
    assert len(told.lines()) == 1
    notices()
    assert len(told.lines()) == 1


@pytest.mark.clause("2.limits.overloaded")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_what_rgate_lacks_is_no_refusal(caplog: pytest.LogCaptureFixture, number: int) -> None:
    told = Told(caplog)
    assert is_lack(OSError(number, ""))
    assert told.crowd.refused(OSError(number, "none left")) is Failure.OVERLOADED
    assert "none left" in told.lines()[0]
    for other in (ConnectionRefusedError(errno.ECONNREFUSED, ""), OSError(0, ""), OSError(), ValueError()):
        assert told.crowd.refused(other) is Failure.REFUSED
    assert not told.lines()


@pytest.mark.clause("2.limits.overloaded")
def test_a_name_that_cannot_be_looked_up_for_want_of_a_descriptor_is_no_refusal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, unknown = Told(caplog), socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert told.crowd.refused(unknown) is Failure.REFUSED

    def lacking(*_: object) -> int:
        raise OSError(errno.EMFILE, "none left")

    with monkeypatch.context() as few:
        few.setattr(os, "open", lacking)
        assert told.crowd.refused(unknown) is Failure.OVERLOADED
    assert "none left" in told.lines()[0]
