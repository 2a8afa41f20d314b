"""A client that asks at a constant rate, GETs and POSTs in turn, and checks each answer. It repeats none."""

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

CONNECTIONS = 16
PATIENCE_S = 20
"""Longer than any time-out of the gateway that a test sets."""


@dataclass
class Seen:
    """What became of the requests: by method, how many were asked, and what was wrong with those lost."""

    asked: Counter[str] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)  # by method and why
    by_container: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    examples: list[str] = field(default_factory=list)

    def lost_of(self, method: str) -> int:
        return sum(count for (one, _), count in self.lost.items() if one == method)

    def reasons(self, method: str) -> set[str]:
        return {why for one, why in self.lost if one == method}

    def row(self, title: str) -> str:
        """A row of the table in docs/reliability.md."""
        why = (
            ", ".join(f"{count} {method} {why}" for (method, why), count in sorted(self.lost.items())) or "—"
        )
        counts = " | ".join(f"{self.lost_of(method)} of {self.asked[method]}" for method in ("GET", "POST"))
        return f"| {title} | {counts} | {why or '—'} | {self.longest_s * 1000:.0f} |"


class Steady:
    """Asks from a thread of its own, while the test breaks things."""

    def __init__(self, port: int, rate: float, path: str = "/api") -> None:
        self.seen = Seen()
        self._port, self._pause_s, self._path = port, 1 / rate, path
        self._enough = threading.Event()
        self._numbers = itertools.count()
        self._progress = threading.Condition()

    def wait_for(self, requests: int, within_s: float = 60) -> None:
        """Wait until so many more were answered, or lost."""
        until = sum(self.seen.asked.values()) + requests
        with self._progress:
            assert self._progress.wait_for(lambda: sum(self.seen.asked.values()) >= until, within_s)

    def wait_until_answered_by(self, container: str, within_s: float = 30) -> None:
        """Wait until *container*, a short id, answers again, or for the first time."""
        before = self.seen.by_container[container]
        with self._progress:
            assert self._progress.wait_for(lambda: self.seen.by_container[container] > before, within_s)

    def wait_until_lost(self, why: str, requests: int = 3, within_s: float = 60) -> None:
        """Wait until so many requests were lost for a reason that holds *why*."""

        def lost() -> int:
            return sum(count for (_, one), count in self.seen.lost.items() if why in one)

        with self._progress:
            assert self._progress.wait_for(lambda: lost() >= requests, within_s), self.seen.lost

    def wait_until_left(self, container: str, requests: int = 60, within_s: float = 30) -> None:
        """Wait until *container* has not answered one of the last so many."""
        deadline_s = time.monotonic() + within_s
        while True:
            before = self.seen.by_container[container]
            self.wait_for(requests)
            if self.seen.by_container[container] == before:
                return
            assert time.monotonic() < deadline_s, f"{container} still answers after {within_s} s"

    @contextlib.contextmanager
    def asking(self) -> Iterator[Seen]:
        thread = threading.Thread(target=asyncio.run, args=(self._ask(),))
        thread.start()
        try:
            self.wait_for(CONNECTIONS * 2)
            yield self.seen
            self.wait_for(CONNECTIONS * 2)
        finally:
            self._enough.set()
            thread.join()

    async def _ask(self) -> None:
        began_s = time.monotonic()
        idle: list[_Connection] = [_Connection(self._port) for _ in range(CONNECTIONS)]
        under_way: set[asyncio.Task[None]] = set()
        for number in self._numbers:
            if self._enough.is_set():
                break
            await asyncio.sleep(max(0.0, began_s + number * self._pause_s - time.monotonic()))
            connection = idle.pop() if idle else _Connection(self._port)
            task = asyncio.create_task(self._one(number, connection, idle))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        for connection in idle:
            connection.close()

    async def _one(self, number: int, connection: "_Connection", idle: "list[_Connection]") -> None:
        method = ("GET", "POST")[number % 2]
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                why = await self._wrong(method, number, connection)
        except TimeoutError:
            why = "no answer"
        except (ConnectionResetError, asyncio.IncompleteReadError):
            why = "cut"
        except (OSError, ValueError) as error:
            why = type(error).__name__
        if why:
            connection.close()
        else:
            idle.append(connection)
        with self._progress:
            self.seen.asked[method] += 1
            self.seen.longest_s = max(self.seen.longest_s, time.monotonic() - began_s)
            if why:
                self.seen.lost[method, why] += 1
            self._progress.notify_all()

    async def _wrong(self, method: str, number: int, connection: "_Connection") -> str:
        """Ask, and return what is wrong with the answer; "" where nothing is."""
        target, content = f"{self._path}/{number}", f"content {number}" if method == "POST" else ""
        head, body = await connection.ask(method, target, content)
        status = head.split(b" ", 2)[1]
        if status != b"200":
            reason = head.lower().partition(b"x-rgate-reason: ")[2].partition(b"\r")[0].decode()
            self.seen.examples.append(body.decode("utf-8", "replace")[:500])
            return f"{status.decode()} {reason}".strip()
        echo = json.loads(body)
        self.seen.by_container[echo["container"]] += 1
        if (echo["method"], echo["target"], echo["body"]) != (method, target, content):
            return "another's answer"
        return ""


class _Connection:
    """Kept alive until it is closed; made when it is first used."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, content: str) -> tuple[bytes, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        length = f"Content-Length: {len(content)}\r\n" if content else ""
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{length}\r\n{content}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length_said = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        return head, await reader.readexactly(int(length_said))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
