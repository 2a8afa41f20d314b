"""A Swarm of one node: the contract of sources, as far as it can hold there, and what is its own.

The kernel may lack `ip_vs`, by which Swarm balances: a service that is reached as one is tested on recorded
answers (tests/contract/docker_payloads) and in tests/unit/test_swarm.py.
"""

import contextlib
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest
from docker.errors import NotFound
from docker.types import Healthcheck, NetworkAttachmentConfig, ServiceMode

from rgate.core.address import HostView, own_networks
from rgate.core.config import Backend
from rgate.core.knowledge import Connection
from rgate.core.reasons import LeftOut
from rgate.core.selection import view_of
from rgate.discovery.daemon import Daemon
from rgate.discovery.source import ContainerSource, SourceError
from rgate.discovery.swarm_source import SwarmSource
from tests.contract.sources.test_sources import (
    PastTheSource,
    Watched,
    test_a_container_that_joins_a_network_is_looked_at_again,
    test_a_list_tells_what_an_inspect_does_of_what_decisions_rest_on,
    test_a_paused_container_is_out_until_it_goes_on,
    test_a_signal_that_stops_takes_it_out_and_another_does_not,
    test_a_source_lists_what_runs_and_forgets_what_is_gone,
    test_a_source_that_answers_is_known_to_be_there,
    test_it_is_known_how_long_events_took_until_they_were_in_force,
    test_one_that_falls_ill_is_out,
    test_the_timeline_tells_what_becomes_of_a_container,
    test_what_starts_and_goes_is_in_and_out,
    until,
    watched,
)
from tests.integration.containers import IMAGE
from tests.integration.dockerds import Dockerd, running
from tests.integration.gateway import wait_until
from tests.unit.containers import seen

# The contract itself: these are collected here too, with the world below.
__all__ = [
    "test_a_container_that_joins_a_network_is_looked_at_again",
    "test_a_list_tells_what_an_inspect_does_of_what_decisions_rest_on",
    "test_a_paused_container_is_out_until_it_goes_on",
    "test_a_signal_that_stops_takes_it_out_and_another_does_not",
    "test_a_source_lists_what_runs_and_forgets_what_is_gone",
    "test_a_source_that_answers_is_known_to_be_there",
    "test_it_is_known_how_long_events_took_until_they_were_in_force",
    "test_one_that_falls_ill_is_out",
    "test_the_timeline_tells_what_becomes_of_a_container",
    "test_what_starts_and_goes_is_in_and_out",
    "watched",
]

pytestmark = [pytest.mark.docker, pytest.mark.daemons, pytest.mark.slow]

LACKING: Final = {
    test_a_list_tells_what_an_inspect_does_of_what_decisions_rest_on: "Swarm ends a task that is unhealthy",
    test_a_paused_container_is_out_until_it_goes_on: "a task whose container is paused is said to run",
    test_a_signal_that_stops_takes_it_out_and_another_does_not: "tasks are called by their slots",
    test_a_container_that_joins_a_network_is_looked_at_again: "a task has the networks of its service",
    test_the_timeline_tells_what_becomes_of_a_container: "a task whose container is paused is said to run",
}
"""What a Swarm's manager does not tell."""

WITHIN_S: Final = 30.0
IN_HOST_MODE: Final[Any] = {"Mode": "vip", "Ports": [{"TargetPort": 8000, "PublishMode": "host"}]}
NO_CHECK: Final = Healthcheck(test=["NONE"])
WELL_UNLESS_ILL: Final = Healthcheck(
    test=["CMD", "python3", "-c", "import os; os._exit(os.path.exists('/tmp/ill'))"],
    interval=300_000_000,
    start_period=1_000_000,
    retries=1,
)
NEVER_WELL: Final = Healthcheck(test=["CMD", "no"], interval=300_000_000, start_period=60_000_000_000)


