"""A container that is not there yet, or not yet as it will be, among those that are (behaviour 9).

What is not known of it is assumed, and said: that it runs, is healthy, and has one port.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rgate.core.address import PORT_LABEL, port_in
from rgate.core.config import Backend
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State

_PORT: Final = 80
_ADDRESS: Final = "192.0.2.1"  # of nobody (RFC 5737); a plan shows names alone
_NETWORK: Final = "assumed"


@dataclass(frozen=True, slots=True)
class PlannedContainer:
    """A container that is to be started with *labels*, or started anew with these instead of its own."""

    name: str
    labels: Mapping[str, str]


def with_planned(
    containers: Iterable[Container], planned: PlannedContainer, backends: Iterable[Backend]
) -> tuple[Container, ...]:
    """Return *containers* with *planned* in the place of the one of its name, or added.

    It runs. The port that is assumed where none is known is that of the first of *backends* that asks for
    its labels and names one.
    """
    known = tuple(containers)
    if all(one.name != planned.name for one in known):
        known += (Container(f"planned:{planned.name}", planned.name, {}, State.CREATED),)
    return tuple(_started(one, planned, backends) if one.name == planned.name else one for one in known)


def assumed(containers: Iterable[Container], planned: PlannedContainer) -> str:
    """Return what is assumed of *planned*, as a sentence for people."""
    known = next((one for one in containers if one.name == planned.name), None)
    if known is None:
        return f"there is no {planned.name} yet: it is taken to run, healthy, and to have one port"
    if _is_known(known):
        return f"{planned.name} is there: it is taken to run, healthy, with the ports that it has"
    return f"{planned.name} does not run: it is taken to run, healthy, and to have one port"


def _is_known(container: Container) -> bool:
    """Whether its ports and addresses are known, as those of a container that is up are."""
    return container.state in (State.RUNNING, State.PAUSED)


def _started(container: Container, planned: PlannedContainer, backends: Iterable[Backend]) -> Container:
    labels = dict(planned.labels)
    health = Health.NONE if container.health is Health.NONE else Health.HEALTHY
    again = replace(container, labels=labels, state=State.RUNNING, health=health, stopping=False)
    if _is_known(container):
        return again
    port = _port(labels, backends)
    attachments = (Attachment(_NETWORK, "", _ADDRESS),)
    return replace(again, published=(PublishedPort(port, "", port),), attachments=attachments)


def _port(labels: Mapping[str, str], backends: Iterable[Backend]) -> int:
    if (port := port_in(labels.get(PORT_LABEL, ""))) is not None:
        return port
    asking = (backend for backend in backends if all(labels.get(k) == v for k, v in backend.match_labels))
    return next((backend.port for backend in asking if backend.match_labels and backend.port), _PORT)
