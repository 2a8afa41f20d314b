"""What every `ContainerSource` holds, a fake's and Docker's; and the watcher on top of either."""

import contextlib
import functools
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest

from rgate.core.config import Backend
from rgate.core.containers import Attachment, Container, Details, Event, Health, Listed, PublishedPort, State
from rgate.core.knowledge import Connection, Events, Knowledge, stale_since
from rgate.core.reasons import LeftOut, Reason
from rgate.core.timeline import TimelineEvent
from rgate.core.watching import LONGEST_PAUSE_S, PING_S, RESYNC_S, STEADY_S
from rgate.discovery.docker_source import DockerSource, signal_number
from rgate.discovery.registry import Registry
from rgate.discovery.source import ContainerSource, SourceError
from rgate.discovery.watcher import LAG_BOUNDS_S, Watcher
from rgate.telling.timeline import Comings, Timeline
from tests.contract.sources.daemons import DAEMONS, Served
from tests.integration.containers import IMAGE, pause

IS_ILL = "__import__('os')._exit(__import__('os').path.exists('/tmp/ill'))"  # Podman splits it at spaces
DEAF = ["python3", "-c", "import time; time.sleep(600)"]  # a first process that handles no signal
WITHIN_S = 5.0  # Docker takes up to a second itself to start a container on a busy machine


class World(Protocol):
    """A source, and what makes things happen in it. *health_within_s*: how soon it tells of health."""

    source: ContainerSource
    label: str
    health_within_s: float

    def run(self, name: str, *, with_check: bool = False, is_deaf: bool = False) -> str: ...
    def sicken(self, container_id: str) -> None: ...
    def pause(self, container_id: str) -> None: ...
    def unpause(self, container_id: str) -> None: ...
    def signal(self, container_id: str, signal: str) -> None: ...
    def rename(self, container_id: str, name: str) -> None: ...
    def join_network(self, container_id: str) -> None: ...
    def remove(self, container_id: str) -> None: ...


