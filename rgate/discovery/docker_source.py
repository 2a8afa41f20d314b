"""Docker: the JSON of containers and of what happens to them. Asked through docker_client.py.

It only reads, and asks for nothing but version, containers (all, and one) and events. Field names: Docker
Engine API, ContainerList, ContainerInspect and SystemEvents; where Podman has others, that is said.
"""

import logging
import math
import re
import signal
from collections.abc import Iterator, Mapping
from typing import Any, Final

from docker.errors import NotFound

from rgate.core.containers import (
    Attachment,
    Container,
    Details,
    Event,
    Health,
    Listed,
    PublishedPort,
    State,
)
from rgate.core.escape import in_one_line
from rgate.discovery.daemon import Daemon, which_daemon
from rgate.discovery.docker_client import (
    INSPECT_TIMEOUT_S,
    LIST_TIMEOUT_S,
    DockerClients,
    MakeClient,
    Messages,
)
from rgate.discovery.docker_errors import NOT_UNDERSTOOD
from rgate.discovery.source import SourceError

log = logging.getLogger("rgate.docker")

_CONTAINER_ACTIONS: Final = (
    "create", "destroy", "die", "health_status", "kill", "oom", "pause", "rename", "restart", "start", "stop",
    "unpause", "update",
)  # fmt: skip
_PODMANS_ACTIONS: Final[Mapping[str, str]] = {"died": "die", "remove": "destroy", "cleanup": "cleanup"}
"""What Podman calls, or adds to, Docker's."""
_NETWORK_ACTIONS: Final = ("connect", "disconnect")
_ACTIONS: Final = frozenset({*_CONTAINER_ACTIONS, *_PODMANS_ACTIONS.values(), *_NETWORK_ACTIONS})
_HEALTH_IN_STATUS: Final = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


class DockerSource:
    """Implements `ContainerSource`. Making one never fails; the daemon is first met by a call."""

    def __init__(self, daemon: Daemon | None = None, make: MakeClient | None = None) -> None:
        self._docker = DockerClients(daemon or which_daemon(), make)
        self._nameless = 0

    def ping(self) -> str:
        """Return the daemon's version."""
        with self._docker.foreign_errors():
            return self._docker.asked_version()

    def subscribe(self) -> "_DockerEvents":
        """Return the events from a moment before this call on, by the daemon's clock."""
        actions = [*_CONTAINER_ACTIONS, *_PODMANS_ACTIONS, *_NETWORK_ACTIONS]
        with self._docker.foreign_errors():
            messages = self._docker.messages({"type": ["container", "network"], "event": actions})
            return _DockerEvents(self._docker, messages)

    def containers(self) -> tuple[Listed, ...]:
        """Return all containers, as far as their list tells of them."""
        with self._docker.foreign_errors(LIST_TIMEOUT_S):
            rows = self._docker.api(LIST_TIMEOUT_S).containers(all=True)
            listed = [one for one in map(_listed, rows) if one is not None]
            if rows and not listed:
                raise TypeError("a list without an id is none of containers")
            self._tell_nameless(len(rows) - len(listed))
            return tuple(listed)

    def _tell_nameless(self, number: int) -> None:
        """Tell that so many rows name no container, where that has changed."""
        if number and number != self._nameless:
            log.warning("Docker lists what has no id, which is left out number=%d", number)
        self._nameless = number

    def container(self, container_id: str) -> Details | None:
        """Inspect one container; None where it is gone, as one that was listed a moment ago may be."""
        return inspected(self._docker, container_id)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones, and asks for the version anew."""
        self._docker.close()


def inspected(docker: DockerClients, container_id: str) -> Details | None:
    """Inspect one container; None where there is none of that id. Raises SourceError."""
    try:
        with docker.foreign_errors(INSPECT_TIMEOUT_S):
            return _of_inspect(docker.api(INSPECT_TIMEOUT_S).inspect_container(container_id))
    except SourceError as error:
        if isinstance(error.__cause__, NotFound):
            return None
        raise


class _DockerEvents:
    """Implements `EventStream`."""

    def __init__(self, docker: DockerClients, messages: Messages) -> None:
        self._docker = docker
        self._messages = messages

    def __iter__(self) -> Iterator[Event]:
        with self._docker.foreign_errors():
            for message in self._messages:
                if event := event_of(message, is_of_this_machine=self._docker.is_of_this_machine):
                    yield event

    def close(self) -> None:
        self._messages.close()


def event_of(message: Mapping[str, Any], *, is_of_this_machine: bool) -> Event | None:
    """Return what happened to a container, by a *message* of the daemon; None where it tells of none.

    *is_of_this_machine*: whether its time is of this machine's clock.
    """
    attributes = message.get("Actor", {}).get("Attributes", {}) or {}
    action = str(message.get("Action", "")).partition(":")[0].strip()
    action = _PODMANS_ACTIONS.get(action, action)
    if action not in _ACTIONS:  # not all that are asked to leave it out do so
        return None
    container_id = message.get("Actor", {}).get("ID", "")
    if message.get("Type") == "network":  # where Docker names the network, and Podman the container
        container_id = attributes.get("container") or container_id
    if not container_id:
        return None
    at_ns = message.get("timeNano")
    at_s = at_ns / 1e9 if is_of_this_machine and isinstance(at_ns, int) else None
    return Event(container_id, action, signal_number(attributes.get("signal", "")), at_s)


def signal_number(name: str) -> int:
    """Return the number of a signal by number or name, with or without SIG; 0 for none known."""
    text = name.strip().upper()
    if text.isascii() and text.isdigit():
        return int(text)
    known = signal.Signals.__members__
    found = known.get(text) or known.get(f"SIG{text}")
    return int(found) if found is not None else 0


def _listed(row: Any) -> Listed | None:
    """Return a container by its row in ContainerList; None where it has no id."""
    identity = row.get("Id") if isinstance(row, Mapping) else None
    if not isinstance(identity, str):
        return None
    try:
        return Listed(identity, _of_row(row))
    except (*NOT_UNDERSTOOD, ValueError):
        return Listed(identity, None)


def _of_row(row: Mapping[str, Any]) -> Container:
    """Return what a list tells: all but how it is stopped, and ports on the host's network."""
    name = next((name for name in row.get("Names") or () if name.count("/") < 2), row["Id"][:12])
    ports = [port for port in row.get("Ports") or () if port.get("Type") == "tcp"]
    bindings = {
        PublishedPort(int(port["PrivatePort"]), port.get("IP") or "", int(port["PublicPort"]))
        for port in ports
        if port.get("PublicPort")
    }
    return Container(
        id=row["Id"],
        name=in_one_line(name.lstrip("/")),
        labels=labels_of(row.get("Labels")),
        state=_state(row["State"]),
        health=_health_of_row(row),
        published=tuple(sorted(bindings, key=_port_order)),
        exposed=tuple(sorted({int(port["PrivatePort"]) for port in ports})),
        attachments=_attachments((row.get("NetworkSettings") or {}).get("Networks") or {}),
        network_mode=(row.get("HostConfig") or {}).get("NetworkMode") or "",
    )


