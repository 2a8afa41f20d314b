"""The port to whoever knows the containers. Owned by discovery; Docker and a fake implement it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from rgate.core.containers import Container


class SourceError(Exception):
    """The source did not answer. It says nothing of containers: never read as "there are none"."""


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


@dataclass(frozen=True, slots=True)
class Details:
    """A container as it is, and what tells a stop from another signal."""

    container: Container
    stop_signal: int = 15
    stop_timeout_s: float = 10.0


class EventStream(Protocol):
    """Events from the moment it was made. Iterating ends or raises SourceError when it breaks."""

    def __iter__(self) -> Iterator[Event]:
        """Yield events as they come; blocks."""

    def close(self) -> None:
        """End the iteration, from any thread."""


class ContainerSource(Protocol):
    """Reads containers, and changes nothing. Every call has a time limit; all raise SourceError.

    One thread iterates the events while another lists and inspects.
    """

    def ping(self) -> str:
        """Return the version of who answers."""

    def subscribe(self) -> EventStream:
        """Return the events from a moment before this call on."""

    def containers(self) -> tuple[Details, ...]:
        """Return all containers, those that do not run too."""

    def container(self, container_id: str) -> Details | None:
        """Return one container; None where there is none of that id."""

    def close(self) -> None:
        """Break off what is under way."""