class FakeStream:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._closed = False

    def __iter__(self) -> Iterator[Event]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._closed)
                if self._closed:
                    return
                event = self._events.pop(0)
            yield event

    def put(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class FakeWorld:
    """A source in memory; it is its own world. `away` makes every call fail, as a stopped daemon does."""

    def __init__(self) -> None:
        self.source: ContainerSource = self
        self.label = "fake"
        self.health_within_s = WITHIN_S
        self.away = False
        self.has_clock = True
        self._containers: dict[str, Container] = {}
        self._streams: list[FakeStream] = []

    def _answer(self) -> None:
        if self.away:
            raise SourceError("away")

    def ping(self) -> str:
        self._answer()
        return "fake"

    def subscribe(self) -> FakeStream:
        self._answer()
        self._streams.append(FakeStream())
        return self._streams[-1]

    def containers(self) -> tuple[Listed, ...]:
        self._answer()
        return tuple(Listed(found.id, found) for found in self._containers.values())

    def container(self, container_id: str) -> Details | None:
        self._answer()
        found = self._containers.get(container_id)
        return Details(found) if found is not None else None

    def close(self) -> None: ...

    def break_streams(self) -> None:
        for stream in self._streams:
            stream.close()

    def _tell(self, container_id: str, action: str, signal: int = 0) -> None:
        for stream in self._streams:
            stream.put(Event(container_id, action, signal, time.time() if self.has_clock else None))

    def run(self, name: str, *, with_check: bool = False, is_deaf: bool = False) -> str:  # noqa: ARG002
        identity = uuid.uuid4().hex
        health = Health.HEALTHY if with_check else Health.NONE
        port = PublishedPort(8000, "127.0.0.1", 40000 + len(self._containers))
        labels = {"rgate-test": self.label}
        self._containers[identity] = Container(
            identity, name, labels, State.RUNNING, health, published=(port,), exposed=(8000,)
        )
        self._tell(identity, "start")
        return identity

    def _change(self, container_id: str, action: str, **changes: Any) -> None:
        self._containers[container_id] = replace(self._containers[container_id], **changes)
        self._tell(container_id, action)

    def sicken(self, container_id: str) -> None:
        self._change(container_id, "health_status", health=Health.UNHEALTHY)

    def pause(self, container_id: str) -> None:
        self._change(container_id, "pause", state=State.PAUSED)

    def unpause(self, container_id: str) -> None:
        self._change(container_id, "unpause", state=State.RUNNING)

    def signal(self, container_id: str, signal: str) -> None:
        self._tell(container_id, "kill", signal_number(signal))
        if signal == "SIGKILL":
            self._change(container_id, "die", state=State.EXITED)

    def rename(self, container_id: str, name: str) -> None:
        self._change(container_id, "rename", name=name)

    def join_network(self, container_id: str) -> None:
        self._change(container_id, "connect", attachments=(Attachment("more", "n", "192.0.2.1"),))

    def remove(self, container_id: str) -> None:
        self._containers.pop(container_id, None)
        self._tell(container_id, "destroy")


class LateWorld(FakeWorld):
    """Its events come late, and each of them twice."""

    def _tell(self, container_id: str, action: str, signal: int = 0) -> None:
        for after_s in (0.02, 0.04):
            timer = threading.Timer(after_s, super()._tell, (container_id, action, signal))
            timer.daemon = True
            timer.start()


class PastTheSource:
    """What happens to containers of a real daemon is done past the source, by a *client* of the SDK."""

    def __init__(self, client: Any) -> None:
        self.label = uuid.uuid4().hex
        self._client = client

    def _container(self, container_id: str) -> Any:
        return self._client.containers.get(container_id)

    def sicken(self, container_id: str) -> None:
        self._container(container_id).exec_run(["python3", "-c", "open('/tmp/ill', 'w')"])

    def pause(self, container_id: str) -> None:
        pause(self._container(container_id))

    def unpause(self, container_id: str) -> None:
        self._container(container_id).unpause()

    def signal(self, container_id: str, signal: str) -> None:
        self._container(container_id).kill(signal)

    def rename(self, container_id: str, name: str) -> None:
        self._container(container_id).rename(f"{name}-{self.label[:8]}")


class RealWorld(PastTheSource):
    """A real daemon."""

    def __init__(self, served: Served) -> None:
        super().__init__(served.client)
        self.source: ContainerSource = DockerSource()
        # Podman tells of health before it has looked, so that it is asked again with each ping.
        self.health_within_s = WITHIN_S + PING_S if served.check_health is not None else WITHIN_S
        self._served = served
        self._networks: list[Any] = []

    def run(self, name: str, *, with_check: bool = False, is_deaf: bool = False) -> str:
        check = {"test": ["CMD", "python3", "-c", IS_ILL], "interval": 300_000_000, "retries": 1}
        made = self._client.containers.run(
            IMAGE,
            DEAF if is_deaf else None,
            name=f"{name}-{self.label[:8]}",
            labels={"rgate-test": self.label},
            ports={"8000/tcp": ("127.0.0.1", None)},
            healthcheck=check if with_check else {"test": ["NONE"]},
            detach=True,
        )
        if with_check and self._served.check_health is not None:
            self._served.check_health(made.id)
        return str(made.id)

    def sicken(self, container_id: str) -> None:
        super().sicken(container_id)
        if self._served.check_health is not None:
            self._served.check_health(container_id)

    def join_network(self, container_id: str) -> None:
        self._networks.append(self._client.networks.create(f"more-{self.label[:8]}"))
        self._networks[-1].connect(container_id)

    def remove(self, container_id: str) -> None:
        self._container(container_id).remove(force=True)

    def end(self) -> None:
        for made in self._client.containers.list(all=True, filters={"label": f"rgate-test={self.label}"}):
            made.remove(force=True)
        for network in self._networks:
            network.remove()
        self.source.close()


FAKES = {"fake": FakeWorld, "late and twice": LateWorld}
OF_ITS_OWN = (pytest.mark.docker, pytest.mark.daemons, pytest.mark.slow)
NO_PROXY = pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed: make peers")
MARKS = {
    "docker": (pytest.mark.docker,),
    "docker behind a proxy": (pytest.mark.docker, pytest.mark.slow, NO_PROXY),
}


LACKING = {
    ("podman", "test_a_source_lists_what_runs_and_forgets_what_is_gone"): "a list has no mode of the network",
    ("podman", "test_a_list_tells_what_an_inspect_does_of_what_decisions_rest_on"): "a list has no health",
    ("podman", "test_one_that_was_sent_its_stop_signal_is_out_though_it_runs"): "the event names no signal",
    ("docker by TLS", "test_it_is_known_how_long_events_took_until_they_were_in_force"): "another clock",
}
"""What a daemon cannot promise, by the test of it. Where one learns it, its test fails."""


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[str], Served]]:
    """Start a daemon, once for all tests."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda name: stack.enter_context(DAEMONS[name]()))


@pytest.fixture(params=[*FAKES, *(pytest.param(name, marks=MARKS.get(name, OF_ITS_OWN)) for name in DAEMONS)])
def world(
    request: pytest.FixtureRequest, serve: Callable[[str], Served], monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    if request.param in FAKES:
        yield FAKES[request.param]()
        return
    if lacking := LACKING.get((request.param, request.function.__name__)):
        request.applymarker(pytest.mark.xfail(reason=lacking, strict=True))
    served = serve(request.param)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)  # no key of an agent's
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    real = RealWorld(served)
    try:
        yield real
    finally:
        real.end()


class Clock:
    """Stands still until it is set."""

    steady_s = 100.0
    unix_s = 1000.0

    def pass_pauses(self) -> None:
        """Let the pause before the next try end."""
        self.steady_s += LONGEST_PAUSE_S


class Watched:
    """A registry that follows a world, and a way to wait for what it says."""

    def __init__(self, world: World, clock: Clock | None = None) -> None:
        self._changed = threading.Condition()
        self.registry = Registry([Backend("b", match_labels=(("rgate-test", world.label),))])
        self.registry.subscribe(self._note)
        self.timeline = Timeline()
        comings = Comings(self.timeline, lambda: self.registry.views)
        self.registry.subscribe(lambda _: comings.look())
        self.timeline.subscribe(self._note)
        self.watcher = (
            Watcher(world.source, self.registry, tell=self.timeline.add)
            if clock is None
            else Watcher(
                world.source,
                self.registry,
                steady_s=lambda: clock.steady_s,
                unix_s=lambda: clock.unix_s,
                tell=self.timeline.add,
            )
        )
        self.watcher.start()

    def _note(self, _told: object) -> None:
        with self._changed:
            self._changed.notify_all()

    def names(self) -> list[str]:
        return sorted(candidate.name.partition("-")[0] for candidate in self.registry.views["b"].candidates)

    def wait(self, what: Callable[[], bool], within_s: float = WITHIN_S) -> None:
        with self._changed:
            assert self._changed.wait_for(what, within_s), f"not in time; so far {self.registry.views['b']}"

    def told(self) -> list[tuple[str, str]]:
        """Kind and text of each event, oldest first."""
        return [(event.kind.value, event.text) for event in self.timeline.newest()[::-1]]

    def wait_told(self, kind: str, beginning: str) -> TimelineEvent:
        """Wait for an event of that *kind*, whose text begins so."""

        def found() -> list[TimelineEvent]:
            events = self.timeline.newest()
            return [one for one in events if one.kind.value == kind and one.text.startswith(beginning)]

        with self._changed:
            assert self._changed.wait_for(lambda: bool(found()), WITHIN_S), f"so far {self.told()}"
        return found()[0]


def until(
    watched: Watched, docker: Connection, events: Events | None = None, within_s: float = WITHIN_S
) -> Knowledge:
    """Wait until the knowledge is that."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = watched.watcher.knowledge
        if found.docker is docker and events in (None, found.events):
            return found
        assert time.monotonic() < deadline_s, f"still {found}"
        threading.Event().wait(0.01)


