"""A backend of our own: what it answers, and in how many writes, stands in a table."""

import asyncio
import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import uvloop

from bench.machine import LOAD_CORE, accepts, wait_until
from bench.origin import JSON

Pieces = Sequence[bytes | None]  # a write each; None: it closes
# Between writes. Servers write sooner again, some 20 µs later; whether a gateway then reads both at once is
# up to what else it has to do, and to the scheduler. So all are measured where they come in two reads.
PAUSE_S = 0.001

CONTENT = JSON.encode()
MESSAGE = b"\x81" + bytes([0x80 + len(CONTENT)]) + bytes(4) + CONTENT  # as a client: masked, by zeros
ECHO = b"\x81" + bytes([len(CONTENT)]) + CONTENT
_DATE = b"Date: Thu, 26 Nov 2026 16:58:47 GMT\r\n"
_TYPE = b"Content-Type: application/json\r\n"
_LENGTH = b"Content-Length: %d\r\n\r\n" % len(CONTENT)
_GUNICORN = b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\n" + _DATE + b"Connection: %b\r\n" + _TYPE + _LENGTH
_UVICORN = _DATE.replace(b"Date", b"date") + b"server: uvicorn\r\n" + (_TYPE + _LENGTH).lower()
_NODE = _TYPE + _DATE + b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
_NODE += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(CONTENT), CONTENT)
# As strace showed them, for a small JSON response: uvicorn 0.54, on asyncio and on uvloop; gunicorn 27.0,
# with threads, and as it is by default, where it closes; Node 20, which a stream was piped into.
ANSWERS: dict[str, Pieces] = {
    "uvicorn": [b"HTTP/1.1 200 OK\r\n" + _UVICORN, CONTENT],
    "gunicorn": [_GUNICORN % b"keep-alive", CONTENT],
    "closing": [_GUNICORN % b"close", CONTENT, None],
    "node": [b"HTTP/1.1 200 OK\r\n" + _NODE, b"0\r\n\r\n"],
    "socket": [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"  # to RFC 6455's example of a key
    ],
}


class Backend(asyncio.Protocol):
    """Answers a request by the last segment of its path, or echoes what comes through a tunnel."""

    def __init__(self, answers: Mapping[str, Pieces]) -> None:
        self._answers = answers
        self._received = bytearray()
        self._tunnel = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._tunnel:
            if self._received.endswith(CONTENT):
                self._received.clear()
                self._transport.write(ECHO)
        elif _is_whole(self._received):
            name = self._received.split(b" ", 2)[1].rpartition(b"/")[2].decode()
            self._received.clear()
            self._tunnel = name == "socket"
            self._write(self._answers[name])

    def _write(self, pieces: Pieces) -> None:
        """Write the pieces, with a pause before all but the first."""
        if not pieces:
            return
        if pieces[0] is None:
            self._transport.close()
        else:
            self._transport.write(pieces[0])
        asyncio.get_running_loop().call_later(PAUSE_S, self._write, pieces[1:])


def _is_whole(received: bytearray) -> bool:
    """Whether *received* is all of a request, whose content, if any, is chunked and has no empty line."""
    ends = received.find(b"\r\n\r\n") + 4
    return received.endswith(b"\r\n\r\n") and (ends < len(received) or b"chunked" not in received)


@contextlib.contextmanager
def answering(port: int, answers: Mapping[str, Pieces], nice: int = 0) -> Iterator[None]:
    """Run the backend in a process of its own until the block ends."""
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(port, answers, nice))
    process.start()
    try:
        wait_until(lambda: accepts(port) or not process.is_alive(), 10, f"the backend on port {port}")
        if not process.is_alive():
            raise RuntimeError(f"the backend on port {port} ended")
        yield
    finally:
        process.terminate()
        process.join()


def _serve(port: int, answers: Mapping[str, Pieces], nice: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    os.nice(nice)

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Backend(answers), "127.0.0.1", port, backlog=4096)
        await server.serve_forever()

    uvloop.run(forever())
