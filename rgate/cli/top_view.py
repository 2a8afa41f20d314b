"""What `top` shows: the page at `stats.path` for a terminal, of the same documents (behaviour 9).

What comes from labels, paths or a gateway is escaped, and is text: nothing of it reaches a terminal as a
command.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rgate.cli.text import GLYPHS, moment
from rgate.core.escape import in_one_line
from rgate.core.explain import Level
from rgate.core.verdict import Standing
from rgate.web.amounts import NARROW, amount, count, milliseconds, share, span, time_of_day
from rgate.web.documents import (
    AddressDocument,
    BackendDocument,
    BackendsDocument,
    ContainerDocument,
    Document,
    FiguresDocument,
    RequestsDocument,
    SeriesByRouteDocument,
    SeriesDocument,
    VerdictDocument,
)

_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.BAD: "red", Level.INFO: "dim"}
_STANDINGS: Final = {
    Standing.WELL: "bold green",
    Standing.WAITING: "bold green",
    Standing.DEGRADED: "bold yellow",
    Standing.DOWN: "bold red",
    Standing.STALE: "bold red",
}
_MOST_FINDINGS: Final = 5
_PARTS: Final = (20, 6, 4)  # of a terminal, which findings, routes and containers may take
_CLOCK: Final = "%H:%M:%S"
_NO_ROUTE: Final = "(no route)"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a running rgate tells of itself, in the window that is called *window*."""

    window: str
    verdict: VerdictDocument
    series: SeriesDocument
    routes: SeriesByRouteDocument
    backends: BackendsDocument
    failures: RequestsDocument

    def as_json(self) -> dict[str, object]:
        """Return the documents by the names of their pages, of JSON's own types."""
        documents: dict[str, Document] = {
            "verdict": self.verdict,
            "series": self.series,
            "routes": self.routes,
            "backends": self.backends,
            "failures": self.failures,
        }
        return {name: document.as_json() for name, document in documents.items()}


