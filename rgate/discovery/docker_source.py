"""Docker, through its SDK. The only place that knows Docker's JSON; its exceptions: docker_errors.py.

It only reads: list, inspect, events, ping, info. Field names: Docker Engine API, ContainerInspect,
ContainerList and SystemEvents.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import docker
from docker.errors import NotFound

from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.discovery.docker_errors import FOREIGN, NOT_UNDERSTOOD, docker_host, sentence_for
from rgate.discovery.source import Details, Event, SourceError

# A daemon that is frozen accepts and never answers: no call may wait for it longer.
CALL_TIMEOUT_S: Final = 5
_CONTAINER_ACTIONS: Final = (
    "create", "destroy", "die", "health_status", "kill", "oom", "pause", "rename", "restart", "start", "stop",
    "unpause", "update",
)  # fmt: skip
_INSPECTED: Final = ("running", "paused", "restarting")
_NETWORK_ACTIONS: Final = ("connect", "disconnect")


def published_host(environment: Mapping[str, str] = os.environ) -> str:
    """Return the host on which Docker publishes ports: that of DOCKER_HOST; "" for this machine."""
    try:
        parts = urlsplit(environment.get("DOCKER_HOST", ""))
    except ValueError:  # it is no URL: nothing will answer there, and who asks is told so
        return ""
    local = parts.scheme not in ("tcp", "http", "https", "ssh") or parts.hostname in (
        "localhost",
        "127.0.0.1",
        "::1",
    )
    return "" if local else parts.hostname or ""


def own_container_id() -> str:
    """Return the id of the container that rgate runs in, as Docker sets it for a host name; "" for none."""
    return socket.gethostname() if os.path.exists("/.dockerenv") else ""


class DockerSource:
    """Implements `ContainerSource`. Making one never fails; the daemon is first met by a call."""

    def __init__(self, make_client: Callable[[], docker.DockerClient] | None = None) -> None:
        self._make_client = make_client or (lambda: docker.from_env(version="auto", timeout=CALL_TIMEOUT_S))
        self._client: docker.DockerClient | None = None

    def _api(self) -> Any:
        """Return the SDK's low-level client, made when first needed: making it asks the daemon."""
        if self._client is None:
            self._client = self._make_client()
        return self._client.api

    def ping(self) -> str:
        """Return the daemon's version."""
        with _foreign_errors():
            return str(self._api().version()["Version"])

    def subscribe(self) -> "_DockerEvents":
        """Return the events since this call, by the daemon's clock."""
        with _foreign_errors():
            since = _seconds(self._api().info()["SystemTime"])
            return _DockerEvents(self._make_client(), since)

    def containers(self) -> tuple[Details, ...]:
        """Return all containers. Those that are up are inspected, as rows lack health and ports."""
        with _foreign_errors():
            found = [
                self.container(row["Id"]) if row["State"] in _INSPECTED else _of_row(row)
                for row in self._api().containers(all=True)
            ]
        return tuple(details for details in found if details is not None)

    def container(self, container_id: str) -> Details | None:
        """Return one container; None where it is gone, as one that was listed a moment ago may be."""
        try:
            with _foreign_errors():
                return _of_inspect(self._api().inspect_container(container_id))
        except SourceError as error:
            if isinstance(error.__cause__, NotFound):
                return None
            raise

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones, and negotiates anew."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*FOREIGN):
                client.close()


class _DockerEvents:
    """Implements `EventStream`. The request is made by iterating, as it may block till the first event."""

    def __init__(self, client: docker.DockerClient, since: str) -> None:
        self._client: Any = client  # the SDK's types know no fractions of seconds
        self._since = since
        self._stream: Any = None

    def __iter__(self) -> Iterator[Event]:
        filters = {"type": ["container", "network"], "event": [*_CONTAINER_ACTIONS, *_NETWORK_ACTIONS]}
        with _foreign_errors():
            self._stream = self._client.api.events(since=self._since, filters=filters, decode=True)
            is_of_this_machine = not published_host()
            for message in self._stream:
                if event := _event(message):
                    yield event if is_of_this_machine else replace(event, at_s=None)

    def close(self) -> None:
        with contextlib.suppress(*FOREIGN, AttributeError):
            if self._stream is not None:
                self._stream.close()
        with contextlib.suppress(*FOREIGN):
            self._client.close()


