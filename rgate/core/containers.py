"""What rgate knows of Docker: one flat, frozen value for each container.

`discovery/docker_source.py` makes these out of Docker's JSON, `core/swarm.py` out of what a Swarm's manager
tells; everything above this line knows containers by these names only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

SERVICE_LABEL: Final = "com.docker.swarm.service.id"
"""Docker's label of a Swarm's task that names its service; and ours of a service that Swarm balances for."""


class State(Enum):
    """Docker's `State.Status` (API: ContainerInspect)."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(Enum):
    """Docker's `State.Health.Status`; `NONE` is a container without a health check."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port binding: *container_port*/tcp is reachable at *host_ip*:*host_port*."""

    container_port: int
    host_ip: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """A network that a container is on, and its address there (`""` while it has none)."""

    network: str
    network_id: str
    ip: str


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Only tcp ports are kept. Tuples are sorted, as Docker's maps have no order."""

    id: str
    name: str  # without Docker's leading slash
    labels: Mapping[str, str]
    state: State
    health: Health = Health.NONE
    stopping: bool = False
    published: tuple[PublishedPort, ...] = ()
    exposed: tuple[int, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    network_mode: str = "bridge"  # as HostConfig.NetworkMode: "host", "none", "container:<id>", a network
    machine: str = ""  # the host that it is on, where that is another than its source's
    not_inspected: str = ""  # why Docker does not tell more of it; "" where it does, or need not
    was_inspected: bool = True  # before: what a list lacks is known of then
    revision: int = field(default=0, compare=False)  # grows with each change that Docker reports

    @property
    def service(self) -> str:
        """The id of the Swarm's service that it is of; "" where it is of none."""
        return self.labels.get(SERVICE_LABEL, "")

    @property
    def is_service(self) -> bool:
        """Whether it is that service itself, behind which Swarm balances."""
        return self.id == self.service


@dataclass(frozen=True, slots=True)
class Details:
    """A container as it is when inspected, and what tells a stop from another signal."""

    container: Container
    stop_signal: int = 15
    stop_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A container in a list. *container*: None where what the list says of it is not understood.

    *details*: what an inspect would tell, where the list tells as much.
    """

    id: str
    container: Container | None
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a container; what it is like now is to be asked for.

    *action* is Docker's word, without what follows a colon. *signal* is set for `kill`: a number. *at_s*:
    when that was, in Unix seconds of this machine's clock; None where the source has another.
    """

    container_id: str
    action: str
    signal: int = 0
    at_s: float | None = None
