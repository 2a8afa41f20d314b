"""Containers by their labels: who has these, who has nearly these, and what a label tells of who has it
(behaviour 4 and 9).

All that is asked here is looked up, so that it takes as long for many backends as one for each.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Final

from rgate.core.containers import Container, State
from rgate.core.spelling import SAME, Spellings

Label = tuple[str, str]
"""A key and its value."""

OTHER_KEY: Final = 4
"""How far a label is from another that has the same value under a key that is spelt in no way like it."""

FEW: Final = 5
"""What more kinds of containers have in common tells none of them from the others, as `env=production`."""

SERVICES: Final = ("com.docker.compose.service", "com.docker.swarm.service.name")
"""Keys of labels by which Compose and Swarm say what a container is; nobody else writes them."""

# Words that say what state or stage many things are in, and name none of them.
_NAMES_NOTHING: Final = frozenset(
    {
        "true", "false", "yes", "no", "on", "off", "none", "null", "enabled", "disabled", "default", "latest",
        "main", "stable", "dev", "development", "local", "test", "testing", "qa", "stage", "staging", "live",
        "prod", "production",
    }
)  # fmt: skip


class Wanted:
    """What some backends want of labels. They are looked up by one of each, as there may be many."""

    def __init__(self, backends: Iterable[tuple[Label, ...]]) -> None:
        self._by_first: dict[Label, list[frozenset[Label]]] = defaultdict(list)
        for wanted in backends:
            if wanted:
                self._by_first[wanted[0]].append(frozenset(wanted))

    def has(self, labels: Mapping[str, str]) -> bool:
        """Whether one of them wants no more than *labels*."""
        items = labels.items()
        return any(wanted <= items for label in items for wanted in self._by_first.get(label, ()))


class Labelled:
    """Some containers by their labels, each once. They are called by their number in `containers`: those that
    run first, then by name.
    """

    def __init__(self, containers: Iterable[Container]) -> None:
        self.containers = tuple(sorted(containers, key=_order))
        self._with: dict[Label, set[int]] = defaultdict(set)
        self._values: dict[str, set[str]] = defaultdict(set)
        self._keys: dict[str, set[str]] = defaultdict(set)  # by value
        for number, container in enumerate(self.containers):
            for label in container.labels.items():
                self._with[label].add(number)
        for key, value in self._with:
            self._values[key].add(value)
            self._keys[value].add(key)
        # What was looked up: many backends ask for the same labels.
        self._but_slips: dict[tuple[Label, ...], list[int]] = {}
        self._near: dict[Label, Mapping[Label, int]] = {}
        self._telling: dict[Label, tuple[frozenset[int], int]] = {}
        self._key_spellings: Spellings | None = None
        self._value_spellings: dict[str, Spellings] = {}

    def having(self, label: Label) -> Collection[int]:
        """Return those that have *label*."""
        return self._with.get(label, frozenset())

    def having_all(self, labels: Collection[Label]) -> list[int]:
        """Return those that have all *labels*, in order."""
        fewest_first = sorted(map(self.having, labels), key=len)
        return sorted(set(fewest_first[0]).intersection(*fewest_first[1:]))

    def having_all_but_slips(self, labels: tuple[Label, ...]) -> list[int]:
        """Return those that have all *labels* or what is spelt nearly like them, in order."""
        if labels not in self._but_slips:
            having = [self._having_or_slip(label) for label in labels]
            self._but_slips[labels] = sorted(set.intersection(*having))
        return self._but_slips[labels]

    def near(self, wanted: Label) -> Mapping[Label, int]:
        """Return the labels that nearly are *wanted*: by each how far it is, from 1 up to OTHER_KEY."""
        if wanted not in self._near:
            self._near[wanted] = self._look_near(*wanted)
        return self._near[wanted]

    def told_by(self, label: Label) -> tuple[frozenset[int], int]:
        """Return those that *label* tells something of, and how many kinds of containers have it.

        None where more than FEW kinds do; else all, but at most FEW of a kind.
        """
        if label not in self._telling:
            self._telling[label] = self._look_told(self.having(label))
        return self._telling[label]

    def _having_or_slip(self, wanted: Label) -> set[int]:
        slips = [label for label, distance in self.near(wanted).items() if distance < OTHER_KEY]
        return set(self.having(wanted)).union(*map(self.having, slips))

    def _look_near(self, wanted_key: str, wanted_value: str) -> dict[Label, int]:
        found: dict[Label, int] = {}
        if names_something(wanted_value):
            found = {(key, wanted_value): OTHER_KEY for key in self._keys.get(wanted_value, ())}
        if self._key_spellings is None:
            self._key_spellings = Spellings(self._values)
        for key, key_distance in self._key_spellings.near(wanted_key).items():
            if key not in self._value_spellings:
                self._value_spellings[key] = Spellings(self._values[key])
            for value, value_distance in self._value_spellings[key].near(wanted_value).items():
                if key_distance + value_distance < OTHER_KEY:  # two edits are two other words
                    found[key, value] = key_distance + value_distance
        return {label: distance for label, distance in found.items() if distance != SAME}

    def _look_told(self, numbers: Iterable[int]) -> tuple[frozenset[int], int]:
        by_kind: dict[Hashable, list[int]] = defaultdict(list)
        for number in sorted(numbers):
            by_kind[_kind(self.containers[number])].append(number)
        if len(by_kind) > FEW:
            return frozenset(), len(by_kind)
        return frozenset(number for alike in by_kind.values() for number in alike[:FEW]), len(by_kind)


def _order(container: Container) -> tuple[bool, str, str]:
    return container.state is not State.RUNNING, container.name, container.id


def _kind(container: Container) -> Hashable:
    """Return what the replicas of one thing have in common: their service of Compose, or all labels."""
    service = container.labels.get(SERVICES[0])
    if service is not None:
        return container.labels.get("com.docker.compose.project"), service
    return frozenset(container.labels.items())


def names_something(value: str) -> bool:
    """Whether a label's *value* may name one thing, and not only a state or stage of many."""
    return value.casefold() not in _NAMES_NOTHING and sum(map(str.isalpha, value[:100])) > 1
