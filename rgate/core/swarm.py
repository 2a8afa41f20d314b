"""What services, tasks and nodes of a Swarm come to: containers, and when to ask for them (behaviour 12).

    Swarm(services, tasks, nodes, …)   what a manager told at one moment; discovery/swarm_source.py reads it
    containers_of(swarm)               the tasks' containers, and services for which Swarm balances
    changes(before, after)             what happened to them in between, as events: tasks send none
    Looking                            when to ask next

How a container is reached is decided with all others, in core/address.py; which of a service and its tasks
may be used, in core/selection.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from rgate.core.containers import (
    SERVICE_LABEL,
    Attachment,
    Container,
    Details,
    Event,
    Health,
    PublishedPort,
    State,
)

FIRST_PAUSE_S: Final = 0.1
"""So soon after an event tasks are asked for once more, then after twice that, and so on."""

UNSETTLED_PAUSE_S: Final = 1.0
SETTLED_PAUSE_S: Final = 2.0
"""A task that ends by itself on another node tells nobody."""

_HAVE_ONE: Final = ("starting", "running")
"""The states in which a task has a container that may answer (Docker: how services work, task states)."""

_ENDED: Final = ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")
_TO_END: Final = ("shutdown", "remove")
"""What is desired of a task that is to be stopped. A job's is desired to complete from the beginning."""


