"""Containers that nearly carry a backend's labels, and what to change (behaviour 9)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from typing import Final

from rgate.core.containers import Container, State
from rgate.core.labels import OTHER_KEY, SERVICES, Label, Labelled, names_something

MOST: Final = 5
"""So many near misses of a backend are told."""

# Of more that lack nothing but a slip of the pen, the first ones are looked at.
_MOST_SLIPS: Final = 100
_UNLIKE: Final = OTHER_KEY + 1
_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class MissingLabel:
    """A label that a backend wants, and what a container has in its place.

    *found* is the container's value of *key*; where it has no such key, the label that nearly is the wanted
    one, as `key=value`; None where it has neither.
    """

    key: str
    found: str | None
    wanted: str


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A container that nearly carries a backend's labels. *detail*: one sentence a person can act on."""

    name: str
    has: int
    of: int
    missing: tuple[MissingLabel, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class _InPlace:
    """What a container has in place of the label *wanted*.

    *label* is what is told; *near*, which nearly is the wanted one, *distance* away.
    """

    wanted: Label
    label: Label | None
    near: Label | None
    distance: int


class Owners:
    """To whom containers belong: what backends find them by, or would but for a slip of the pen."""

    def __init__(self, backends: Iterable[tuple[Label, ...]], labelled: Labelled) -> None:
        self._labelled = labelled
        self._found_by: dict[int, set[Label]] = defaultdict(set)
        self._meant_by: dict[int, set[Label]] = defaultdict(set)
        for wanted in backends:
            for number in labelled.having_all(wanted):
                self._found_by[number].update(wanted)
            for number in labelled.having_all_but_slips(wanted)[:_MOST_SLIPS]:
                container = labelled.containers[number]
                for label in _missing(container, wanted):
                    if (slip := _in_place(container, label, labelled).near) is not None:
                        self._meant_by[number].add(slip)

    def is_of_another(self, number: int, in_place: _InPlace) -> bool:
        """Whether what the container has *in_place* of a label is what another backend wants of it, or there
        is nothing but what a slip keeps from that one.
        """
        if in_place.label and in_place.wanted[0] in SERVICES and self._labelled.having(in_place.wanted):
            return True  # it says that it is another service than the one that is meant, which is there
        found_by: Set[Label] = self._found_by.get(number, frozenset())
        if in_place.label in found_by or in_place.near in found_by:
            return True
        slips: Set[Label] = self._meant_by.get(number, frozenset())
        return in_place.near is None and (in_place.label in slips or (in_place.label is None and bool(slips)))


def near_misses(
    wanted: tuple[Label, ...], labelled: Labelled, owners: Owners
) -> list[tuple[Container, NearMiss]]:
    """Return the containers that nearly have all labels *wanted*, best first, at most MOST.

    One is near if it has one of the labels, or one that nearly is it, and that tells it from others
    (`Labelled.told_by`); or if a slip of the pen is all that its labels are away. It is not if what it has in
    place of a label makes it another backend's.

    Those that have more of the labels come first; then those whose other labels are nearer; then those that
    have what fewer others have; then those that run; then by name.
    """
    found = []
    for number in _possible(wanted, labelled):
        container = labelled.containers[number]
        in_place = [_in_place(container, label, labelled) for label in _missing(container, wanted)]
        if in_place and not any(owners.is_of_another(number, one) for one in in_place):
            has = len(wanted) - len(in_place)
            distance = sum(one.distance for one in in_place)
            found.append((-has, distance, _kinds(container, wanted, in_place, labelled), number, in_place))
    best = sorted(found, key=lambda one: one[:4])[:MOST]
    if best and all(one.distance < OTHER_KEY for one in best[0][-1]):  # slips explain it
        best = [one for one in best if _is_telling(wanted, one[-1])]
    return [
        (labelled.containers[number], _near_miss(labelled.containers[number], len(wanted), in_place))
        for _, _, _, number, in_place in best
    ]


def _possible(wanted: tuple[Label, ...], labelled: Labelled) -> set[int]:
    """Return those with a label that tells something of them, and those with slips alone."""
    told = [labelled.told_by(like)[0] for label in wanted for like in (label, *labelled.near(label))]
    return set(labelled.having_all_but_slips(wanted)[:_MOST_SLIPS]).union(*told)


def _missing(container: Container, wanted: Collection[Label]) -> list[Label]:
    return [label for label in wanted if container.labels.get(label[0]) != label[1]]


def _in_place(container: Container, wanted: Label, labelled: Labelled) -> _InPlace:
    near = [
        (distance, label)
        for label, distance in labelled.near(wanted).items()
        if container.labels.get(label[0]) == label[1]
    ]
    distance, nearest = min(near) if near else (_UNLIKE, None)
    value = container.labels.get(wanted[0])
    told = nearest if value is None else (wanted[0], value)
    return _InPlace(wanted, told, nearest, distance)


def _is_telling(wanted: Collection[Label], in_place: Collection[_InPlace]) -> bool:
    """Whether all that is missing has something in its place, or what is there names something, and is not
    only what others have too, as `env=production`.
    """
    missing = {one.wanted for one in in_place}
    has = (value for key, value in wanted if (key, value) not in missing)
    return all(one.label is not None for one in in_place) or any(map(names_something, has))


def _kinds(
    container: Container, wanted: Collection[Label], in_place: Collection[_InPlace], labelled: Labelled
) -> int:
    """Return how many kinds of containers have the rarest of what *container* has, or nearly has."""
    has = [label for label in wanted if container.labels.get(label[0]) == label[1]]
    near = [one.near for one in in_place if one.near is not None]
    return min(labelled.told_by(label)[1] for label in (*has, *near))


def _near_miss(container: Container, wanted: int, in_place: Collection[_InPlace]) -> NearMiss:
    has = wanted - len(in_place)
    state = "" if container.state is State.RUNNING else f" ({container.state.value})"
    told = ", and ".join(map(_told, in_place))
    detail = f"{container.name}{state} has {has} of {wanted} labels: {told}"
    return NearMiss(container.name, has, wanted, tuple(map(_missing_label, in_place)), detail)


def _missing_label(in_place: _InPlace) -> MissingLabel:
    key, value = in_place.wanted
    if in_place.label is None:
        return MissingLabel(key, None, value)
    found_key, found = in_place.label
    return MissingLabel(key, found if found_key == key else f"{found_key}={found}", value)


def _told(in_place: _InPlace) -> str:
    found = f"{_shown(in_place.wanted[0])} is missing" if in_place.label is None else _pair(in_place.label)
    return f"{found}, wanted {_pair(in_place.wanted)}"


def _pair(label: Label) -> str:
    return f"{_shown(label[0])}={_shown(label[1])}"


def _shown(text: str) -> str:
    """Return *text* on one line, cut where it is long, in quotes where its end could not be seen."""
    cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    clean = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut)
    return clean if clean and clean == clean.strip() else f'"{clean}"'