@pytest.fixture
def watched(world: World) -> Iterator[Watched]:
    made = Watched(world)
    assert made.watcher.wait_first_look(10)
    yield made
    made.watcher.stop()


def test_a_source_lists_what_runs_and_forgets_what_is_gone(world: World) -> None:
    identity = world.run("one")
    (mine,) = [
        found.container
        for found in world.source.containers()
        if found.container is not None and found.container.labels.get("rgate-test") == world.label
    ]
    assert (mine.id, mine.state, mine.exposed) == (identity, State.RUNNING, (8000,))
    assert mine.published[0].container_port == 8000
    again = world.source.container(identity)
    assert again is not None
    assert again.container == mine
    world.remove(identity)
    assert world.source.container(identity) is None


@pytest.mark.clause("4.docker.reads")
def test_a_list_tells_what_an_inspect_does_of_what_decisions_rest_on(world: World) -> None:
    identity = world.run("one", with_check=True)

    def is_told_by_both(what: Callable[[Container], bool]) -> bool:
        try:
            inspected = world.source.container(identity)
        except SourceError:  # it took longer than it may, on a busy machine
            return False
        (listed,) = [found.container for found in world.source.containers() if found.id == identity]
        return inspected is not None and listed == inspected.container and what(listed)

    def wait(what: Callable[[Container], bool]) -> None:
        deadline_s = time.monotonic() + 2 * WITHIN_S
        while not is_told_by_both(what):  # what is asked twice may change in between
            assert time.monotonic() < deadline_s, f"so far {world.source.containers()}"
            threading.Event().wait(0.1)

    wait(lambda one: one.health is Health.HEALTHY)
    world.join_network(identity)
    wait(lambda one: any(attachment.network.startswith("more") for attachment in one.attachments))
    world.sicken(identity)
    wait(lambda one: one.health is Health.UNHEALTHY)


