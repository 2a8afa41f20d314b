"""What came in, went out, and nearly came in, between two moments of what is known (behaviour 10).

What changes of a container for a backend is one change. The same change for several backends is one event;
and where very much changes at once, many changes are told in a few.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from rgate.core.candidates import Address, BackendView, ContainerView
from rgate.core.facts import Level
from rgate.core.reasons import LeftOut, Reason
from rgate.core.timeline import Kind, TimelineEvent
from rgate.core.wording import code, listed, only, plain, several

Views = Mapping[str, BackendView]

MOST_AT_ONCE: Final = 12
"""Where more changes at one moment, changes of one kind are told in one event."""

_NAMED: Final = 3
_MOST_PAST: Final = 1000


@dataclass(frozen=True, slots=True)
class Past:
    """A container that was a candidate, and where."""

    container_id: str
    address: Address


Pasts = Mapping[tuple[str, str], Past]
"""Those that went, by backend and name, so that who comes back is known. The newest last."""


@dataclass(frozen=True, slots=True)
class Change:
    """What changed of one container for one backend. *verb*: what others may have in common with it."""

    kind: Kind
    level: Level
    backend: str
    name: str
    container_id: str
    verb: str
    text: str
    why: str = ""


def changes(
    before: Views, after: Views, at: float, past: Pasts = MappingProxyType({})
) -> list[TimelineEvent]:
    """Return what is to be told of the step from *before* to *after*, in few lines."""
    single = list(every_change(before, after, past))
    lost = [name for name in before if name not in after]
    first = {
        name: "first look" if name in before else "new in the configuration"
        for name, view in after.items()
        if _is_first(before.get(name), view)
    }
    lacking = [after[name] for name in first if after[name].reason is not None]
    return [*_told(single, first, at, after), *_backends(lacking, at), *_gone(lost, at)]


def with_past(past: Pasts, before: Views, after: Views) -> Pasts:
    """Return *past* with those that went between *before* and *after*."""
    went = {
        (name, one.name): Past(one.container_id, one.address)
        for name, view in before.items()
        for one in view.containers
        if one.left_out is None and one.address is not None and not _is_in(after.get(name), one.container_id)
    }
    if not went:
        return past
    kept = {key: value for key, value in past.items() if key not in went} | went
    return MappingProxyType(dict(list(kept.items())[-_MOST_PAST:]))


def _is_in(view: BackendView | None, container_id: str) -> bool:
    return view is not None and any(one.container_id == container_id for one in view.candidates)


def _is_first(before: BackendView | None, after: BackendView) -> bool:
    """Whether nothing was known of this backend before, and something is now."""
    is_known = after.reason is not Reason.DOCKER_UNAVAILABLE
    return is_known and (before is None or before.reason is Reason.DOCKER_UNAVAILABLE)


# Each change by itself.


def every_change(before: Views, after: Views, past: Pasts) -> Iterator[Change]:
    """Yield what changed of each container for each backend that is there afterwards."""
    for name, view in after.items():
        old = before.get(name)
        if old != view:
            yield from _changes_of(name, old, view, past)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A container as a backend sees it. *identity*: its id, or a fixed address."""

    identity: str
    view: ContainerView

    @property
    def is_in(self) -> bool:
        return self.view.left_out is None

    @property
    def shown(self) -> str:
        return code(self.view.name)


def _seen(view: BackendView | None) -> dict[str, _Seen]:
    if view is None:
        return {}
    if not view.containers:
        fixed = [
            ContainerView(one.name, one.container_id, "", "", one.address, None, "")
            for one in view.candidates
        ]
        return {one.name: _Seen(one.name, one) for one in fixed}
    return {one.container_id: _Seen(one.container_id, one) for one in view.containers}


def _changes_of(
    backend: str, before: BackendView | None, after: BackendView, past: Pasts
) -> Iterator[Change]:
    old, new = _seen(before), _seen(after)
    names = {one.view.name: one for one in old.values()}
    for identity, one in new.items():
        was = old.get(identity)
        if was is not None and was.view == one.view:
            continue
        if one.is_in:
            known = _last_known(backend, one, names, past)
            yield from _came(backend, one, was, known)
        elif one.view.left_out is LeftOut.LABELS and (was is None or not was.is_in):
            yield from _near(backend, one, was, past)
        elif _is_told(was, one):
            yield _went(backend, one)
    for identity, was in old.items():
        if identity not in new and was.is_in:
            verb = (
                "out: removed" if after.containers or not after.candidates else "out: not configured any more"
            )
            yield Change(Kind.OUT, Level.INFO, backend, was.view.name, identity, verb, f"{was.shown} {verb}")


