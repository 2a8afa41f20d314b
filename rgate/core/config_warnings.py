"""What is allowed in a configuration, and is probably not meant (`check`, behaviour 8)."""

from rgate.core.config import Config, Match, Route
from rgate.core.own import is_own


def warnings(config: Config) -> tuple[str, ...]:
    """Return a sentence, with its remedy, for each thing that is probably a mistake."""
    return (*_within_segments(config.routes), *_never_matched(config), *_unused(config))


def _within_segments(routes: tuple[Route, ...]) -> list[str]:
    found = []
    for route in routes:
        if route.match is not Match.PREFIX or route.path_prefix.endswith("/"):
            continue
        for other in routes:
            rest = other.path_prefix.removeprefix(route.path_prefix)
            if rest != other.path_prefix and rest and not rest.startswith("/"):
                found.append(
                    f"{route.path_prefix} ends within a segment of {other.path_prefix}, and takes all paths "
                    f"that begin like it: `match: segment` keeps it to {route.path_prefix}/…"
                )
    return found


def _never_matched(config: Config) -> list[str]:
    # One that equals stats.path is not here: longer paths than that still match it.
    return [
        f"{route.path_prefix} can never match, as rgate answers these paths itself: use another prefix"
        for route in config.routes
        if is_own(route.path_prefix.encode(), "")
    ]


def _unused(config: Config) -> list[str]:
    used = {route.backend for route in config.routes}
    return [
        f"no route uses the backend {backend.name}: remove it, or add a route"
        for backend in config.backends
        if backend.name not in used
    ]
