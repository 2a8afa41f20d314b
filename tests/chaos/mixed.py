"""Traffic of all kinds at once: what clients do to a gateway, and a backend that does what containers may."""

import asyncio
import contextlib
import random
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

LARGE: Final = b"x" * (1 << 20)
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
_ONE_S: Final = 10  # a client's patience for one answer
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class OddBackend:
    """Serves /odd/… in a thread of its own: tunnels, much content, and messages that break."""

    def __init__(self) -> None:
        self.port = 0
        self._listens, self._enough = threading.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        thread.start()
        assert self._listens.wait(10)
        try:
            yield
        finally:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._enough.set)
            thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listens.set()
        await self._enough.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                kind = head.split(b" ", 2)[1].rpartition(b"/")[2]
                if kind == b"tunnel":
                    writer.write(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
                    while piece := await reader.read(65536):
                        writer.write(piece)
                elif kind == b"large":
                    writer.write(_HEAD % len(LARGE) + LARGE)
                    await writer.drain()
                elif kind == b"cut":
                    writer.write(_HEAD % 100 + b"half")
                    break
                elif kind == b"bad":
                    writer.write(b"nonsense\r\n\r\n")
                    break
                else:
                    break
        writer.close()


class Traffic:
    """Clients that do all kinds of things, so many a second, from a thread of its own."""

    def __init__(self, port: int, rate: float, *, tunnels: bool) -> None:
        self.done: Counter[str] = Counter()
        self._port, self._pause_s = port, 1 / rate
        self._enough = threading.Event()
        kinds = {name: kind for name, kind in KINDS.items() if tunnels or name != "tunnel"}
        self._names, self._weights = list(kinds), [weight for weight, _ in kinds.values()]

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        thread = threading.Thread(target=asyncio.run, args=(self._flow(),))
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()

    async def _flow(self) -> None:
        choose, under_way = random.Random(1), set[asyncio.Task[None]]()
        while not self._enough.is_set():
            (name,) = choose.choices(self._names, self._weights)
            task = asyncio.create_task(self._one(name))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            await asyncio.sleep(self._pause_s)
        await asyncio.gather(*under_way)

    async def _one(self, name: str) -> None:
        ending = "done"
        try:
            async with asyncio.timeout(2 * _ONE_S):
                streams = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    await KINDS[name][1](*streams)
                finally:
                    streams[1].close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            ending = type(error).__name__
        self.done[f"{name} {ending}"] += 1


async def _answered(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r")[0]
    if length:
        await reader.readexactly(int(length))


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for number in range(10):
        writer.write(b"GET /api/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        await _answered(reader)


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        writer.write(b"400\r\n%b\r\n" % (b"y" * 1024))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await _answered(reader)


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /odd/tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(10):
        writer.write(b"z" * 1000)
        await reader.readexactly(1000)


async def _events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /api?stream=20&interval=0.1 HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"0\r\n\r\n")


async def _abort(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Go away by a reset while the answer is waited for."""
    writer.write(b"GET /api?delay=0.2 HTTP/1.1\r\nHost: a\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.05)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER: it is reset


async def _half_a_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Le")
    await writer.drain()


async def _slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read much content slowly, so that the gateway has to wait."""
    writer.write(b"GET /odd/large HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(16):
        await reader.readexactly(len(LARGE) // 16)
        await asyncio.sleep(0.1)


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /odd/cut HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.read(65536)


async def _bad(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /odd/bad HTTP/1.1\r\nHost: a\r\n\r\n")
    await _answered(reader)


async def _nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01\x02\x00\x01" * 100)
    await reader.read(65536)


async def _page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for page in (b"/stats", b"/_rgate/requests", b"/_rgate/metrics", b"/_rgate/backends"):
        writer.write(b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % page)
        await _answered(reader)


Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KINDS: Final[Mapping[str, tuple[int, Kind]]] = MappingProxyType(
    {
        "get": (40, _get),
        "post": (20, _post),
        "tunnel": (10, _tunnel),
        "events": (5, _events),
        "abort": (10, _abort),
        "half a head": (3, _half_a_head),
        "slow": (3, _slow),
        "cut": (3, _cut),
        "bad": (2, _bad),
        "nonsense": (2, _nonsense),
        "page": (1, _page),
    }
)
"""What clients do, and how often of a hundred."""
