"""A Docker Swarm, by one of its managers: the JSON of services, tasks and nodes (Docker Engine API,
ServiceList, TaskList and NodeList). What they come to is decided in core/swarm.py.

It only reads, and asks for nothing but version, services, tasks, nodes and events; and, where it may, for
which node is the manager's own (/info), and for rgate's own container, whose networks count.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from rgate.core.containers import Attachment, Details, Event, Listed
from rgate.core.swarm import Looking, Node, Port, Service, Swarm, Task, changes, containers_of
from rgate.discovery.daemon import Daemon, which_daemon
from rgate.discovery.docker_client import CALL_TIMEOUT_S, LIST_TIMEOUT_S, DockerClients, MakeClient, Messages
from rgate.discovery.docker_errors import NOT_UNDERSTOOD
from rgate.discovery.docker_source import event_of, inspected, labels_of, signal_number
from rgate.discovery.own_container import own_container_id
from rgate.discovery.source import SourceError

_FILTERS: Final = {
    "type": ["service", "node", "container"],
    "event": ["create", "update", "remove", "start", "health_status", "kill", "die"],
}
_TASK_LABEL: Final = "com.docker.swarm.task.id"
# What Docker tells of a task's container itself, on the manager's own node only, sooner than of the task.
_BELIEVED: Final = ("kill", "die")

_Look = Callable[[], tuple[Details, ...]]
_T = TypeVar("_T")


class SwarmSource:
    """Implements `ContainerSource`. Making one never fails; the manager is first met by a call.

    *own_id*: the id of the container that rgate runs in, or its beginning; "" for none; None: find it out.
    """

    def __init__(
        self, daemon: Daemon | None = None, make: MakeClient | None = None, *, own_id: str | None = None
    ) -> None:
        self._docker = DockerClients(daemon or which_daemon(), make)
        self._own_id = own_container_id() if own_id is None else own_id
        self._own_node: str | None = None  # None: not asked for yet
        self._own: tuple[Details, ...] = ()  # rgate's container, where it is no task
        self._shared = _Shared(self._look)

    def ping(self) -> str:
        """Return the daemon's version."""
        with self._docker.foreign_errors():
            return self._docker.asked_version()

    def subscribe(self) -> "_SwarmEvents":
        """Return what happens from now on. Raises SourceError, as where the daemon is no manager."""
        swarm = self._swarm()
        with self._docker.foreign_errors():
            return _SwarmEvents(self._docker, self._docker.messages(_FILTERS), self._swarm, swarm)

    def containers(self) -> tuple[Listed, ...]:
        """Return the containers of all tasks, and services that Swarm balances for."""
        found = containers_of(self._swarm(LIST_TIMEOUT_S))
        self._own = self._asked_own(found)
        return tuple(Listed(one.container.id, one.container, one) for one in (*found, *self._own))

    def container(self, container_id: str) -> Details | None:
        """Return what is known now of one of them; None where there is none."""
        found = (*self._shared.look(), *self._own)
        return next((one for one in found if one.container.id == container_id), None)

    def close(self) -> None:
        """Let go of the connections; the next call makes new ones."""
        self._own_node = None
        self._docker.close()

    def _look(self) -> tuple[Details, ...]:
        return containers_of(self._swarm(CALL_TIMEOUT_S))

    def _swarm(self, timeout_s: int = CALL_TIMEOUT_S) -> Swarm:
        """Ask for all; tasks first, so that the services and nodes of each are in what comes behind."""
        with self._docker.foreign_errors(timeout_s):
            api = self._docker.api(timeout_s)
            tasks = _made(_task, api.tasks())
            services = {service.id: service for service in _made(_service, api.services())}
            nodes = {node.id: node for node in _made(_node, api.nodes())}
        return Swarm(services, tasks, nodes, self._asked_own_node(), bool(self._own_id))

    def _asked_own_node(self) -> str:
        """Return the node that the daemon is; "" where it does not say, as behind a proxy that forbids it."""
        if self._own_node is None:
            self._own_node = ""
            with contextlib.suppress(SourceError), self._docker.foreign_errors():
                told = self._docker.api(CALL_TIMEOUT_S).info()
                self._own_node = str((told.get("Swarm") or {}).get("NodeID") or "")
        return self._own_node

    def _asked_own(self, found: Iterable[Details]) -> tuple[Details, ...]:
        """Return rgate's own container, whose networks are its own, where it is none of those *found*."""
        if not self._own_id or any(one.container.id.startswith(self._own_id) for one in found):
            return ()
        with contextlib.suppress(SourceError):
            own = inspected(self._docker, self._own_id)
            return (own,) if own is not None else ()
        return ()


