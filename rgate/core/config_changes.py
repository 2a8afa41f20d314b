"""What a reload changes, in a sentence (behaviour 10). What becomes of each request then: `plan.py`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from rgate.core.config import Backend, Config, Route, Source
from rgate.core.plan import needs_restart
from rgate.core.wording import code, several

_TOLD: Final = 4
"""So many changes are told each for itself."""

_NAMED: Final = 3


def config_changes(old: Config, new: Config) -> str:
    """Return what is other in *new*, such as "route `/api/cart` added"; "" where nothing is."""
    told = [
        *_listed("route", _by_name(old.routes), _by_name(new.routes)),
        *_changed_routes(_by_name(old.routes), _by_name(new.routes)),
        *_listed("backend", _by_name(old.backends), _by_name(new.backends)),
        *_changed_backends(_by_name(old.backends), _by_name(new.backends)),
        *_listed("source", _by_name(old.sources), _by_name(new.sources)),
        *_changed_sources(_by_name(old.sources), _by_name(new.sources)),
        *_others(old, new),
    ]
    more = len(told) - _TOLD
    return ", ".join(told[:_TOLD]) + (f" and {several(more, 'more change')}" if more > 0 else "")


def _by_name(some: Sequence[Any]) -> dict[str, Any]:
    return {one.name: one for one in some}


def _listed(word: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for names, what in ((new.keys() - old.keys(), "added"), (old.keys() - new.keys(), "removed")):
        if names:
            yield f"{_named(word, names)} {what}"


def _named(word: str, names: Collection[str]) -> str:
    shown = [code(name) for name in sorted(names)[:_NAMED]]
    if len(names) == 1:
        return f"{word} {shown[0]}"
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{len(names):,} {word}s ({', '.join(shown)}{more})"


def _changed_routes(old: Mapping[str, Route], new: Mapping[str, Route]) -> Iterator[str]:
    moved: dict[str, list[str]] = {}
    for name, route in new.items():
        before = old.get(name)
        if before is None or before == route:
            continue
        if before.backend != route.backend:
            moved.setdefault(route.backend, []).append(name)
        else:
            yield f"route {code(name)} has {_keys(before, route)}"
    for backend, names in moved.items():
        goes = "goes" if len(names) == 1 else "go"
        yield f"{_named('route', names)} {goes} to {code(backend)}"


def _changed_backends(old: Mapping[str, Backend], new: Mapping[str, Backend]) -> Iterator[str]:
    for name, backend in new.items():
        before = old.get(name)
        if before is None or before == backend:
            continue
        if _differing(before, backend) == ["policy"]:
            yield f"{code(name)} is now {code(backend.policy.value)}"
        else:
            yield f"{code(name)} has {_keys(before, backend)}"


def _changed_sources(old: Mapping[str, Source], new: Mapping[str, Source]) -> Iterator[str]:
    for name, source in new.items():
        before = old.get(name)
        if before is not None and before != source:
            yield f"source {code(name)} has {_keys(before, source)}"


def _others(old: Config, new: Config) -> Iterator[str]:
    at_the_start = needs_restart(old, new)
    for key in _differing(old, new):
        if key not in ("routes", "backends", "sources", "stats", *at_the_start):
            yield f"{code(key)} changed"
    if old.stats.path != new.stats.path:
        yield f"the figures are at {code(new.stats.path)}"
    for key in at_the_start:
        yield f"{code(key)} changes at the next start"


def _keys(old: object, new: object) -> str:
    """Return which keys are other, as what something has."""
    return "another " + " and ".join(code(key) for key in _differing(old, new))


def _differing(old: Any, new: Any) -> list[str]:
    names = [field.name for field in fields(old)]
    return [name for name in names if getattr(old, name) != getattr(new, name)]