@contextlib.contextmanager
def _foreign_errors() -> Iterator[None]:
    """Turn what the SDK and the libraries below it raise into SourceError, with a sentence for people."""
    try:
        yield
    except (*FOREIGN, *NOT_UNDERSTOOD) as error:
        raise SourceError(sentence_for(error, docker_host(), CALL_TIMEOUT_S)) from error


def _seconds(rfc3339: str) -> str:
    """Return a time as `seconds.nanoseconds`: the SDK would cut a datetime to whole seconds."""
    moment, _, rest = rfc3339.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] or ("Z" if not rest else "")
    whole = datetime.fromisoformat((moment.removesuffix("Z") + zone.replace("Z", "+00:00")) or moment)
    return f"{int(whole.timestamp())}.{digits.ljust(9, '0')[:9]}"


def _event(message: Mapping[str, Any]) -> Event | None:
    attributes = message.get("Actor", {}).get("Attributes", {}) or {}
    action = str(message.get("Action", "")).partition(":")[0].strip()
    if message.get("Type") == "network":
        container_id = attributes.get("container", "")
    else:
        container_id = message.get("Actor", {}).get("ID", "")
    if not container_id:
        return None
    at_ns = message.get("timeNano")
    at_s = at_ns / 1e9 if isinstance(at_ns, int) else None
    return Event(container_id, action, signal_number(attributes.get("signal", "")), at_s)


def signal_number(name: str) -> int:
    """Return the number of a signal by number or name, with or without SIG; 0 for none known."""
    text = name.strip().upper()
    if text.isascii() and text.isdigit():
        return int(text)
    known = signal.Signals.__members__
    found = known.get(text) or known.get(f"SIG{text}")
    return int(found) if found is not None else 0


def _of_row(row: Mapping[str, Any]) -> Details:
    """Return a container that does not run, from its row of ContainerList."""
    name = next((name for name in row.get("Names") or () if name.count("/") == 1), row["Id"][:12])
    return Details(Container(row["Id"], name.lstrip("/"), _labels(row.get("Labels")), _state(row["State"])))


def _of_inspect(found: Mapping[str, Any]) -> Details:
    config, state, network = found["Config"], found["State"], found["NetworkSettings"]
    container = Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        labels=_labels(config.get("Labels")),
        state=_state("paused" if state.get("Paused") else state["Status"]),
        health=_health((state.get("Health") or {}).get("Status", "none")),
        published=_published(network.get("Ports") or {}),
        exposed=_tcp_ports(config.get("ExposedPorts") or {}),
        attachments=_attachments(network.get("Networks") or {}),
        network_mode=found.get("HostConfig", {}).get("NetworkMode", ""),
    )
    stop_signal = signal_number(config.get("StopSignal") or "SIGTERM") or int(signal.SIGTERM)
    timeout_s = config.get("StopTimeout")
    return Details(container, stop_signal, float(timeout_s if timeout_s is not None else 10))


def _labels(found: Mapping[str, Any] | None) -> dict[str, str]:
    """Return labels as they were *found*. Raises TypeError where a value is no text."""
    labels = dict(found or {})
    if not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("a label's value is no text")
    return labels


def _state(status: str) -> State:
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
    bindings = [
        PublishedPort(
            int(port.partition("/")[0]), binding.get("HostIp", ""), int(binding.get("HostPort") or 0)
        )
        for port, found in ports.items()
        if port.endswith("/tcp")
        for binding in found or ()
    ]
    return tuple(
        sorted(bindings, key=lambda binding: (binding.container_port, binding.host_ip, binding.host_port))
    )


def _attachments(networks: Mapping[str, Any]) -> tuple[Attachment, ...]:
    found = [
        Attachment(
            name,
            network.get("NetworkID", ""),
            network.get("IPAddress") or network.get("GlobalIPv6Address") or "",
        )
        for name, network in networks.items()
    ]
    return tuple(sorted(found, key=lambda attachment: attachment.network))
