"""The port to whoever knows the containers. Owned by discovery; Docker, a Swarm and a fake implement it."""

from collections.abc import Iterator
from typing import Protocol

from rgate.core.containers import Details, Event, Listed


class SourceError(Exception):
    """The source did not answer. It says nothing of containers: never read as "there are none"."""


class EventStream(Protocol):
    """Events from the moment it was made. Iterating ends or raises SourceError when it breaks."""

    def __iter__(self) -> Iterator[Event]:
        """Yield events as they come; blocks."""

    def close(self) -> None:
        """End the iteration, from any thread."""


class ContainerSource(Protocol):
    """Reads containers, and changes nothing. Every call has a time limit; all raise SourceError.

    One thread iterates the events while others list, inspect and ping, any of them at once.
    """

    def ping(self) -> str:
        """Return the version of who answers."""

    def subscribe(self) -> EventStream:
        """Return the events from a moment before this call on."""

    def containers(self) -> tuple[Listed, ...]:
        """Return all containers, those that do not run too, by as few requests as can be."""

    def container(self, container_id: str) -> Details | None:
        """Inspect one container; None where there is none of that id."""

    def close(self) -> None:
        """Break off what is under way."""