def view_of(shown: Shown, problem: str = "", rows: int | None = None) -> RenderableType:
    """Return all that is shown. *problem*: why it is not of now; "" where it is.

    *rows*: of the terminal, where there is no more room; then of each kind a part is shown.
    """
    parts: list[RenderableType] = []
    findings, routes, backends = (max(1, rows // part) if rows is not None else None for part in _PARTS)
    if problem:
        parts.append(
            _text(f"{problem}; this is as it was at {moment(shown.backends.now, _CLOCK)}", "bold red")
        )
    parts += [*_verdict(shown, findings), Text(), _figures(shown), Text(), _routes(shown.routes, routes)]
    parts += [Text(), _backends(shown.backends, backends)]
    if shown.failures.requests:
        parts += [Text(), _failures(shown.failures)]
    return Group(*parts)


def _text(text: str, style: str = "") -> Text:
    return Text(in_one_line(text), style=style, overflow="fold")


def _cell(text: str, style: str = "") -> Text:
    return Text(in_one_line(text), style=style, overflow="ellipsis", no_wrap=True)


def _verdict(shown: Shown, most: int | None) -> Iterator[Text]:
    verdict, gateway = shown.verdict, shown.backends.gateway
    head = _text(verdict.word, _STANDINGS[verdict.level])
    yield head.append(f"  {in_one_line(verdict.headline)}", "not bold default")
    up = (
        f", up {span(shown.backends.now - gateway.started).replace(NARROW, ' ')}"
        if gateway.started is not None
        else ""
    )
    workers = f", {gateway.workers} workers" if gateway.workers > 1 else ""
    docker = shown.backends.docker
    docker_text = f"Docker {docker.version}" if docker.connected else "no Docker"
    if sources := shown.backends.sources:
        docker_text = f"{sum(one.connected for one in sources)} of {len(sources)} Dockers"
    yield _text(
        f"rgate {gateway.version} at {gateway.listen}, {gateway.engine}{workers}{up}, {docker_text}", "dim"
    )
    for finding in verdict.findings[: min(most or _MOST_FINDINGS, _MOST_FINDINGS)]:
        line = _text(f"{GLYPHS[finding.level]} ", _STYLES[finding.level])
        yield line.append(in_one_line(f"{finding.text} {finding.do}".strip()), "default")
        if finding.command:
            yield _text(f"    {finding.command}", "cyan")


def _figures(shown: Shown) -> Table:
    table = _table(
        f"in {shown.window}", "requests", "errors", "rgate's own", "average", "p95", "p99", "under way"
    )
    total = shown.series.total
    own = sum(number or 0 for number in shown.series.own)
    latency = total.latency_ms
    table.add_row(
        "",
        *_counts(total),
        count(own),
        *(milliseconds(number) for number in (latency.average, latency.p95, latency.p99)),
        count(shown.backends.gateway.in_flight),
    )
    return table


def _counts(figures: FiguresDocument) -> tuple[Text, Text]:
    """Return how many requests there were, and how many errors."""
    errors = figures.requests_count.error
    requests = figures.requests_count.success + errors
    part = f" ({share(errors / requests)})" if errors else ""
    return Text(count(requests)), Text(f"{count(errors)}{part}", "red" if errors else "")


def _routes(routes: SeriesByRouteDocument, most: int | None) -> Table:
    table = _table("route", "requests", "errors", "average", "p95", "p99")
    ordered = sorted(
        routes.names.items(), key=lambda item: (-sum(_numbers(item[1].total)), item[0] == "", item[0])
    )
    for name, route in ordered[:most]:
        latency = route.total.latency_ms
        times = (latency.average, latency.p95, latency.p99) if sum(_numbers(route.total)) else (None,) * 3
        table.add_row(_cell(name or _NO_ROUTE), *_counts(route.total), *map(milliseconds, times))
    return _ended(table, len(ordered))


def _numbers(figures: FiguresDocument) -> tuple[int, int]:
    return figures.requests_count.success, figures.requests_count.error


def _ended(table: Table, rows: int) -> Table:
    """Return *table*, with a last row that says how many of so many *rows* it does not have."""
    if more := rows - table.row_count:
        table.add_row(_cell(f"and {more} more", "dim"))
    return table


def _backends(backends: BackendsDocument, most: int | None) -> Table:
    """Return a row for each container; first those of backends that have none to ask."""
    table = _table("backend", "container", "", "under way", "requests", "errors", "p95", left=3)
    ordered = sorted(backends.backends.items(), key=lambda item: (bool(item[1].candidates), item[0]))
    rows: list[Sequence[Text]] = []
    for name, backend in ordered:
        none = (_cell("none", "red"), _cell(backend.reason.value if backend.reason else ""))
        for number, row in enumerate(list(_members(backend)) or [none]):
            rows.append((_cell(name if number == 0 else ""), *row))
    for row in rows[:most]:
        table.add_row(*row)
    return _ended(table, len(rows))


def _members(backend: BackendDocument) -> Iterator[Sequence[Text]]:
    members: list[tuple[str, AddressDocument | ContainerDocument]] = [
        *((address.address, address) for address in backend.addresses),
        *((container.name, container) for container in backend.containers),
    ]
    for name, one in members:
        says = f"{GLYPHS[one.level]} {one.says}"
        yield (
            _cell(name),
            _cell(says, _STYLES[one.level]),
            Text(count(one.in_flight)),
            Text(amount(one.requests)),
            Text(amount(one.errors), "red" if one.errors else ""),
            Text(milliseconds(one.p95)),
        )


def _failures(failures: RequestsDocument) -> Table:
    table = _table("failed at", "status", "reason", "request", "container", "id", left=6)
    for one in failures.requests:
        try:
            at = time_of_day(one.ended_at, failures.now, None)
        except (OverflowError, ValueError, OSError):  # a gateway may say anything
            at = str(one.ended_at)
        table.add_row(
            Text(at),
            Text(str(one.status), "red"),
            _cell(one.reason or f"by the {one.by.value}"),
            _cell(f"{one.method} {one.target}"),
            _cell(one.container),
            _cell(one.id, "dim"),
        )
    return table


def _table(*names: str, left: int = 1) -> Table:
    """Return a table with columns of these *names*; the first *left* hold words, the others numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(names):
        # Where there is little room, words are cut first.
        is_word = number < left
        table.add_column(
            name, justify="left" if is_word else "right", overflow="ellipsis", no_wrap=not is_word
        )
    return table