def _last_known(backend: str, one: _Seen, names: Mapping[str, _Seen], past: Pasts) -> Past | None:
    """Return who was a candidate by that name before, and where."""
    was = names.get(one.view.name)
    if was is not None and was.is_in and was.view.address is not None:
        return Past(was.view.container_id, was.view.address)
    return past.get((backend, one.view.name))


def _came(backend: str, one: _Seen, was: _Seen | None, known: Past | None) -> Iterator[Change]:
    address = one.view.address
    if was is not None and was.is_in and was.view.address == address:
        return
    where = "" if str(address) == one.view.name else f" at {address}"
    why = "; ".join(filter(None, (_why_in(one, was, known), _other_address(address, known))))
    yield Change(Kind.IN, Level.OK, backend, one.view.name, one.identity, "in", f"{one.shown} in{where}", why)


_AGAIN: Final[Mapping[LeftOut, str]] = MappingProxyType(
    {
        LeftOut.LABELS: "it has the labels that are wanted now",
        LeftOut.NOT_RUNNING: "started",
        LeftOut.STOPPING: "it was not stopped after all",
        LeftOut.UNHEALTHY: "its health check succeeds again",
        LeftOut.NOT_INSPECTED: "it can be inspected again",
        LeftOut.STARTING: "its health check succeeds",
        LeftOut.NO_ADDRESS: "it has an address now",
    }
)


def _why_in(one: _Seen, was: _Seen | None, known: Past | None) -> str:
    if was is None:
        return "recreated" if known is not None and known.container_id != one.identity else ""
    if was.view.left_out is None:
        return ""
    if was.view.state == "paused":
        return "unpaused"
    if one.view.health == "starting":
        return "its health check is still to succeed, but no other is there"
    return _AGAIN[was.view.left_out]


def _other_address(address: Address | None, known: Past | None) -> str:
    if address is None or known is None or known.address == address:
        return ""
    return "new published port" if known.address.host == address.host else "new address"


def _near(backend: str, one: _Seen, was: _Seen | None, past: Pasts) -> Iterator[Change]:
    """Yield that a container nearly has the labels: once it runs."""
    view = one.view
    if view.state != "running" or (
        was is not None and was.view.left_out is LeftOut.LABELS and _same(was, one)
    ):
        return
    lacks = plain(view.detail.removeprefix(f"{view.name} "))
    known = past.get((backend, view.name))
    is_other = known is not None and known.container_id != view.container_id
    yield Change(
        Kind.NEAR,
        Level.INFO,
        backend,
        view.name,
        one.identity,
        "is no candidate",
        f"{one.shown} is no candidate: it {lacks}",
        "one of that name was, before it was recreated" if is_other else "",
    )


def _same(was: _Seen, one: _Seen) -> bool:
    return was.view.state == one.view.state and was.view.detail == one.view.detail


def _is_told(was: _Seen | None, one: _Seen) -> bool:
    """Whether it is news that *one* is out: not where it is the next step of what was told."""
    left_out = one.view.left_out
    if was is None:
        return left_out is not LeftOut.NOT_RUNNING  # it is being made, and starts next
    before = was.view.left_out
    ends = left_out is LeftOut.NOT_RUNNING and before in (LeftOut.STOPPING, LeftOut.LABELS)
    return before is not left_out and not ends


_OUT: Final[Mapping[LeftOut, tuple[Level, str, str]]] = MappingProxyType(
    {
        LeftOut.NOT_RUNNING: (Level.WARN, "", ""),
        LeftOut.STOPPING: (Level.INFO, "being stopped", ""),
        LeftOut.UNHEALTHY: (Level.WARN, "unhealthy", "its health check fails"),
        LeftOut.NOT_INSPECTED: (Level.WARN, "not inspected", ""),
        LeftOut.STARTING: (Level.INFO, "starting", "others are healthy"),
        LeftOut.NO_ADDRESS: (Level.WARN, "no address", ""),
        LeftOut.LABELS: (Level.WARN, "other labels are wanted", ""),
    }
)


def _went(backend: str, one: _Seen) -> Change:
    view = one.view
    assert view.left_out is not None  # noqa: S101 - for the types alone
    level, word, why = _OUT[view.left_out]
    if view.left_out in (LeftOut.NO_ADDRESS, LeftOut.NOT_INSPECTED):
        why = view.detail.removeprefix(f"{view.name} ")
    elif view.left_out is LeftOut.LABELS:
        why = plain(view.detail.removeprefix(f"{view.name} "))
    verb = f"out: {word or view.state}"
    return Change(Kind.OUT, level, backend, view.name, one.identity, verb, f"{one.shown} {verb}", why)


