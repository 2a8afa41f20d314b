"""What changes if one configuration, or its containers, takes the place of another (behaviour 9)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from rgate.core.candidates import Address, BackendView
from rgate.core.config import Config
from rgate.core.config_warnings import Never, never_matching
from rgate.core.owners import OwnerChange, owner_changes

# What a reload leaves as it was at the start.
_AT_THE_START: Final[Mapping[str, Callable[[Config], object]]] = MappingProxyType(
    {"stats.database": lambda config: config.stats.database, "tracing": lambda config: config.tracing}
)


@dataclass(frozen=True, slots=True)
class Situation:
    """A configuration, and the views of its backends by name."""

    config: Config
    views: Mapping[str, BackendView]


@dataclass(frozen=True, slots=True)
class Move:
    """A container that is asked at another address afterwards, as with another `port` of its backend."""

    name: str
    old: Address
    new: Address


@dataclass(frozen=True, slots=True)
class BackendChange:
    """A backend that gains or loses containers, by name, asks some elsewhere, or has none afterwards.

    *candidates*: those it has afterwards. *detail*: why it has none, for people; "" where it is gone.
    """

    name: str
    gains: tuple[str, ...]
    loses: tuple[str, ...]
    moves: tuple[Move, ...]
    candidates: tuple[str, ...]
    detail: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether its last candidate goes."""
        return bool(self.loses) and not self.candidates


@dataclass(frozen=True, slots=True)
class Plan:
    """All that changes; in each the most important first. *restart*: keys that only a restart changes."""

    routes: tuple[OwnerChange, ...]
    backends: tuple[BackendChange, ...]
    restart: tuple[str, ...]
    never: tuple[Never, ...]

    @property
    def lost(self) -> bool:
        """Whether a path that had a backend gets another or none, or a backend's last candidate goes."""
        changed = any(change.from_backend is not None for change in self.routes)
        return changed or any(change.is_lost for change in self.backends)

    def as_json(self) -> dict[str, Any]:
        """Return the document of `plan --json`."""
        return {
            "lost": self.lost,
            "routes": [
                {
                    "change": change.kind.value,
                    "host": change.host,
                    "path_prefix": change.path_prefix,
                    "from": change.from_backend,
                    "to": change.to_backend,
                    "example": change.example,
                }
                for change in self.routes
            ],
            "backends": [
                {
                    "name": change.name,
                    "gains": list(change.gains),
                    "loses": list(change.loses),
                    "moves": [
                        {"name": one.name, "from": str(one.old), "to": str(one.new)} for one in change.moves
                    ],
                    "candidates": list(change.candidates),
                }
                for change in self.backends
            ],
            "restart": list(self.restart),
            "never": [
                {"host": one.host, "path_prefix": one.path_prefix, "why": one.why} for one in self.never
            ],
        }


def plan(old: Situation, new: Situation) -> Plan:
    """Return what changes if *new* takes the place of *old*. Raises TooManyPaths."""
    return Plan(
        owner_changes(old.config, new.config),
        tuple(sorted(_backend_changes(old, new), key=_importance)),
        needs_restart(old.config, new.config),
        never_matching(new.config),
    )


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Return the keys that differ, and that a reload leaves as they were at the start."""
    return tuple(key for key, value in _AT_THE_START.items() if value(old) != value(new))


def _backend_changes(old: Situation, new: Situation) -> Iterator[BackendChange]:
    for name in {**old.views, **new.views}:
        before, after = _addresses(old, name), _addresses(new, name)
        gains, loses = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
        moves = [
            Move(one, before[one], address)
            for one, address in after.items()
            if before.get(one, address) != address
        ]
        if gains or loses or moves or (name in new.views and not after):
            detail = new.views[name].detail if name in new.views else ""
            yield BackendChange(name, tuple(gains), tuple(loses), tuple(moves), tuple(after), detail)


def _addresses(situation: Situation, backend: str) -> dict[str, Address]:
    """Return where each candidate of *backend* is asked, by its name."""
    view = situation.views.get(backend)
    return {one.name: one.address for one in view.candidates} if view is not None else {}


def _importance(change: BackendChange) -> tuple[int, str]:
    rank = 0 if change.is_lost else 1 if not change.candidates else 2 if change.loses or change.moves else 3
    return rank, change.name