@dataclass(frozen=True, slots=True)
class Port:
    """A tcp port. *published*: 0 while it is published nowhere. *is_host*: in host mode, on the task's own
    node; else on every node, and Swarm balances behind it.
    """

    target: int
    published: int
    is_host: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A service. *replicas*: how many tasks are to run, None where that is one on each fit node."""

    id: str
    name: str
    labels: Mapping[str, str]
    container_labels: Mapping[str, str]  # of the tasks that are made now
    ports: tuple[Port, ...] = ()
    replicas: int | None = None
    is_updating: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node. *address*: the one that its manager sees."""

    id: str
    address: str
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Task:
    """A task. *state* and *desired*: Docker's words. *ports*: those published in host mode, once they are.

    *slot*: 0 where there is one on each node. *made*: orders the tasks of a slot.
    """

    id: str
    service_id: str
    node_id: str
    slot: int
    state: str
    desired: str
    container_id: str = ""  # "" before it has one
    labels: Mapping[str, str] = field(default_factory=dict)  # of its container
    ports: tuple[Port, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    is_on_hosts_network: bool = False
    has_check: bool = False
    stop_signal: int = 15
    stop_timeout_s: float = 10.0
    made: str = ""

    @property
    def is_up(self) -> bool:
        """Whether it has a container that may answer."""
        return self.state in _HAVE_ONE and bool(self.container_id)

    @property
    def is_ending(self) -> bool:
        """Whether Swarm wants it to end: seconds before its container hears of that."""
        return self.desired in _TO_END

    @property
    def place(self) -> tuple[str, int | str]:
        """What it fills: a slot of its service, or a node."""
        return self.service_id, self.slot or self.node_id


@dataclass(frozen=True, slots=True)
class Swarm:
    """What a manager told at one moment. *own_node*: that of the daemon asked, "" where it does not say.

    *is_inside*: whether rgate runs in a container, whose loopback is no node's.
    """

    services: Mapping[str, Service]
    tasks: tuple[Task, ...]
    nodes: Mapping[str, Node]
    own_node: str = ""
    is_inside: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether each service is as it should be, and nothing is on its way."""
        running = dict.fromkeys(self.services, 0)
        for task in self.tasks:
            if task.state not in _ENDED and (task.state, task.desired) != ("running", "running"):
                return False
            if task.service_id in running and task.state == "running":
                running[task.service_id] += 1
        return not any(
            service.is_updating or service.replicas not in (None, running[service.id])
            for service in self.services.values()
        )


def containers_of(swarm: Swarm) -> tuple[Details, ...]:
    """Return the containers of tasks that are up, the last one of each place where none is, and each service
    that Swarm balances for and that has a task that serves.
    """
    found = [_of_task(task, swarm) for task in _shown(swarm.tasks) if task.service_id in swarm.services]
    serving = {
        task.service_id for task in swarm.tasks if _serves(task, swarm) and task.service_id in swarm.services
    }
    machine = _balancing_machine(swarm)
    if machine is not None:
        found += [
            Details(_of_service(swarm.services[identity], machine))
            for identity in sorted(serving)
            if any(not port.is_host and port.published for port in swarm.services[identity].ports)
        ]
    return tuple(found)


def _shown(tasks: Iterable[Task]) -> Iterator[Task]:
    """Yield tasks that are up, and the last that ended where nothing is in its place: Swarm keeps more."""
    ended: dict[tuple[str, int | str], Task] = {}
    filled = {task.place for task in tasks if task.state not in _ENDED}
    for task in sorted(tasks, key=lambda one: (one.made, one.id)):
        if task.is_up:
            yield task
        elif task.container_id and task.place not in filled:
            ended[task.place] = task
    yield from ended.values()


def _of_task(task: Task, swarm: Swarm) -> Details:
    service = swarm.services[task.service_id]
    name = f"{service.name}.{task.slot or task.node_id}"
    published = [PublishedPort(port.target, "", port.published) for port in task.ports]
    told = {port.container_port for port in published}
    published += [PublishedPort(port.target, "", 0) for port in service.ports if port.target not in told]
    made_by_swarm = {
        SERVICE_LABEL: service.id,
        "com.docker.swarm.service.name": service.name,
        "com.docker.swarm.task.id": task.id,
        "com.docker.swarm.task.name": f"{name}.{task.id}",
        "com.docker.swarm.node.id": task.node_id,
    }
    container = Container(
        id=task.container_id,
        name=name,
        labels={**service.labels, **task.labels, **made_by_swarm},
        state=_state(task, swarm),
        health=_health(task),
        stopping=task.is_up and task.is_ending,
        published=_in_order(published),
        exposed=_targets(service),
        attachments=task.attachments,
        network_mode="host" if task.is_on_hosts_network else "",
        machine=_machine(swarm.nodes.get(task.node_id), swarm),
    )
    return Details(container, task.stop_signal, task.stop_timeout_s)


def _of_service(service: Service, machine: str) -> Container:
    return Container(
        id=service.id,
        name=service.name,
        labels={
            **service.labels,
            **service.container_labels,
            SERVICE_LABEL: service.id,
            "com.docker.swarm.service.name": service.name,
        },
        state=State.RUNNING,
        published=_in_order(
            PublishedPort(port.target, "", 0 if port.is_host else port.published) for port in service.ports
        ),
        exposed=_targets(service),
        network_mode="",
        machine=machine,
    )


def _targets(service: Service) -> tuple[int, ...]:
    return tuple(sorted({port.target for port in service.ports}))


def _in_order(ports: Iterable[PublishedPort]) -> tuple[PublishedPort, ...]:
    return tuple(sorted(set(ports), key=lambda port: (port.container_port, port.host_port)))


def _state(task: Task, swarm: Swarm) -> State:
    if not task.is_up:
        return State.EXITED
    if not _is_ready(task.node_id, swarm):
        return State.DEAD
    service = swarm.services[task.service_id]
    if task.state == "starting" and not task.ports and any(port.is_host for port in service.ports):
        return State.CREATED  # nobody knows yet where it will be
    return State.RUNNING


def _health(task: Task) -> Health:
    """Return what the task's state says: with a check it runs once that succeeds, and ends where it fails."""
    if task.state == "starting":
        return Health.STARTING
    return Health.HEALTHY if task.has_check and task.state == "running" else Health.NONE


def _serves(task: Task, swarm: Swarm) -> bool:
    return task.is_up and task.state == "running" and not task.is_ending and _is_ready(task.node_id, swarm)


def _is_ready(node_id: str, swarm: Swarm) -> bool:
    node = swarm.nodes.get(node_id)
    return node is not None and node.is_ready


def _machine(node: Node | None, swarm: Swarm) -> str:
    """Return the host of *node*; "" where it is that of the daemon which is asked.

    A node that advertises nothing better is at the daemon's host, or at no place that is known.
    """
    if node is None:
        return ""
    is_own = node.id == swarm.own_node and not swarm.is_inside
    return "" if is_own or not _is_of_a_machine(node.address) else node.address


def _is_of_a_machine(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return bool(address)
    return not (found.is_loopback or found.is_unspecified)


def _balancing_machine(swarm: Swarm) -> str | None:
    """Return the host of a ready node, the daemon's own before others; None where none is."""
    ready = sorted(
        (node for node in swarm.nodes.values() if node.is_ready),
        key=lambda node: (node.id != swarm.own_node, node.id),
    )
    return _machine(ready[0], swarm) if ready else None


def changes(before: Sequence[Details], after: Sequence[Details]) -> Iterator[Event]:
    """Yield what happened between two moments: one that came starts, one that is gone is destroyed, one that
    ran and does not has died; what else there is, is to be asked for.
    """
    old = {one.container.id: one for one in before}
    new = {one.container.id: one for one in after}
    for identity in old.keys() - new.keys():
        yield Event(identity, "destroy")
    for identity, one in new.items():
        was = old.get(identity)
        if was is None:
            yield Event(identity, "start")
        elif was != one:
            ended = was.container.state is State.RUNNING and one.container.state is not State.RUNNING
            yield Event(identity, "die" if ended else "update")


class Looking:
    """When tasks are asked for: at once after an event, soon again and less and less often, then each second
    while a service is not as it should be, and each two. Times are seconds of a steady clock.
    """

    def __init__(self, now_s: float) -> None:
        self.next_s = now_s
        self._looked_s = now_s - FIRST_PAUSE_S
        self._pause_s = FIRST_PAUSE_S

    def heard(self, now_s: float) -> None:
        """Take that something happened to a service, a node or a container."""
        self._pause_s = FIRST_PAUSE_S
        self.next_s = min(self.next_s, max(now_s, self._looked_s + FIRST_PAUSE_S))

    def looked(self, now_s: float, *, is_settled: bool) -> None:
        """Take that tasks were asked for, and whether all is as it should be."""
        steady_s = SETTLED_PAUSE_S if is_settled else UNSETTLED_PAUSE_S
        self._looked_s = now_s
        self.next_s = now_s + (self._pause_s if self._pause_s < UNSETTLED_PAUSE_S else steady_s)
        self._pause_s = min(2 * self._pause_s, UNSETTLED_PAUSE_S)