class SwarmWorld(PastTheSource):
    """Each of its containers is the task of a service of its own."""

    health_within_s = 5.0

    def __init__(self, dockerd: Dockerd, client: Any) -> None:
        super().__init__(client)
        self.source: ContainerSource = SwarmSource(Daemon(dockerd.host), own_id="")
        self._dockerd = dockerd

    def create(self, name: str, *, replicas: int = 1, **more: Any) -> Any:
        return self._client.services.create(
            IMAGE,
            name=f"{name}-{self.label[:8]}",
            labels={"rgate-test": self.label},
            mode=ServiceMode("replicated", replicas),
            **{"endpoint_spec": IN_HOST_MODE} | {"healthcheck": Healthcheck(test=["NONE"])} | more,
        )

    def tasks(self, service: Any) -> list[str]:
        """Return the containers of the tasks that run, once all do that are to."""
        deadline_s = time.monotonic() + WITHIN_S
        while True:
            service.reload()
            found = [task for task in service.tasks() if task["DesiredState"] == "running"]
            ready = [task for task in found if task["Status"]["State"] == "running"]
            if len(found) == len(ready) == service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"]:
                return [task["Status"]["ContainerStatus"]["ContainerID"] for task in ready]
            assert time.monotonic() < deadline_s, f"so far {found}"
            threading.Event().wait(0.05)

    def command(self, *words: str) -> None:
        """Run `docker service …`: unlike the SDK, it changes what it is told to, and nothing else."""
        command = ["docker", "--host", self._dockerd.host, "service", *words]
        subprocess.run(command, check=True, capture_output=True)

    def run(self, name: str, *, with_check: bool = False) -> str:
        check = WELL_UNLESS_ILL if with_check else NO_CHECK
        return self.tasks(self.create(name, healthcheck=check))[0]

    def join_network(self, container_id: str) -> None:
        self._client.networks.get("more").connect(container_id)

    def remove(self, container_id: str) -> None:
        labels = self._container(container_id).labels
        self._client.services.get(labels["com.docker.swarm.service.id"]).remove()

    def end(self) -> None:
        """Remove all. Tasks of a service that is gone end by themselves; a paused one never does."""
        filters = {"label": f"rgate-test={self.label}"}
        for service in self._client.services.list(filters=filters):
            tasks = self._client.containers.list(
                all=True, filters={"label": f"com.docker.swarm.service.id={service.id}"}
            )
            service.remove()
            for container in tasks:
                with contextlib.suppress(NotFound):  # Swarm was quicker
                    container.remove(force=True)
        self.source.close()


@pytest.fixture(scope="module")
def manager() -> Iterator[tuple[Dockerd, Any]]:
    with running() as dockerd, dockerd.client() as client:
        client.swarm.init(advertise_addr=dockerd.address)
        client.networks.create("shop", driver="overlay", attachable=True)
        client.networks.create("more")
        yield dockerd, client


@pytest.fixture
def world(request: pytest.FixtureRequest, manager: tuple[Dockerd, Any]) -> Iterator[SwarmWorld]:
    if (why := LACKING.get(request.function)) is not None:
        request.applymarker(pytest.mark.xfail(reason=why, strict=True))
    made = SwarmWorld(*manager)
    try:
        yield made
    finally:
        made.end()


def reachable(dockerd: Dockerd, world: SwarmWorld, backend: Backend) -> list[str]:
    """Return the name of who answers at each candidate, where the manager's host is that of *dockerd*."""
    containers = [found.container for found in world.source.containers() if found.container is not None]
    found = view_of(backend, seen(containers, HostView(dockerd.address))).candidates
    for one in found:
        wait_until(partial(answers, f"http://{one.address}/"), bool, within_s=WITHIN_S)
    return [one.name for one in found]


