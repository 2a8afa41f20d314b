"""The asyncio engine: one event loop in a thread of its own, a protocol object for each connection."""

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from flask import Flask, Response

from rgate.core.exchange import Exchange
from rgate.core.gateway import Gateway
from rgate.core.message import Refused, RequestHead
from rgate.core.problem import OwnResponse
from rgate.core.record import RequestLog
from rgate.engines.asyncio_engine.client import IDLE_TIMEOUT_NS, NEVER_NS, Client
from rgate.engines.asyncio_engine.forwarding import Forwarding
from rgate.engines.asyncio_engine.hot_path import HotClient, HotUpstream
from rgate.engines.asyncio_engine.hot_routes import HotRoutes, request_ids
from rgate.engines.asyncio_engine.outbox import Outbox
from rgate.engines.asyncio_engine.own import own_response, refusal
from rgate.engines.asyncio_engine.upstream import Pools
from rgate.engines.records import answer_to_no_request, record_of
from rgate.engines.wsgi_server import ServedRequest, environ

log = logging.getLogger("rgate")

# One sweep serves all timeouts: none is late by more than that, and no request sets a timer.
SWEEP_S: Final = 0.25
_PAGE_THREADS: Final = 4


class AsyncioEngine:
    """Serves a gateway on a listener. See `rgate.cli` for who starts it."""

    def __init__(self, gateway: Gateway, web: Flask, log: RequestLog) -> None:
        self._loop = new_event_loop()
        self._shared = Shared(self._loop, gateway, web, log)
        self._thread = threading.Thread(target=self._loop.run_forever, name="rgate-loop", daemon=True)

    def start(self, listener: socket.socket) -> None:
        """Begin to accept on *listener*, and return."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._shared.start(listener), self._loop).result()

    def drain(self, within_s: float) -> bool:
        """Stop accepting, and wait for what is under way; whether all ended in time."""
        self._loop.call_soon_threadsafe(self._shared.drain)
        return self._shared.drained.wait(within_s)

    def stop(self) -> None:
        """End at once."""
        self._loop.call_soon_threadsafe(self._shared.stop)
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


class Shared:
    """What all connections of one loop share. Everything here runs in the loop, but for `drained`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, gateway: Gateway, web: Flask, log: RequestLog
    ) -> None:
        self.loop = loop
        self.gateway = gateway
        self.log = log
        self.pools = Pools(loop, HotUpstream)
        self.routes = HotRoutes(gateway, self.pools, log)
        self.outbox = Outbox(loop)
        self.next_id = request_ids().__next__
        self.draining = False
        self.drained = threading.Event()
        self._web = web
        self._threads = ThreadPoolExecutor(_PAGE_THREADS, thread_name_prefix="rgate-page")
        self._clients: set[Client] = set()
        self._over_limit: deque[Client] = deque()  # accepted in one burst with the last; not read yet
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._accepting: asyncio.Task[None] | None = None

    # Accepting.

    async def start(self, listener: socket.socket) -> None:
        """Begin to accept on *listener*."""
        self._listener = listener
        await self._accept()
        self._sweep()

    async def _accept(self) -> None:
        assert self._listener is not None
        # A duplicate, as closing the server closes its socket; the kernel's queue stays with ours.
        self._server = await self.loop.create_server(
            lambda: HotClient(self), sock=self._listener.dup(), backlog=1024
        )

    def opened(self, client: Client) -> None:
        """Take a new connection."""
        self._clients.add(client)
        most = self.gateway.config.limits.connections
        if len(self._clients) > most:
            client.transport.pause_reading()
            client.deadline_ns = NEVER_NS
            self._over_limit.append(client)
        if len(self._clients) >= most and self._server is not None:
            self._server.close()
            self._server = None

    def closed(self, client: Client) -> None:
        """Take the end of a connection; there may be room for another."""
        self._clients.discard(client)
        if self._over_limit:
            if client in self._over_limit:
                self._over_limit.remove(client)
            elif (waiting := self._over_limit.popleft()).is_open:
                waiting.deadline_ns = time.monotonic_ns() + IDLE_TIMEOUT_NS
                waiting.transport.resume_reading()
        elif self._server is None and not self.draining and self._is_room():
            self._accepting = self.loop.create_task(self._accept_again())
        if self.draining and not self._clients:
            self.drained.set()

    def _is_room(self) -> bool:
        return len(self._clients) < self.gateway.config.limits.connections

    async def _accept_again(self) -> None:
        if self._server is None and not self.draining and self._is_room():
            await self._accept()

    # Requests.

    def renew_routes(self) -> HotRoutes:
        """Return the routes of the snapshot that is in force now."""
        self.routes = HotRoutes(self.gateway, self.pools, self.log)
        return self.routes

    def forward(self, client: Client, exchange: Exchange) -> None:
        """Send a request on its way."""
        Forwarding(self, client, exchange).start()

    def refusal(self, refused: Refused, client: Client) -> bytes:
        """Return the answer to what is no request; it is counted."""
        return refusal(answer_to_no_request(refused, client.connection, client.began_ns, self.log))

    def answer_whole(self, client: Client, head: RequestHead, own: OwnResponse, request_id: bytes) -> None:
        """Answer with *own*, and count it."""
        unread = head.framing != 0
        whole = own_response(own, head, closing=unread or self.draining)
        record = record_of(
            head,
            client.connection,
            own.status,
            request_id=request_id,
            started_ns=client.began_ns,
            bytes_sent=whole.content_bytes,
            reason=own.reason.value if own.reason is not None else "",
        )
        self.log.add(record)
        client.write(whole.message)
        client.ended(closes=whole.closes, unread=unread)

    def answer_own(self, client: Client, head: RequestHead, request_id: bytes) -> None:
        """Let the web application answer, in a thread. It is not counted (behaviour 7)."""
        work = _Page(self, client, head)
        variables = environ(ServedRequest(head, client.connection, None, client.began_ns, descriptor=-1))
        variables["rgate.request_id"] = request_id.decode("latin-1")
        client.work = work
        client.deadline_ns = NEVER_NS
        answered = self.loop.run_in_executor(self._threads, page, self._web, variables)
        answered.add_done_callback(work.answered)

    # Time, and the end.

    def _sweep(self) -> None:
        now_ns = time.monotonic_ns()
        for client in [client for client in self._clients if client.deadline_ns < now_ns]:
            client.deadline_ns = NEVER_NS
            client.expired()
        self.pools.sweep(now_ns)
        self.loop.call_later(SWEEP_S, self._sweep)

    def drain(self) -> None:
        """Accept no more, close what is idle, and tell when the rest has ended."""
        self.draining = True
        self.outbox.flush()  # a client whose response waits there counts as idle
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for client in list(self._clients):
            if client.is_idle():
                client.transport.close()
        if not self._clients:
            self.drained.set()

    def stop(self) -> None:
        """End everything at once."""
        self.draining = True
        for client in list(self._clients):
            client.transport.abort()
        self.pools.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.loop.call_soon(self.loop.stop)


class _Page:
    """A page of rgate's own that is being made. It is the `Work` of its client's connection."""

    def __init__(self, shared: Shared, client: Client, head: RequestHead) -> None:
        self._shared = shared
        self._client = client
        self._head = head

    def answered(self, answered: "asyncio.Future[OwnResponse]") -> None:
        """Write the page."""
        if answered.cancelled() or self._client.work is not self:
            return
        unread = self._head.framing != 0
        whole = own_response(answered.result(), self._head, closing=unread or self._shared.draining)
        self._client.write(whole.message)
        self._client.ended(closes=whole.closes, unread=unread)

    def client_data(self, data: bytes) -> None:
        self._client.keep(data)

    def client_gone(self) -> None:
        pass

    def client_pausing(self, *, paused: bool) -> None:
        pass

    def expired(self) -> None:
        pass


def page(web: Flask, variables: dict[str, object]) -> OwnResponse:
    """Return what the web application answers to the WSGI environ *variables*."""
    response = Response.from_app(web.wsgi_app, variables, buffered=True)
    fields = tuple(
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in response.headers
        if name.lower() not in ("content-length", "connection")
    )
    return OwnResponse(response.status_code, fields, response.get_data())