# In few lines.


def _told(
    single: Sequence[Change], first: Mapping[str, str], at: float, after: Views
) -> Iterator[TimelineEvent]:
    """Yield the events of these changes. *first*: of which backends nothing was known before, and why."""
    at_first = [replace(one, why=first[one.backend]) for one in single if one.backend in first]
    others = [one for one in single if one.backend not in first]
    yield from _in_groups(at_first, at, after)
    if len({(one.container_id, one.kind, one.text, one.why) for one in others}) > MOST_AT_ONCE:
        yield from _in_groups(others, at, after)
    else:
        for same in _grouped(others, lambda one: (one.kind, one.container_id, one.text, one.why)):
            yield _event(same, at, after)


def _in_groups(single: Sequence[Change], at: float, after: Views) -> Iterator[TimelineEvent]:
    """Yield an event for changes of one kind of a backend, or of all where that is still very much."""
    groups = _grouped(single, lambda one: (one.backend, one.kind, one.verb))
    if len(groups) > MOST_AT_ONCE:
        groups = _grouped(single, lambda one: (one.kind, one.verb))
    for group in groups:
        alone = len({one.container_id for one in group}) == 1
        yield _event(group, at, after) if alone else _group(group, at, after)


def _grouped(single: Iterable[Change], key: Callable[[Change], Hashable]) -> list[list[Change]]:
    groups: dict[Hashable, list[Change]] = {}
    for one in single:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _event(same: Sequence[Change], at: float, after: Views) -> TimelineEvent:
    """Return the event of one change of a container, for one backend or several."""
    change, backends = same[0], [one.backend for one in same]
    level, consequence = _consequence(change, backends, after)
    whose = f", for {listed(backends, _NAMED)}" if len(backends) > 1 else ""
    return TimelineEvent(
        at,
        change.kind,
        level,
        only(backends),
        change.text + whose,
        "; ".join(filter(None, (change.why, consequence))),
        about=f"{change.name} {change.verb}",
    )


def _group(group: Sequence[Change], at: float, after: Views) -> TimelineEvent:
    """Return the event of one kind of change of several containers."""
    change = group[0]
    backends = list(dict.fromkeys(one.backend for one in group))
    names = list({one.container_id: one.name for one in group}.values())
    level, consequence = _consequence(change, backends, after)
    whose = f"{code(backends[0])}: " if len(backends) == 1 else ""
    of = f", of {len(backends):,} backends" if len(backends) > 1 else ""
    why = change.why if all(one.why == change.why for one in group) else ""
    verb = "are no candidates" if change.kind is Kind.NEAR else change.verb
    return TimelineEvent(
        at,
        change.kind,
        level,
        only(backends),
        f"{whose}{several(len(names), 'container')} {verb}{of}: {listed(names, _NAMED)}",
        "; ".join(filter(None, (why, consequence))),
    )


def _consequence(change: Change, backends: Sequence[str], after: Views) -> tuple[Level, str]:
    """Return how bad the change is, and what is so now for its *backends*."""
    if change.kind is Kind.IN:
        return change.level, ""
    lacking = [name for name in backends if after[name].reason is not None]
    if not lacking:
        return change.level, ""
    have = "has" if len(lacking) == 1 else "have"
    level = Level.BAD if change.kind is Kind.OUT else Level.WARN
    return level, f"{listed(lacking, _NAMED)} {have} no container"


def _backends(lacking: Sequence[BackendView], at: float) -> Iterator[TimelineEvent]:
    """Yield that there is no container for backends of which nothing was known before."""
    for group in [[one] for one in lacking] if len(lacking) <= MOST_AT_ONCE else [lacking]:
        names = [view.name for view in group]
        have = "has" if len(names) == 1 else "have"
        why = group[0].detail if len(group) == 1 else ""
        backend = names[0] if len(names) == 1 else ""
        yield TimelineEvent(
            at, Kind.OUT, Level.BAD, backend, f"{listed(names, _NAMED)} {have} no container", why
        )


def _gone(lost: Sequence[str], at: float) -> Iterator[TimelineEvent]:
    """Yield that there are backends no more."""
    if lost:
        text = f"{listed(lost, _NAMED)} {'is no backend' if len(lost) == 1 else 'are no backends'} any more"
        yield TimelineEvent(at, Kind.OUT, Level.INFO, only(lost), text, "the configuration changed")