class _Shared:
    """One look at a time: who asks while one is under way waits for the next, and shares it with others."""

    def __init__(self, look: _Look) -> None:
        self._look = look
        self._lock = threading.Lock()  # protects the next
        self._next: Future[tuple[Details, ...]] | None = None
        self._looking = threading.Lock()  # held by who looks

    def look(self) -> tuple[Details, ...]:
        """Return what there is; it was asked for after this was called. Raises SourceError."""
        with self._lock:
            is_first = self._next is None
            found = self._next = self._next or Future()
        if is_first:
            with self._looking:
                with self._lock:
                    self._next = None
                try:
                    found.set_result(self._look())
                except BaseException as error:
                    found.set_exception(error)
        return found.result()


class _SwarmEvents:
    """Implements `EventStream`. Follows the daemon's events in a thread of its own, and asks for tasks when
    those, or time, say so. *before*: what there was, with which the first look is compared.
    """

    def __init__(
        self, docker: DockerClients, messages: Messages, swarm: Callable[[], Swarm], before: Swarm
    ) -> None:
        self._docker = docker
        self._messages = messages
        self._swarm = swarm
        self._heard: queue.SimpleQueue[Mapping[str, Any] | SourceError | None] = queue.SimpleQueue()
        self._seen = containers_of(before)

    def __iter__(self) -> Iterator[Event]:
        threading.Thread(target=self._follow, name="rgate-swarm-events", daemon=True).start()
        looking = Looking(time.monotonic())
        while True:
            for message in self._messages_until(looking.next_s):
                if isinstance(message, SourceError):
                    raise message
                if message is None:
                    return
                if _tells_of_tasks(message):
                    looking.heard(time.monotonic())
                    yield from self._of_container(message)
            if time.monotonic() >= looking.next_s:
                swarm = self._swarm()
                seen, self._seen = self._seen, containers_of(swarm)
                looking.looked(time.monotonic(), is_settled=swarm.is_settled)
                yield from changes(seen, self._seen)

    def close(self) -> None:
        self._heard.put(None)
        self._messages.close()

    def _messages_until(self, until_s: float) -> list[Mapping[str, Any] | SourceError | None]:
        """Return what was heard as soon as something was; nothing at that time."""
        heard = []
        with contextlib.suppress(queue.Empty):
            heard.append(self._heard.get(timeout=max(until_s - time.monotonic(), 0.0)))
            while True:
                heard.append(self._heard.get_nowait())
        return heard

    def _follow(self) -> None:
        try:
            with self._docker.foreign_errors():
                for message in self._messages:
                    self._heard.put(message)
            self._heard.put(None)
        except SourceError as error:
            self._heard.put(error)

    def _of_container(self, message: Mapping[str, Any]) -> Iterator[Event]:
        if message.get("Type") == "container":
            event = event_of(message, is_of_this_machine=self._docker.is_of_this_machine)
            if event is not None and event.action in _BELIEVED:
                yield event


def _tells_of_tasks(message: Mapping[str, Any]) -> bool:
    """Whether it is of a service, a node, or the container of a task."""
    attributes = (message.get("Actor") or {}).get("Attributes") or {}
    return message.get("Type") in ("service", "node") or _TASK_LABEL in attributes


