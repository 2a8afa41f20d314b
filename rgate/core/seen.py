"""What each source of containers shows, and all of it together (behaviour 12).

    every = union(sources)                    # each container once, by its id, as those who know it best do
    one.labels, one.sights                    # what all of them say of its labels; how each sees it

Names are unique to a source only: where there are several, containers are called `far/orders-1` everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from rgate.core.address import HostView
from rgate.core.containers import Container
from rgate.core.knowledge import DEFAULT_SOURCE, stale_since

HERE: Final = HostView()
_BETWEEN: Final = "/"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one source shows at one moment. *containers*: all; None: it has not answered since rgate started.

    *error*: why it does not answer; "" where it does. *away_since*: since when it does not, in Unix seconds,
    where it did before: its containers are as of then.
    """

    containers: tuple[Container, ...] | None
    host: HostView = HERE
    source: str = DEFAULT_SOURCE
    error: str = ""
    away_since: float | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """A container as one source sees it, by the name that people call it by.

    *others*: all of that source, by id. *is_old*: as of when that source answered last.
    """

    container: Container
    host: HostView
    is_old: bool = False
    others: Mapping[str, Container] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class One:
    """A container, as all see it that are to be believed. *container*: as the first does, with the labels
    that any of them knows.
    """

    container: Container
    sights: tuple[Sight, ...]


def union(sources: Sequence[Seen], *, is_named: bool = False) -> list[One]:
    """Return each container once. *is_named*: it is called by its source's name too.

    What a source shows that answers counts before what one showed that is away.
    """
    sights: dict[str, list[Sight]] = {}
    for seen in sources:
        shown = seen.containers or ()
        if is_named:
            shown = tuple(replace(one, name=called(seen.source, one.name)) for one in shown)
        others = {container.id: container for container in shown}
        is_old = seen.away_since is not None
        for container in others.values():
            sights.setdefault(container.id, []).append(Sight(container, seen.host, is_old, others))
    return [_one(some) for some in sights.values()]


def _one(sights: Sequence[Sight]) -> One:
    if len(sights) == 1:
        return One(sights[0].container, (sights[0],))
    believed = tuple(one for one in sights if not one.is_old) or tuple(sights)
    labels: dict[str, str] = {}
    for sight in reversed(believed):
        labels |= sight.container.labels
    return One(replace(believed[0].container, labels=labels), believed)


def asked_of(sources: Sequence[Seen], names: Sequence[str]) -> tuple[Seen, ...]:
    """Return those of *sources* that *names* says, or all without any. One that is missing shows nothing."""
    if not names:
        return tuple(sources)
    known = {seen.source: seen for seen in sources}
    wanted = frozenset(names)
    missing = (Seen(None, source=name) for name in names if name not in known)
    return (*(seen for seen in sources if seen.source in wanted), *missing)


# What people call containers.


def called(source: str, name: str) -> str:
    """Return what the container *name* of *source* is called where there are several."""
    return f"{source}{_BETWEEN}{name}"


def called_by_docker(name: str) -> tuple[str, str]:
    """Return what Docker calls a container that people call *name*, and its source; "" where there is one."""
    source, _, own = name.rpartition(_BETWEEN)
    return own, source


# Who does not answer, in sentences.


def why_unknown(seen: Seen, *, is_named: bool) -> str:
    """Return that nothing is known of what *seen* would show, and why; for people."""
    why = f": {seen.error}" if seen.error else ""
    return f"{_who(seen, is_named=is_named)} has not answered since rgate started{why}; rgate keeps trying."


def why_old(sources: Iterable[Seen], *, is_named: bool) -> str:
    """Return what of *sources* may not be so any more, or is not known; "" where all answer."""
    told = []
    for seen in sources:
        if seen.away_since is not None:
            told.append(stale_since(seen.away_since, _who(seen, is_named=is_named)))
        elif seen.containers is None:
            told.append(f"{_who(seen, is_named=is_named)} has not answered since rgate started.")
    return " ".join(told)


def _who(seen: Seen, *, is_named: bool) -> str:
    return f"Docker {seen.source}" if is_named else "Docker"
