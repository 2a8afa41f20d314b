"""Load: `wrk` as fast as it goes, and requests at a fixed rate, with latencies from when each was due."""

import asyncio
import http.client
import re
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.machine import LOAD_CORE

_LUA = """
{request}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %.3f\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99) / 1000))
end
"""


class LoadFailed(Exception):
    """A request was not answered as it ought to be: a figure would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What is asked for. *expected*: the length of the answer's content in bytes."""

    path: str
    expected: int
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    content_bytes: int = 0
    connections: int = 32


@dataclass(frozen=True)
class Answered:
    """What a run of load came to."""

    requests: int
    seconds: float
    p99_ms: float


def check(load: Load, port: int) -> None:
    """Ask once, and look at the whole answer. Raises LoadFailed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    content = b"x" * load.content_bytes if load.content_bytes else None
    connection.request(load.method, load.path, content, dict(load.fields))
    response = connection.getresponse()
    got = response.read()
    connection.close()
    names = {name.lower() for name in response.headers}
    if response.status != 200 or len(got) != load.expected or not {"via", "x-request-id"} <= names:
        raise LoadFailed(f"{response.status}, {len(got)} bytes, fields {sorted(names)}")


def run(load: Load, port: int, seconds: float, directory: Path) -> Answered:
    """Ask for *seconds*, on the core of load. Raises LoadFailed where any answer was wrong."""
    script = directory / "load.lua"
    fields = "\n".join(f'wrk.headers["{name}"] = [[{value}]]' for name, value in load.fields)
    body = f'wrk.body = string.rep("x", {load.content_bytes})' if load.content_bytes else ""
    request = f'wrk.method = "{load.method}"\n{fields}\n{body}'
    script.write_text(_LUA.replace("{request}", request))
    command = [
        *("taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{load.connections}"),
        *(f"-d{max(1, round(seconds))}s", "-s", str(script), f"http://127.0.0.1:{port}{load.path}"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60)
    return parse(ended.stdout)


def parse(printed: str) -> Answered:
    """Return what wrk's script printed at its end. Raises LoadFailed where there were errors."""
    matched = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+)", printed)
    if matched is None:
        raise LoadFailed(f"wrk said nothing of its result: {printed[-500:]}")
    requests, microseconds, errors, p99_ms = matched.groups()
    if int(errors) or "Non-2xx" in printed or int(requests) == 0:
        raise LoadFailed(f"{errors} errors of {requests}: {printed[-500:]}")
    return Answered(int(requests), int(microseconds) / 1e6, float(p99_ms))


class _Asker(asyncio.Protocol):
    """One connection of the fixed rate. It takes the next request that is due once its last is answered."""

    def __init__(self, rate: "FixedRate") -> None:
        self._rate = rate
        self._due_s = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._rate.free.append(self)

    def ask(self, due_s: float) -> None:
        self._due_s = due_s
        self._transport.write(self._rate.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(self._rate.ending):
            return
        if not self._received.startswith(b"HTTP/1.1 200"):
            self._rate.errors += 1
        self._received = b""
        self._rate.answered(self, self._due_s)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._rate.errors += not self._rate.ended


class FixedRate:
    """Open loop: a request is due every 1/rate s, whether or not those before were answered.

    A latency runs from when the request was due, so that a gateway that stalls cannot hide it.
    """

    def __init__(self, port: int, path: str, ending: bytes, rate: int, seconds: float) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self.ending = ending
        self.free: deque[_Asker] = deque()
        self.errors = 0
        self.ended = False
        self._port, self._rate, self._seconds = port, rate, seconds
        self._waiting: deque[float] = deque()
        self._latencies_s: list[float] = []

    def answered(self, asker: _Asker, due_s: float) -> None:
        """Take an answer, and give *asker* the next request that waits."""
        self._latencies_s.append(self._loop.time() - due_s)
        if self._waiting:
            asker.ask(self._waiting.popleft())
        else:
            self.free.append(asker)

    async def run(self) -> list[float]:
        """Return the latencies in seconds. Raises LoadFailed."""
        self._loop = asyncio.get_running_loop()
        for _ in range(64):
            await self._loop.create_connection(lambda: _Asker(self), "127.0.0.1", self._port)
        begun_s, total = self._loop.time() + 0.1, int(self._rate * self._seconds)
        sent = 0
        while sent < total:
            while sent < total and (due_s := begun_s + sent / self._rate) <= self._loop.time():
                sent += 1
                if self.free:
                    self.free.popleft().ask(due_s)
                else:
                    self._waiting.append(due_s)
            await asyncio.sleep(0)
        until_s = self._loop.time() + 5
        while len(self._latencies_s) < total and self._loop.time() < until_s:
            await asyncio.sleep(0.01)
        self.ended = True
        if self.errors or len(self._latencies_s) < total:
            raise LoadFailed(f"{self.errors} errors, {total - len(self._latencies_s)} without an answer")
        return self._latencies_s
