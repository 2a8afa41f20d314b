"""What a request meets first: a refusal, rgate's own paths, its route, or the default response (behaviour 3).

The configuration and the backends' views are one immutable snapshot, swapped whole by one
assignment: readers need no lock, and a reload cannot be seen half done.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from itertools import count
from typing import Final

from rgate.core.admission import Stranger, from_another_site, why_a_stranger
from rgate.core.balance import Balancer
from rgate.core.candidates import BackendView
from rgate.core.config import Config, DefaultResponse, Route
from rgate.core.exchange import Exchange
from rgate.core.fields import ClientConnection, is_in, unmapped
from rgate.core.message import CHUNKED, RequestHead
from rgate.core.onward import Request
from rgate.core.own import FOR_EVERYONE, OWN_PREFIX, OwnPage, is_own, own_page, paths
from rgate.core.own_query import is_for_insiders, wrong_with_query
from rgate.core.problem import (
    OwnResponse,
    PageOf,
    Problem,
    body_too_large,
    default_response,
    problem_response,
)
from rgate.core.reading import Reading, RequestReader
from rgate.core.reasons import Reason
from rgate.core.room import most_clients
from rgate.core.routing import Router
from rgate.core.tracing import Tracer, TracingReader


class Own(Enum):
    """The request is for what rgate answers itself: `stats.path` and `/_rgate/…`."""

    OWN = "own"


OWN: Final = Own.OWN


class Snapshot:
    """One configuration, and all that is known of its backends at one moment. Immutable.

    *generation* is its number among all that were in force, from 1 on.
    """

    __slots__ = (
        "_most_content", "_stats_path", "config", "exchanges", "generation", "reading", "router", "views",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        router: Router,
        reading: Reading,
        views: Mapping[str, BackendView],
        balancer: Balancer,
        generation: int = 1,
    ) -> None:
        self.config = config
        self.generation = generation
        self.router = router
        self.reading = reading
        self.views = views
        self.exchanges: Mapping[str, Exchange] = {
            backend.name: Exchange(backend, views[backend.name], balancer) for backend in config.backends
        }
        self._most_content = config.limits.body_bytes
        self._stats_path = config.stats.path.encode()

    def place(self, request: Request) -> int | Own | DefaultResponse | Problem:
        """Return the index in `router.routes` of the route that *request* goes by, or what answers it
        instead.
        """
        _, path, host, _, framing, _, manner, _, _, _, _ = request
        refusal = manner.refusal
        if refusal is not None and refusal is not Reason.NOT_IMPLEMENTED:
            return _refused(request)
        if self._most_content is not None and framing is not CHUNKED and framing > self._most_content:
            return body_too_large(self._most_content)
        if path == self._stats_path or (path.startswith(OWN_PREFIX) and is_own(path, "")):
            return OWN
        index = self.router.find(path, host)
        if index < 0:
            return self.config.default_response
        return index if refusal is None else _refused(request)  # only a backend would be asked to switch

    def route(self, index: int) -> Route:
        """Return the route that `place` gave the *index* of."""
        return self.router.routes[index]

    def exchange(self, route: Route) -> Exchange:
        """Return what decides on requests that go by *route*."""
        return self.exchanges[route.backend]


class Gateway:
    """Decides what becomes of each request. Engines hold one and ask it.

    *random* gives floats in [0, 1) for the pick among candidates. *can_tunnel*: the engine can switch
    protocols. *machine_name*: by which, as by its first label, rgate's own pages may be asked too. *workers*:
    how many processes share the limit on connections, and *descriptors*: how many each of them may open.
    *tracer* decides on traces; None: they are not for us.
    """

    __slots__ = (
        "_descriptors", "_generations", "_machine_name", "_workers", "balancer", "can_tunnel", "is_draining",
        "reader", "snapshot", "traces",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        views: Mapping[str, BackendView],
        random: Callable[[], float],
        *,
        can_tunnel: bool = True,
        machine_name: str = "",
        workers: int = 1,
        descriptors: int = 1 << 30,
        tracer: Tracer | None = None,
    ) -> None:
        self._workers = workers
        self._descriptors = descriptors
        self.traces = tracer is not None
        # Makes what reads the requests of one connection.
        self.reader: Callable[[], RequestReader] = (
            RequestReader if tracer is None else partial(TracingReader, tracer)
        )
        self._machine_name = machine_name
        self.balancer = Balancer(random)
        self.can_tunnel = can_tunnel
        self.is_draining = False  # whoever ends the gateway tells: no more requests are wanted
        self._generations = count(1)  # a step of it is one operation: two threads may swap at once
        # What is in force now; take it once where two of its parts have to fit.
        self.snapshot = self._snapshot(config, views)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.snapshot.config

    @property
    def most_connections(self) -> int:
        """How many connections of clients this process may have open, and how many to containers."""
        config = self.config
        sources = len(config.asked_sources)
        return most_clients(config.limits.connections, self._workers, self._descriptors, sources)

    @property
    def views(self) -> Mapping[str, BackendView]:
        """What is known of each backend, by name."""
        return self.snapshot.views

    def swap(self, config: Config, views: Mapping[str, BackendView]) -> None:
        """Put *config* and the views of its backends in force, for every request from now on."""
        self.snapshot = self._snapshot(config, views)
        self._forget_changed(views)

    def swap_views(self, views: Mapping[str, BackendView]) -> None:
        """Put *views* in force. Those of another configuration's backends are left: `swap` brings both."""
        old = self.snapshot
        if views.keys() != old.exchanges.keys():
            return
        generation = next(self._generations)
        self.snapshot = Snapshot(old.config, old.router, old.reading, views, self.balancer, generation)
        self._forget_changed(views)

    def _snapshot(self, config: Config, views: Mapping[str, BackendView]) -> Snapshot:
        reading = Reading(config.limits, upgrading=self.can_tunnel)
        generation = next(self._generations)
        return Snapshot(config, Router(config.routes), reading, views, self.balancer, generation)

    def _forget_changed(self, views: Mapping[str, BackendView]) -> None:
        self.balancer.keep_only(c for view in views.values() for c in view.candidates)

    def client(self, peer: str, local_port: int, peer_port: int = 0) -> ClientConnection:
        """Return what rgate holds of a connection from the address *peer*."""
        proxies = self.config.trusted_proxies
        return ClientConnection(unmapped(peer), local_port, is_in(peer, proxies), peer_port, proxies)

    def judged(self, client: ClientConnection) -> ClientConnection:
        """Return *client* as the configuration in force has it, for a reload may change whom it trusts."""
        if client.judged_by is self.config.trusted_proxies:
            return client
        return self.client(client.peer, client.local_port, client.peer_port)

    def own_response(
        self,
        place: Problem | DefaultResponse,
        request: Request,
        client: ClientConnection,
        page: PageOf | None = None,
    ) -> OwnResponse:
        """Return what tells *client* why *request* goes to no backend, as far as it may know.

        *page* makes a page of a problem; None: it is a document for everybody.
        """
        request_id = request.identity.decode("latin-1")
        if isinstance(place, DefaultResponse):
            return default_response(place, request_id=request_id)
        head = request.head()
        accept = b",".join(head.values(b"accept"))
        insider = self.is_insider(head, client)
        return problem_response(place, request_id=request_id, accept=accept, insider=insider, page=page)

    def own_page(self, head: RequestHead, client: ClientConnection) -> OwnPage | Problem:
        """Return which page of rgate's own *client* gets for *head*, or why none (behaviour 8)."""
        page = own_page(head.path.decode("latin-1"), self.config.stats.path)
        stranger = from_another_site(head) if page is not OwnPage.STATS else None
        if stranger is None and page not in FOR_EVERYONE:
            stranger = self.stranger(head, client)
        if stranger is not None:
            return Problem(Reason.FORBIDDEN, stranger.detail)
        if page is None:
            return Problem(Reason.NOT_FOUND, f"There is: {', '.join(paths())}.")
        if head.method not in (b"GET", b"HEAD"):
            detail = f"{head.method.decode()} is not for this page; GET is."
            return Problem(Reason.METHOD_NOT_ALLOWED, detail)
        if wrong := wrong_with_query(page, head, client):
            return Problem(Reason.BAD_QUERY, wrong)
        if is_for_insiders(page, head) and (stranger := self.stranger(head, client)):
            return Problem(Reason.FORBIDDEN, stranger.detail)
        return page

    def is_insider(self, head: RequestHead, client: ClientConnection) -> bool:
        """Whether who sent *head* may know of containers, their addresses and labels (behaviour 8)."""
        return self.stranger(head, client) is None

    def stranger(self, head: RequestHead, client: ClientConnection) -> Stranger | None:
        """Return why who sent *head* may not know of them; None: it may."""
        return why_a_stranger(head, self.judged(client), self.config.admin, self._machine_name)


def _refused(request: Request) -> Problem:
    match request.manner.refusal:
        case Reason.METHOD_NOT_ALLOWED as reason:
            detail = f"{request.method.decode()} is not forwarded."
        case Reason.NOT_IMPLEMENTED as reason:
            detail = "This engine cannot switch to WebSocket: use another, with `--engine`."
        case _ as reason:
            reason = Reason.PATH_NOT_NORMALIZED
            detail = "The path has a `.` or `..` segment: clients remove those before they send."
    return Problem(reason, detail)
