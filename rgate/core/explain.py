"""What becomes of a request, and why: what `explain`, `test` and `/_rgate/explain` tell (behaviour 9).

Nothing is decided here. The head that the client would send goes through what serves: the reader, the
snapshot, the exchange. What they say is put together, and told in sentences (`facts.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from rgate.core import facts as told
from rgate.core.asked import Asked as Asked
from rgate.core.balance import Balancer
from rgate.core.candidates import BackendView
from rgate.core.config import Backend, DefaultResponse, Route
from rgate.core.exchange import Attempt, Exchange
from rgate.core.facts import Fact as Fact
from rgate.core.facts import Level as Level
from rgate.core.fields import ClientConnection, lines
from rgate.core.gateway import Gateway, Own, Snapshot
from rgate.core.knowledge import DEFAULT_SOURCE, Knowledge
from rgate.core.message import Fields, Refused, parse_request_head
from rgate.core.near_misses import NearMiss
from rgate.core.onward import Request
from rgate.core.own import OwnPage
from rgate.core.problem import ANSWERS, Problem
from rgate.core.reading import Reading, RequestReader
from rgate.core.reasons import Failure, LeftOut
from rgate.core.routing import without_prefix
from rgate.core.seen import called_by_docker
from rgate.core.tracing import told_with

MADE_ID: Final = "<made>"
"""Stands for the request id that rgate would make, and for the `traceparent`."""

FROM_URLS: Final = "backends[].urls"
"""How the address of a fixed candidate was chosen."""


class Ending(Enum):
    """Who would answer. The value is the `outcome` that users read."""

    FORWARD = "forward"
    OWN = "own"
    DEFAULT_RESPONSE = "default_response"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """A container that might be asked, or a fixed address."""

    name: str
    address: str
    address_from: str  # how that was chosen, for people
    source: str  # "" for fixed addresses


@dataclass(frozen=True, slots=True)
class ExplainedLeftOut:
    """A container that would not be asked. *reason*: a LeftOut's value."""

    name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The head that a candidate would get."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a client would get, and why. `facts` tell the same step by step, the answer last."""

    method: str
    target: str
    host: str
    outcome: Ending
    status: int | None = None  # None: a container or a page decides
    reason: str | None = None  # a Reason's value
    detail: str = ""
    route: Route | None = None
    shadowed: tuple[str, ...] = ()  # the names of other routes that match too, best first
    backend: str | None = None
    candidates: tuple[ExplainedCandidate, ...] = ()
    left_out: tuple[ExplainedLeftOut, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    forwarded: Forwarded | None = None
    knowledge: tuple[Knowledge, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def is_yes(self) -> bool:
        """Whether a container would answer, or a page of rgate's own."""
        return self.outcome in (Ending.FORWARD, Ending.OWN)


def explain(gateway: Gateway, asked: Asked, knowledge: Sequence[Knowledge]) -> Explanation:
    """Return what the client that sends *asked* to *gateway* would get now, and why.

    *knowledge*: of the sources of the gateway's views.
    """
    snapshot = gateway.snapshot
    client = gateway.client(asked.peer, asked.port)
    unread = _Told(_shown(asked.method), _shown(asked.target), _shown(asked.host), tuple(knowledge))
    try:
        request = _read(asked, snapshot.reading, client)
        if gateway.traces:
            request = told_with(request, MADE_ID.encode())
    except Refused as refused:
        return unread.refused(Problem(refused.reason, refused.detail))
    it = replace(unread, host=_text(request.host))
    place = snapshot.place(request)
    match place:
        case Problem():
            return it.refused(place)
        case Own():
            return it.own(_text(request.path), gateway.own_page(request.head(), client))
        case DefaultResponse():
            return it.by_default(_text(request.path), place, len(snapshot.router.routes))
        case int():
            return it.routed(snapshot, snapshot.route(place), request)


def _read(asked: Asked, reading: Reading, client: ClientConnection) -> Request:
    """Return what a gateway reads of the head that the client of *asked* would send. Raises Refused."""
    has_host = any(name.lower() == b"host" for name, _ in asked.fields)
    host: Fields = () if has_host else ((b"Host", _bytes(asked.host)),)
    line = b"%b %b HTTP/1.1\r\n" % (_bytes(asked.method), _bytes(asked.target))
    head = b"".join((line, lines((*host, *asked.fields)), b"\r\n"))
    request = RequestReader().read(head, reading, client, MADE_ID.encode)
    assert request is not None, "the head is whole"  # noqa: S101 - for the types alone
    return request


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(sent: bytes) -> str:
    """Return what was *sent* as text for any document: a byte that is no UTF-8 is four characters in it."""
    return sent.decode("utf-8", "backslashreplace")


def _shown(text: str) -> str:
    return _text(_bytes(text))


@dataclass(frozen=True, slots=True)
class _Told:
    """A request that an explanation is of; makes that of each ending."""

    method: str
    target: str
    host: str
    knowledge: tuple[Knowledge, ...]

    def refused(self, problem: Problem) -> Explanation:
        """Return that of a request that is refused, whatever its route."""
        return self._of_problem(problem, (told.refused(problem),))

    def own(self, path: str, page: OwnPage | Problem) -> Explanation:
        """Return that of a request for a *page* of rgate's own."""
        first = told.own_path(path, page)
        if isinstance(page, Problem):
            return self._of_problem(page, (first,))
        return self._made(Ending.OWN, (first, told.answer_of_page(path)))

    def by_default(self, path: str, response: DefaultResponse, routes: int) -> Explanation:
        """Return that of a request for *path*, which none of so many *routes* matches."""
        facts = (told.no_route(path, self.host, routes), told.answer_by_default(response))
        return replace(self._made(Ending.DEFAULT_RESPONSE, facts), status=response.status_code)

    def routed(self, snapshot: Snapshot, route: Route, request: Request) -> Explanation:
        """Return that of a request that goes by *route*."""
        shadowed = tuple(one for one in snapshot.router.matches(request.path, request.host) if one != route)
        first = told.route(route, shadowed)
        onward = without_prefix(route, request) if route.strip_prefix else request
        if isinstance(onward, Problem):
            explanation = self._of_problem(onward, (first, told.refused(onward)))
        else:
            # With a balancer of its own, as those that are asked about are not asked.
            exchange = replace(snapshot.exchange(route), balancer=Balancer(lambda: 0.0))
            explanation = self._by_exchange(first, route, exchange, onward)
        names = tuple(one.name for one in shadowed)
        return replace(explanation, route=route, shadowed=names, backend=route.backend)

    def _by_exchange(self, first: Fact, route: Route, exchange: Exchange, onward: Request) -> Explanation:
        view = exchange.view
        candidates = _candidates(exchange.backend, view, self.knowledge)
        left_out = _left_out(view)
        steps = (
            first,
            *self._of_backend(exchange.backend, view),
            *(told.candidate(one.name, one.address, one.address_from) for one in candidates),
            *(told.left_out(one.detail) for one in left_out),
            *(told.near_miss(one.detail) for one in view.near_misses),
        )
        attempt = exchange.first(0.0)
        if isinstance(attempt, Problem):
            explanation = self._of_problem(attempt, steps)
        else:
            forwarded = _forwarded(onward)
            facts = (*steps, *_facts_of(forwarded, route, exchange, attempt))
            explanation = replace(self._made(Ending.FORWARD, facts), forwarded=forwarded)
        return replace(explanation, candidates=candidates, left_out=left_out, near_misses=view.near_misses)

    def _of_backend(self, backend: Backend, view: BackendView) -> Iterator[Fact]:
        yield told.backend(backend, view)
        if not backend.urls:
            is_named = len(self.knowledge) > 1
            for one in self.knowledge:
                if not backend.sources or one.source in backend.sources:
                    yield told.knowledge(one, is_named=is_named)

    def _of_problem(self, problem: Problem, steps: tuple[Fact, ...]) -> Explanation:
        status, _ = ANSWERS[problem.reason]
        made = self._made(Ending.PROBLEM, (*steps, told.answer_of_problem(problem)))
        return replace(made, status=status, reason=problem.reason.value, detail=problem.detail)

    def _made(self, outcome: Ending, facts: tuple[Fact, ...]) -> Explanation:
        return Explanation(
            self.method, self.target, self.host, outcome, knowledge=self.knowledge, facts=facts
        )


def _candidates(
    backend: Backend, view: BackendView, knowledge: Sequence[Knowledge]
) -> tuple[ExplainedCandidate, ...]:
    if backend.urls:
        return tuple(ExplainedCandidate(one.name, str(one.address), FROM_URLS, "") for one in view.candidates)
    address_from = {one.container_id: one.address_from for one in view.containers}
    alone = knowledge[0].source if knowledge else DEFAULT_SOURCE
    return tuple(
        ExplainedCandidate(
            one.name,
            str(one.address),
            address_from.get(one.container_id, ""),
            called_by_docker(one.name)[1] or alone,
        )
        for one in view.candidates
    )


def _left_out(view: BackendView) -> tuple[ExplainedLeftOut, ...]:
    """Return those that have the labels and are out. Whoever lacks one is a near miss, if anything."""
    return tuple(
        ExplainedLeftOut(one.name, one.left_out.value, one.detail)
        for one in view.containers
        if one.left_out is not None and one.left_out is not LeftOut.LABELS
    )


def _forwarded(onward: Request) -> Forwarded:
    head = parse_request_head(onward.onward, most_fields=len(onward.onward))
    fields = tuple((_text(name), _text(value)) for name, value in head.fields)
    return Forwarded(_text(head.method), _text(head.target), fields)


def _facts_of(forwarded: Forwarded, route: Route, exchange: Exchange, first: Attempt) -> tuple[Fact, ...]:
    """Return what is told where *first* is the first step."""
    names = [candidate.name for candidate in exchange.view.candidates]
    return (
        told.forwarded(forwarded.method, forwarded.target, route),
        told.nobody_accepts(_nobody_accepts(exchange, first)),
        told.answer_of_candidates(names, forwarded.method, forwarded.target, route),
    )


def _nobody_accepts(exchange: Exchange, first: Attempt) -> Problem:
    """Return what *exchange* comes to where every candidate refuses.

    The last one refuses here, where no other is there: to let a thousand refuse, one after the other, or to
    look for one among a thousand that was not tried, would take seconds.
    """
    candidates = exchange.view.candidates
    exchange = replace(exchange, view=replace(exchange.view, candidates=candidates[-1:]))
    step: Attempt | Problem = replace(first, candidate=candidates[-1], tried=candidates)
    while isinstance(step, Attempt):
        step = exchange.after(step, Failure.REFUSED, 0.0, repeatable=True)
    return step