def _health_of_row(row: Mapping[str, Any]) -> Health:
    """Return the health that a list tells: by itself since API 1.52, else in what it says of the status."""
    if isinstance(told := row.get("Health"), Mapping):
        return _health(told.get("Status") or "none")
    found = _HEALTH_IN_STATUS.search(row.get("Status") or "")
    return Health(found[1]) if found is not None else Health.NONE


def _of_inspect(found: Mapping[str, Any]) -> Details:
    config, state, network = found["Config"], found["State"], found.get("NetworkSettings") or {}
    container = Container(
        id=found["Id"],
        name=in_one_line((found.get("Name") or found["Id"][:12]).lstrip("/")),
        labels=labels_of(config.get("Labels")),
        state=_state("paused" if state.get("Paused") else state["Status"]),
        health=_health((state.get("Health") or {}).get("Status") or "none"),
        published=_published(network.get("Ports") or {}),
        exposed=_tcp_ports(config.get("ExposedPorts") or {}),
        attachments=_attachments(network.get("Networks") or {}),
        network_mode=(found.get("HostConfig") or {}).get("NetworkMode") or "",
    )
    stop_signal = signal_number(config.get("StopSignal") or "SIGTERM") or int(signal.SIGTERM)
    timeout_s = float(10 if (found_s := config.get("StopTimeout")) is None else found_s)
    return Details(container, stop_signal, timeout_s if timeout_s >= 0 else math.inf)  # -1: it is not killed


def labels_of(found: Mapping[str, Any] | None) -> dict[str, str]:
    """Return labels as they were *found*. Raises TypeError where a value is no text."""
    labels = dict(found or {})
    if not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("a label's value is no text")
    return labels


def _state(status: object) -> State:
    if not isinstance(status, str):
        raise TypeError("a state is no text")
    try:
        return State(status)
    except ValueError:
        return State.DEAD  # a state that is not known here is one that takes no requests


def _health(status: str) -> Health:
    try:
        return Health(status)
    except ValueError:
        return Health.NONE


def _tcp_ports(ports: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(sorted(int(port.partition("/")[0]) for port in ports if port.endswith("/tcp")))


def _published(ports: Mapping[str, Any]) -> tuple[PublishedPort, ...]:
    bindings = {
        PublishedPort(
            int(port.partition("/")[0]), binding.get("HostIp") or "", int(binding.get("HostPort") or 0)
        )
        for port, found in ports.items()
        if port.endswith("/tcp")
        for binding in found or ()
    }
    return tuple(sorted(bindings, key=_port_order))


def _port_order(binding: PublishedPort) -> tuple[int, str, int]:
    return binding.container_port, binding.host_ip, binding.host_port


def _attachments(networks: Mapping[str, Any]) -> tuple[Attachment, ...]:
    found = [
        Attachment(
            name,
            network.get("NetworkID") or "",
            network.get("IPAddress") or network.get("GlobalIPv6Address") or "",
        )
        for name, network in networks.items()
    ]
    return tuple(sorted(found, key=lambda attachment: attachment.network))
