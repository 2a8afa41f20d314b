"""Hostile input of one client or backend: how long the requests of others wait, and what memory it takes.

The others ask at a fixed rate, of a backend of their own. Who attacks runs on the same core as they, but at
the lowest priority: that they wait is the gateway's doing.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.backend import Pieces
from bench.fixed_rate import FixedRate
from bench.gateways import Gateway, Site
from bench.load import Load, check
from bench.loads import SMALL
from bench.machine import LOAD_CORE, unshared_bytes
from bench.scenarios import Figures, started, warm_up

LOWEST = 19  # priority, as of nice(2)
RATE = 500  # requests of others a second
_ENDLESS = 1 << 62
_BYTE_CHUNKS, _COUNT = b"1\r\nx\r\n" * 1000, 1400  # 8.4 MB
_HEAD = b" HTTP/1.1\r\nHost: a\r\n"
_ONCE = _HEAD + b"Connection: close\r\n"
_UPLOAD = b"POST /attacked/ok" + _ONCE + b"Transfer-Encoding: chunked\r\n\r\n"
_GETS = (b"GET /api/json" + _HEAD + b"\r\n") * 100
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_FIELDS = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 5793) for number in range(10))  # 58 KB
_PUNYCODE = ("\U0001f600" * 200_000).encode("punycode")  # whose decoder copies the text for each letter


@dataclass(frozen=True)
class Attack:
    """What is written on each connection: *first*, *again* some *times*, *last*; and, once closed, anew."""

    title: str
    first: bytes = b""
    again: bytes = b""
    times: int = 0
    last: bytes = b""
    connections: int = 1
    reads: bool = True


ATTACKS = {
    "nobody": Attack("nobody", connections=0),
    "pipelined": Attack("GETs without end on 4 connections", again=_GETS, times=_ENDLESS, connections=4),
    "deaf": Attack(
        "the same on 100 connections, no answer is read",
        again=_GETS,
        times=_ENDLESS,
        connections=100,
        reads=False,
    ),
    "chunks_up": Attack("8.4 MB of chunks of a byte", _UPLOAD, _BYTE_CHUNKS, _COUNT, b"0\r\n\r\n"),
    "chunks_down": Attack("the same from a backend", b"GET /attacked/chunks" + _ONCE + b"\r\n"),
    "interim": Attack("103s without end from a backend", b"GET /attacked/interim" + _ONCE + b"\r\n"),
    "trailer": Attack(
        "58 KB of a trailer, then byte by byte, on 16 connections",
        _UPLOAD + b"0\r\n" + _FIELDS + b"X: ",
        b"x",
        7000,
        b"\r\n\r\n",
        connections=16,
    ),
    "accept": Attack(
        "60 KB of Accept, answered 400", b"GET /api/../x" + _ONCE + b"Accept: " + b"," * 60_000 + b"\r\n\r\n"
    ),
    "charset": Attack("200 KB in punycode, for an envelope", b"GET /attacked/charset" + _ONCE + b"\r\n"),
}
ANSWERS: dict[str, Pieces] = {
    "ok": [_OK],
    "chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", _BYTE_CHUNKS * _COUNT, b"0\r\n\r\n"],
    "interim": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200_000, _OK],
    "charset": [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=punycode\r\n"
        b"Content-Length: %d\r\n\r\n" % len(_PUNYCODE),
        _PUNYCODE,
    ],
}


def beside(
    attack: Attack, gateways: list[Gateway], site: Site, rounds: int, seconds: float, directory: Path
) -> dict[str, Figures]:
    """Measure what others see of *attack*, each time on a gateway just started."""
    figures = {gateway.name: Figures() for gateway in gateways}
    for _, gateway in itertools.product(range(rounds), gateways):
        with started(gateway, site, directory) as one:
            warm_up(SMALL, one)
            check(Load("/attacked/ok", b"ok"), one.port)
            before = unshared_bytes(one.pid)
            with _attacking(attack, one.port, seconds):
                others = FixedRate(SMALL, one.port, RATE, seconds, patience_s=60)
                latencies_s, most_bytes = asyncio.run(_watched(others, one.pid))
            check(SMALL, one.port)
        seen = figures[gateway.name]
        seen.p99_ms.append(latencies_s[int(len(latencies_s) * 0.99)] * 1000)
        seen.most_ms.append(latencies_s[-1] * 1000)
        seen.grown_bytes.append(most_bytes - before)
        seen.failed.append(others.failed)
    return figures


async def _watched(others: FixedRate, pid: int) -> tuple[list[float], int]:
    """Return how long each request waited, from the least, and the most memory that was seen."""
    asking = asyncio.create_task(others.run())
    most_bytes = 0
    while not asking.done():
        most_bytes = max(most_bytes, unshared_bytes(pid))
        await asyncio.wait([asking], timeout=0.05)
    return await asking, most_bytes


@contextlib.contextmanager
def _attacking(attack: Attack, port: int, seconds: float) -> Iterator[None]:
    process = multiprocessing.get_context("fork").Process(target=_attack, args=(attack, port, seconds))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _attack(attack: Attack, port: int, seconds: float) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    os.nice(LOWEST)
    time.sleep(0.3)  # by then the others ask
    until_s = time.monotonic() + seconds

    async def all_connections() -> None:
        await asyncio.gather(*(_anew(attack, port, until_s) for _ in range(attack.connections)))

    asyncio.run(all_connections())


async def _anew(attack: Attack, port: int, until_s: float) -> None:
    """Attack until then; what was begun is brought to its end."""
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError):
            await _once(attack, port)


async def _once(attack: Attack, port: int) -> None:
    """Write what there is to write, and wait until the gateway closes. Raises OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    reading = asyncio.create_task(_forget(reader) if attack.reads else _never())
    again = itertools.repeat(attack.again, attack.times)
    try:
        for piece in itertools.chain([attack.first], again, [attack.last]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        await reading
    finally:
        reading.cancel()
        writer.close()


async def _forget(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 20):
        pass


async def _never() -> None:
    await asyncio.Event().wait()
