"""What traces cost the requests of the asyncio engine: `python -m bench.traces`.

Gateways without tracing, and with shares of 0, 0.01 and 1 of the requests sampled, are asked as fast as they
go, in turns; spans go to a collector in this process, which forgets them. What is told is the CPU time of the
whole process a request, the least of each, and the 99th percentile.
"""

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

from bench import origin
from bench.gateways import OURS, Site
from bench.loads import SMALL
from bench.machine import LOAD_CORE, cpu_us, free_port, running
from bench.scenarios import ask, say, started, warm_up

SHARES: Final = (None, 0.0, 0.01, 1.0)
"""None: without tracing."""


class _Forgetting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def collecting() -> Iterator[str]:
    """Take spans until the block ends; yields where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forgetting)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class Turn(NamedTuple):
    """What one turn showed: CPU time in microseconds a request, and the 99th percentile in ms."""

    cpu_us: float
    p99_ms: float


def measured(rounds: int, seconds: float) -> dict[float | None, list[Turn]]:
    """Return what each turn showed, by the share that is sampled."""
    seen: dict[float | None, list[Turn]] = {share: [] for share in SHARES}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        directory, port = Path(name), free_port()
        place = directory / "origin"
        place.mkdir()
        opened.enter_context(running(origin.configure((port,), place), LOAD_CORE, port, place))
        endpoint = opened.enter_context(collecting())
        sites = [Site((port,), tracing=None if share is None else (endpoint, share)) for share in SHARES]
        all_started = [opened.enter_context(started(OURS["asyncio"], site, directory)) for site in sites]
        for one in all_started:
            warm_up(SMALL, one)
        for number in range(rounds):
            for share, one in random.sample([*zip(SHARES, all_started, strict=True)], len(SHARES)):
                before = cpu_us(one.pid)
                answered = ask(SMALL, one, seconds)
                seen[share].append(Turn((cpu_us(one.pid) - before) / answered.requests, answered.p99_ms))
            say(f"  round {number + 1} of {rounds}")
    return seen


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m bench.traces", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of each kind (%(default)s)")
    parser.add_argument("--seconds", type=float, default=4, help="of each (%(default)s)")
    options = parser.parse_args(arguments)
    for share, turns in measured(options.rounds, options.seconds).items():
        least = min(turn.cpu_us for turn in turns)
        median = statistics.median(turn.cpu_us for turn in turns)
        p99_ms = min(turn.p99_ms for turn in turns)
        name = "without tracing" if share is None else f"sample: {share:g}"
        print(f"{name + ':':17}{least:7.2f} µs a request (median {median:.2f}), p99 {p99_ms:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
