"""Open pages are told what happens: once made for all, and only while there is one (behaviour 10.live)."""

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.live import MOST_A_SECOND, TURN_S
from rgate.core.problem import OwnStream
from rgate.telling.live import MOST_PAGES, Document, Happened, Heard, Live, Page, Rounds, Viewer

A_SECOND = round(1 / TURN_S)
HOUR_S, DAY_S = 3600, 86400
HOUR = OwnStream((), HOUR_S)
Told = list[tuple[str, Any]]


class Facts:
    """A `Source` whose facts the test sets; it counts what it is asked for."""

    def __init__(self) -> None:
        self.generation = 1
        self.level = "well"
        self.age_s = 0
        self.failed: list[list[int]] = []  # in the turns to come
        self.asked: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.has_defect = False

    def tick(self, window_s: int, verdict: Document) -> Document:
        self.asked.append(f"tick {window_s}")
        return {"window_s": window_s, "freshness": verdict["freshness"]}

    def verdict(self) -> Document:
        self.asked.append("verdict")
        if self.has_defect:
            raise RuntimeError("a defect")
        self.age_s += 1
        return {"level": self.level, "headline": "", "findings": [], "freshness": [self.age_s]}

    def backends(self, window_s: int) -> Document:
        self.asked.append(f"backends {window_s}")
        return {"generation": self.generation}

    def routes(self, window_s: int) -> Document:
        self.asked.append(f"routes {window_s}")
        return {}

    def happened(self, heard: Heard, until_ns: int) -> tuple[dict[str, Happened], Heard]:
        self.spans.append((heard.since_ns, until_ns))
        failed = self.failed.pop(0) if self.failed else []
        told = {"failure": Happened(len(failed), [{"id": one} for one in failed[:MOST_A_SECOND]])}
        return told, Heard(until_ns)


class Reader:
    """A `Viewer` that keeps what it is given."""

    def __init__(self) -> None:
        self.is_ready = True
        self.data = b""
        self.ended = threading.Event()
        self.given = threading.Event()

    def take(self, data: bytes) -> None:
        assert data, "nothing is no reason to write"
        self.data += data
        self.given.set()

    def end(self) -> None:
        self.ended.set()

    def told(self) -> Told:
        """What was given since this was asked last."""
        data, self.data = self.data.decode(), ""  # type: ignore[assignment]
        self.data = b""
        return read(data)


def read(text: str) -> Told:
    blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("event: ")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def names(told: Told) -> list[str]:
    return [name for name, _ in told]


class Turns:
    """Rounds, and a clock that each turn moves on."""

    def __init__(self, *windows: int) -> None:
        self.facts = Facts()
        self.now_ns = 0
        self.readers = [Reader() for _ in windows]
        self.pages = [Page(reader, window) for reader, window in zip(self.readers, windows, strict=True)]
        self._rounds = Rounds(self.facts, lambda: self.now_ns)

    def turn(self, number: int = 1) -> Told:
        """What the first reader is told in *number* turns."""
        for _ in range(number):
            self.now_ns += int(TURN_S * 1e9)
            self._rounds.turn(self.pages)
        return self.readers[0].told()


@pytest.mark.clause("10.live.first")
def test_a_new_page_is_told_all_at_once() -> None:
    turns = Turns(HOUR_S)
    assert names(turns.turn()) == ["tick", "verdict", "backends", "routes"]
    late = Reader()
    turns.pages.append(Page(late, DAY_S))
    turns.turn()
    told = late.told()
    assert names(told) == ["tick", "verdict", "backends", "routes"]
    assert told[0][1]["window_s"] == DAY_S


@pytest.mark.clause("10.live.tick", "10.live.routes", "10.live.backends")
def test_each_second_and_each_three_there_is_something_to_tell_and_in_between_nothing_is_made() -> None:
    turns = Turns(HOUR_S)
    turns.turn()
    turns.facts.asked.clear()
    for second in range(1, 7):
        assert names(turns.turn(A_SECOND - 1)) == []
        told = names(turns.turn())
        assert told == (["tick", "backends", "routes"] if second % 3 == 0 else ["tick"])
    assert turns.facts.asked.count("tick 3600") == 6
    assert turns.facts.asked.count("routes 3600") == turns.facts.asked.count("backends 3600") == 2


