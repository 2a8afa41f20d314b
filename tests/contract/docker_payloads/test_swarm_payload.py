"""What a Swarm's manager said, as it was recorded, and what of that may be missing, odd or forbidden."""

import contextlib
import copy
import json
import queue
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from rgate.core.address import HostView, own_networks
from rgate.core.config import Backend
from rgate.core.containers import Container, Details, Event, Health, State
from rgate.core.selection import view_of
from rgate.discovery.source import SourceError
from rgate.discovery.swarm_source import SwarmSource
from tests.unit.containers import seen

RECORDED = json.loads((Path(__file__).parent / "swarm.json").read_text())
INSPECTED = json.loads((Path(__file__).parent / "no_ports.json").read_text())
NODE = RECORDED["nodes"][0]["Status"]["Addr"]
LISTS = ("tasks", "services", "nodes")


class Refusal:
    """What the SDK reads of a response that is none of 2xx."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.reason = ""
        self.url = ""
        self.text = ""


class Manager:
    """Docker's low-level client, with what was recorded. *refused*: what is, by status and text."""

    def __init__(self) -> None:
        self.api = self
        self.found = copy.deepcopy(RECORDED)
        self.refused: dict[str, tuple[int, str]] = {}
        self.hooks: dict[str, Any] = {}
        self.inspected: dict[str, Any] = {}
        self.messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def _answer(self, name: str) -> Any:
        if name in self.refused:
            status, text = self.refused[name]
            raise APIError("refused", Refusal(status), text)  # type: ignore[arg-type]  # a stand-in
        return copy.deepcopy(self.found[name])

    def version(self, **_: bool) -> Any:
        return self._answer("version")

    def info(self) -> Any:
        return self._answer("info")

    def tasks(self) -> Any:
        return self._answer("tasks")

    def services(self) -> Any:
        return self._answer("services")

    def nodes(self) -> Any:
        return self._answer("nodes")

    def inspect_container(self, container_id: str) -> Any:
        if container_id not in self.inspected:
            raise NotFound("no such container")
        return self.inspected[container_id]

    def events(self, **_: Any) -> Iterator[bytes]:
        return (json.dumps(message).encode() for message in iter(self.messages.get, None))

    def close(self) -> None:
        self.messages.put(None)


@pytest.fixture
def manager() -> Manager:
    return Manager()


def source_of(manager: Manager, own_id: str = "") -> SwarmSource:
    return SwarmSource(make=lambda *_: manager, own_id=own_id)  # type: ignore[arg-type]  # a stand-in


def containers(manager: Manager, own_id: str = "") -> dict[str, Container]:
    """What is listed, by the beginning of its name; it is told by an inspect too."""
    source = source_of(manager, own_id)
    listed = source.containers()
    assert [source.container(one.id) for one in listed] == [one.details for one in listed]
    return {one.container.name: one.container for one in listed if one.container is not None}


def addresses(manager: Manager, label: str, host: HostView | None = None, own_id: str = "") -> list[str]:
    backend = Backend("b", match_labels=(("com.docker.swarm.service.name", label),), port=8000)
    found = view_of(backend, seen(containers(manager, own_id).values(), host or HostView()))
    return [f"{one.name} {one.address}" for one in found.candidates]


def test_tasks_and_services_are_called_as_docker_calls_them(manager: Manager) -> None:
    node = RECORDED["nodes"][0]["ID"]
    assert sorted(containers(manager)) == [
        "rec-ended.1",
        f"rec-global.{node}",
        "rec-host.1",
        "rec-host.2",
        "rec-ingress",
        "rec-ingress.1",
        "rec-ingress.2",
    ]


@pytest.mark.clause("12.swarm.labels")
def test_labels_of_both_are_there_and_the_containers_win(manager: Manager) -> None:
    found = containers(manager)["rec-host.1"]
    assert (found.labels["app"], found.labels["tier"]) == ("host", "container")