@pytest.mark.clause("4.events.health")
def test_one_that_falls_ill_is_out(world: World, watched: Watched) -> None:
    one = world.run("one", with_check=True)
    watched.wait(lambda: watched.names() == ["one"])
    watched.wait(lambda: watched.registry.views["b"].containers[0].health == "healthy", world.health_within_s)
    world.sicken(one)
    watched.wait(lambda: watched.names() == [], world.health_within_s)


@pytest.mark.clause("4.events.second")
def test_what_starts_and_goes_is_in_and_out(world: World, watched: Watched) -> None:
    assert watched.registry.views["b"].reason is Reason.NO_CONTAINER
    one = world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    world.run("two")
    watched.wait(lambda: watched.names() == ["one", "two"])
    world.remove(one)
    watched.wait(lambda: watched.names() == ["two"])


@pytest.mark.clause("4.events.second")
def test_a_paused_container_is_out_until_it_goes_on(world: World, watched: Watched) -> None:
    one = world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    world.pause(one)
    watched.wait(lambda: watched.names() == [])
    world.unpause(one)
    watched.wait(lambda: watched.names() == ["one"])


@pytest.mark.clause("4.events.renamed", "8.stopping.signal")
def test_a_signal_that_stops_takes_it_out_and_another_does_not(world: World, watched: Watched) -> None:
    one = world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    world.signal(one, "SIGWINCH")
    world.rename(one, "later")  # seen behind the signal, as events keep their order
    watched.wait(lambda: watched.names() == ["later"])
    world.signal(one, "SIGKILL")
    watched.wait(lambda: watched.names() == [])


