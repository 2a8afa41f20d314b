"""Docker is asked no more often than promised, and what is said of it is so, however it answers."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.containers import Container, Details, Event, Listed, State
from rgate.core.knowledge import Connection, Events
from rgate.core.watching import (
    FIRST_INSPECTS_S,
    INSPECTS,
    LONGEST_PAUSE_S,
    PING_S,
    POLL_S,
    RESYNC_S,
    STEADY_S,
    Close,
    Command,
    InForce,
    Inspect,
    List,
    Now,
    Ping,
    Subscribe,
    Tell,
    Unsubscribe,
    Warn,
    Watching,
)

NEVER = float("inf")


@dataclass
class Docker:
    """How it answers: after so many seconds each, or not at all; and how long its events go on."""

    ping_s: float = 0.001
    list_s: float = 0.001
    inspect_s: float = 0.001
    pings: bool = True
    lists: bool = True
    subscribes: bool = True
    hangs: frozenset[str] = frozenset()  # whose inspect fails after 2 s
    events_last_s: float = NEVER
    containers: dict[str, Container] = field(default_factory=dict)


class Drive:
    """Runs a Watching against a Docker in time that passes at once."""

    def __init__(self, docker: Docker) -> None:
        self.docker = docker
        self.now_s = 100.0
        self.watching = Watching(lambda labels: labels.get("app") == "a", self.now)
        self.done: list[tuple[float, Command]] = []
        self.looked_at_s: float | None = None
        self._answers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._stream: int | None = None
        self._under_way = Counter[type[Command]]()
        self.most_inspects = 0
        self.watching.begin()
        self._turn()

    @property
    def now(self) -> Now:
        return Now(self.now_s, 1000 + self.now_s)

    def events(self) -> Events:
        return self.watching.knowledge.events

    def connection(self) -> Connection:
        return self.watching.knowledge.docker

    def run(self, seconds: float) -> None:
        """Let so many seconds pass."""
        end_s = self.now_s + seconds
        while True:
            at_s = min(self.watching.next_s, self._answers[0][0] if self._answers else NEVER)
            if at_s > end_s:
                self.now_s = end_s
                return
            assert at_s > self.now_s, "it would spin"
            self.now_s = at_s
            while self._answers and self._answers[0][0] <= self.now_s:
                heapq.heappop(self._answers)[2]()
            self._turn()

    def event(self, action: str, identity: str, after_s: float = 0.0) -> None:
        number = self._stream
        if number is not None:
            event = Event(identity, action)
            self._later(after_s, lambda: self.watching.event(number, event, self.now))

    def break_events(self) -> None:
        number = self._stream
        if number is not None:
            self._later(0, lambda: self.watching.ended(number, "", self.now))

    def asked(self, kind: type[Command], since_s: float = 0.0) -> list[float]:
        """When that was asked for."""
        return [at_s for at_s, command in self.done if isinstance(command, kind) and at_s >= since_s]

    def told(self) -> list[str]:
        return [command.event.text for _, command in self.done if isinstance(command, Tell)]

    def warned(self) -> list[str]:
        return [command.text for _, command in self.done if isinstance(command, Warn)]

    def states(self) -> dict[str, State]:
        return {one.id: one.state for one in self.watching.known.containers}

    def _turn(self) -> None:
        self.watching.tick(self.now)
        for command in self.watching.take():
            self.done.append((self.now_s, command))
            self._obey(command)
        if self.watching.has_looked and self.looked_at_s is None:
            self.looked_at_s = self.now_s

    def _later(self, after_s: float, answer: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._answers, (self.now_s + after_s + 1e-6, self._number, answer))

    def _obey(self, command: Command) -> None:
        docker, watching = self.docker, self.watching
        match command:
            case Ping(number) if docker.pings:
                self._later(docker.ping_s, lambda: watching.pinged(number, "1", self.now))
            case Ping(number):
                self._later(docker.ping_s, lambda: watching.ping_failed(number, "it is away", self.now))
            case Subscribe(number) if docker.subscribes:
                self._stream = number
                self._later(0, lambda: watching.subscribed(number, self.now))
                if docker.events_last_s < NEVER:
                    self._later(docker.events_last_s, lambda: watching.ended(number, "", self.now))
            case Subscribe(number):
                self._later(0, lambda: watching.ended(number, "they are forbidden", self.now))
            case List(number) if docker.lists:
                found = tuple(Listed(one.id, one) for one in docker.containers.values())
                self._later(docker.list_s, lambda: watching.listed(number, found, self.now))
            case List(number):
                self._later(docker.list_s, lambda: watching.list_failed(number, "no list", self.now))
            case Inspect(identity):
                self._under_way[Inspect] += 1
                self.most_inspects = max(self.most_inspects, self._under_way[Inspect])
                self._later(
                    2 if identity in docker.hangs else docker.inspect_s, lambda: self._inspected(identity)
                )
            case Unsubscribe(number):
                assert number == self._stream or not docker.subscribes
                self._stream = None
            case Close() | Warn() | Tell() | InForce():
                pass

    def _inspected(self, identity: str) -> None:
        self._under_way[Inspect] -= 1
        found = self.docker.containers.get(identity)
        if identity in self.docker.hangs:
            self.watching.inspect_failed(identity, "it hangs", self.now)
        elif not self.docker.pings:
            self.watching.inspect_failed(identity, "it is away", self.now)
        else:
            self.watching.inspected(identity, None if found is None else Details(found), self.now)


def container(identity: str, app: str = "a") -> Container:
    return Container(identity, identity, {"app": app}, State.RUNNING)


def containers(number: int) -> dict[str, Container]:
    return {str(one): container(str(one)) for one in range(number)}


def apart(times: list[float], seconds: float) -> bool:
    """Whether there is at least that much time between any two."""
    return all(later - earlier >= seconds - 1e-3 for earlier, later in pairwise(times))


@pytest.mark.clause("4.docker.reads", "4.events.list")
def test_with_all_well_it_is_pinged_each_5_s_and_listed_each_30_s() -> None:
    drive = Drive(Docker(containers=containers(3)))
    drive.run(120)
    assert len(drive.asked(Subscribe)) == 1
    assert len(drive.asked(List)) == 120 / RESYNC_S
    assert len(drive.asked(Inspect)) == 3
    assert len(drive.asked(Ping)) == 120 / PING_S
    assert drive.events() is Events.LIVE


@pytest.mark.clause("4.docker.no_events")
@pytest.mark.parametrize(
    "docker", [Docker(events_last_s=0), Docker(events_last_s=0.5), Docker(subscribes=False)]
)
def test_without_events_it_lists_every_2_s_and_says_so_once(docker: Docker) -> None:
    drive = Drive(docker)
    docker.containers = containers(1)
    drive.run(600)
    assert len(drive.asked(List)) <= 600 / POLL_S + 3
    assert apart(drive.asked(List, since_s=105), POLL_S)
    assert drive.asked(List)[-1] > 600 + 100 - 2 * POLL_S
    tries = drive.asked(Subscribe, since_s=105)
    assert 5 < len(tries) < 20  # less and less often
    assert tries[-1] - tries[-2] > 30
    assert drive.events() is Events.POLLED
    assert drive.connection() is Connection.CONNECTED
    assert drive.states() == {"0": State.RUNNING}
    assert [text for text in drive.told() if "cannot be had" in text] == [
        "Docker's events cannot be had: lists are asked for instead, every 2 s"
    ]
    assert drive.warned() == ["Docker's events cannot be had; lists are asked for every 2 s instead"]


@pytest.mark.clause("4.docker.no_events")
def test_events_that_come_again_are_followed_again() -> None:
    docker = Docker(events_last_s=0)
    drive = Drive(docker)
    drive.run(20)
    assert drive.events() is Events.POLLED
    docker.events_last_s = NEVER
    drive.run(70)
    assert drive.events() is Events.LIVE
    assert sum(text.startswith("Docker's events had ended, and come again") for text in drive.told()) == 1
    assert apart(drive.asked(List, since_s=drive.now_s - 5), RESYNC_S)


def test_lists_that_take_longer_than_polls_are_apart_further_still() -> None:
    drive = Drive(Docker(events_last_s=0, list_s=7))
    drive.run(100)
    assert apart(drive.asked(List, since_s=110), 14)


def test_a_stream_that_ended_after_a_while_is_followed_at_once_and_mended_by_a_list() -> None:
    drive = Drive(Docker(events_last_s=10))
    drive.run(9)
    drive.docker.containers = containers(1)  # no event tells
    drive.run(2)
    assert drive.states() == {"0": State.RUNNING}
    assert drive.events() is Events.LIVE
    drive.run(100)
    assert apart(drive.asked(List), STEADY_S)
    assert drive.warned() == []


@pytest.mark.clause("4.events.dead")
def test_events_that_went_dead_without_an_end_are_asked_for_anew_once_a_list_shows_it() -> None:
    drive = Drive(Docker())
    drive.run(1)
    drive.docker.containers = containers(1)
    drive.run(RESYNC_S + 2)
    assert drive.states() == {"0": State.RUNNING}
    assert len(drive.asked(Subscribe)) == 2
    drive.docker.containers = {}
    drive.event("destroy", "0")
    drive.run(0.1)
    assert drive.states() == {}
    assert drive.events() is Events.LIVE
    drive.run(100)
    assert len(drive.asked(Subscribe)) == 2
    assert drive.warned() == []


@pytest.mark.clause("1.docker.tries", "4.events.error")
def test_while_it_is_away_it_is_tried_with_back_off_and_that_is_said_once() -> None:
    drive = Drive(Docker(containers=containers(2)))
    drive.run(1)
    drive.event("rename", "0")
    drive.run(9)
    last_event = drive.watching.knowledge.last_event
    assert last_event is not None
    drive.docker.pings = False
    drive.break_events()
    drive.run(100)
    assert drive.states() == {"0": State.RUNNING, "1": State.RUNNING}
    assert drive.connection() is Connection.AWAY
    assert drive.watching.away_since == drive.watching.knowledge.since
    assert apart(drive.asked(Ping, since_s=120), LONGEST_PAUSE_S)
    assert drive.warned() == ["Docker does not answer; the last known containers stay in use"]
    assert drive.watching.knowledge.last_event == last_event
    drive.docker.pings = True
    drive.run(LONGEST_PAUSE_S)
    assert drive.connection() is Connection.CONNECTED
    assert drive.watching.away_since is None
    assert drive.warned()[1:] == ["Docker answers again"]


def test_where_it_never_answered_no_container_is_said_to_be_known() -> None:
    drive = Drive(Docker(pings=False))
    drive.run(30)
    assert drive.warned() == ["Docker does not answer; no container is known yet"]
    assert drive.connection() is Connection.NEVER
    assert drive.looked_at_s is not None


@pytest.mark.clause("4.events.delay")
def test_a_list_that_takes_a_minute_delays_no_event() -> None:
    docker = Docker(containers=containers(5))
    drive = Drive(docker)
    drive.run(1)
    docker.list_s = 55
    drive.run(RESYNC_S)  # a list is under way
    docker.containers["0"] = Container("0", "0", {"app": "a"}, State.EXITED)
    drive.event("die", "0")
    docker.containers["9"] = container("9")
    drive.event("start", "9")
    drive.run(0.1)
    assert drive.states()["0"] is State.EXITED
    assert drive.states()["9"] is State.RUNNING
    drive.run(60)
    assert drive.states() == {one.id: one.state for one in docker.containers.values()}
    assert apart(drive.asked(Ping), PING_S)  # meanwhile, too


@pytest.mark.clause("4.docker.reads")
def test_250_containers_at_20_ms_an_inspect_are_there_within_a_second() -> None:
    drive = Drive(Docker(containers=containers(250), inspect_s=0.02))
    drive.run(5)
    assert drive.looked_at_s is not None
    assert drive.looked_at_s - 100 < 1
    assert drive.most_inspects <= INSPECTS


@pytest.mark.clause("4.docker.not_inspected")
def test_containers_that_hang_delay_neither_the_start_nor_each_other() -> None:
    docker = Docker(containers=containers(250), inspect_s=0.02, hangs=frozenset(map(str, range(40))))
    drive = Drive(docker)
    drive.run(60)
    assert drive.looked_at_s is not None
    assert drive.looked_at_s - 100 < FIRST_INSPECTS_S + 0.1
    assert {one.id for one in drive.watching.known.containers if one.not_inspected} == docker.hangs
    docker.containers["249"] = Container("249", "249", {"app": "a"}, State.PAUSED)
    drive.event("pause", "249")
    drive.run(0.1)
    assert drive.states()["249"] is State.PAUSED
    assert drive.connection() is Connection.CONNECTED
    since_s = drive.now_s
    drive.run(60)
    assert len(drive.asked(Inspect, since_s)) < 2 * 60 / 2 + 10  # two at once, which take 2 s


def test_what_could_not_be_inspected_as_docker_went_away_is_no_containers_fault() -> None:
    docker = Docker(containers=containers(3), inspect_s=1.0)
    drive = Drive(docker)
    drive.run(0.5)
    docker.pings = False
    drive.run(5)
    assert drive.connection() is Connection.AWAY
    assert not any(one.not_inspected for one in drive.watching.known.containers)
    docker.pings = True
    drive.run(LONGEST_PAUSE_S + 1.1)
    assert drive.connection() is Connection.CONNECTED
    assert drive.watching.known.is_settled


def test_what_events_told_of_is_in_force_once_it_is_inspected() -> None:
    docker = Docker(containers=containers(1))
    drive = Drive(docker)
    drive.run(1)
    drive.event("rename", "0")
    drive.event("connect", "0")
    drive.event("destroy", "gone")
    drive.run(1)
    told = [command.events for _, command in drive.done if isinstance(command, InForce)]
    assert sorted(one.action for events in told for one in events) == ["connect", "destroy", "rename"]


ANSWERS = st.sampled_from([0.001, 0.5, 3.0, 11.0])
CHANGES = st.sampled_from(
    ["pings", "lists", "subscribes", "events_last_s", "list_s", "ping_s", "break", "start", "die"]
)


@pytest.mark.clause("4.docker.no_events", "4.events.list")
@given(st.lists(st.tuples(CHANGES, ANSWERS, st.sampled_from([0.1, 1.0, 20.0])), max_size=12))
@example([("events_last_s", 0.001, 20.0)])
def test_however_it_answers_nothing_is_asked_too_often_and_all_is_known_in_the_end(
    changes: list[tuple[str, float, float]],
) -> None:
    docker = Docker(containers=containers(2))
    drive = Drive(docker)
    for what, value, then_s in changes:
        if what in ("pings", "lists", "subscribes"):
            setattr(docker, what, not getattr(docker, what))
        elif what == "break":
            drive.break_events()
        elif what == "start":
            docker.containers["9"] = container("9")
            drive.event("start", "9")
        elif what == "die" and "0" in docker.containers:
            docker.containers["0"] = Container("0", "0", {"app": "a"}, State.EXITED)
            drive.event("die", "0")
        elif what == "events_last_s":
            docker.events_last_s = NEVER if value > 5 else value
        elif what in ("list_s", "ping_s"):
            setattr(docker, what, value)
        drive.run(then_s)
    lists, pings, subscriptions = (drive.asked(kind) for kind in (List, Ping, Subscribe))
    for times, most in ((lists, 6), (pings, 8), (subscriptions, 6)):
        assert all(sum(at <= one < at + 4 for one in times) <= most for at in times)
    docker.pings = docker.lists = docker.subscribes = True
    docker.events_last_s, docker.list_s, docker.ping_s = NEVER, 0.001, 0.001
    drive.run(90)
    assert drive.connection() is Connection.CONNECTED
    assert drive.events() is Events.LIVE
    assert drive.states() == {one.id: one.state for one in docker.containers.values()}
    assert drive.watching.error == ""