@pytest.mark.clause("10.live.verdict")
def test_a_verdict_is_told_when_it_says_something_else() -> None:
    turns = Turns(HOUR_S)
    turns.turn()
    assert "verdict" not in names(turns.turn(A_SECOND * 4)), "only its freshness is another"
    turns.facts.level = "down"
    told = turns.turn(A_SECOND)
    assert names(told) == ["tick", "verdict"]
    assert told[1][1]["level"] == "down"
    assert told[0][1]["freshness"] == [turns.facts.age_s], "a tick tells how fresh all is now"


@pytest.mark.clause("10.live.backends")
def test_backends_are_told_at_once_when_discovery_changed() -> None:
    turns = Turns(HOUR_S)
    turns.turn()
    turns.facts.generation = 2
    assert turns.turn() == [("backends", {"generation": 2})]
    assert turns.turn() == []


@pytest.mark.clause("10.live.failure")
def test_failures_are_told_as_they_happen_and_each_once() -> None:
    turns = Turns(HOUR_S, HOUR_S)
    turns.turn()
    turns.facts.failed = [[1, 2], [], [3]]
    told = [turns.turn(), turns.turn(), turns.turn()]
    assert told == [[("failure", {"id": 1}), ("failure", {"id": 2})], [], [("failure", {"id": 3})]]
    ends = [0, *(until_ns for _, until_ns in turns.facts.spans)]
    assert turns.facts.spans == list(itertools.pairwise(ends)), "no moment is left out"


@pytest.mark.clause("10.live.failure")
def test_of_many_failures_it_is_told_how_many_more_there_were() -> None:
    turns = Turns(HOUR_S)
    turns.turn()
    turns.facts.failed = [list(range(15)), list(range(15, 40))]
    assert names(turns.turn(2)) == ["failure"] * MOST_A_SECOND
    assert ("failure", {"more": 20}) in turns.turn()


@pytest.mark.clause("10.live.cost")
def test_what_is_told_is_made_once_for_all_pages_of_a_window() -> None:
    """What that takes is measured by `bench.live`."""
    turns = Turns(*[HOUR_S] * 10, *[DAY_S] * 10)
    turns.turn(A_SECOND)
    made = [f"{name} {window}" for name in ("tick", "backends", "routes") for window in (HOUR_S, DAY_S)]
    assert sorted(turns.facts.asked) == sorted(["verdict", *made])
    told = [reader.data for reader in turns.readers[1:]]  # what the first was told was taken
    assert len(set(told[:9])) == len(set(told[9:])) == 1


@pytest.mark.clause("10.live.slow")
def test_a_page_that_does_not_read_is_given_nothing_and_later_all_anew() -> None:
    turns = Turns(HOUR_S, HOUR_S)
    slow, other = turns.readers
    turns.turn()
    slow.is_ready = False
    turns.facts.failed = [[1, 2], [3]]
    assert turns.turn(A_SECOND) == []
    assert names(other.told()).count("failure") == 3

    slow.is_ready = True
    turns.facts.failed = [[4]]
    told = turns.turn()
    assert names(told)[:4] == ["tick", "verdict", "backends", "routes"]
    told += turns.turn(A_SECOND)
    assert names(told[4:]) == ["failure", "failure", "tick"], "and then what others are told"
    assert [data for name, data in told if name == "failure"] == [{"more": 3}, {"id": 4}]
    assert [data for name, data in other.told() if name == "failure"] == [{"id": 4}]


@pytest.mark.clause("10.live.slow", "10.live.failure")
@given(st.lists(st.tuples(st.lists(st.booleans(), min_size=2, max_size=2), st.integers(0, 30)), max_size=20))
@example([([True, False], 25), ([True, True], 0)])
def test_whoever_reads_when_is_told_of_each_failure_once(story: list[tuple[list[bool], int]]) -> None:
    turns = Turns(HOUR_S, HOUR_S)
    told: dict[Reader, Told] = {reader: [] for reader in turns.readers}
    for ready, number in [*story, *[([True, True], 0)] * A_SECOND]:
        for reader, is_ready in zip(turns.readers, ready, strict=True):
            reader.is_ready = is_ready
        turns.facts.failed = [[0] * number]
        told[turns.readers[0]] += turns.turn()
        told[turns.readers[1]] += turns.readers[1].told()
    for one in told.values():
        failures = [data for name, data in one if name == "failure"]
        assert sum(data.get("more", 1) for data in failures) == sum(number for _, number in story)