@pytest.mark.clause("8.stopping.signal")
def test_one_that_was_sent_its_stop_signal_is_out_though_it_runs(world: World, watched: Watched) -> None:
    one = world.run("one", is_deaf=True)
    watched.wait(lambda: watched.names() == ["one"])
    world.signal(one, "SIGTERM")
    watched.wait(lambda: watched.names() == [])
    (view,) = watched.registry.views["b"].containers
    assert view.left_out is LeftOut.STOPPING
    assert view.state == "running"


@pytest.mark.clause("4.events.network")
def test_a_container_that_joins_a_network_is_looked_at_again(world: World, watched: Watched) -> None:
    def networks() -> list[str]:
        known = watched.watcher._watching.known.containers  # no view tells of them
        return [joined.network for found in known for joined in found.attachments]

    one = world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    world.join_network(one)
    watched.wait(lambda: any(name.startswith("more") for name in networks()))


@pytest.mark.clause("4.events.list", "4.events.error")
def test_an_error_never_means_no_containers() -> None:
    world = FakeWorld()
    watched = Watched(world)
    world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    world.away = True
    world.break_streams()
    until(watched, Connection.AWAY)
    assert watched.names() == ["one"]
    world.away = False
    world.run("two")  # the event is missed: the list behind the break finds it
    watched.wait(lambda: watched.names() == ["one", "two"])
    watched.watcher.stop()


@pytest.mark.clause("9.knowledge.told")
def test_a_source_that_answers_is_known_to_be_there(world: World, watched: Watched) -> None:
    found = until(watched, Connection.CONNECTED, Events.LIVE)
    assert (found.version, found.error) == (world.source.ping(), "")
    assert found.last_list_s is not None
    assert 0 <= found.last_list_s < RESYNC_S
    assert abs(found.since - time.time()) < 60
    before = found.generation
    world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    assert watched.watcher.knowledge.generation > before


@pytest.mark.clause("9.knowledge.told", "9.knowledge.stale")
def test_it_is_known_since_when_docker_is_there_or_away_and_how_old_the_list_is() -> None:
    world, clock = FakeWorld(), Clock()
    world.away = True
    watched = Watched(world, clock)
    assert watched.watcher.wait_first_look(5)
    never = Knowledge(docker=Connection.NEVER, since=1000.0, error="away", generation=1)
    assert watched.watcher.knowledge == never
    clock.unix_s = 1060.0
    world.away = False
    clock.pass_pauses()
    there = until(watched, Connection.CONNECTED)
    assert there == Knowledge("docker", Connection.CONNECTED, 1060.0, 0.0, Events.LIVE, 2, "fake", "")
    clock.unix_s, clock.steady_s = 1063.5, clock.steady_s + 3.5
    assert watched.watcher.knowledge == replace(there, last_list_s=3.5)
    world.away = True
    world.break_streams()
    watched.wait(lambda: bool(watched.registry.views["b"].stale))
    assert watched.registry.views["b"].stale == stale_since(1063.5)
    clock.unix_s, clock.steady_s = 1070.0, clock.steady_s + 0.25
    away = watched.watcher.knowledge
    assert away == Knowledge("docker", Connection.AWAY, 1063.5, 3.75, Events.BROKEN, 3, "", "away")
    world.away = False
    clock.pass_pauses()
    back = until(watched, Connection.CONNECTED)
    assert (back.since, back.last_list_s, back.events, back.generation) == (1070.0, 0.0, Events.LIVE, 4)
    assert watched.registry.views["b"].stale == ""
    watched.watcher.stop()


