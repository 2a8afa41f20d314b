"""What is allowed in a configuration, and is probably not meant (`check`, behaviour 2 and 8)."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from rgate.core.config import Config, Match, Route
from rgate.core.own import is_own

# As shells, frameworks and regular expressions have them. Of these a path may hold `:`, `(`, `$` and `*`
# too: they count only where patterns have them (`/users/:id`, but not `/a:b`; `/(a|b)`, but not `/items(1)`).
_PATTERN: Final = re.compile(
    r"\.?\*+|\.\+|(?<=/):[A-Za-z_]\w*|\{[^/{}]*\}|<[^/<>]*>|\[[^]/[]+\]"
    r"|\([^/()]*\|[^/()]*\)|\\[bdswBDSW]|(?<=/)\^|\$\Z"
)


def warnings(config: Config) -> tuple[str, ...]:
    """Return a sentence, with its remedy, for each thing that is probably a mistake."""
    names = sorted((route.host, route.path_prefix) for route in config.routes)
    prefixes = {host: [prefix for _, prefix in group] for host, group in groupby(names, lambda name: name[0])}
    of_routes = [one for route in config.routes for one in _of_route(route, prefixes[route.host])]
    return (*of_routes, *_unused(config))


def _of_route(route: Route, prefixes: Sequence[str]) -> Iterator[str]:
    """Yield what is doubtful about *route*; *prefixes*: all of its host, sorted."""
    name, prefix = route.name, route.path_prefix
    if is_own(prefix.encode(), ""):  # not one that equals stats.path: longer paths still match that
        yield f"{name} can never match, as rgate answers these paths itself: use another prefix"
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


def _unused(config: Config) -> list[str]:
    used = {route.backend for route in config.routes}
    return [
        f"no route uses the backend {backend.name}: remove it, or add a route"
        for backend in config.backends
        if backend.name not in used
    ]
