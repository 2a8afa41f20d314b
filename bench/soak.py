"""A million requests mixed with aborts and failures: `python -m bench.soak`. What is left behind is told.

python -m bench.soak --requests 50000   # a short one
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from bench.backend import Pieces, answering
from bench.gateways import ROOT
from bench.machine import GATEWAY_CORE, LOAD_CORE, descriptors, free_port, resident_bytes, running
from bench.scenarios import say

RESULTS = ROOT / "bench" / "soak.json"
LARGE = b"x" * 65536
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
# What the backend does at each path; None: it closes. The status is what the client is to see, 0: a cut.
ANSWERS: dict[str, tuple[Pieces, int]] = {
    "ok": ([HEAD % 2 + b"ok"], 200),
    "large": ([HEAD % len(LARGE) + LARGE], 200),
    "chunks": ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"], 200),
    "early": ([None], 503),
    "bad": ([b"nonsense\r\n\r\n", None], 502),
    "slow": ([], 504),
    "cut": ([HEAD % 100 + b"ten bytes.", None], 0),
}
# How often each is asked for, of a thousand; "abort" is a client that leaves before the answer.
WEIGHTS = {"ok": 900, "large": 20, "chunks": 40, "early": 10, "bad": 5, "slow": 1, "cut": 10, "abort": 14}


async def ask(port: int, requests: int, connections: int) -> Counter[str]:
    """Send *requests*; return how many of each kind were answered as they ought to be, or otherwise."""
    seen: Counter[str] = Counter()
    left = iter(range(requests))
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    choose = random.Random(1)

    async def one_after_another() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in left:
            name = choose.choices(names, weights)[0]
            path = "slow" if name == "abort" else name
            writer.write(f"GET /api/{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            if name == "abort":
                status = None
            else:
                status = await read_answer(reader)
                seen[name if status == ANSWERS[name][1] else f"{name} answered {status}"] += 1
            if status is None or status == 0:
                seen["abort"] += status is None
                await writer.drain()
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            if number % 100_000 == 99_999:
                say(f"soak: {number + 1} requests")
        writer.close()

    await asyncio.gather(*(one_after_another() for _ in range(connections)))
    return seen


async def read_answer(reader: asyncio.StreamReader) -> int:
    """Return the status of the next answer once it is whole; 0 where it is cut."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            await reader.readuntil(b"0\r\n\r\n")
        else:
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
    return int(head[9:12])


def counted(port: int) -> dict[str, int]:
    """Return what /stats says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as answer:
        figures: dict[str, int] = json.load(answer)["requests_count"]
        return figures


def main() -> int:
    """Run it; exit status 1 where an answer was wrong, or a request was not counted once."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--engine", default="asyncio")
    parser.add_argument("--save", action="store_true", help="keep the figures in bench/soak.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rgate-soak-") as name:
        results = soak(Path(name), options)
    print(json.dumps(results, indent=1))
    if options.save:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if results["as_expected"] else 1


def soak(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run the gateway and its backend, and ask."""
    port, backend_port = free_port(), free_port()
    answers = {name: pieces for name, (pieces, _) in ANSWERS.items()}
    config = {
        "routes": [{"path_prefix": "/api", "backend": "b"}],
        "backends": [
            {"name": "b", "urls": [f"http://127.0.0.1:{backend_port}"], "timeouts": {"response": 0.5}}
        ],
        "stats": {"database": f"sqlite:///{place}/rgate.db"},
    }
    (place / "config.yml").write_text(json.dumps(config))
    command = [sys.executable, str(ROOT / "rgate.py"), "--port", str(port), "--engine", options.engine]
    os.sched_setaffinity(0, {LOAD_CORE})
    gateway_runs = running([*command, "--config", str(place / "config.yml")], GATEWAY_CORE, port, place)
    with answering(backend_port, answers), gateway_runs as gateway:
        asyncio.run(ask(port, options.requests // 20, options.connections))  # to warm up
        settle(gateway.pid, options.connections)
        before, memory, files = counted(port), resident_bytes(gateway.pid), descriptors(gateway.pid)
        began_s = time.monotonic()
        seen = asyncio.run(ask(port, options.requests, options.connections))
        took_s = time.monotonic() - began_s
        settle(gateway.pid, options.connections)
        after = counted(port)
        told = sum(after.values()) - sum(before.values())
        return {
            "requests": options.requests,
            "seconds": round(took_s, 1),
            "seen": dict(sorted(seen.items())),
            "counted": told,
            "memory_before_bytes": memory,
            "memory_grown_bytes": resident_bytes(gateway.pid) - memory,
            "descriptors_before": files,
            "descriptors_grown": descriptors(gateway.pid) - files,
            "threads": len(list(Path(f"/proc/{gateway.pid}/task").iterdir())),
            "as_expected": set(seen) <= set(WEIGHTS) and told == options.requests,
        }


def settle(pid: int, connections: int) -> None:
    """Wait until the gateway's connections to clients are closed, and its idle ones to the backend known."""
    done = threading.Event()
    for _ in range(40):
        with contextlib.suppress(OSError):
            if descriptors(pid) < 40 + connections:
                return
        done.wait(0.25)


if __name__ == "__main__":
    sys.exit(main())
