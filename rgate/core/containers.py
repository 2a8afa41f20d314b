"""What rgate knows of Docker: one flat, frozen value for each container.

`discovery/docker_source.py` is the only place that makes these out of Docker's JSON; everything above
this line knows containers by these names only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


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
    revision: int = field(default=0, compare=False)  # grows with each change that Docker reports