@pytest.mark.clause("9.knowledge.told")
def test_events_that_broke_are_known_to_though_docker_answers() -> None:
    class Held(FakeWorld):
        may_subscribe = threading.Event()

        def subscribe(self) -> FakeStream:
            assert self.may_subscribe.wait(WITHIN_S)
            return super().subscribe()

    world = Held()
    world.may_subscribe.set()
    watched = Watched(world)
    until(watched, Connection.CONNECTED, Events.LIVE)
    world.may_subscribe.clear()
    world.break_streams()
    until(watched, Connection.CONNECTED, Events.BROKEN)
    world.may_subscribe.set()
    until(watched, Connection.CONNECTED, Events.LIVE)
    watched.watcher.stop()


@pytest.mark.clause("10.timeline.containers")
def test_the_timeline_tells_what_becomes_of_a_container(world: World, watched: Watched) -> None:
    if isinstance(world, LateWorld):
        pytest.skip("what is told twice is out twice, for a moment")
    one = world.run("one")
    watched.wait_told("in", "`one")
    world.pause(one)
    assert watched.wait_told("out", "`one").text.endswith("` out: paused")
    world.unpause(one)
    watched.wait(lambda: watched.timeline.newest(1)[0].told_why.startswith("unpaused"))
    world.signal(one, "SIGKILL")
    name = watched.timeline.newest(1)[0].text.partition(" ")[0]
    watched.wait(
        lambda: watched.timeline.newest(1)[0].text in (f"{name} out: being stopped", f"{name} out: exited")
    )
    world.remove(one)
    world.run("two")
    watched.wait_told("in", "`two")
    kinds = [kind for kind, _ in watched.told() if kind in ("in", "out")]
    assert kinds == [
        "out",
        "out",
        "in",
        "out",
        "in",
    ]  # the backend had none at the first look; "in" is folded


@pytest.mark.clause("10.timeline.docker")
def test_the_timeline_tells_when_docker_goes_and_comes_back() -> None:
    world, clock = FakeWorld(), Clock()
    watched = Watched(world, clock)
    watched.wait_told("docker", "Docker answers: fake")
    clock.steady_s += STEADY_S
    world.away = True
    world.break_streams()
    assert watched.wait_told("docker", "Docker away: away").at == 1000.0
    clock.unix_s = 1372.0
    world.away = False
    clock.pass_pauses()
    back = watched.wait_told("docker", "Docker answers again, after 6 min: fake")
    assert (back.level.value, back.told_why) == ("ok", "0 containers, 0 ms")
    watched.watcher.stop()


@pytest.mark.clause("10.timeline.docker")
def test_the_timeline_tells_that_docker_has_not_answered_yet_once() -> None:
    world, clock = FakeWorld(), Clock()
    world.away = True
    watched = Watched(world, clock)
    away = watched.wait_told("docker", "Docker away: away")
    assert away.why == "no container is known yet"
    clock.unix_s = 1372.0
    world.away = False
    clock.pass_pauses()
    watched.wait_told("docker", "Docker answers: fake")
    assert [kind for kind, _ in watched.told() if kind == "docker"] == ["docker", "docker"]
    watched.watcher.stop()


@pytest.mark.clause("10.timeline.docker")
def test_the_timeline_tells_that_events_had_ended_while_docker_answered() -> None:
    world = FakeWorld()
    clock = Clock()
    watched = Watched(world, clock)
    until(watched, Connection.CONNECTED, Events.LIVE)
    clock.steady_s += STEADY_S
    world.break_streams()
    assert watched.wait_told("docker", "Docker's events had ended").level.value == "warn"
    watched.watcher.stop()


def after_lists(watched: Watched, clock: Clock, what: Callable[[], bool]) -> None:
    """Let the time of full lists come until *what* is so."""
    deadline_s = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < deadline_s, f"so far {watched.told()}"
        clock.steady_s += RESYNC_S
        while watched.watcher.knowledge.last_list_s:  # until it is there
            assert time.monotonic() < deadline_s, f"so far {watched.watcher.knowledge}"
            threading.Event().wait(0.01)


class Forgetful(FakeWorld):
    """Has no event of what happens while it is *silent*."""

    silent = False

    def _tell(self, container_id: str, action: str, signal: int = 0) -> None:
        if not self.silent:
            super()._tell(container_id, action, signal)


