"""What recorded answers of Docker mean. ORIGIN.md says where they come from."""

import json
from pathlib import Path
from typing import Any

import pytest

from rgate.core.address import HostView, NoAddress, address_of
from rgate.core.config import Backend
from rgate.core.containers import Container, Details, Health, State
from rgate.discovery.docker_source import DockerSource

HERE = Path(__file__).parent
BACKEND = Backend("b", match_labels=(("x", "y"),))


class _Api:
    """Docker's low-level client, with one recorded answer."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.api = self
        self._found = found

    def version(self, **_: bool) -> dict[str, str]:
        return {"Version": "20.10", "ApiVersion": "1.41"}

    def containers(self, **_: bool) -> list[dict[str, Any]]:
        return [self._found]

    def inspect_container(self, container_id: str) -> dict[str, Any]:
        assert container_id == self._found["Id"]
        return self._found


def details_of(name: str, **state: Any) -> Details:
    found = json.loads((HERE / f"{name}.json").read_text())
    found["State"] |= state
    details = DockerSource(make=lambda *_: _Api(found)).container(found["Id"])  # type: ignore[arg-type]  # a stand-in
    assert details is not None
    return details


def container_of(name: str, **state: Any) -> Container:
    return details_of(name, **state).container


def test_ports_and_networks_are_sorted_and_a_port_in_two_families_is_there_twice() -> None:
    found = container_of("several_networks_and_ports")
    assert [(port.container_port, port.host_ip) for port in found.published] == [
        (8000, "127.0.0.1"),
        (9000, "0.0.0.0"),
        (9000, "::"),
    ]
    assert [attachment.network[:6] for attachment in found.attachments] == ["bridge", "rgate-"]
    assert all(attachment.ip and attachment.network_id for attachment in found.attachments)
    answer = address_of(found, Backend("b", port=9000), HostView())
    assert not isinstance(answer, NoAddress)
    assert (answer.address.host, answer.address.port) == ("127.0.0.1", found.published[1].host_port)
    assert isinstance(address_of(found, BACKEND, HostView()), NoAddress)


def test_without_published_ports_the_containers_own_address_serves() -> None:
    found = container_of("no_ports")
    assert (found.published, found.exposed) == ((), (8000,))
    answer = address_of(found, BACKEND, HostView())
    assert not isinstance(answer, NoAddress)
    assert (answer.address.host, answer.address.port) == (found.attachments[0].ip, 8000)


def test_on_the_hosts_network_the_port_is_loopbacks() -> None:
    answer = address_of(container_of("host_network"), BACKEND, HostView())
    assert not isinstance(answer, NoAddress)
    assert (answer.address.host, answer.address.port) == ("127.0.0.1", 8000)


def test_without_a_network_there_is_no_address() -> None:
    assert isinstance(address_of(container_of("no_network"), BACKEND, HostView()), NoAddress)


def test_a_shared_network_has_its_owners_address() -> None:
    shared, owner = container_of("shared_network"), container_of("several_networks_and_ports")
    answer = address_of(shared, BACKEND, HostView(), {owner.id: owner})
    assert not isinstance(answer, NoAddress)
    assert (answer.address.host, answer.address.port) == ("127.0.0.1", owner.published[0].host_port)
    assert isinstance(address_of(shared, BACKEND, HostView(), {}), NoAddress)


@pytest.mark.parametrize(
    ("name", "state", "health"),
    [
        ("no_ports", State.RUNNING, Health.NONE),
        ("health_starting", State.RUNNING, Health.STARTING),
        ("paused", State.PAUSED, Health.NONE),
        ("stopped", State.EXITED, Health.NONE),
    ],
)
def test_states_and_health_are_told_apart(name: str, state: State, health: Health) -> None:
    found = container_of(name)
    assert (found.state, found.health) == (state, health)


@pytest.mark.parametrize("status", ["healthy", "unhealthy"])
def test_each_health_is_known(status: str) -> None:
    assert container_of("health_starting", Health={"Status": status}).health is Health(status)


def test_a_restart_by_policy_is_no_running_container() -> None:
    assert container_of("no_ports", Status="restarting", Restarting=True).state is State.RESTARTING


def test_a_containers_own_stop_signal_and_timeout_are_known() -> None:
    assert (details_of("paused").stop_signal, details_of("paused").stop_timeout_s) == (3, 3)
    assert (details_of("stopped").stop_signal, details_of("stopped").stop_timeout_s) == (15, 10)


def listed(name: str) -> Container:
    found = json.loads((HERE / f"{name}.json").read_text())
    (row,) = DockerSource(make=lambda *_: _Api(found)).containers()  # type: ignore[arg-type]  # a stand-in
    assert row.container is not None
    return row.container


def test_the_newest_list_and_inspect_tell_the_same() -> None:
    details = details_of("newest_inspect")
    assert listed("newest_row") == details.container
    assert (details.container.health, details.stop_signal, details.stop_timeout_s) == (Health.UNHEALTHY, 3, 3)
    answer = address_of(details.container, BACKEND, HostView())
    assert not isinstance(answer, NoAddress)
    assert str(answer.address) == "127.0.0.1:40002"


def test_a_name_that_no_docker_gives_steers_no_terminal() -> None:
    inspected = json.loads((HERE / "newest_inspect.json").read_text()) | {"Name": "/a\x1b[31m\x9b\u202e"}
    row = json.loads((HERE / "newest_row.json").read_text()) | {"Names": [inspected["Name"]]}
    for found in (inspected, row):
        source = DockerSource(make=lambda *_, found=found: _Api(found))  # type: ignore[arg-type]  # a stand-in
        one = source.container(found["Id"]) if found is inspected else source.containers()[0]
        assert one is not None
        assert one.container is not None
        assert one.container.name == "a\\x1b[31m\\x9b\\u202e"


def test_podmans_list_and_inspect_tell_the_same() -> None:
    details = details_of("podman_inspect")
    assert listed("podman_row") == details.container
    assert (details.container.health, details.stop_signal, details.stop_timeout_s) == (Health.NONE, 15, 0)
    answer = address_of(details.container, BACKEND, HostView())
    assert not isinstance(answer, NoAddress)
    assert str(answer.address) == "127.0.0.1:40001"


@pytest.mark.clause("12.swarm.never")
def test_a_swarms_task_is_asked_only_by_its_address_on_an_overlay_that_rgate_is_on() -> None:
    task = listed("swarm_task_row")
    ingress, shop = (attachment.network_id for attachment in task.attachments)
    answer = address_of(task, BACKEND, HostView(own_networks=frozenset({ingress, shop})))
    assert not isinstance(answer, NoAddress)
    assert str(answer.address) == "10.0.1.3:8000"
    for own in (None, frozenset({ingress})):
        assert isinstance(address_of(task, BACKEND, HostView(own_networks=own)), NoAddress)
