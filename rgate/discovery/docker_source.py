"""Docker, through its SDK. The only place that knows Docker's JSON; its exceptions: docker_errors.py.

It only reads, and asks for nothing but version, containers (all, and one) and events. Field names: Docker
Engine API, ContainerList, ContainerInspect and SystemEvents; where Podman has others, that is said.
"""

import contextlib
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound
from docker.tls import TLSConfig

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
from rgate.discovery.daemon import Daemon, which_daemon
from rgate.discovery.deadlines import bound_calls
from rgate.discovery.docker_errors import FOREIGN, NOT_UNDERSTOOD, sentence_for, shown_host
from rgate.discovery.source import SourceError

# A daemon that is frozen accepts and never answers: no call may wait for it longer.
CALL_TIMEOUT_S: Final = 5
INSPECT_TIMEOUT_S: Final = 2
# A busy daemon may take that long for many containers; pings meanwhile tell whether it is there.
LIST_TIMEOUT_S: Final = 60

_ANY_VERSION: Final = "1.44"  # to ask for the version, no version of the API is named
_CONTAINER_ACTIONS: Final = (
    "create", "destroy", "die", "health_status", "kill", "oom", "pause", "rename", "restart", "start", "stop",
    "unpause", "update",
)  # fmt: skip
_PODMANS_ACTIONS: Final[Mapping[str, str]] = {"died": "die", "remove": "destroy", "cleanup": "cleanup"}
"""What Podman calls, or adds to, Docker's."""
_NETWORK_ACTIONS: Final = ("connect", "disconnect")
_ACTIONS: Final = frozenset({*_CONTAINER_ACTIONS, *_PODMANS_ACTIONS.values(), *_NETWORK_ACTIONS})
_HEALTH_IN_STATUS: Final = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


MakeClient = Callable[[int, str], docker.DockerClient]
"""Returns a client with a time limit for each of its calls, for a version of the API. It asks nothing."""


def make_client(daemon: Daemon, timeout_s: int, version: str) -> docker.DockerClient:
    """Return a client for *daemon*. Raises SourceError where there is none to ask.

    Variables that are meant for other programs have no part in it: bundles of certificates, proxies.
    """
    if daemon.problem:
        raise SourceError(daemon.problem)
    files = daemon.certificates
    own = (files.cert, files.key) if files is not None and files.cert else None
    tls = files and TLSConfig(client_cert=own, ca_cert=files.ca, verify=files.is_verified)
    client = docker.DockerClient(daemon.host, version, timeout_s, tls=tls or False)
    client.api.trust_env = False
    bound_calls(client.api)
    return client


