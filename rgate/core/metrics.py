"""What each worker says of itself for the metrics, and what all of them come to together (behaviour 10)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from rgate.core.candidates import BackendView, Candidate
from rgate.core.counters import Counters, as_json, of_json, summed
from rgate.core.escape import storable
from rgate.core.knowledge import Connection, Knowledge
from rgate.core.ledger import Counted
from rgate.core.reasons import LeftOut

T = TypeVar("T")

IN: Final = "in"
RESTING: Final = "resting"
_STATES: Final = (IN, RESTING, *(left_out.value for left_out in LeftOut))
"""Best first: where workers do not agree, the worst is told."""

KEPT_S: Final = 3600.0
"""For so long the figures of a container are told that is gone."""

States = Mapping[str, Mapping[str, str]]
"""The state of each container, by backend and name."""


class Source(NamedTuple):
    """How fresh what is known of one source is. *age_s*: since the last full list began; None: there was
    none.
    """

    connected: bool
    age_s: float | None


@dataclass(frozen=True, slots=True)
class OfWorker:
    """What one worker says. *gone_s*: for how long the containers that went lately are gone, by backend."""

    counted: Counted
    gauges: Counters  # numbers that all workers have their part in
    states: States
    gone_s: Mapping[str, Mapping[str, float]]
    sources: Mapping[str, Source]
    config_loaded_s: float  # Unix seconds
    started_s: float | None  # Unix seconds; None: the system does not tell

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        place, process, counters = self.counted
        return {
            "counted": [place, process, as_json(counters)],
            "gauges": as_json(self.gauges),
            "states": self.states,
            "gone_s": self.gone_s,
            "sources": self.sources,
            "config_loaded_s": self.config_loaded_s,
            "started_s": self.started_s,
        }

    @classmethod
    def of_json(cls, value: Any) -> "OfWorker":
        """Return the one that `as_json` made *value* of. Raises KeyError and its like where it is none."""
        place, process, counters = value["counted"]
        return cls(
            Counted(place, process, of_json(counters)),
            of_json(value["gauges"]),
            value["states"],
            value["gone_s"],
            {name: Source(*source) for name, source in value["sources"].items()},
            value["config_loaded_s"],
            value["started_s"],
        )


@dataclass(frozen=True, slots=True)
class OfAll:
    """What all workers that answered come to together, whichever of them asked."""

    gauges: Counters
    states: States
    gone_s: Mapping[str, Mapping[str, float]]
    sources: Mapping[str, Source]
    config_loaded_s: float
    started_s: float | None

    def is_kept(self, backend: str, container: str) -> bool:
        """Whether the figures of *container* are told: it is there, or went lately."""
        return container in self.states.get(backend, {}) or container in self.gone_s.get(backend, {})


def of_all(workers: Iterable[OfWorker]) -> OfAll:
    """Return what the *workers*, one at least, come to: of what all look at, the worst that one says."""
    every = tuple(workers)
    return OfAll(
        summed(one.gauges for one in every),
        _by_backend((one.states for one in every), lambda one, other: max(one, other, key=_STATES.index)),
        _by_backend((one.gone_s for one in every), min),
        _sources(one.sources for one in every),
        min(one.config_loaded_s for one in every),
        min((one.started_s for one in every if one.started_s is not None), default=None),
    )


def _by_backend(
    many: Iterable[Mapping[str, Mapping[str, T]]], of_two: Callable[[T, T], T]
) -> dict[str, dict[str, T]]:
    together: dict[str, dict[str, T]] = {}
    for one in many:
        for backend, containers in one.items():
            found = together.setdefault(backend, {})
            for name, value in containers.items():
                found[name] = of_two(found[name], value) if name in found else value
    return together


def _sources(many: Iterable[Mapping[str, Source]]) -> dict[str, Source]:
    together: dict[str, Source] = {}
    for one in many:
        for name, source in one.items():
            known = together.get(name, source)
            ages = [age_s for age_s in (known.age_s, source.age_s) if age_s is not None]
            together[name] = Source(known.connected and source.connected, max(ages, default=None))
    return together


def states_of(
    views: Iterable[BackendView], is_resting: Callable[[Candidate], bool]
) -> dict[str, dict[str, str]]:
    """Return the state of each container that *views* tell of, those too that nearly are a backend's.

    Names are as in the figures.
    """
    return {
        storable(view.name): {
            **{storable(one.name): one.left_out.value for one in view.containers if one.left_out is not None},
            **{storable(one.name): RESTING if is_resting(one) else IN for one in view.candidates},
        }
        for view in views
    }


def sources_of(knowledge: Iterable[Knowledge]) -> dict[str, Source]:
    """Return what is told of each source."""
    return {
        known.source: Source(known.docker is Connection.CONNECTED, known.last_list_s) for known in knowledge
    }


class Gone:
    """Remembers for an hour which containers went. Times are seconds of any one steady clock.

    One thread at a time may tell; any may ask.
    """

    def __init__(self) -> None:
        self._there: frozenset[tuple[str, str]] = frozenset()
        self._since_s: Mapping[tuple[str, str], float] = {}  # replaced whole

    def note(self, views: Iterable[BackendView], now_s: float) -> None:
        """Take it that the containers of *views* are there, and no others."""
        names = states_of(views, lambda _: False)
        there = frozenset((backend, name) for backend, states in names.items() for name in states)
        went = dict.fromkeys(self._there - there, now_s)
        known = {one: since_s for one, since_s in self._since_s.items() if now_s - since_s < KEPT_S}
        self._there = there
        self._since_s = {one: since_s for one, since_s in (known | went).items() if one not in there}

    def seconds(self, now_s: float) -> dict[str, dict[str, float]]:
        """Return for how long each is gone that went less than an hour ago, by backend and name."""
        gone: dict[str, dict[str, float]] = {}
        for (backend, name), since_s in self._since_s.items():
            if now_s - since_s < KEPT_S:
                gone.setdefault(backend, {})[name] = now_s - since_s
        return gone