def test_states_health_and_how_a_task_is_stopped_are_told_apart(manager: Manager) -> None:
    source = source_of(manager)
    details = {
        one.container.name.partition(".")[0]: one.details for one in source.containers() if one.container
    }

    def of(name: str) -> tuple[State, Health, int, float]:
        one = details[name]
        assert isinstance(one, Details)
        return one.container.state, one.container.health, one.stop_signal, one.stop_timeout_s

    assert of("rec-host") == (State.RUNNING, Health.NONE, 3, 3.0)
    assert of("rec-global") == (State.RUNNING, Health.STARTING, 15, 10.0)
    assert of("rec-ended")[0] is State.EXITED


@pytest.mark.clause("12.swarm.host")
def test_a_port_in_host_mode_is_at_this_machine_where_the_manager_is_its_own_and_else_at_its_node(
    manager: Manager,
) -> None:
    assert addresses(manager, "rec-host") == ["rec-host.1 127.0.0.1:32775", "rec-host.2 127.0.0.1:32776"]
    manager.refused["info"] = 403, "Forbidden"
    expected = [f"rec-host.1 {NODE}:32775", f"rec-host.2 {NODE}:32776"]
    assert addresses(manager, "rec-host") == expected
    manager.found["nodes"][0]["Status"]["Addr"] = "0.0.0.0"
    assert addresses(manager, "rec-host") == expected  # by its address as a manager


@pytest.mark.clause("12.swarm.ingress")
def test_a_port_on_ingress_is_the_services(manager: Manager) -> None:
    assert addresses(manager, "rec-ingress") == ["rec-ingress 127.0.0.1:8080"]
    assert addresses(manager, "rec-ingress", HostView("198.51.100.1")) == ["rec-ingress 198.51.100.1:8080"]


@pytest.mark.clause("12.swarm.host")
def test_on_the_hosts_network_the_port_is_the_nodes(manager: Manager) -> None:
    assert [one.partition(" ")[2] for one in addresses(manager, "rec-global")] == ["127.0.0.1:8000"]


@pytest.mark.clause("12.swarm.overlay", "12.swarm.never")
def test_the_networks_of_rgates_own_container_are_asked_for_where_it_is_no_task(manager: Manager) -> None:
    shop = next(
        attached["Network"]["ID"]
        for one in RECORDED["tasks"]
        for attached in one.get("NetworksAttachments", ())
        if attached["Network"]["Spec"]["Name"] == "shop"
    )
    own = copy.deepcopy(INSPECTED)
    own["NetworkSettings"]["Networks"] = {"shop": {"NetworkID": shop, "IPAddress": "10.0.1.99"}}
    manager.inspected = {own["Id"][:12]: own}
    found = containers(manager, own["Id"][:12])
    networks = own_networks(own["Id"][:12], found.values())
    assert networks == frozenset({shop})
    expected = ["rec-host.1 10.0.1.12:8000", "rec-host.2 10.0.1.13:8000"]
    assert addresses(manager, "rec-host", HostView("", networks), own["Id"][:12]) == expected


@pytest.mark.clause("12.swarm.never")
def test_an_address_on_ingress_is_none_whatever_that_is_called(manager: Manager) -> None:
    for task in manager.found["tasks"]:
        for attached in task.get("NetworksAttachments", ()):
            if attached["Network"]["Spec"].get("Ingress"):
                attached["Network"]["Spec"]["Name"] = "mine"
    assert all(one.attachments == () for name, one in containers(manager).items() if "ingress" in name)


def _without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda row: row.pop(key, None) and None


ODD: list[Callable[[dict[str, Any]], object]] = [
    _without("ServiceID"),
    _without("Status"),
    lambda row: row.update(Spec=None),
    lambda row: row.update(NetworksAttachments=None),
    lambda row: row["Status"].update(ContainerStatus=None),
    lambda row: row["Status"].update(PortStatus=None),
    lambda row: row["Status"].update(State=None),
    lambda row: row["Spec"]["ContainerSpec"].update(Labels={"a": 1}),
    lambda row: row["Spec"]["ContainerSpec"].update(Healthcheck={"Test": None}),
    lambda row: row.update(Slot="x"),
]


