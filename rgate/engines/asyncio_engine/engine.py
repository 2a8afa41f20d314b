"""The asyncio engine: one event loop in a thread of its own, a protocol object for each connection."""

import asyncio
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from rgate.core.candidates import Candidate
from rgate.core.connections import Connections
from rgate.core.gateway import Gateway, Own
from rgate.core.message import Refused
from rgate.core.onward import Request
from rgate.core.patience import HANDSHAKE_S, LAST_MOMENT_S, SUCCEEDED_MOMENT_S
from rgate.core.record import RequestLog
from rgate.core.routing import without_prefix
from rgate.core.succession import Listeners
from rgate.engines.asyncio_engine.accepting import Accepting
from rgate.engines.asyncio_engine.answers import Pages, answer, refuse
from rgate.engines.asyncio_engine.asking import Asking, is_uploading, underway_of
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.ports import NEVER_NS, NS
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.records import DEFECT
from rgate.web.pages import Web

log = logging.getLogger("rgate")

# One sweep serves all timeouts: none is late by more than that, and no request sets a timer.
SWEEP_S: Final = 0.25
_LATE_NS: Final = int(2 * SWEEP_S * NS)


class AsyncioEngine:
    """Serves a gateway on listeners. See `rgate.cli` for who starts it."""

    def __init__(self, gateway: Gateway, web: Web, log: RequestLog) -> None:
        self._loop = new_event_loop()
        self._acceptor = Acceptor(Shared(self._loop, gateway, web, log))
        self._web = web
        self._thread = threading.Thread(target=self._loop.run_forever, name="rgate-loop", daemon=True)

    def start(self, listeners: Sequence[socket.socket], beat: Callable[[], object] | None = None) -> None:
        """Begin to accept on *listeners*, and return. *beat* is called in the loop as long as that runs."""
        self._acceptor.beat = beat
        self._thread.start()
        self._loop.call_soon_threadsafe(self._acceptor.start, listeners)

    def under_way(self) -> Counter[tuple[str, Candidate]]:
        """Return how many requests each candidate of a backend, by its name, is asked for now."""
        return self._acceptor.under_way()

    def connections(self) -> Connections:
        """Return how many connections there are. Any thread may ask."""
        return self._acceptor.connections()

    def drain(self, within_s: float, listeners: Listeners = Listeners.CLOSED) -> bool:
        """Stop accepting, and wait for what is under way; whether all ended in time."""
        self._loop.call_soon_threadsafe(self._acceptor.drain, listeners)
        self._web.end_streams()
        return self._acceptor.drained.wait(within_s)

    def stop(self) -> None:
        """End at once."""
        self._web.end_streams()
        self._loop.call_soon_threadsafe(self._acceptor.stop)
        self._thread.join(5)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's, or asyncio's own where uvloop is not installed; that is told of."""
    try:
        import uvloop
    except ImportError:
        log.warning("uvloop is not installed: asyncio's own event loop is used, which is slower")
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class Acceptor:
    """Begins the requests of all clients, sees to their time, and ends them all.

    It is the `Answers` of all clients. Everything here runs in the loop, but for `drained`, `under_way` and
    `connections`.
    """

    def __init__(self, shared: Shared) -> None:
        self.drained = threading.Event()
        self.beat: Callable[[], object] | None = None  # called with each sweep
        self._shared = shared
        self.unread: set[Client] = set()
        self._swept_ns = time.monotonic_ns()
        self._is_late = False  # the last sweep: nobody's time was over then
        self._pages = Pages(shared)
        self._accepting = Accepting(shared, lambda: Client(shared, self))
        self._clients = self._accepting.clients

    def start(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to accept on *listeners*."""
        self._accepting.start(listeners)
        self._sweep()

    def closed(self, client: Client) -> None:
        """Take the end of a connection."""
        self._accepting.closed(client)
        if self._shared.draining:
            self._tell_drained()

    def connections(self) -> Connections:
        """Return how many connections there are. Any thread may ask: it looks at copies."""
        clients = self._clients.copy()
        idle = sum(client.is_idle for client in clients)
        return Connections(len(clients) - idle, idle, *self._shared.pools.counts())

    # Requests.

    def refuse(self, client: Client, refused: Refused) -> None:
        """Write the answer to what is no request."""
        refuse(client, refused)

    def begin(self, client: Client, request: Request) -> None:
        """Begin with *request*."""
        shared = self._shared
        try:
            place = shared.routes.place(request)
            if isinstance(place, int):
                route = shared.routes.route(place)
                onward = without_prefix(route.route, request) if route.strips else request
                if isinstance(onward, Request):
                    Asking(client, onward, route).start()
                    return
                place = onward
            if isinstance(place, Own):
                self._pages.answer(client, request)
            else:
                answer(client, request, place, unread=request.framing != 0)
        except Exception:  # a defect of ours costs one request its answer, and is told of
            log.exception("request failed")
            client.work = None
            answer(client, request, DEFECT, unread=request.framing != 0)

    def under_way(self) -> Counter[tuple[str, Candidate]]:
        """Return how many requests each candidate is asked for now. Any thread may call."""
        # To copy a set is one operation, while the loop adds to it; and the connections know, so that no
        # request has to be counted.
        works = [underway_of(client.work) for client in list(self._clients)]
        return Counter((one.route.route.backend, one.attempt.candidate) for one in works if one is not None)

    # Time, and the end.

    def _sweep(self) -> None:
        self._shared.loop.call_later(SWEEP_S, self._sweep)  # first, as a defect below must not be the last
        if self.beat is not None:
            self.beat()
        now_ns = time.monotonic_ns()
        if not self._was_held_up(now_ns):  # else what came in time, and was not read, is read first
            for client in [client for client in self._clients if client.deadline_ns < now_ns]:
                client.deadline_ns = NEVER_NS
                self._expire(client)
        self._end_who_left()
        self._shared.pools.sweep(now_ns)
        self._accepting.go_on()
        self._shared.crowd.look()

    def _was_held_up(self, now_ns: int) -> bool:
        """Whether this sweep, but not the one before, came late: the process, or its loop, stood still."""
        is_late, self._swept_ns = now_ns - self._swept_ns > _LATE_NS, now_ns
        self._is_late = is_late and not self._is_late
        return self._is_late

    def _end_who_left(self) -> None:
        """End the connections of clients that left while nobody reads what they send."""
        for client in [one for one in self.unread if is_uploading(one.work) and one.has_left()]:
            client.transport.abort()

    def _expire(self, client: Client) -> None:
        try:
            client.expired()
        except Exception:  # a defect of ours costs one connection, and not the time-outs of all others
            log.exception("a time-out failed")
            client.reset()

    def drain(self, listeners: Listeners = Listeners.CLOSED) -> None:
        """End what is idle and accept no more, a moment later: what is on its way is served. Tell when all
        ended. *listeners*: what becomes of them.
        """
        self._shared.draining = True
        if listeners is Listeners.SUCCEEDED:
            self._accepting.leave()
            self._shared.loop.call_later(SUCCEEDED_MOMENT_S, self._end_idle)
        else:
            alone = listeners is Listeners.CLOSED
            self._shared.loop.call_later(LAST_MOMENT_S, self._let_nobody_in if alone else self._end_idle)

    def _let_nobody_in(self) -> None:
        self._accepting.let_nobody_in()
        # From now on, however late this is: who is just being let in comes in.
        self._shared.loop.call_later(HANDSHAKE_S, self._end_idle)

    def _end_idle(self) -> None:
        self._shared.outbox.flush()  # a client whose response waits there counts as idle
        self._accepting.end()
        for client in list(self._clients):
            client.end_soon()
        self._tell_drained()

    def _tell_drained(self) -> None:
        if not self._clients and self._accepting.is_over:
            self.drained.set()

    def stop(self) -> None:
        """End everything at once."""
        self._shared.draining = True
        self._accepting.end()
        for client in list(self._clients):
            client.stop()
        self._shared.pools.close()
        self._shared.loop.call_soon(self._shared.loop.stop)
