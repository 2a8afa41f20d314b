"""Decisions that would rest on a label whose value a recording does not hold (behaviour 9)."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from rgate.core.address import PORT_LABEL
from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Backend
from rgate.core.containers import Container
from rgate.core.escape import in_one_line
from rgate.core.seen import Seen, asked_of, called, union
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
    backends: Iterable[Backend], sources: Sequence[Seen], left_out: Mapping[str, LeftOutKeys]
) -> dict[str, LeftOutLabel]:
    """Return, by the names of *backends*, why it cannot be told where the requests of some may go.

    *left_out*: by the name of the source.
    """
    reasons = ((backend.name, _doubt(backend, sources, left_out)) for backend in backends)
    return {name: doubt for name, doubt in reasons if doubt is not None}


def _doubt(
    backend: Backend, every: Sequence[Seen], left_out: Mapping[str, LeftOutKeys]
) -> LeftOutLabel | None:
    """Return why *backend* has not one outcome, whatever the values were that are left out; None: it has.

    It is enough to try the values of all containers at once, and then of each alone: what a container adds to
    an outcome (an address, or a reason why there is none) is in it unless another adds something better, and
    that is in it then whatever the first one's values are.
    """
    asked_for = {key for key, _ in backend.match_labels} | {PORT_LABEL}
    asked = asked_of(every, backend.sources)
    hidden = {
        (seen.source, identity): keys
        for seen in asked
        for identity, keys in left_out.get(seen.source, {}).items()
    }
    if all(asked_for.isdisjoint(keys) for keys in hidden.values()):
        return None
    sources = _concerned(backend, asked, hidden)
    unsure = {
        (seen.source, container.id): _variants(container, backend, keys, others)
        for seen, others in ((seen, {one.id: one for one in seen.containers or ()}) for seen in sources)
        for container in others.values()
        if (keys := asked_for & hidden.get((seen.source, container.id), frozenset()))
    }

    def outcome(numbers: Mapping[str, int]) -> tuple[object, ...]:
        view = view_of(backend, [_tried(seen, unsure, numbers) for seen in sources])
        return (view.reason, *view.candidates)

    most = max((len(one.labels) for one in unsure.values()), default=1)
    first = outcome({}) if most > 1 else ()
    everywhere = {identity for _, identity in unsure}
    if all(outcome(dict.fromkeys(everywhere, number)) == first for number in range(1, most)):
        return None
    for name, identity, own in sorted(
        (
            (container.name if len(every) == 1 else called(seen.source, container.name), container.id, own)
            for seen in sources
            for container in seen.containers or ()
            if (own := unsure.get((seen.source, container.id))) is not None
        ),
        key=lambda one: one[:2],
    ):
        outcomes = [outcome({identity: number}) for number in range(len(own.labels))]
        if any(other != first for other in outcomes):
            return LeftOutLabel(backend.name, name, own.that_count(outcomes))
    raise AssertionError("what all do together, one of them does alone")


def _tried(seen: Seen, unsure: Mapping[tuple[str, str], "_Variants"], numbers: Mapping[str, int]) -> Seen:
    """Return *seen* with those labels that *numbers* says, by the container's id; else the first ones."""
    containers = []
    for container in seen.containers or ():
        own = unsure.get((seen.source, container.id))
        if own is not None:
            labels = own.labels[numbers.get(container.id, 0) % len(own.labels)]
            container = replace(container, labels=labels)
        containers.append(container)
    return replace(seen, containers=tuple(containers))


def _concerned(
    backend: Backend, sources: Sequence[Seen], hidden: Mapping[tuple[str, str], frozenset[str]]
) -> tuple[Seen, ...]:
    """Return *sources* with those alone that may have all labels of *backend*, and those whose networks they
    share.
    """
    unknown: dict[str, set[str]] = {}
    for (_, identity), keys in hidden.items():
        unknown.setdefault(identity, set()).update(keys)
    ids = set()
    for one in union(sources):
        may = unknown.get(one.container.id, set())
        if all(key in may or one.container.labels.get(key) == value for key, value in backend.match_labels):
            ids |= {one.container.id, one.container.network_mode.removeprefix("container:")}
    return tuple(
        replace(seen, containers=tuple(one for one in seen.containers if one.id in ids))
        if seen.containers is not None
        else seen
        for seen in sources
    )


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