@pytest.mark.parametrize("spoil", ODD)
def test_a_task_that_is_not_as_expected_hides_no_other(
    manager: Manager, spoil: Callable[[dict[str, Any]], object]
) -> None:
    first = containers(manager)["rec-host.1"].id
    for row in manager.found["tasks"]:
        if row["Status"].get("ContainerStatus", {}).get("ContainerID") == first:
            spoil(row)
    assert {"rec-host.2", "rec-ingress", "rec-ended.1"} <= containers(manager).keys()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("answer", [None, 1, [None], [{}], {"message": "no"}])
def test_what_is_no_answer_of_a_managers_is_told_or_hides_nothing(
    manager: Manager, name: str, answer: object
) -> None:
    manager.found[name] = answer
    with suppress_not_understood():
        assert isinstance(source_of(manager).containers(), tuple)


@contextlib.contextmanager
def suppress_not_understood() -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        if "is not understood: check its version" not in str(error):
            raise


@pytest.mark.clause("12.swarm.no_manager")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.",
            "is no manager of a Swarm: name one, or make it one by `docker swarm init`",
        ),
        (
            "Swarm is encrypted and needs to be unlocked before it can be used.",
            "has its Swarm locked: `docker swarm unlock` opens it",
        ),
        (
            "The swarm does not have a leader. It's possible that too few managers are online.",
            "is of a Swarm without a leader: see that more than half of its managers run",
        ),
    ],
)
def test_who_is_no_manager_is_told_of_with_what_to_do(manager: Manager, text: str, told: str) -> None:
    manager.refused = dict.fromkeys(LISTS, (503, text))
    for ask in (source_of(manager).containers, source_of(manager).subscribe):
        with pytest.raises(SourceError) as raised:
            ask()
        assert str(raised.value).endswith(told)


def message(kind: str, action: str, identity: str = "x", **attributes: str) -> dict[str, Any]:
    return {"Type": kind, "Action": action, "Actor": {"ID": identity, "Attributes": attributes}}


@pytest.mark.clause("12.swarm.events")
@pytest.mark.parametrize(
    "told",
    [
        message("service", "update"),
        message("node", "update"),
        message("container", "die", **{"com.docker.swarm.task.id": "t"}),
    ],
)
def test_tasks_are_asked_for_after_each_event(manager: Manager, told: dict[str, Any]) -> None:
    stream = source_of(manager).subscribe()
    first = containers(manager)["rec-host.1"]
    task = next(
        one
        for one in manager.found["tasks"]
        if one["Status"].get("ContainerStatus", {}).get("ContainerID") == first.id
    )
    task["DesiredState"] = "remove"
    manager.messages.put(told)
    events = list(islice(stream, 2 if told["Type"] == "container" else 1))
    assert events[-1] == Event(first.id, "update")
    stream.close()


@pytest.mark.clause("12.swarm.events")
def test_that_a_container_here_is_told_to_stop_is_heard_at_once_and_others_are_none_of_ours(
    manager: Manager,
) -> None:
    stream = source_of(manager).subscribe()
    manager.messages.put(message("container", "kill", "other", signal="15"))
    manager.messages.put(message("container", "kill", "c1", signal="15", **{"com.docker.swarm.task.id": "t"}))
    assert next(iter(stream)) == Event("c1", "kill", 15)
    stream.close()


def test_a_stream_that_breaks_or_is_closed_ends(manager: Manager) -> None:
    stream = source_of(manager).subscribe()
    manager.messages.put(None)
    assert list(stream) == []
    other = source_of(manager).subscribe()
    other.close()
    assert list(other) == []
    broken = source_of(manager).subscribe()
    manager.refused["tasks"] = 500, "no"
    manager.messages.put(message("service", "update"))
    with pytest.raises(SourceError):
        list(broken)
