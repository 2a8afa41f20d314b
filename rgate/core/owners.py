"""Which requests change owner between two configurations (behaviour 9).

The owner of a request is the backend that it is for. Its host and path lead to what *takes* it: a route, a
path of rgate's own, or nothing. Who takes it before and after makes a pair, and all requests of one pair
change owner alike, or do not. So each pair whose owners differ is one change, and it speaks of exactly the
requests that the two take.

The pairs are found by asking both routers, once in each region where neither can give another answer:

- A host leads to the routes of its own name, then to those of the wildcards that mean it, then to those of
  none. So one host for each name that either configuration has, and one of no name, stand for all hosts. What
  the routes of a name do not take goes the way of the next name, and is told there.
- Paths are cut at the prefixes of both, and at rgate's own paths. What goes as far as one prefix, and not as
  far as a longer one, is the prefix itself, lies below it (`/…`), or goes on within its last segment. All of
  one of these three is taken alike, as routes compare their prefix as text, or up to the end of a segment.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from itertools import chain, count, islice
from typing import Final

from rgate.core.cannot_tell import CannotTell
from rgate.core.config import Config, Route
from rgate.core.grammar import has_dot_segment
from rgate.core.names import LONGEST_HOST
from rgate.core.own import OWN_PREFIX, is_own
from rgate.core.routing import Router, names_meaning

MOST_LOOKED_AT: Final = 300_000
"""Prefixes that are looked at in one comparison: some seconds. Ten thousand routes have 40,000, unless those
of very many hosts come before very many others."""

_LABELS: Final = "abcdefghijklmnopqrstuvwxyz0123456789_"

# How an example goes on behind a prefix: by the first that no other prefix goes on with. Prefixes are ASCII,
# so the last is always free.
_NEXT: Final = (*f"x1{_LABELS}{_LABELS.upper()}", *"-_~!$&'()*+,=:@%|^`{}<>[]\".;\\", "é")


@dataclass(frozen=True, slots=True)
class OwnPath:
    """A path that rgate answers itself."""

    path: str


Taker = Route | OwnPath | None


class Owners:
    """Who takes which request, by one configuration."""

    def __init__(self, config: Config) -> None:
        self._router = Router(config.routes)
        self._stats_path = config.stats.path

    def taker(self, path: str, host: str = "") -> Taker:
        """Return what takes the requests for *path*, without a query, at *host*, both as received."""
        received = path.encode()
        if is_own(received, self._stats_path):
            return OwnPath(path)
        return self._router.match(received, host.encode())


def owner(taker: Taker) -> str | None:
    """Return the backend of the requests that *taker* takes; None: rgate answers them."""
    return taker.backend if isinstance(taker, Route) else None


class ChangeKind(Enum):
    """What became of the routes. The value is what users read."""

    ADDED = "added"  # a new one takes what another or none took
    REMOVED = "removed"  # one is gone, and another or none takes what it took
    OWNER = "owner"  # neither, or both


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """The requests that *old* takes before and *new* afterwards: these change owner, as *example* does.

    *host* and *path_prefix*: the nearer host ("": any), and the longer prefix, of both. *example*: a path.
    """

    kind: ChangeKind
    host: str
    path_prefix: str
    old: Taker
    new: Taker
    example: str

    @property
    def from_backend(self) -> str | None:
        """The owner before; None: rgate answered itself."""
        return owner(self.old)

    @property
    def to_backend(self) -> str | None:
        """The owner afterwards; None: rgate answers itself."""
        return owner(self.new)


class TooManyPaths(CannotTell):
    """It would take too long to compare the two."""


def owner_changes(old: Config, new: Config) -> tuple[OwnerChange, ...]:
    """Return all changes of owners if *new* takes the place of *old*, the most important first.

    First what goes to nobody afterwards, then what goes to another, last what went to nobody before; in each
    by host and prefix. Raises TooManyPaths.
    """
    return tuple(sorted(_Comparison(old, new).changes(), key=_importance))


def _importance(change: OwnerChange) -> tuple[int, str, str, str]:
    rank = 2 if change.from_backend is None else 1 if change.to_backend is not None else 0
    return rank, change.host, change.path_prefix, change.example


class _Comparison:
    def __init__(self, old: Config, new: Config) -> None:
        self._old, self._new = Owners(old), Owners(new)
        self._old_names, self._new_names = ({route.name for route in config.routes} for config in (old, new))
        self._prefixes = _by_host((*old.routes, *new.routes))
        self._own_paths = {OWN_PREFIX.decode(), old.stats.path, new.stats.path}
        self._cuts = self._own_paths.union(*self._prefixes.values())
        self._looked_at = 0

    def changes(self) -> Iterator[OwnerChange]:
        for name in self._prefixes:
            host = host_of(name, self._prefixes.keys())
            if host is not None:
                yield from self._of_name(name, host)

    def _of_name(self, name: str, host: str) -> Iterator[OwnerChange]:
        """Yield the changes among what routes of *name* take before or afterwards, asked by *host*."""
        found: dict[tuple[Taker, Taker], str] = {}
        looked_below = ""
        for prefix in sorted({*self._prefixes[name], *self._own_paths}):
            near = self._look(prefix, name, host, found)
            # Routes of the name take them either before or afterwards only: else the next names' do.
            if near == {True, False} and not (looked_below and prefix.startswith(looked_below)):
                looked_below = prefix
                for other in self._below(prefix, host, name):
                    self._look(other, name, host, found)
        for (old, new), example in found.items():
            yield OwnerChange(self._kind(old, new), name, _longest_prefix(old, new), old, new, example)

    def _look(self, prefix: str, name: str, host: str, found: dict[tuple[Taker, Taker], str]) -> Set[bool]:
        """Add the changes in the regions of *prefix*; return whether routes of *name* take them before, and
        afterwards, of those that they take at all.
        """
        near: set[bool] = set()
        for path in self._examples(prefix):
            pair = self._old.taker(path, host), self._new.taker(path, host)
            are_near = {isinstance(taker, Route) and taker.host == name for taker in pair}
            if True in are_near:
                near |= are_near
                if owner(pair[0]) != owner(pair[1]):
                    found.setdefault(pair, path)
        return near

    def _examples(self, prefix: str) -> Iterator[str]:
        """Yield a path of each region of *prefix*: it, below it, and within its last segment."""
        self._looked_at += 1
        if self._looked_at > MOST_LOOKED_AT:
            raise TooManyPaths(
                f"the routes of many hosts come before or behind those of others at over {MOST_LOOKED_AT} "
                "prefixes: compare fewer hosts at once"
            )
        yield prefix
        if not prefix.endswith("/"):
            yield prefix + "/"
        further = (prefix + character for character in _NEXT)
        yield from islice((path for path in further if self._is_free(path)), 1)

    def _is_free(self, path: str) -> bool:
        """Whether *path* is no prefix itself, and would not be refused."""
        return path not in self._cuts and not has_dot_segment(path.encode())

    def _below(self, prefix: str, host: str, name: str) -> Iterator[str]:
        """Yield the longer prefixes of the names that come behind *name* for *host*."""
        names = [*(one.decode() for one in names_meaning(host.encode())), ""]
        for other in names[names.index(name) + 1 :]:
            prefixes = self._prefixes.get(other, ())
            start = bisect_left(prefixes, prefix)
            for index in range(start, len(prefixes)):
                if not prefixes[index].startswith(prefix):
                    break
                yield prefixes[index]

    def _kind(self, old: Taker, new: Taker) -> ChangeKind:
        is_gone = isinstance(old, Route) and old.name not in self._new_names
        is_new = isinstance(new, Route) and new.name not in self._old_names
        if is_gone == is_new:
            return ChangeKind.OWNER
        return ChangeKind.REMOVED if is_gone else ChangeKind.ADDED


def _by_host(routes: Iterable[Route]) -> Mapping[str, Sequence[str]]:
    """Return the sorted prefixes of each host that any of *routes* has, and of ""."""
    found: dict[str, set[str]] = {"": set()}
    for route in routes:
        found.setdefault(route.host, set()).add(route.path_prefix)
    return {host: sorted(prefixes) for host, prefixes in found.items()}


def _longest_prefix(*takers: Taker) -> str:
    """Return that of the route with the longer one; rgate's own path where it takes the requests."""
    for taker in takers:
        if isinstance(taker, OwnPath):
            return taker.path
    return max((taker.path_prefix for taker in takers if isinstance(taker, Route)), key=len)


def host_of(name: str, listed: Collection[str]) -> str | None:
    """Return a host that *name* of a route means, and no nearer one of the *listed*; None: there is none."""
    if not name.startswith("*"):
        return name
    # One label before it: any other wildcard that means such a host is shorter.
    for label in chain("x", _LABELS, (f"x{number}" for number in count())):
        host = label + name[1:]
        if len(host) > LONGEST_HOST:
            return None
        if host not in listed:
            return host
    raise AssertionError("numbers do not end")
