"""The rows of the page's lists: in which order, and what is marked in them (behaviour 10).

An amount is marked only if it is half of all errors, or one in a hundred of its route's requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from rgate.core.facts import Level
from rgate.stats import Figures
from rgate.stats.series import RouteSeries, Series
from rgate.web import amounts
from rgate.web.amounts import DASH
from rgate.web.documents import (
    AddressDocument,
    BackendDocument,
    BackendsDocument,
    ContainerDocument,
    LabelsDocument,
)
from rgate.web.sparks import rates_of, ticked

_MUCH_OF_A_ROUTE: Final = 0.01


@dataclass(frozen=True, slots=True)
class RouteRow:
    """A route: "" is the default response. *owner*: its backend, where the reader may know; else ""."""

    route: str
    owner: str
    rate: str
    share: str  # of errors; "" where there are none
    errors: str
    is_much: bool
    p95: str
    drawing: Markup


def route_rows(
    routes: Mapping[str, Figures],
    window_s: int,
    owners: Mapping[str, str],
    over_time: Mapping[str, RouteSeries],
    series: Series | None,
) -> list[RouteRow]:
    """Return a row for each route, those with the most errors first, then those that are asked most."""
    half = sum(one.error for one in routes.values()) / 2
    order = sorted(routes.items(), key=lambda item: (-item[1].error, -_count(item[1]), not item[0], item[0]))
    return [
        RouteRow(
            route,
            owners.get(route, ""),
            amounts.amount(_count(one) / window_s) if _count(one) else DASH,
            amounts.share(one.error / _count(one)) if one.error else "",
            amounts.count(one.error) if _count(one) else DASH,
            bool(one.error) and (one.error >= half or one.error >= _MUCH_OF_A_ROUTE * _count(one)),
            amounts.milliseconds(one.p95_ms if _count(one) else None),
            _drawing(over_time.get(route), series),
        )
        for route, one in order
    ]


def _count(total: Figures) -> int:
    return total.success + total.error


def _drawing(route: RouteSeries | None, series: Series | None) -> Markup:
    if route is None or series is None:
        return Markup()
    return ticked(rates_of(route.requests, series), route.errors)


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A container of a backend, or a fixed address, and what of the backend's requests it got.

    *labels*: where it lacks some; *detail*: why it is no candidate, elsewhere.
    """

    name: str
    address: str  # "" without one, and where that is the name
    level: Level
    says: str
    is_out: bool
    labels: LabelsDocument | None
    detail: str
    share: str
    bar: Markup
    in_flight: str
    errors: str
    is_much: bool
    p95: str


@dataclass(frozen=True, slots=True)
class BackendRows:
    """A backend and its containers. *wants*: its labels, or its fixed addresses."""

    name: str
    reason: str  # why it has no candidate; "" where it has
    candidates: int
    wants: Sequence[str]
    policy: str
    containers: Sequence[ContainerRow]


def backend_rows(told: BackendsDocument) -> list[BackendRows]:
    """Return all backends, those without a container first."""
    half = sum(one.errors for backend in told.backends.values() for one in _members(backend)) / 2
    order = sorted(told.backends.items(), key=lambda item: item[1].reason is None)
    return [_backend(name, one, half) for name, one in order]


def _members(backend: BackendDocument) -> Sequence[ContainerDocument | AddressDocument]:
    return (*backend.containers, *backend.addresses)


def _backend(name: str, told: BackendDocument, half: float) -> BackendRows:
    whole = sum(one.requests for one in _members(told))
    return BackendRows(
        name,
        told.reason.value if told.reason is not None else "",
        len(told.candidates),
        told.match_labels or told.urls,
        told.policy.value,
        [_member(one, whole, half) for one in _members(told)],
    )


def _member(one: ContainerDocument | AddressDocument, whole: int, half: float) -> ContainerRow:
    if isinstance(one, AddressDocument):
        return ContainerRow(name=one.address, address="", labels=None, detail="", **_load(one, whole, half))
    return ContainerRow(
        name=one.name,
        address=one.address or "",
        labels=one.labels if one.labels.missing else None,
        detail=one.detail,
        **_load(one, whole, half, is_out=not one.candidate),
    )


def _load(
    one: ContainerDocument | AddressDocument, whole: int, half: float, *, is_out: bool = False
) -> dict[str, Any]:
    """Return what is told of *one* alike, whatever it is: how well it stands, and what is asked of it."""
    return {
        "level": one.level,
        "says": one.says,
        "is_out": is_out,
        "share": amounts.share(one.requests / whole) if one.requests else DASH,
        "bar": _bar(100 * one.requests / whole) if one.requests else Markup(),
        "in_flight": DASH if is_out else str(one.in_flight),
        "errors": amounts.count(one.errors) if one.errors or one.requests else DASH,
        "is_much": bool(one.errors) and one.errors >= half,
        "p95": amounts.milliseconds(one.p95),
    }


def _bar(percent: float) -> Markup:
    return Markup(
        '<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="all" width="100" height="6"/><rect width="{:.1f}" height="6"/></svg>'
    ).format(percent)


def in_words(told: BackendsDocument) -> str:
    """Return how many backends have a container."""
    having = sum(one.reason is None for one in told.backends.values())
    return f"{having} of {len(told.backends)} have containers"
