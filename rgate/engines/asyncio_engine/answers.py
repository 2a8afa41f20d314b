"""What rgate answers itself: refusals, problems, the default response, and pages, some made in threads."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from rgate.core.config import DefaultResponse, Route
from rgate.core.delivery import WholeResponse, own_response
from rgate.core.exchange import Attempt
from rgate.core.fields import ClientConnection
from rgate.core.message import Refused
from rgate.core.onward import CLOSING, Request
from rgate.core.own import asks_database
from rgate.core.problem import OwnResponse, OwnStream, Problem
from rgate.core.record import Try
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.ports import NEVER_NS
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.asyncio_engine.streaming import Streaming
from rgate.engines.records import DEFECT, THREADLESS, answer_to_no_request, date, record_of

log = logging.getLogger("rgate")

_DATABASE_THREADS: Final = 4
_PAGE_THREADS: Final = 16


def refuse(client: Client, refused: Refused) -> None:
    """Write the answer to what is no request; it is counted."""
    own = answer_to_no_request(refused, client.connection, client.began_ns, client.shared.log)
    client.write(own_response(own, b"", CLOSING, date(), closing=True).message)


def answer(
    client: Client,
    request: Request,
    place: Problem | DefaultResponse,
    *,
    unread: bool,
    route: Route | None = None,
    attempt: Attempt | None = None,
    generation: int = 0,
    tries: tuple[Try, ...] = (),
) -> None:
    """Answer *request*, which goes no further for *place*, and count it. *unread*: content is still to come.

    *route*, *attempt*, *generation* and *tries*: how far it came.
    """
    ended = partial(
        record_of,
        request,
        client.connection,
        started_ns=client.began_ns,
        route=route,
        attempt=attempt,
        generation=generation,
        tries=tries,
        detail=place.detail if isinstance(place, Problem) else "",
    )
    own = client.shared.web.own_response(
        place, request, client.connection, lambda told: ended(told.status, bytes_sent=0, reason=told.reason)
    )
    whole = _whole(client, request, own, unread=unread)
    client.shared.log.add(ended(own.status, bytes_sent=whole.content_bytes, reason=own.reason))
    client.write(whole.message)
    client.ended(time.monotonic_ns(), closes=whole.closes, unread=unread)


def _whole(client: Client, request: Request, own: OwnResponse, *, unread: bool) -> WholeResponse:
    closing = unread or client.shared.draining
    return own_response(own, request.method, request.manner, date(), closing=closing)


def _write_page(client: Client, request: Request, own: OwnResponse, *, at_end: bool = False) -> None:
    """Write a page of rgate's own, which is not counted (behaviour 7). *at_end*: the client sends no more."""
    unread = request.framing != 0
    whole = _whole(client, request, own, unread=unread)
    client.write(whole.message)
    client.ended(time.monotonic_ns(), closes=whole.closes or at_end, unread=unread)


class Pages:
    """Answers what is for rgate itself: from memory in the loop, and in threads what may have to wait."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._web = shared.web
        # However slow the database is, a page that needs none waits for no other that does.
        self._asking_database = _Threads(_DATABASE_THREADS)
        self._asking_others = _Threads(_PAGE_THREADS)

    def answer(self, client: Client, request: Request) -> None:
        """Answer *request*, at once or with a page once that is made."""
        own = self._web.at_once(request, client.connection)
        if isinstance(own, OwnResponse):
            _write_page(client, request, own)
            return
        if isinstance(own, OwnStream):
            Streaming(client, request, own, self._web.live).start()
            return
        work = _Page(client, request)
        client.work = work
        client.deadline_ns = NEVER_NS
        threads = self._asking_database if asks_database(own, request.target) else self._asking_others
        try:
            threads.run(partial(self._make, work, request, client.connection))
        except RuntimeError:
            self._shared.crowd.threadless()
            work.made(THREADLESS)

    def _make(self, work: "_Page", request: Request, connection: ClientConnection) -> None:
        """Make a page, in a thread, and have it written in the loop."""
        own: OwnResponse | Problem
        try:
            made = self._web.page(request, connection)
            assert isinstance(made, OwnResponse), "streams are answered at once"  # noqa: S101 - for the types alone
            own = made
        except Exception:  # a defect of ours costs one request its answer, and is told of
            log.exception("page failed")
            own = DEFECT
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._shared.loop.call_soon_threadsafe(work.made, own)


class _Threads:
    """Threads that are made as they are needed, up to *most*; the process does not wait for them to end."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made = 0
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._spare = threading.Semaphore(0)
        self._owed = 0  # pieces of work that wait though no thread was spare or made for them
        self._owing = threading.Lock()

    def run(self, work: Callable[[], None]) -> None:
        """Have *work* done, behind what is waiting. For one thread to call.

        Raises RuntimeError where the system gives no thread, and there is none yet.
        """
        if not self._spare.acquire(blocking=False) and self._made < self._most:
            try:
                threading.Thread(target=self._run, name="rgate-page", daemon=True).start()
                self._made += 1
            except RuntimeError:
                if not self._made:
                    raise
                with self._owing:
                    self._owed += 1
        self._work.put(work)

    def _run(self) -> None:
        while True:
            self._work.get()()
            with self._owing:
                is_owed, self._owed = self._owed > 0, max(0, self._owed - 1)
            if not is_owed:
                self._spare.release()


class _Page:
    """A page that is being made. It is the `Work` of its client's connection."""

    def __init__(self, client: Client, request: Request) -> None:
        self._client = client
        self._request = request
        self._at_end = False  # the client sent all that it has to say

    def made(self, own: OwnResponse | Problem) -> None:
        """Write the page."""
        client, request = self._client, self._request
        if client.work is not self:
            return
        if isinstance(own, Problem):
            own = client.shared.web.own_response(own, request, client.connection)
        _write_page(client, request, own, at_end=self._at_end)

    def client_data(self, data: bytes) -> None:
        self._client.keep(data)

    def client_at_end(self) -> bool:
        self._at_end = True
        return True  # it waits for the page

    def client_gone(self) -> None:
        pass

    def client_pausing(self, *, paused: bool) -> None:
        pass

    def expired(self) -> None:
        pass

    def stopped(self) -> None:
        self._client.transport.abort()
