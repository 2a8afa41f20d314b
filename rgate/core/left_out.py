"""Decisions that would rest on a label whose value a recording does not hold (behaviour 9)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Final

from rgate.core.address import PORT_LABEL, HostView
from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Backend
from rgate.core.containers import Container
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
        labels = ", ".join(self.keys)
        super().__init__(
            f"what becomes of requests to the backend {backend} rests on a label of {container} that was "
            f"left out of the snapshot ({labels}): record it again with `--keep-labels {' '.join(self.keys)}`"
        )


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
    variants = {
        container.id: _variants(container, backend, left_out.get(container.id, frozenset()))
        for container in containers
    }

    def outcome(numbers: Mapping[str, int]) -> tuple[object, ...]:
        tried = []
        for container in containers:
            own = variants[container.id]
            tried.append(replace(container, labels=own[numbers.get(container.id, 0) % len(own)]))
        view = view_of(backend, tried, host)
        return (view.reason, *view.candidates)

    most = max(map(len, variants.values()), default=1)
    first = outcome({}) if most > 1 else ()
    if all(outcome(dict.fromkeys(variants, number)) == first for number in range(1, most)):
        return None
    for container in sorted(containers, key=lambda one: (one.name, one.id)):
        own = variants[container.id]
        outcomes = [outcome({container.id: number}) for number in range(len(own))]
        if any(other != first for other in outcomes):
            return LeftOutLabel(backend.name, container.name, _that_count(own, outcomes))
    raise AssertionError("what all do together, one of them does alone")


def _variants(container: Container, backend: Backend, left_out: frozenset[str]) -> list[dict[str, str]]:
    """Return the labels that *container* may have had, as far as they make a difference to *backend*."""
    kept = {key: value for key, value in container.labels.items() if key not in left_out}
    wanted = {key: value for key, value in backend.match_labels if key in left_out}
    if any(kept.get(key) != value for key, value in backend.match_labels if key not in left_out):
        return [kept]  # another label keeps it out
    matched = [kept, kept | wanted] if wanted else [kept]
    if PORT_LABEL not in left_out.difference(wanted) or backend.port is not None:
        return matched
    known = {port.container_port for port in container.published} | {*container.exposed}
    other = next(port for port in range(1, len(known) + 2) if port not in known)
    ports = [{PORT_LABEL: str(port)} for port in ("", *sorted(known), other)]
    return [labels | port for labels in matched for port in ports]


def _that_count(variants: list[dict[str, str]], outcomes: list[tuple[object, ...]]) -> set[str]:
    """Return the keys of labels that make a difference by themselves."""
    pairs = list(zip(variants, outcomes, strict=True))
    return {
        key
        for (one, outcome), (other, its) in combinations(pairs, 2)
        for differing in [{key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}]
        if outcome != its and (len(differing) == 1 or PORT_LABEL not in differing)
        for key in differing
    }
