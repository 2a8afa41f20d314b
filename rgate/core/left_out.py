"""Decisions that would rest on a label whose value a recording does not hold (behaviour 9)."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from rgate.core.address import PORT_LABEL, HostView
from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Backend
from rgate.core.containers import Container
from rgate.core.escape import in_one_line
from rgate.core.selection import view_of

LeftOutKeys = Mapping[str, frozenset[str]]
"""The keys of labels without their values, by the container's id."""

PLACEHOLDER: Final = "<left out>"
"""What stands for a value that was left out, so that whoever reads of the label reads why."""


class LeftOutLabel(CannotTell):
    """What becomes of a backend's requests rests on a label that was left out of the recording."""

    def __init__(self, backend: str, container: str, keys: Iterable[str]) -> None:
        self.backend = backend
        self.container = container
        self.keys = tuple(sorted(keys))
        message = (
            f"what becomes of requests to the backend {backend} rests on a label of {container} that was "
            f"left out of the snapshot: record it again with `--keep-labels {' '.join(self.keys)}`"
        )
        super().__init__(in_one_line(message))


def doubts(
    backends: Iterable[Backend], containers: Iterable[Container], host: HostView, left_out: LeftOutKeys
) -> dict[str, LeftOutLabel]:
    """Return, by the names of *backends*, why it cannot be told where the requests of some may go."""
    found = tuple(containers)
    reasons = ((backend.name, _doubt(backend, found, host, left_out)) for backend in backends)
    return {name: doubt for name, doubt in reasons if doubt is not None}


def _doubt(
    backend: Backend, containers: tuple[Container, ...], host: HostView, left_out: LeftOutKeys
) -> LeftOutLabel | None:
    """Return why *backend* has not one outcome, whatever the values were that are left out; None: it has.

    It is enough to try the values of all containers at once, and then of each alone: what a container adds to
    an outcome (an address, or a reason why there is none) is in it unless another adds something better, and
    that is in it then whatever the first one's values are.
    """
    asked_for = {key for key, _ in backend.match_labels} | {PORT_LABEL}
    if all(asked_for.isdisjoint(keys) for keys in left_out.values()):
        return None
    containers = _concerned(backend, containers, left_out)
    by_id = {container.id: container for container in containers}
    unsure = {
        container.id: _variants(container, backend, keys, by_id)
        for container in containers
        if (keys := asked_for & left_out.get(container.id, frozenset()))
    }

    def outcome(numbers: Mapping[str, int]) -> tuple[object, ...]:
        tried = []
        for container in containers:
            if (own := unsure.get(container.id)) is not None:
                labels = own.labels[numbers.get(container.id, 0) % len(own.labels)]
                tried.append(replace(container, labels=labels))
            else:
                tried.append(container)
        view = view_of(backend, tried, host)
        return (view.reason, *view.candidates)

    most = max((len(one.labels) for one in unsure.values()), default=1)
    first = outcome({}) if most > 1 else ()
    if all(outcome(dict.fromkeys(unsure, number)) == first for number in range(1, most)):
        return None
    for container in sorted(containers, key=lambda one: (one.name, one.id)):
        if (own := unsure.get(container.id)) is not None:
            outcomes = [outcome({container.id: number}) for number in range(len(own.labels))]
            if any(other != first for other in outcomes):
                return LeftOutLabel(backend.name, container.name, own.that_count(outcomes))
    raise AssertionError("what all do together, one of them does alone")


def _concerned(
    backend: Backend, containers: tuple[Container, ...], left_out: LeftOutKeys
) -> tuple[Container, ...]:
    """Return those that may have all labels of *backend*, and those whose networks they share."""
    may_have_all = []
    for container in containers:
        keys = left_out.get(container.id, frozenset())
        if all(key in keys or container.labels.get(key) == value for key, value in backend.match_labels):
            may_have_all.append(container)
    ids = {container.id for container in may_have_all}
    ids |= {container.network_mode.removeprefix("container:") for container in may_have_all}
    return tuple(container for container in containers if container.id in ids)


@dataclass(frozen=True, slots=True)
class _Variants:
    """The labels that a container may have had, as far as they make a difference to a backend.

    The first *ports* of them are without the *wanted* keys, the others with them; each for every port that
    its label may name.
    """

    labels: tuple[Mapping[str, str], ...]
    wanted: frozenset[str] = frozenset()
    ports: int = 1

    def that_count(self, outcomes: Sequence[object]) -> frozenset[str]:
        """Return the keys that make a difference. *outcomes*: those of the labels; they are not all the same.

        The wanted ones do: without them the port is not asked for.
        """
        groups = outcomes[: self.ports], outcomes[self.ports :]
        port_counts = any(other != group[0] for group in groups for other in group)
        return self.wanted | ({PORT_LABEL} if port_counts else frozenset())


def _variants(
    container: Container, backend: Backend, keys: Set[str], others: Mapping[str, Container]
) -> _Variants:
    """Return the labels that *container* may have. *keys*: those left out that *backend* asks for."""
    kept = {key: value for key, value in container.labels.items() if key not in keys}
    wanted = {key: value for key, value in backend.match_labels if key in keys}
    matched = [kept, kept | wanted] if wanted else [kept]
    ports: list[dict[str, str]] = [{}]
    if PORT_LABEL in keys:
        owner = others.get(container.network_mode.removeprefix("container:"), container)
        known = {port for one in (container, owner) for port in _ports(one)}
        other = next(port for port in count(1) if port not in known)
        ports += [{PORT_LABEL: str(port)} for port in (*sorted(known), other)]
    labels = tuple({**having, **port} for having in matched for port in ports)
    return _Variants(labels, frozenset(wanted), len(ports))


def _ports(container: Container) -> set[int]:
    return {port.container_port for port in container.published} | {*container.exposed}