@pytest.mark.clause("10.timeline.docker", "10.timeline.folded")
def test_the_timeline_tells_what_full_lists_found_that_events_had_missed() -> None:
    world, clock = Forgetful(), Clock()
    watched = Watched(world, clock)
    until(watched, Connection.CONNECTED, Events.LIVE)
    after_lists(watched, clock, lambda: watched.timeline.newest(1)[0].times == 3)
    (event,) = watched.timeline.newest(1)
    assert (event.text, event.told_why) == (
        "full list: nothing had been missed",
        "0 containers, 0 ms; 3 times in 0.0 s",
    )
    world.silent = True
    world.run("one")
    after_lists(watched, clock, lambda: watched.names() == ["one"])
    clock.steady_s += 1.0
    missed = watched.wait_told("docker", "full list: it had what events had missed")
    assert (missed.level.value, missed.why) == ("warn", "1 container, 0 ms")
    assert [kind for kind, _ in watched.told()][-2:] == ["in", "docker"]
    watched.watcher.stop()


@pytest.mark.clause("10.timeline.docker")
def test_what_a_list_has_a_moment_before_its_event_had_not_been_missed() -> None:
    world, clock = Forgetful(), Clock()
    watched = Watched(world, clock)
    world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    until(watched, Connection.CONNECTED, Events.LIVE)
    world.run("two")
    watched.wait(lambda: watched.names() == ["one", "two"])  # by its event: so the next list is waited for
    world.silent = True
    three = world.run("three")
    clock.steady_s += RESYNC_S
    watched.wait(lambda: watched.names() == ["one", "three", "two"])
    world.silent = False
    world.unpause(three)  # whatever event it is, of that container
    watched.wait_told("docker", "full list: nothing had been missed")
    watched.watcher.stop()


@pytest.mark.clause("10.backends.since")
def test_it_is_known_since_when_a_container_is_in_or_out() -> None:
    world = FakeWorld()
    watched = Watched(world)
    one = world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    came = watched.registry.since["b", one]
    world.rename(one, "later")
    watched.wait(lambda: watched.names() == ["later"])
    assert watched.registry.since["b", one] == came
    world.pause(one)
    watched.wait(lambda: watched.names() == [])
    assert watched.registry.since["b", one] > came
    watched.watcher.stop()


def test_docker_that_never_answered_is_the_reason() -> None:
    world = FakeWorld()
    world.away = True
    watched = Watched(world)
    assert watched.watcher.wait_first_look(5)
    assert watched.registry.views["b"].reason is Reason.DOCKER_UNAVAILABLE
    watched.watcher.stop()


@pytest.mark.parametrize(
    ("name", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGNOSUCH", 0), ("", 0)]
)
def test_signals_are_known_by_name_and_number(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.clause("10.metrics.lag")
def test_it_is_known_how_long_events_took_until_they_were_in_force(world: World, watched: Watched) -> None:
    began_s = time.time()
    one = world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    world.signal(one, "SIGKILL")
    watched.wait(lambda: watched.names() == [])
    while watched.watcher.lags[-1] < 2:  # it is noted behind the change itself
        assert time.time() < began_s + 2 * WITHIN_S
        threading.Event().wait(0.01)
    total_s, *within_s, count = watched.watcher.lags
    assert within_s == sorted(within_s)
    assert within_s[-1] == count
    assert 0 <= total_s <= count * (time.time() - began_s)


@pytest.mark.clause("10.metrics.lag")
def test_a_source_with_another_clock_tells_nothing_of_that() -> None:
    world = FakeWorld()
    world.has_clock = False
    watched = Watched(world)
    assert watched.watcher.wait_first_look(5)
    world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    watched.watcher.stop()
    assert watched.watcher.lags == (0,) * (2 + len(LAG_BOUNDS_S))