def _made(make: Callable[[Mapping[str, Any]], _T], rows: Iterable[Mapping[str, Any]]) -> tuple[_T, ...]:
    """Return what is made of *rows*. One that is not understood hides no other."""
    made = []
    for row in rows:
        with contextlib.suppress(*NOT_UNDERSTOOD, ValueError):
            made.append(make(row))
    return tuple(made)


def _service(row: Mapping[str, Any]) -> Service:
    spec = row["Spec"]
    mode = spec.get("Mode") or {}
    status = (row.get("UpdateStatus") or {}).get("State")
    return Service(
        row["ID"],
        spec["Name"],
        labels_of(spec.get("Labels")),
        labels_of(_container_spec(spec.get("TaskTemplate")).get("Labels")),
        _ports((row.get("Endpoint") or {}).get("Ports")),
        int(mode["Replicated"].get("Replicas") or 0) if mode.get("Replicated") is not None else None,
        is_updating=status in ("updating", "rollback_started"),
    )


def _node(row: Mapping[str, Any]) -> Node:
    """Return a node. A manager may see its own, or another, at no address of a machine (moby#35437)."""
    status, manager = row.get("Status") or {}, row.get("ManagerStatus") or {}
    address = status.get("Addr") or ""
    if address in ("", "0.0.0.0", "127.0.0.1"):  # noqa: S104 - read, never listened on
        address = str(manager.get("Addr") or address).rpartition(":")[0].strip("[]") or address
    return Node(row["ID"], address, is_ready=status.get("State") == "ready")


def _task(row: Mapping[str, Any]) -> Task:
    spec, status = _container_spec(row.get("Spec")), row.get("Status") or {}
    networks = [attached for attached in row.get("NetworksAttachments") or () if attached.get("Network")]
    grace_ns = spec.get("StopGracePeriod")
    check: Sequence[str] = (spec.get("Healthcheck") or {}).get("Test") or ()
    return Task(
        id=row["ID"],
        service_id=row["ServiceID"],
        node_id=row.get("NodeID") or "",
        slot=int(row.get("Slot") or 0),
        state=status["State"],
        desired=row["DesiredState"],
        container_id=(status.get("ContainerStatus") or {}).get("ContainerID") or "",
        labels=labels_of(spec.get("Labels")),
        ports=_ports((status.get("PortStatus") or {}).get("Ports")),
        attachments=tuple(
            sorted(map(_attachment, filter(_may_reach, networks)), key=lambda one: one.network)
        ),
        is_on_hosts_network=any(map(_is_hosts, networks)),
        has_check=bool(check) and check[0] != "NONE",
        stop_signal=signal_number(spec.get("StopSignal") or "SIGTERM") or signal_number("SIGTERM"),
        stop_timeout_s=grace_ns / 1e9 if grace_ns is not None else 10.0,
        made=str(row.get("CreatedAt") or "").rstrip("Z"),
    )


def _container_spec(spec: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (spec or {}).get("ContainerSpec") or {}


def _ports(found: Iterable[Mapping[str, Any]] | None) -> tuple[Port, ...]:
    return tuple(
        Port(int(port["TargetPort"]), int(port.get("PublishedPort") or 0), port.get("PublishMode") == "host")
        for port in found or ()
        if port.get("Protocol", "tcp") == "tcp"
    )


def _may_reach(attached: Mapping[str, Any]) -> bool:
    """Whether containers may reach each other there: not on ingress, whatever its name, nor the host's."""
    return not attached["Network"]["Spec"].get("Ingress") and not _is_hosts(attached)


def _is_hosts(attached: Mapping[str, Any]) -> bool:
    return bool((attached["Network"].get("DriverState") or {}).get("Name") == "host")


def _attachment(attached: Mapping[str, Any]) -> Attachment:
    network = attached["Network"]
    addresses: Sequence[str] = attached.get("Addresses") or ("",)
    return Attachment(network["Spec"]["Name"], network["ID"], addresses[0].partition("/")[0])
