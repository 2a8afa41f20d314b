"""What open pages cost the requests of the asyncio engine: `python -m bench.live`.

One rgate is asked as fast as it goes, in turns with 20 pages open (`/_rgate/live`), with none, and with none
once more: by as much as these two differ, the figures are not sure. What is told is the CPU time of the whole
process a request, the least of each; and what the thread that tells the pages had of it.
"""

import argparse
import contextlib
import random
import selectors
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import origin
from bench.gateways import OURS, Site
from bench.loads import SMALL
from bench.machine import LOAD_CORE, free_port, running, wait_until
from bench.scenarios import Started, ask, say, started, warm_up

PAGES: Final = 20
NONE, NONE_AGAIN, SOME = "no page", "no page, again", "20 pages"
LIMIT: Final = 0.03
"""Clause 10.live.cost of docs/behaviour.md."""

_ASK: Final = b"GET /_rgate/live?window=%b HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


@contextlib.contextmanager
def pages(port: int, windows: Sequence[bytes]) -> Iterator[list[int]]:
    """Open a page for each of *windows*, and read what they are told until the block ends.

    Yields how many bytes came so far, in a list of one.
    """
    came = [0]
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as selector:
        for window in windows:
            page = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            page.sendall(_ASK % window)
            page.setblocking(False)
            selector.register(page, selectors.EVENT_READ, page)
        has_ended = threading.Event()

        def read() -> None:
            while not has_ended.is_set():
                for key, _ in selector.select(0.1):
                    came[0] += len(key.data.recv(1 << 20))

        reading = threading.Thread(target=read, daemon=True)
        reading.start()
        try:
            yield came
        finally:
            has_ended.set()
            reading.join()


class Turn(NamedTuple):
    """What one turn showed: CPU time of the process in microseconds a request, the share of it that threads
    had which run for pages alone, and the 99th percentile in ms.
    """

    cpu_us: float
    share: float
    p99_ms: float


def turn(one: Started, seconds: float, windows: Sequence[bytes]) -> Turn:
    """Put load on a gateway with a page open for each of *windows*."""
    others = threads(one.pid)
    with pages(one.port, windows) as came:
        wait_until(lambda: came[0] > 0 or not windows, 10, "what the pages are told first")
        before = threads(one.pid)
        answered = ask(SMALL, one, seconds)
        spent = {name: ns - before.get(name, 0) for name, ns in threads(one.pid).items()}
    of_pages = sum(ns for name, ns in spent.items() if name not in others)
    total = sum(spent.values())
    return Turn(total / 1000 / answered.requests, of_pages / total, answered.p99_ms)


def threads(pid: int) -> dict[str, int]:
    """Return the nanoseconds of CPU that each thread of *pid* had, by its id."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended
            found[task.name] = int((task / "schedstat").read_text().split()[0])
    return found


def measured(rounds: int, seconds: float, windows: Sequence[bytes], routes: int) -> dict[str, list[Turn]]:
    """Return what each turn showed, by what was open."""
    kinds: dict[str, Sequence[bytes]] = {NONE: (), NONE_AGAIN: (), SOME: windows}
    seen: dict[str, list[Turn]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        directory = Path(name)
        port = free_port()
        place = directory / "origin"
        place.mkdir()
        opened.enter_context(running(origin.configure((port,), place), LOAD_CORE, port, place))
        one = opened.enter_context(started(OURS["asyncio"], Site((port,), routes), directory))
        warm_up(SMALL, one)
        turn(one, 1, windows)  # makes what is made at first use
        for number in range(rounds):
            for kind in random.sample([*kinds], len(kinds)):
                seen[kind].append(turn(one, seconds, kinds[kind]))
            say(f"  round {number + 1} of {rounds}")
    return seen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell. The exit status is 1 where pages cost more than they may."""
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of each kind (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="of each (%(default)s)")
    parser.add_argument("--routes", type=int, default=20, help="that the gateway has (%(default)s)")
    parser.add_argument("--windows", nargs="+", default=["1h"], help="that pages show, in turn (%(default)s)")
    options = parser.parse_args(arguments)
    windows = [options.windows[number % len(options.windows)].encode() for number in range(PAGES)]
    seen = measured(options.rounds, options.seconds, windows, options.routes)
    least = {kind: min(turn.cpu_us for turn in turns) for kind, turns in seen.items()}
    for kind, turns in seen.items():
        median = statistics.median(turn.cpu_us for turn in turns)
        p99_ms = min(turn.p99_ms for turn in turns)
        print(f"{kind + ':':20}{least[kind]:7.2f} µs a request (median {median:.2f}), p99 {p99_ms:.2f} ms")
    share = statistics.median(turn.share for turn in seen[SOME])
    cost = 2 * least[SOME] / (least[NONE] + least[NONE_AGAIN]) - 1
    print(f"the thread that tells them: {100 * share:.1f} % of the process's CPU")
    print(f"{PAGES} pages cost a request: {100 * cost:.1f} % (less than {100 * LIMIT:.0f} %)")
    return 0 if cost < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
