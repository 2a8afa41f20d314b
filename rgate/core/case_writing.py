"""Routing cases from what is true now: which requests are asked about, and the file that holds what is told
of them (behaviour 9).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, Final

import yaml

from rgate.core.case_values import RequestLine
from rgate.core.cases import Case, Expected, Told
from rgate.core.config import Config, Match, Route
from rgate.core.escape import in_one_line
from rgate.core.explain import Asked, Ending
from rgate.core.names import wrong_with_host

_BELOW: Final = ("x", "y", "z", "other", "one-more")
_ELSEWHERE: Final = "elsewhere.example"
# The first reads best; the others are for configurations that have a route for it.
_NO_ROUTE: Final = ("/no-such-path", "/", *(f"/{letter}" for letter in "abcdefghijklmnopqrstuvwxyz~"))

Tell = Callable[[Asked], Told]
"""What says what becomes of a request."""


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one route, or of none. *about*: what they show."""

    about: str
    cases: tuple[Case, ...]


def cases_of(config: Config, tell: Tell) -> Iterator[Group]:
    """Yield cases that expect what *tell* says: of each route its prefix, a path below it, and a path and a
    host that are just outside; then one path that no route matches, if there is any.
    """
    for route in config.routes:
        if cases := tuple(_cases_of(route, tell)):
            yield Group(f"The route {route.name}, to the backend {route.backend}.", cases)
    for case in (_case(f"no route for {path}", path, None, tell) for path in _NO_ROUTE):
        if case.expect.outcome is Ending.DEFAULT_RESPONSE:
            yield Group("What no route matches.", (case,))
            return


def _cases_of(route: Route, tell: Tell) -> Iterator[Case]:
    prefix, name = route.path_prefix, route.name
    host, outside = _hosts(route.host)
    if host and wrong_with_host(host):
        return  # no name is short enough to stand before the suffix: nothing can ask for this route
    yield _case(name, prefix, host, tell)
    yield _below(route, host, tell)
    if route.match is Match.SEGMENT and prefix != "/":
        yield _case(f"beside {name}", prefix[:-1] if prefix.endswith("/") else f"{prefix}x", host, tell)
    if route.host:
        yield _case(f"{name} at another host", prefix, outside, tell)


def _below(route: Route, host: str | None, tell: Tell) -> Case:
    """Return a case of a path below *route*, and below no other route if there is such a one."""
    start = route.path_prefix if route.path_prefix.endswith("/") else f"{route.path_prefix}/"
    for end in _BELOW:
        case = _case(f"below {route.name}", start + end, host, tell)
        if case.expect.route == route.name:
            break
    return case


def _hosts(host: str) -> tuple[str | None, str | None]:
    """Return a host that a route's *host* means, and one that it does not; None: the default of a case."""
    name = host.removeprefix("*.")
    if name != host:
        return f"www.{name}", name
    return host or None, _ELSEWHERE if host == Asked("", "").host else None


def _case(name: str, path: str, host: str | None, tell: Tell) -> Case:
    case = Case(RequestLine("GET", path), Expected(), name, host)
    return replace(case, expect=_expected(tell(case.asked)))


def _expected(told: Told) -> Expected:
    """Return what of *told* is worth to be expected; not how it is forwarded, which is HTTP's to say."""
    forwards = told.outcome is Ending.FORWARD
    return Expected(
        told.outcome,
        told.route,
        told.backend,
        told.containers if forwards else None,
        told.status,
        told.reason,
    )


def as_yaml(groups: Iterable[Group], comment: str) -> str:
    """Return the file that holds *groups*, with the lines of *comment* above."""
    parts = [f"{_comment(comment)}\ncases:\n"]
    for group in groups:
        parts.append(f"\n{_comment(group.about)}\n{_dumped([_entry(case) for case in group.cases])}")
    return "".join(parts)


def _comment(text: str) -> str:
    return "\n".join(f"# {in_one_line(line)}" for line in text.splitlines())


def _entry(case: Case) -> dict[str, Any]:
    """Return *case*, which was made here, as it stands in a file."""
    entry: dict[str, Any] = {"name": case.name, "request": str(case.request), "host": case.host}
    expect = {
        part.name: _plain(getattr(case.expect, part.name))
        for part in fields(case.expect)
        if getattr(case.expect, part.name) is not None
    }
    return {key: value for key, value in (*entry.items(), ("expect", expect)) if value is not None}


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case tuple():
            return list(value)
        case _:
            return value


def _dumped(value: object) -> str:
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=1_000_000))
