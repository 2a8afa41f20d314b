"""What is allowed in a configuration, and is probably not meant (`check`, behaviour 2 and 8)."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from rgate.core.config import Config, Match, Route
from rgate.core.names import LONGEST_HOST
from rgate.core.own import is_own

# As shells, frameworks and regular expressions have them. Of these a path may hold `:`, `(`, `$` and `*`
# too: they count only where patterns have them (`/users/:id`, but not `/a:b`; `/(a|b)`, but not `/items(1)`).
_PATTERN: Final = re.compile(
    r"\.?\*+|\.\+|(?<=/):[A-Za-z_]\w*|\{[^/{}]*\}|<[^/<>]*>|\[[^]/[]+\]"
    r"|\([^/()]*\|[^/()]*\)|\\[bdswBDSW]|(?<=/)\^|\$\Z"
)


@dataclass(frozen=True, slots=True)
class Never:
    """A route by which no request can go. *why*: the end of a sentence, with its remedy."""

    host: str
    path_prefix: str
    why: str


def never_matching(config: Config) -> tuple[Never, ...]:
    """Return the routes that can never match, in the order of the file."""
    names = {route.name for route in config.routes}
    found = ((route, _why_never(route, config.stats.path, names)) for route in config.routes)
    return tuple(Never(route.host, route.path_prefix, why) for route, why in found if why)


def _why_never(route: Route, stats_path: str, names: Set[str]) -> str:
    """Return why no request can go by *route*; "" where one can. *names*: of all routes."""
    if is_own(route.path_prefix.encode(), ""):
        return "rgate answers these paths itself: use another prefix"
    if len(route.host) > LONGEST_HOST:  # as long as the shortest name that it is for: `*` stands for a label
        return f"names that end so are longer than the {LONGEST_HOST} characters of a host: use a shorter one"
    # Of one that equals stats.path longer paths still match, unless they go by another route.
    is_stats = route.path_prefix == stats_path and route.match is Match.SEGMENT
    if is_stats and not stats_path.endswith("/") and f"{route.name}/" in names:
        return f"{stats_path} is `stats.path`, and what lies below goes by {route.name}/: use another prefix"
    return ""


def warnings(config: Config) -> tuple[str, ...]:
    """Return a sentence, with its remedy, for each thing that is probably a mistake."""
    names = sorted((route.host, route.path_prefix) for route in config.routes)
    prefixes = {host: [prefix for _, prefix in group] for host, group in groupby(names, lambda name: name[0])}
    never = {(one.host, one.path_prefix): one.why for one in never_matching(config)}
    of_routes: list[str] = []
    for route in config.routes:
        if why := never.get((route.host, route.path_prefix)):
            of_routes.append(f"{route.name} can never match, as {why}")
        of_routes += _of_route(route, prefixes[route.host])
    return (*of_routes, *_unused(config), *_unasked(config))


def _of_route(route: Route, prefixes: Sequence[str]) -> Iterator[str]:
    """Yield what is doubtful about *route*; *prefixes*: all of its host, sorted."""
    name, prefix = route.name, route.path_prefix
    if matched := _PATTERN.search(prefix):
        yield (
            f"{name} is no pattern, and `{matched[0]}` in it stands for itself: "
            f"`path_prefix: {prefix[: matched.start()]}` takes all paths that begin so"
        )
    if route.match is Match.SEGMENT or prefix.endswith("/"):
        return
    if route.strip_prefix:
        yield (
            f"{name} is stripped of paths such as {prefix}x too, which become /x: "
            f"`match: segment` or `path_prefix: {prefix}/` keeps it to what lies below"
        )
    other, more = _cut(prefix, prefixes)
    if other:
        others = f"{route.host}{other}" + (f" (and {more} more)" if more else "")
        yield (
            f"{name} ends within a segment of {others}, and takes all paths that begin like it: "
            f"`match: segment` keeps it to {name}/…"
        )


def _cut(prefix: str, prefixes: Sequence[str]) -> tuple[str, int]:
    """Return one of the sorted *prefixes* that has *prefix* and ends its last segment later, or "", and how
    many more do so. By bisection: of ten thousand routes each may be within the segments of all others.
    """
    start, end = bisect_right(prefixes, prefix), bisect_left(prefixes, prefix + "\x7f")  # they are ASCII
    below, above = bisect_left(prefixes, prefix + "/"), bisect_left(prefixes, prefix + "0")  # "0" follows "/"
    number = end - start - (above - below)
    return (prefixes[start if start < below else above], number - 1) if number else ("", 0)


def _unasked(config: Config) -> list[str]:
    by_labels = [backend for backend in config.backends if backend.match_labels]
    if not by_labels or not all(backend.sources for backend in by_labels):
        return []
    asked = {name for backend in by_labels for name in backend.sources}
    return [
        f"no backend asks the source {source.name}: remove it, or name it in `sources` of a backend"
        for source in config.sources
        if source.name not in asked
    ]


def _unused(config: Config) -> list[str]:
    used = {route.backend for route in config.routes}
    return [
        f"no route uses the backend {backend.name}: remove it, or add a route"
        for backend in config.backends
        if backend.name not in used
    ]
