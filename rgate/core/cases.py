"""Routing cases: a request, and what is expected of it, each key once with its type; and where what is told
of the request differs (behaviour 9).

`case_file.py` reads a file into them, and checks it by these types; whoever makes one in code is trusted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict

from rgate.core.case_values import (
    AtLeast,
    Containers,
    ExpectedFields,
    Given,
    Headers,
    HostAsked,
    Request,
    RouteName,
)
from rgate.core.config_values import Name, Whole
from rgate.core.explain import Asked, Ending
from rgate.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class ExpectedForward:
    """What is expected of the head that a container would get. None and (): nothing is."""

    target: Annotated[Name | None, Given] = None
    fields: ExpectedFields = ()  # those named here; None: it must be absent


def _expects(forward: ExpectedForward) -> ExpectedForward:
    if forward == ExpectedForward():
        raise ValueError("is empty: name `target` or `fields`, or leave the key out")
    return forward


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of an answer. None: nothing is of this part of it."""

    outcome: Annotated[Ending | None, Given] = None
    route: Annotated[RouteName | None, Given] = None
    backend: Annotated[Name | None, Given] = None
    containers: Annotated[Containers | None, Given] = None  # just these, in any order
    status: Annotated[Annotated[int, Whole(200, 599)] | None, Given] = None
    reason: Annotated[Reason | None, Given] = None
    forwarded: Annotated[Annotated[ExpectedForward, AfterValidator(_expects)] | None, Given] = None


def _can_fail(expected: Expected) -> Expected:
    if expected == Expected():
        raise ValueError("is empty, and what expects nothing cannot fail: name `outcome`, `route` or others")
    return expected


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what is expected of it."""

    request: Request
    expect: Annotated[Expected, AfterValidator(_can_fail)]
    name: Annotated[Name | None, Given] = None
    host: Annotated[HostAsked | None, Given] = None
    headers: Headers = ()

    @property
    def title(self) -> str:
        """What the case is called: its name, or its request."""
        at_host = f" at {self.host}" if self.host else ""
        return self.name or f"{self.request}{at_host}"

    @property
    def asked(self) -> Asked:
        """The request, as its client would send it."""
        fields = tuple((name.encode(), value.encode()) for name, value in self.headers)
        asked = Asked(self.request.method, self.request.target, fields=fields)
        return replace(asked, host=self.host) if self.host else asked


def _one_host(case: Case) -> Case:
    if case.host and any(name.lower() == "host" for name, _ in case.headers):
        raise ValueError("says its host twice: leave out `host`, or the field in `headers`")
    return case


@dataclass(frozen=True, slots=True)
class PlacedCase:
    """A case, and where it stands. *line* counts from 1."""

    file: str
    line: int
    case: Case


@dataclass(frozen=True, slots=True)
class Cases:
    """The cases of a file."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # of all the values in it, too

    cases: tuple[Annotated[Case, AfterValidator(_one_host)], ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a request, as far as a case may expect anything of it: of an explanation that was made
    here, or by a running gateway.
    """

    outcome: Ending
    status: int | None = None
    reason: Reason | None = None
    route: str | None = None  # its name
    backend: str | None = None
    containers: tuple[str, ...] = ()  # the names of candidates
    target: str | None = None  # as forwarded; None: it is not
    fields: tuple[tuple[str, str], ...] = ()


def differences(expected: Expected, told: Told) -> tuple[str, ...]:
    """Return a sentence for each part of *expected* that *told* is not; none where all is as expected."""
    return tuple(_differences(expected, told))


def _differences(expected: Expected, told: Told) -> Iterator[str]:
    end = _end(told)
    if expected.outcome not in (None, told.outcome):
        yield f"outcome: expected {expected.outcome.value}, got {end}"
    if expected.route not in (None, told.route):
        yield f"route: expected {expected.route}, got {told.route or f'none ({end})'}"
    if expected.backend not in (None, told.backend):
        by = f"route {told.route}" if told.route else end
        yield f"backend: expected {expected.backend}, got {told.backend or 'none'} ({by})"
    if expected.containers is not None:
        yield from _containers_differ(expected.containers, told.containers)
    if expected.status not in (None, told.status):
        yield f"status: expected {expected.status}, got {told.status or f'none ({_whose(told.outcome)})'}"
    if expected.reason is not None and expected.reason is not told.reason:
        got = told.reason.value if told.reason is not None else f"none ({end})"
        yield f"reason: expected {expected.reason.value}, got {got}"
    if expected.forwarded is not None:
        yield from _forwarded_differs(expected.forwarded, told)


def _end(told: Told) -> str:
    """Return how the request ends, in a word or three: `problem 503 no_container`."""
    parts = (told.outcome.value, told.status, told.reason.value if told.reason is not None else None)
    return " ".join(str(part) for part in parts if part is not None)


def _whose(outcome: Ending) -> str:
    return "it is that of a page of rgate's own" if outcome is Ending.OWN else "it is the container's"


def _containers_differ(expected: tuple[str, ...] | AtLeast, found: tuple[str, ...]) -> Iterator[str]:
    got = ", ".join(found) or "none"
    if isinstance(expected, AtLeast):
        if len(found) < expected.at_least:
            yield f"containers: expected at least {expected.at_least}, got {len(found)} ({got})"
    elif set(expected) != set(found):
        yield f"containers: expected {', '.join(expected) or 'none'}, got {got}"


def _forwarded_differs(expected: ExpectedForward, told: Told) -> Iterator[str]:
    if told.target is None:
        yield f"forwarded: expected to a container, got {_end(told)}"
        return
    if expected.target not in (None, told.target):
        yield f"forwarded.target: expected {expected.target}, got {told.target}"
    for name, wanted in expected.fields:
        # Several of one name are one value, separated by commas (RFC 9110 5.3).
        values = [value for found, value in told.fields if found.lower() == name.lower()]
        got = ", ".join(values) if values else None
        if got != wanted:
            yield f"forwarded.fields.{name}: expected {_value(wanted)}, got {_value(got)}"


def _value(value: str | None) -> str:
    return "none" if value is None else value or "an empty one"