class DockerSource:
    """Implements `ContainerSource`. Making one never fails; the daemon is first met by a call."""

    def __init__(self, daemon: Daemon | None = None, make: MakeClient | None = None) -> None:
        self._daemon = daemon or which_daemon()
        self._make = make or partial(make_client, self._daemon)
        self._lock = threading.Lock()  # protects all below
        self._clients: dict[int, Any] = {}  # by their time limit: the SDK has one for all calls of a client
        self._api_version = ""  # that of the daemon, once it was asked
        self._date = ""  # when it answered last, by its own clock

    def ping(self) -> str:
        """Return the daemon's version."""
        with self._foreign_errors():
            return self._asked_version()

    def answered_at(self) -> int | None:
        """Return when the daemon told its version, by its own clock (Unix seconds); None: it does not say."""
        return _unix_s(self._date)

    def subscribe(self) -> "_DockerEvents":
        """Return the events from a moment before this call on, by the daemon's clock."""
        with self._foreign_errors():
            self._negotiate()
            client = self._make(CALL_TIMEOUT_S, self._api_version)
            is_of_this_machine = not self._daemon.published_host
            return _DockerEvents(
                client, _unix_s(self._date), self._foreign_errors, is_of_this_machine=is_of_this_machine
            )

    def containers(self) -> tuple[Listed, ...]:
        """Return all containers, as far as their list tells of them."""
        with self._foreign_errors(LIST_TIMEOUT_S):
            return tuple(map(_listed, self._api(LIST_TIMEOUT_S).containers(all=True)))

    def container(self, container_id: str) -> Details | None:
        """Inspect one container; None where it is gone, as one that was listed a moment ago may be."""
        try:
            with self._foreign_errors(INSPECT_TIMEOUT_S):
                return _of_inspect(self._api(INSPECT_TIMEOUT_S).inspect_container(container_id))
        except SourceError as error:
            if isinstance(error.__cause__, NotFound):
                return None
            raise

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones, and asks for the version anew."""
        with self._lock:
            clients, self._clients, self._api_version = self._clients, {}, ""
        for client in clients.values():
            with contextlib.suppress(*FOREIGN):
                client.close()

    @contextlib.contextmanager
    def _foreign_errors(self, timeout_s: int = CALL_TIMEOUT_S) -> Iterator[None]:
        """Turn what the SDK and the libraries below it raise into SourceError, with a sentence for people."""
        try:
            yield
        except (*FOREIGN, *NOT_UNDERSTOOD) as error:
            daemon = self._daemon
            sentence = sentence_for(error, shown_host(daemon.host), timeout_s, daemon.said_by)
            raise SourceError(sentence) from error

    def _api(self, timeout_s: int) -> Any:
        """Return the SDK's low-level client for calls that may take so long."""
        self._negotiate()
        return self._client(timeout_s, self._api_version).api

    def _client(self, timeout_s: int, version: str) -> Any:
        with self._lock:
            known = self._clients.get(timeout_s)
        if known is not None:
            return known
        made = self._make(timeout_s, version)  # which may take its time, by SSH
        with self._lock:
            return self._clients.setdefault(timeout_s, made)

    def _negotiate(self) -> None:
        if not self._api_version:
            self._asked_version()

    def _asked_version(self) -> str:
        api = self._client(CALL_TIMEOUT_S, _ANY_VERSION).api
        # The one thing that the SDK keeps to itself: the time on the daemon's clock.
        api.hooks = {"response": [self._note_date]}
        told = api.version(api_version=False)
        self._api_version = str(told["ApiVersion"])
        return str(told["Version"])

    def _note_date(self, response: Any, **_: Any) -> None:
        self._date = response.headers.get("Date", "")


class _DockerEvents:
    """Implements `EventStream`. The request is made by iterating, as it may block till the first event."""

    def __init__(
        self,
        client: docker.DockerClient,
        since: int | None,
        foreign_errors: Callable[[], AbstractContextManager[None]],
        *,
        is_of_this_machine: bool,
    ) -> None:
        self._client: Any = client
        self._foreign_errors = foreign_errors
        self._is_of_this_machine = is_of_this_machine
        self._since = since
        self._stream: Any = None

    def __iter__(self) -> Iterator[Event]:
        actions = [*_CONTAINER_ACTIONS, *_PODMANS_ACTIONS, *_NETWORK_ACTIONS]
        filters = {"type": ["container", "network"], "event": actions}
        with self._foreign_errors():
            self._client.api.hooks = {"response": [not_refused]}
            self._stream = self._client.api.events(since=self._since, filters=filters, decode=True)
            for message in self._stream:
                if event := _event(message):
                    yield event if self._is_of_this_machine else replace(event, at_s=None)

    def close(self) -> None:
        with contextlib.suppress(*FOREIGN, AttributeError):
            if self._stream is not None:
                self._stream.close()
        with contextlib.suppress(*FOREIGN):
            self._client.close()


def not_refused(response: Any, **_: Any) -> None:
    """Raise APIError for a refusal, which the SDK would take for the end of the events."""
    if not response.ok:
        raise APIError("refused", response=response)


def _unix_s(date: str) -> int | None:
    """Return an HTTP date in Unix seconds; None where it is none: events are then those from now on."""
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except ValueError:
        return None


def _event(message: Mapping[str, Any]) -> Event | None:
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


def _listed(row: Mapping[str, Any]) -> Listed:
    """Return a container by its row in ContainerList. Raises KeyError or TypeError where it has no id."""
    identity = row["Id"]
    if not isinstance(identity, str):
        raise TypeError("an id is no text")
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
        name=name.lstrip("/"),
        labels=_labels(row.get("Labels")),
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
        name=(found.get("Name") or found["Id"][:12]).lstrip("/"),
        labels=_labels(config.get("Labels")),
        state=_state("paused" if state.get("Paused") else state["Status"]),
        health=_health((state.get("Health") or {}).get("Status") or "none"),
        published=_published(network.get("Ports") or {}),
        exposed=_tcp_ports(config.get("ExposedPorts") or {}),
        attachments=_attachments(network.get("Networks") or {}),
        network_mode=(found.get("HostConfig") or {}).get("NetworkMode") or "",
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