def answers(url: str) -> bool:
    """Whether somebody does, as who runs may not listen yet."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


@pytest.mark.clause("12.swarm.host", "12.swarm.name")
def test_tasks_answer_at_their_ports_in_host_mode(world: SwarmWorld, manager: tuple[Dockerd, Any]) -> None:
    service = world.create("web", replicas=2)
    world.tasks(service)
    backend = Backend("b", match_labels=(("rgate-test", world.label),))
    expected = [f"{service.name}.1", f"{service.name}.2"]
    assert sorted(reachable(manager[0], world, backend)) == expected


@pytest.mark.clause("12.swarm.overlay", "12.swarm.never")
def test_a_task_answers_at_its_address_on_an_overlay_that_rgate_is_on(
    world: SwarmWorld, manager: tuple[Dockerd, Any]
) -> None:
    dockerd, client = manager
    service = world.create("web", networks=[NetworkAttachmentConfig("shop")], endpoint_spec=None)
    world.tasks(service)
    gateway = client.containers.run(IMAGE, detach=True, network="shop", labels={"rgate-test": "gateway"})
    try:
        source = SwarmSource(Daemon(dockerd.host), own_id=gateway.id[:12])
        containers = [found.container for found in source.containers() if found.container is not None]
        backend = Backend("b", match_labels=(("rgate-test", world.label),), port=8000)
        view = view_of(backend, seen(containers, HostView("", own_networks(gateway.id, containers))))
        (candidate,) = view.candidates
        assert candidate.address.host.startswith("10.0.")
        code = f"import urllib.request as u; print(u.urlopen('http://{candidate.address}/').status)"
        assert gateway.exec_run(["python3", "-c", code]).output.strip() == b"200"
        assert view_of(backend, seen(containers, HostView())).candidates == ()
        source.close()
    finally:
        gateway.remove(force=True)


@pytest.mark.clause("12.swarm.events", "12.swarm.running")
def test_tasks_come_and_go_as_a_service_is_scaled_and_are_out_before_they_are_told_to_stop(
    world: SwarmWorld, watched: Watched, manager: tuple[Dockerd, Any]
) -> None:
    service = world.create("web")
    watched.wait(lambda: watched.names() == ["web"])
    world.command("scale", "--detach", f"{service.name}=3")
    watched.wait(lambda: watched.names() == ["web"] * 3)
    world.command("scale", "--detach", f"{service.name}=1")
    watched.wait(lambda: watched.names() == ["web"])
    (kept,) = watched.registry.views["b"].candidates
    running_yet = manager[1].containers.list(filters={"label": f"com.docker.swarm.service.id={service.id}"})
    assert len(running_yet) == 3
    assert kept.container_id in {container.id for container in running_yet}


@pytest.mark.clause("12.swarm.events")
def test_a_rolling_update_leaves_no_moment_without_a_task(world: SwarmWorld, watched: Watched) -> None:
    service = world.create("web", replicas=2)
    watched.wait(lambda: len(watched.names()) == 2)
    before = set(world.tasks(service))
    gaps: list[object] = []
    watched.registry.subscribe(lambda views: None if views["b"].candidates else gaps.append(views["b"]))
    world.command("update", "--detach", "--force", "--update-order", "start-first", service.name)
    watched.wait(lambda: len(watched.names()) == 2 and not before & candidates(watched), WITHIN_S)
    assert gaps == []


def candidates(watched: Watched) -> set[str]:
    return {one.container_id for one in watched.registry.views["b"].candidates}


@pytest.mark.clause("12.swarm.running")
def test_tasks_on_a_node_that_is_drained_are_out(
    world: SwarmWorld, watched: Watched, manager: tuple[Dockerd, Any]
) -> None:
    world.run("one")
    watched.wait(lambda: watched.names() == ["one"])
    (node,) = manager[1].nodes.list()
    spec = node.attrs["Spec"]
    try:
        node.update({**spec, "Availability": "drain"})
        watched.wait(lambda: watched.names() == [])
    finally:
        node.reload()
        node.update({**spec, "Availability": "active"})
    watched.wait(lambda: watched.names() == ["one"], WITHIN_S)


@pytest.mark.clause("12.swarm.starting")
def test_a_task_that_never_gets_healthy_is_none_that_runs(world: SwarmWorld, watched: Watched) -> None:
    world.create("ill", healthcheck=NEVER_WELL)
    watched.wait(lambda: bool(watched.registry.views["b"].containers))
    (one,) = watched.registry.views["b"].containers
    assert one.left_out is LeftOut.NOT_RUNNING
    assert "docker service ps ill-" in one.detail


@pytest.mark.clause("12.swarm.no_manager")
def test_a_daemon_that_is_no_manager_is_told_of() -> None:
    with running() as dockerd:
        source = SwarmSource(Daemon(dockerd.host), own_id="")
        for ask in (source.containers, source.subscribe, lambda: source.container("x")):
            with pytest.raises(SourceError, match="is no manager of a Swarm: name one, or make it one by"):
                ask()
        source.close()


# Of a connection that is refused, the SDK leaves the socket to the collector.
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.clause("12.swarm.events")
def test_while_the_manager_is_away_what_is_known_stays_and_what_is_new_is_found(
    world: SwarmWorld, watched: Watched, manager: tuple[Dockerd, Any]
) -> None:
    before = world.run("one")
    watched.wait(lambda: candidates(watched) == {before})
    manager[0].kill()
    until(watched, Connection.AWAY, within_s=WITHIN_S)
    assert candidates(watched) == {before}
    manager[0].start()
    watched.wait(lambda: watched.names() == ["one"] and candidates(watched) != {before}, WITHIN_S)
