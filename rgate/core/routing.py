"""Which route a path belongs to: the longest matching prefix (behaviour 3)."""

from bisect import bisect_right
from collections.abc import Iterable

from rgate.core.config import Match, Route


class Router:
    """Finds the route with the longest prefix that a path starts with, whatever their order.

    The prefixes lie sorted, each knowing the longest other one that it begins with. All prefixes of
    a path sort before it, and whatever sorts between the longest of them and the path begins with
    that one: so one binary search, and a walk up that chain, find it. The cost is that of some
    log2(n) comparisons, whatever the number of routes.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        by_prefix = sorted((route.path_prefix.encode(), route) for route in _unique(routes))
        self._prefixes = [prefix for prefix, _ in by_prefix]
        self._parents = _parents(self._prefixes)
        self._by_segment = [route.match is Match.SEGMENT for _, route in by_prefix]
        self.routes = tuple(route for _, route in by_prefix)

    def match(self, path: bytes) -> Route | None:
        """Return the route of *path* (as received, without its query), or None where none matches."""
        index = self.find(path)
        return self.routes[index] if index >= 0 else None

    def find(self, path: bytes) -> int:
        """Return the index in `routes` of the route of *path*, or -1 where none matches."""
        prefixes = self._prefixes
        index = bisect_right(prefixes, path) - 1
        while index >= 0:
            prefix = prefixes[index]
            if path.startswith(prefix) and not (
                self._by_segment[index] and not _ends_at_segment(prefix, path)
            ):
                return index
            index = self._parents[index]
        return -1


def _unique(routes: Iterable[Route]) -> Iterable[Route]:
    """Return *routes* with distinct prefixes; the configuration refuses doubles before."""
    return {route.path_prefix: route for route in routes}.values()


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


def forwarded_path(route: Route, path: bytes) -> bytes:
    """Return the path that the backend is asked for: *path*, or what `strip_prefix` leaves of it."""
    if not route.strip_prefix:
        return path
    rest = path[len(route.path_prefix.encode()) :]
    return rest if rest.startswith(b"/") else b"/" + rest
