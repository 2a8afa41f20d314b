"""Requests at a fixed rate, with latencies from when each was due."""

import asyncio
import re
from collections import deque
from typing import cast

from bench.load import Load, LoadFailed

CONNECTIONS = 64


class _Asker(asyncio.Protocol):
    """One connection of the fixed rate. It takes the next request that is due once its last is answered."""

    def __init__(self, rate: "FixedRate") -> None:
        self._rate = rate
        self._due_s: float | None = None  # of the request that waits for its answer
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._rate.free.append(self)

    def ask(self, due_s: float) -> None:
        self._due_s = due_s
        self._transport.write(self._rate.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, content = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if length and len(content) == int(length[1]):
            self._answered(self._rate.load.is_right(self._received))
            self._rate.is_free(self)

    def _answered(self, rightly: bool) -> None:
        if self._due_s is not None:
            self._rate.answered(self._due_s, rightly)
        self._due_s, self._received = None, b""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._answered(False)
        if self in self._rate.free:
            self._rate.free.remove(self)


class FixedRate:
    """Open loop: a request is due every 1/rate s, whether or not those before were answered.

    A latency runs from when the request was due, so that a gateway that stalls cannot hide it.
    *patience_s*: how long the last answers are waited for.
    """

    def __init__(self, load: Load, port: int, rate: int, seconds: float, patience_s: float = 5) -> None:
        self.request = b"".join(load.opening(port))
        self.load = load
        self.free: deque[_Asker] = deque()
        self.failed = 0  # answered otherwise than they ought to be, or cut off
        self._port, self._rate, self._seconds, self._patience_s = port, rate, seconds, patience_s
        self._waiting: deque[float] = deque()
        self._latencies_s: list[float] = []

    def answered(self, due_s: float, rightly: bool) -> None:
        """Take an answer."""
        self._latencies_s.append(self._loop.time() - due_s)
        self.failed += not rightly

    def is_free(self, asker: _Asker) -> None:
        """Give *asker* the next request that waits."""
        if self._waiting:
            asker.ask(self._waiting.popleft())
        else:
            self.free.append(asker)

    async def run(self) -> list[float]:
        """Return the latencies in seconds, from the least. Raises LoadFailed where answers do not come."""
        self._loop = asyncio.get_running_loop()
        opened = [
            await self._loop.create_connection(lambda: _Asker(self), "127.0.0.1", self._port)
            for _ in range(CONNECTIONS)
        ]
        begun_s, total = self._loop.time() + 0.1, int(self._rate * self._seconds)
        sent = 0
        while sent < total:
            while sent < total and (due_s := begun_s + sent / self._rate) <= self._loop.time():
                sent += 1
                if self.free:
                    self.free.popleft().ask(due_s)
                else:
                    self._waiting.append(due_s)
            # The clock of the loop counts milliseconds: what is due sooner is waited for by asking again.
            await asyncio.sleep(begun_s + sent / self._rate - self._loop.time() - 0.0015)
        until_s = self._loop.time() + self._patience_s
        while len(self._latencies_s) < total and self._loop.time() < until_s:
            await asyncio.sleep(0.01)
        for transport, _ in opened:
            transport.close()
        await asyncio.sleep(0)  # in which they are closed
        if len(self._latencies_s) < total:
            raise LoadFailed(f"{total - len(self._latencies_s)} requests without an answer")
        return sorted(self._latencies_s)
