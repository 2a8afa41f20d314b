"""Which route a request belongs to: by its host, then the longest matching prefix (behaviour 2 and 3)."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol

from rgate.core.config import Match, Route
from rgate.core.grammar import has_dot_segment
from rgate.core.names import LONGEST_HOST, compared_host
from rgate.core.onward import Request, below_prefix
from rgate.core.problem import Problem
from rgate.core.reasons import Reason

MOST_HOSTS_KNOWN: Final = 1024
LONGEST_HOST_KNOWN: Final = LONGEST_HOST + len(".:65535")


class _Find(Protocol):
    def __call__(self, path: bytes, host: bytes = b"") -> int:
        """Return the index in `routes` of the route of *path* and *host*, as received; -1: none matches."""


class Router:
    """Finds the route of a path and a host, whatever the order of the routes.

    Those of one host make a table. The tables that a host may take are tried in turn: its own, those of
    wildcards, the longest suffix first, and that of the routes without host. They are remembered by the host
    as it was received; strangers can send any number of those, so both their count and length are bounded.
    """

    find: _Find

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(_unique(routes), key=lambda route: (route.host, route.path_prefix)))
        self._tables: dict[bytes, _Table] = {}
        first = 0
        for host, group in groupby(self.routes, key=lambda route: route.host):
            self._tables[host.encode()] = table = _Table(first, tuple(group))
            first += len(table.prefixes)
        self._known: dict[bytes, tuple[_Table, ...]] = {}
        # Where no route has a host, it costs nothing that others could have.
        self.find = self._find if self._tables.keys() - {b""} else self._tables.get(b"", _Table(0, ())).find

    def match(self, path: bytes, host: bytes = b"") -> Route | None:
        """Return the route of *path* (as received, without its query) and *host* (likewise; it may have a
        port, or be empty), or None where none matches.
        """
        index = self.find(path, host)
        return self.routes[index] if index >= 0 else None

    def matches(self, path: bytes, host: bytes = b"") -> tuple[Route, ...]:
        """Return all routes that match *path* and *host* (as those of `match`), best first."""
        return tuple(self.routes[index] for table in self._tables_of(host) for index in table.find_all(path))

    def _find(self, path: bytes, host: bytes = b"") -> int:
        tables = self._known.get(host)
        for table in self._learn(host) if tables is None else tables:
            index = table.find(path)
            if index >= 0:
                return index
        return -1

    def _tables_of(self, host: bytes) -> tuple["_Table", ...]:
        names = (*names_meaning(compared_host(host)), b"")
        return tuple(table for name in names if (table := self._tables.get(name)) is not None)

    def _learn(self, host: bytes) -> tuple["_Table", ...]:
        tables = self._tables_of(host)
        if len(host) <= LONGEST_HOST_KNOWN:
            if len(self._known) >= MOST_HOSTS_KNOWN:
                self._known.clear()
            self._known[host] = tables
        return tables


def names_meaning(host: bytes) -> Iterator[bytes]:
    """Yield the names of routes' hosts that mean *host*, as it is compared, best first."""
    if not host or len(host) > LONGEST_HOST:
        return
    yield host
    dot = host.find(b".", 1)
    while dot > 0:
        yield b"*" + host[dot:]
        dot = host.find(b".", dot + 1)


class _Table:
    """The routes of one host.

    The prefixes lie sorted, each knowing the longest other one that it begins with. All prefixes of
    a path sort before it, and whatever sorts between the longest of them and the path begins with
    that one: so one binary search, and a walk up that chain, find it. The cost is that of some
    log2(n) comparisons, whatever the number of routes.
    """

    __slots__ = ("by_segment", "first", "parents", "prefixes")

    def __init__(self, first: int, routes: Sequence[Route]) -> None:
        self.first = first  # the index of the first of the sorted *routes* among all
        self.prefixes = [route.path_prefix.encode() for route in routes]
        self.parents = _parents(self.prefixes)
        self.by_segment = [route.match is Match.SEGMENT for route in routes]

    def find(self, path: bytes, host: bytes = b"", behind: int = -1) -> int:  # noqa: ARG002 - it is that of all these routes
        """Return the index, among all, of the route of *path*; -1: none matches.

        *behind*: the index of one that matches; the next best one is looked for.
        """
        prefixes = self.prefixes
        index = bisect_right(prefixes, path) - 1 if behind < 0 else self.parents[behind - self.first]
        while index >= 0:
            prefix = prefixes[index]
            if path.startswith(prefix) and not (
                self.by_segment[index] and not _ends_at_segment(prefix, path)
            ):
                return self.first + index
            index = self.parents[index]
        return -1

    def find_all(self, path: bytes) -> Iterator[int]:
        """Yield the indices, among all, of the routes of *path*, best first."""
        index = self.find(path)
        while index >= 0:
            yield index
            index = self.find(path, behind=index)


def _unique(routes: Iterable[Route]) -> Iterable[Route]:
    """Return *routes* with distinct names; the configuration refuses doubles before."""
    return {route.name: route for route in routes}.values()


def _parents(prefixes: list[bytes]) -> list[int]:
    """Return, for each of the sorted *prefixes*, the index of its longest proper prefix; -1: none."""
    parents: list[int] = []
    chain: list[int] = []  # indices of the prefixes that the present one may start with, shortest first
    for index, prefix in enumerate(prefixes):
        while chain and not prefix.startswith(prefixes[chain[-1]]):
            chain.pop()
        parents.append(chain[-1] if chain else -1)
        chain.append(index)
    return parents


def _ends_at_segment(prefix: bytes, path: bytes) -> bool:
    return len(path) == len(prefix) or prefix.endswith(b"/") or path[len(prefix) : len(prefix) + 1] == b"/"


def without_prefix(route: Route, request: Request) -> Request | Problem:
    """Return *request* as it goes on by *route*, which strips its prefix.

    What is left of the path is checked as all of it was: `/api../x` without `/api` is `/../x` (behaviour 2).
    """
    prefix = route.path_prefix.encode()
    rest = request.path[len(prefix) :]
    if not rest.startswith(b"/"):
        rest = b"/" + rest
        if has_dot_segment(rest):
            return Problem(
                Reason.PATH_NOT_NORMALIZED,
                f"Without {route.path_prefix} the path would begin with a `.` or `..` segment.",
            )
    return below_prefix(request, rest, prefix)
