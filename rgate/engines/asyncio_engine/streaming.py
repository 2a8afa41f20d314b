"""A stream of rgate's own on its way to its client, as the thread of `Live` gives it."""

import contextlib
import time
from collections.abc import Callable

from rgate.core.delivery import own_stream
from rgate.core.onward import Request
from rgate.core.problem import OwnStream
from rgate.engines.asyncio_engine.client import IDLE_NS, Client
from rgate.engines.asyncio_engine.ports import NEVER_NS
from rgate.engines.records import date
from rgate.telling.live import Live


class Streaming:
    """It is the `Work` of its client's connection, and a `Viewer`."""

    def __init__(self, client: Client, request: Request, own: OwnStream, live: Live) -> None:
        self._client = client
        self._live = live
        self._unread = request.framing != 0
        closing = self._unread or client.shared.draining
        self._head, self._delivery = own_stream(own, request.method, request.manner, date(), closing=closing)
        self._method = request.method
        self._own = own
        self._has_given = False  # and the loop has not written it yet

    def start(self) -> None:
        """Write the head, and what comes first."""
        client = self._client
        if self._method == b"HEAD":
            client.write(self._head)
            self._finish()
            return
        client.work = self
        client.deadline_ns = NEVER_NS
        opened = self._live.open(self, self._own)
        client.write(self._head + self._delivery.content(opened.first))
        if not opened.goes_on:
            self._finish()

    # What the thread of `Live` calls.

    @property
    def is_ready(self) -> bool:
        return not self._has_given and not self._client.is_write_paused

    def take(self, data: bytes) -> None:
        self._has_given = True
        self._in_loop(lambda: self._write(data))

    def end(self) -> None:
        self._in_loop(self._end_at_once)

    def _in_loop(self, does: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._client.shared.loop.call_soon_threadsafe(does)

    # In the loop.

    def _write(self, data: bytes) -> None:
        self._has_given = False
        if self._client.work is self:
            self._client.write(self._delivery.content(data))

    def _end_at_once(self) -> None:
        """End the stream, as rgate ends: who has not read what came before is not waited for."""
        client = self._client
        if client.work is not self:
            return
        if client.transport.get_write_buffer_size():
            client.work = None
            client.transport.abort()
        else:
            self._finish()

    def _finish(self) -> None:
        """Write the end."""
        if last := self._delivery.end(()):
            self._client.write(last)
        closes = self._delivery.closes or self._client.shared.draining
        self._client.ended(time.monotonic_ns(), closes=closes, unread=self._unread)

    def _forget(self) -> None:
        self._client.work = None
        self._live.leave(self)

    def client_data(self, data: bytes) -> None:
        if not self._unread:  # else it is no later request
            self._client.keep(data)

    def client_at_end(self) -> bool:
        self._forget()
        return False

    def client_gone(self) -> None:
        self._live.leave(self)

    def client_pausing(self, *, paused: bool) -> None:
        """Take it that it reads slowly: it is given no more, and has as long as any for what it was."""
        self._client.deadline_ns = time.monotonic_ns() + IDLE_NS if paused else NEVER_NS

    def expired(self) -> None:
        self._forget()
        self._client.transport.abort()

    def stopped(self) -> None:
        self._live.leave(self)
        self._client.transport.abort()
