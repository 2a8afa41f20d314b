"""What rgate answers itself: refusals, problems, the default response, and pages, made in threads."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from flask import Flask

from rgate.core.config import DefaultResponse, Route
from rgate.core.delivery import WholeResponse, own_response
from rgate.core.exchange import Attempt
from rgate.core.message import Refused
from rgate.core.onward import CLOSING, Request
from rgate.core.problem import OwnResponse, Problem
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.ports import NEVER_NS
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.records import answer_to_no_request, date, record_of
from rgate.web.environ import page

_PAGE_THREADS: Final = 4


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
) -> None:
    """Answer *request*, which goes no further for *place*, and count it. *unread*: content is still to come.

    *route* and *attempt*: how far it came.
    """
    own = client.shared.gateway.own_response(place, request, client.connection)
    whole = _whole(client, request, own, unread=unread)
    client.shared.log.add(
        record_of(
            request,
            client.connection,
            own.status,
            started_ns=client.began_ns,
            bytes_sent=whole.content_bytes,
            reason=own.reason,
            route=route,
            attempt=attempt,
        )
    )
    client.write(whole.message)
    client.ended(time.monotonic_ns(), closes=whole.closes, unread=unread)


def _whole(client: Client, request: Request, own: OwnResponse, *, unread: bool) -> WholeResponse:
    closing = unread or client.shared.draining
    return own_response(own, request.method, request.manner, date(), closing=closing)


class Pages:
    """Lets the web application answer, in threads. Its answers are not counted (behaviour 7)."""

    def __init__(self, shared: Shared, web: Flask) -> None:
        self._shared = shared
        self._web = web
        self._threads = ThreadPoolExecutor(_PAGE_THREADS, thread_name_prefix="rgate-page")

    def answer(self, client: Client, request: Request) -> None:
        """Answer *request* with a page once it is made."""
        work = _Page(client, request)
        client.work = work
        client.deadline_ns = NEVER_NS
        answered = self._shared.loop.run_in_executor(
            self._threads, page, self._web, request, client.connection
        )
        answered.add_done_callback(work.answered)

    def close(self) -> None:
        """Make no more pages."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Page:
    """A page that is being made. It is the `Work` of its client's connection."""

    def __init__(self, client: Client, request: Request) -> None:
        self._client = client
        self._request = request
        self._at_end = False  # the client sent all that it has to say

    def answered(self, answered: "asyncio.Future[OwnResponse]") -> None:
        """Write the page."""
        client, request = self._client, self._request
        if answered.cancelled() or client.work is not self:
            return
        unread = request.framing != 0
        whole = _whole(client, request, answered.result(), unread=unread)
        client.write(whole.message)
        client.ended(time.monotonic_ns(), closes=whole.closes or self._at_end, unread=unread)

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
