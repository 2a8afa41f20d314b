"""Several Dockers under one registry: none knows of the others (behaviour 12).

Each is asked through the SDK, as the real one is.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest

from rgate.core.config import Backend, Source, Tls
from rgate.core.knowledge import Connection, Knowledge
from rgate.core.reasons import Reason
from rgate.core.timeline import Kind, TimelineEvent
from rgate.discovery.registry import Registry
from rgate.discovery.sources import Sources, shown
from tests.contract.sources.fake_docker import FakeDocker, serving

WITHIN_S: Final = 10.0
BACKENDS: Final = (
    Backend("both", match_labels=(("app", "a"),)),
    Backend("far", match_labels=(("app", "a"),), sources=("far",)),
)


class Watched:
    """Sources and their registry; what changed and was told is noted."""

    def __init__(self, *sources: Source) -> None:
        self._changed = threading.Condition()
        self.told: list[TimelineEvent] = []
        self.registry = Registry(BACKENDS, sources)
        self.registry.subscribe(lambda _: self._note())
        self.sources = Sources(sources, self.registry, tell=self._note)

    def start(self) -> "Watched":
        self.sources.start()
        assert self.sources.wait_first_look(WITHIN_S)
        return self

    def reload(self, *sources: Source) -> None:
        """As a gateway does (`Wired.reload`)."""
        self.sources.expect(BACKENDS, sources)
        self.registry.configure(BACKENDS, sources)
        self.sources.configure(sources)
        self.sources.look_again()

    def _note(self, event: TimelineEvent | None = None) -> None:
        with self._changed:
            self.told += [event] if event is not None else []
            self._changed.notify_all()

    def wait(self, what: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(what, WITHIN_S), f"so far {self.told}, {self.registry.views}"

    def wait_names(self, backend: str, *names: str) -> None:
        self.wait(lambda: self.names(backend) == {*names})

    def names(self, backend: str) -> set[str]:
        return {one.name for one in self.registry.views[backend].candidates}

    def hosts(self, backend: str) -> set[str]:
        return {one.address.host for one in self.registry.views[backend].candidates}

    def knowledge(self) -> Mapping[str, Knowledge]:
        return {one.source: one for one in self.sources.knowledge}


@pytest.fixture
def here() -> Iterator[FakeDocker]:
    with serving(FakeDocker()) as docker:
        docker.add("1")
        yield docker


@pytest.fixture
def far() -> Iterator[FakeDocker]:
    with serving(FakeDocker()) as docker:
        docker.add("2")
        yield docker


def source(name: str, docker: FakeDocker, **more: str) -> Source:
    return Source(name, docker.host, **more)  # type: ignore[arg-type]


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    with contextlib.ExitStack() as ends:

        def begin(*sources: Source) -> Watched:
            watched = Watched(*sources)
            ends.callback(watched.sources.stop)
            return watched

        yield begin


@pytest.mark.clause("12.away.own", "12.away.keeps", "12.away.untouched", "12.away.told")
def test_one_that_is_away_keeps_what_it_showed_and_touches_no_other(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch(source("here", here), source("far", far)).start()
    assert watched.names("both") == {"here/c1", "far/c2"}
    far.cut()
    watched.wait(lambda: bool(watched.registry.views["far"].stale))
    known = watched.knowledge()
    assert (known["here"].docker, known["far"].docker) == (Connection.CONNECTED, Connection.AWAY)
    assert watched.registry.views["both"].stale.startswith("Docker far has not answered since ")
    assert watched.names("far") == {"far/c2"}
    here.add("3")
    here.tell("3", "start")
    watched.wait_names("both", "here/c1", "here/c3", "far/c2")
    del far.rows["2"]
    far.is_cut = False
    while watched.knowledge()["far"].docker is not Connection.CONNECTED:
        assert not here.go_on.wait(0.01)
    assert watched.registry.views["both"].stale == ""  # who reads that it answers finds nothing old
    watched.wait_names("both", "here/c1", "here/c3")
    assert watched.registry.views["far"].reason is Reason.NO_CONTAINER
    told = [event.text for event in watched.told if event.kind is Kind.SOURCE]
    assert [text for text in told if text.startswith("`here`: ")] == ["`here`: Docker answers: 20.10.24"]
    assert [text.partition(":")[0] for text in told].count("`far`") == 3
    assert caplog.messages[0].startswith("far: Docker does not answer; the last known containers stay in use")


@pytest.mark.clause("12.away.unknown", "12.ready.meaning", "12.daemon.errors")
def test_one_that_never_answered_is_named_and_the_first_look_ends_all_the_same(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched]
) -> None:
    far.is_cut = True
    watched = watch(source("here", here), source("far", far)).start()
    assert watched.names("both") == {"here/c1"}
    view = watched.registry.views["far"]
    assert view.reason is Reason.DOCKER_UNAVAILABLE
    assert view.detail.startswith(
        f"Docker far has not answered since rgate started: the connection to Docker at {far.host} was closed"
    )
    assert [*watched.sources.unheard] == ["far"]
    far.is_cut = False
    watched.wait_names("far", "far/c2")
    assert not watched.sources.unheard


@pytest.mark.clause("12.ready.meaning")
def test_the_first_look_waits_for_each_but_no_longer_than_it_may(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched]
) -> None:
    far.lists_s = 60
    watched = watch(source("here", here), source("far", far))
    watched.sources.start()
    assert far.list_began.wait(WITHIN_S)
    watched.wait_names("both", "here/c1")
    assert not watched.sources.wait_first_look(0.0)
    far.go_on.set()
    assert watched.sources.wait_first_look(WITHIN_S)


@pytest.mark.clause("12.sources.one_by_id")
def test_the_same_docker_by_two_ways_is_one_and_goes_on_by_the_one_that_is_left(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched]
) -> None:
    far.rows = here.rows
    watched = watch(source("here", here), source("far", far)).start()
    assert watched.names("both") == {"here/c1"}
    here.cut()
    watched.wait_names("both", "far/c1")
    here.rows["1"]["State"] = "exited"
    far.tell("1", "die")
    watched.wait_names("both")
    assert watched.registry.views["both"].containers[0].name == "far/c1"


@pytest.mark.clause("12.sources.all", "12.address.machine")
def test_a_container_that_moves_to_another_machine_is_followed(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched]
) -> None:
    watched = watch(source("here", here), source("far", far)).start()
    far.add("3", Names=["/c1"])
    far.tell("3", "start")
    del here.rows["1"]
    here.tell("1", "die")
    here.tell("1", "destroy")
    watched.wait_names("both", "far/c1", "far/c2")
    assert all(not name.startswith("here/") for name in watched.names("both"))


@pytest.mark.clause("12.reload.kept", "12.reload.gone")
def test_a_reload_ends_and_begins_what_changed_and_leaves_the_rest_alone(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched]
) -> None:
    watched = watch(source("here", here)).start()
    assert watched.names("both") == {"c1"}
    lists = here.asked["/containers/json"]
    watched.reload(source("here", here), source("far", far))
    assert "here/c1" in watched.names("both")  # at once
    watched.wait_names("both", "here/c1", "far/c2")
    watched.reload(source("here", here))
    assert watched.names("both") == {"c1"}
    assert here.asked["/containers/json"] == lists
    assert here.asked["/events"] == 1
    here.add("3")
    here.tell("3", "start")
    watched.wait_names("both", "c1", "c3")
    assert [*watched.knowledge()] == ["here"]


@pytest.mark.clause("12.reload.changed")
def test_one_that_gets_another_name_is_never_without_its_containers(
    here: FakeDocker, watch: Callable[..., Watched]
) -> None:
    watched = watch(source("here", here)).start()
    there: list[bool] = []
    watched.registry.subscribe(lambda views: there.append(bool(views["both"].candidates)))
    watched.reload(source("there", here))
    there.append(bool(watched.names("both")))
    assert there
    assert all(there)
    assert [*watched.knowledge()] == ["there"]
    assert watched.knowledge()["there"].docker is Connection.CONNECTED


@pytest.mark.clause("12.reload.changed")
def test_one_that_changed_shows_what_it_did_until_the_other_has_looked(
    here: FakeDocker, far: FakeDocker, watch: Callable[..., Watched]
) -> None:
    watched = watch(source("here", here), source("far", far)).start()
    far.lists_s = 60
    watched.reload(source("here", here), source("far", far, address_host="10.0.0.5"))
    assert far.list_began.wait(WITHIN_S)
    assert watched.names("far") == {"far/c2"}
    assert watched.hosts("far") == {"127.0.0.1"}
    far.rows["2"]["Ports"][0]["IP"] = "0.0.0.0"
    far.go_on.set()
    watched.wait(lambda: watched.hosts("far") == {"10.0.0.5"})


@pytest.mark.clause("12.ready.named")
def test_all_are_named_for_people(here: FakeDocker, far: FakeDocker) -> None:
    assert shown([source("here", here)]) == here.host
    two = [source("here", here), Source("far", "ssh://deploy@far.example")]
    assert shown(two) == f"here ({here.host}), far (ssh://far.example)"
    lost = Source("lost", "context:nowhere")
    assert shown([source("far", far), lost]).endswith(
        "lost (no Docker, as there is no context nowhere in " + shown([lost]).partition(" in ")[2] + ")"
    )


@pytest.mark.clause("12.daemon.errors")
def test_a_swarm_is_asked_of_its_manager_which_is_told_where_it_does_not_answer(
    here: FakeDocker, watch: Callable[..., Watched]
) -> None:
    watched = watch(source("here", here), Source("swarm", swarm="unix:///nowhere")).start()
    assert watched.names("both") == {"here/c1"}
    assert watched.knowledge()["swarm"].error == (
        "there is no socket unix:///nowhere: start Docker, or check the source swarm"
    )


@pytest.mark.clause("12.daemon.tls")
def test_certificates_that_went_are_told_of_their_source(watch: Callable[..., Watched]) -> None:
    watched = watch(Source("far", "tcp://127.0.0.1:1", tls=Tls("/nowhere/ca.pem"))).start()
    assert watched.knowledge()["far"].error == (
        "the certificates for Docker at tcp://127.0.0.1:1 are not there: check `tls` of the source far"
    )
