"""Docker behind a proxy, busy, or with a container that nobody can inspect (behaviour 4).

Each is asked through the SDK, as the real one is.
"""

import threading
from collections.abc import Callable, Iterator

import pytest

from rgate.core.config import Backend
from rgate.core.containers import State
from rgate.core.knowledge import Connection, Events
from rgate.core.reasons import LeftOut
from rgate.discovery.docker_client import INSPECT_TIMEOUT_S
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.look import containers_of
from rgate.discovery.registry import Registry
from rgate.discovery.watcher import Watcher
from tests.contract.sources.fake_docker import FakeDocker, inspected, row, serving

WITHIN_S = 10.0

Watch = Callable[[], "Watched"]


class Watched:
    """A watcher of the Docker that the environment names, with a backend of all containers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.registry = Registry([Backend("b", match_labels=(("app", "a"),))])
        self.registry.subscribe(self._note)
        self.told: list[str] = []
        self.watcher = Watcher(DockerSource(), self.registry, tell=lambda event: self._note(event.text))
        self.watcher.start()
        assert self.watcher.wait_first_look(WITHIN_S)

    def _note(self, told: object) -> None:
        with self._changed:
            if isinstance(told, str):
                self.told.append(told)
            self._changed.notify_all()

    def wait(self, what: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(what, WITHIN_S), f"so far {self.told}, {self.registry.views['b']}"

    def names(self) -> set[str]:
        return {candidate.name for candidate in self.registry.views["b"].candidates}

    def left_out(self) -> dict[str, LeftOut | None]:
        return {one.name: one.left_out for one in self.registry.views["b"].containers}


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocker]:
    with serving(FakeDocker()) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.host)
        yield docker


@pytest.fixture
def watch(docker: FakeDocker) -> Iterator[Watch]:  # noqa: ARG001 - it is to be there
    made: list[Watched] = []

    def begin() -> Watched:
        made.append(Watched())
        return made[-1]

    yield begin
    for one in made:
        one.watcher.stop()


@pytest.mark.clause("4.docker.reads")
def test_behind_a_proxy_that_lets_only_what_is_needed_by_all_works(docker: FakeDocker, watch: Watch) -> None:
    docker.add("1")
    docker.add("2", Labels={"app": "other"})
    watched = watch()
    assert watched.names() == {"c1"}
    docker.add("3")
    docker.tell("3", "start")
    watched.wait(lambda: watched.names() == {"c1", "c3"})
    del docker.rows["1"]
    docker.tell("1", "destroy")
    watched.wait(lambda: watched.names() == {"c3"})
    assert watched.watcher.knowledge.events is Events.LIVE
    assert {"/version", "/containers/json", "/events"} < {*docker.asked}
    assert not {path for path in docker.asked if "/containers/" not in path} - {
        "/version", "/containers/json", "/events"
    }  # fmt: skip
    assert docker.asked["/containers/json"] == 1
    assert docker.asked["/containers/2/json"] == 0


@pytest.mark.clause("4.docker.no_events")
@pytest.mark.parametrize("events", ["forbidden", "end"])
def test_without_events_lists_serve_and_that_is_told_once(
    docker: FakeDocker, watch: Watch, events: str, caplog: pytest.LogCaptureFixture
) -> None:
    docker.events = events
    docker.add("1")
    watched = watch()
    watched.wait(lambda: any("cannot be had" in text for text in watched.told))
    docker.add("2")
    watched.wait(lambda: watched.names() == {"c1", "c2"})
    knowledge = watched.watcher.knowledge
    assert (knowledge.docker, knowledge.events) == (Connection.CONNECTED, Events.POLLED)
    assert sum("cannot be had" in text for text in watched.told) == 1
    assert docker.asked["/events"] <= 6
    why = "answers 403 Forbidden" if events == "forbidden" else "they end as soon as they begin"
    assert [why in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.clause("4.docker.not_inspected")
@pytest.mark.parametrize(
    "answer",
    [None, 500, 403, {}, {**inspected(row("9")), "State": None}, {"Id": "9", "Config": None}, [], "x"],
)
def test_a_container_that_cannot_be_inspected_hides_no_other(
    docker: FakeDocker, watch: Watch, answer: object
) -> None:
    docker.add("1")
    docker.add("9")
    docker.inspects["9"] = answer
    watched = watch()
    watched.wait(lambda: watched.left_out() == {"c1": None, "c9": LeftOut.NOT_INSPECTED})
    detail = watched.registry.views["b"].containers[1].detail
    assert detail.startswith("c9 cannot be inspected: ")
    docker.add("2")
    docker.tell("2", "start")
    watched.wait(lambda: watched.names() == {"c1", "c2"})
    del docker.inspects["9"]
    docker.tell("9", "rename")
    watched.wait(lambda: watched.names() == {"c1", "c2", "c9"})
    assert watched.watcher.knowledge.docker is Connection.CONNECTED


@pytest.mark.clause("4.docker.not_inspected")
def test_one_that_was_known_is_kept_and_goes_with_what_events_tell(docker: FakeDocker, watch: Watch) -> None:
    docker.add("1")
    watched = watch()
    docker.inspects["1"] = 500
    docker.tell("1", "rename")
    watched.wait(lambda: bool(watched.registry.views["b"].containers[0].detail))
    assert watched.names() == {"c1"}
    assert (
        "is as it was last known, as it cannot be inspected"
        in watched.registry.views["b"].containers[0].detail
    )
    docker.tell("1", "die")
    watched.wait(lambda: watched.names() == set())


@pytest.mark.clause("4.events.delay")
def test_while_a_list_takes_its_time_events_are_in_force(docker: FakeDocker, watch: Watch) -> None:
    docker.add("1")
    docker.add("2")
    docker.events = "end"  # so that there are lists often
    watched = watch()
    docker.events = "live"
    docker.lists_s = 60
    assert docker.list_began.wait(WITHIN_S)
    watched.wait(lambda: docker.asked["/events"] >= 2)
    docker.rows["1"]["State"] = "exited"
    docker.add("3")
    while watched.names() != {"c2", "c3"}:  # the stream may have to come yet
        docker.tell("1", "die")
        docker.tell("3", "start")
        assert not docker.go_on.wait(0.05)
    assert docker.asked["/containers/json"] <= 3


@pytest.mark.clause("4.docker.not_inspected")
def test_a_look_of_one_moment_tells_of_it_too(docker: FakeDocker) -> None:
    docker.add("1")
    docker.add("2", State="exited")
    docker.add("9")
    docker.inspects["9"] = None
    found = {one.name: one for one in containers_of(DockerSource())}
    assert not found["c1"].not_inspected
    assert found["c2"].state is State.EXITED
    assert f"nothing came within {INSPECT_TIMEOUT_S} s" in found["c9"].not_inspected
    assert docker.asked["/containers/2/json"] == 0


@pytest.mark.parametrize(
    ("action", "state"), [("died", State.EXITED), ("remove", None), ("kill", State.RUNNING)]
)
def test_podmans_events_are_understood(
    docker: FakeDocker, watch: Watch, action: str, state: State | None
) -> None:
    docker.add("1")
    docker.add("2")
    watched = watch()

    docker.tell("1", action)
    docker.tell("2", "die")
    watched.wait(lambda: "c2" not in watched.names())
    assert ("c1" in watched.names()) is (state is State.RUNNING)
    assert ("c1" in watched.left_out()) is (state is not None)


@pytest.mark.clause("4.events.network")
@pytest.mark.parametrize(("identity", "attributes"), [("7e7", {"container": "1"}), ("1", {})])
def test_that_one_joins_a_network_is_understood_of_docker_and_podman(
    docker: FakeDocker, watch: Watch, identity: str, attributes: dict[str, str]
) -> None:
    docker.add("1")
    watched = watch()
    docker.add("1", Names=["/looked-at-again"])
    docker.tell(identity, "connect", "network", **attributes)
    watched.wait(lambda: watched.names() == {"looked-at-again"})


@pytest.mark.clause("4.docker.own")
@pytest.mark.usefixtures("docker")
def test_variables_that_are_meant_for_other_programs_have_no_part_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    source = DockerSource()
    assert source.ping() == "20.10.24"
    assert source.containers() == ()
    source.close()