@pytest.mark.clause("10.live.slow")
def test_a_page_that_does_not_read_while_nothing_happens_misses_nothing() -> None:
    turns = Turns(HOUR_S)
    turns.turn()
    turns.readers[0].is_ready = False
    assert turns.turn() == []
    turns.readers[0].is_ready = True
    assert turns.turn() == []


# The thread.


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rgate-live"]


def wait_until(look: Callable[[], object]) -> None:
    until_s = time.monotonic() + 5
    while not look():
        assert time.monotonic() < until_s
        time.sleep(0.001)


@pytest.fixture
def facts() -> Facts:
    return Facts()


@pytest.fixture
def live(facts: Facts) -> Any:
    live = Live(facts, turn_s=0.001)
    yield live
    live.end()
    wait_until(lambda: not threads())


@pytest.mark.clause("10.live.nobody")
def test_nothing_runs_and_nothing_is_read_before_a_page_opens_and_behind_the_last(
    live: Live, facts: Facts
) -> None:
    assert (threads(), facts.asked, facts.spans) == ([], [], [])
    one, two = Reader(), Reader()
    assert live.open(one, HOUR) == (b"retry: 2000\n\n", True)
    assert live.open(two, HOUR).goes_on
    assert one.given.wait(5)
    assert two.given.wait(5)
    assert len(threads()) == 1
    live.leave(one)
    assert len(threads()) == 1
    (thread,) = threads()
    live.leave(two)
    thread.join(5)
    assert threads() == []
    seen = len(facts.spans)
    live.leave(two)
    assert (threads(), len(facts.spans)) == ([], seen)

    one.given.clear()
    assert live.open(one, HOUR).goes_on
    assert one.given.wait(5), "it begins anew"


@pytest.mark.clause("10.live.full")
def test_a_page_too_many_is_told_so_and_there_is_room_again_once_one_left(live: Live) -> None:
    readers = [Reader() for _ in range(MOST_PAGES)]
    assert all(live.open(reader, HOUR).goes_on for reader in readers)
    late = Reader()
    opened = live.open(late, HOUR)
    assert not opened.goes_on
    ((name, data),) = read(opened.first.decode())
    assert (name, data["most"]) == ("full", MOST_PAGES)
    live.leave(late)
    assert not live.open(late, HOUR).goes_on, "who was not let in makes no room by leaving"
    live.leave(readers[7])
    assert live.open(late, HOUR).goes_on


@pytest.mark.clause("10.live.stop")
def test_the_end_ends_all_pages_and_later_ones_end_at_once(live: Live) -> None:
    readers = [Reader(), Reader()]
    for reader in readers:
        live.open(reader, HOUR)
    (thread,) = threads()
    live.end()
    assert all(reader.ended.is_set() for reader in readers)
    thread.join(5)
    assert live.open(Reader(), HOUR) == (b"retry: 2000\n\n", False)
    assert threads() == []
    live.end()


def test_a_defect_is_told_of_once_and_costs_the_pages_a_turn(
    live: Live, facts: Facts, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Reader()
    facts.has_defect = True
    with caplog.at_level(logging.ERROR, "rgate"):
        live.open(reader, HOUR)
        wait_until(lambda: facts.asked.count("verdict") > 2)
    assert caplog.text.count("live pages were not told") == 1
    facts.has_defect = False
    assert reader.given.wait(5)


def test_who_gives_no_more_threads_leaves_no_page_without_an_end(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert not live.open(Reader(), HOUR).goes_on
    reader: Viewer = Reader()
    assert live.open(reader, HOUR).goes_on


@pytest.mark.clause("10.live.allowed")
def test_who_may_not_be_told_any_more_behind_a_reload_is_told_nothing_more(live: Live, facts: Facts) -> None:
    may = {"one": True, "other": True}
    one, other = Reader(), Reader()
    live.open(one, OwnStream((), HOUR_S, lambda: may["one"]))
    live.open(other, OwnStream((), HOUR_S, lambda: may["other"]))
    assert one.given.wait(5)
    assert other.given.wait(5)
    may["one"] = False
    facts.generation += 1
    assert one.ended.wait(5)
    one.given.clear()
    other.given.clear()
    facts.generation += 1
    assert other.given.wait(5)
    assert not one.given.is_set()
    may["other"] = False
    facts.generation += 1
    assert other.ended.wait(5)
    wait_until(lambda: not threads())
