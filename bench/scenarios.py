"""What is measured. Each scenario gives rows: a gateway, and figures by their names."""

import asyncio
import contextlib
import http.client
import resource
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import segments, wrk
from bench.fixed_rate import FixedRate
from bench.gateways import Gateway, Site
from bench.load import Answered, Load, LoadFailed, check
from bench.loads import SMALL
from bench.machine import (
    GATEWAY_CORE,
    cpu_us,
    descriptors,
    free_port,
    resident_bytes,
    running,
    wait_until,
)
from bench.origin import JSON

IDLE_CONNECTIONS = 10_000


@dataclass
class Figures:
    """What a gateway showed in one scenario, a value a round."""

    cpu_us: list[float] = field(default_factory=list)  # a request
    rate: list[float] = field(default_factory=list)  # requests a second
    p99_ms: list[float] = field(default_factory=list)
    resident_bytes: list[float] = field(default_factory=list)
    most_ms: list[float] = field(default_factory=list)
    grown_bytes: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)  # requests

    def medians(self) -> dict[str, float]:
        """Return the median of each, and the least and most of the CPU time and of the longest wait."""
        seen = {name: values for name, values in vars(self).items() if values}
        medians = {name: statistics.median(values) for name, values in seen.items()}
        for name in {"cpu_us", "most_ms"} & seen.keys():
            medians |= {f"{name}_least": min(seen[name]), f"{name}_most": max(seen[name])}
        return medians


def say(text: str) -> None:
    """Tell of progress."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Started:
    """A gateway that runs, on *port*."""

    gateway: Gateway
    port: int
    pid: int
    directory: Path


@contextlib.contextmanager
def started(gateway: Gateway, site: Site, directory: Path) -> Iterator[Started]:
    """Run *gateway* on its core until the block ends."""
    port = free_port()
    place = directory / f"{gateway.name.replace(' ', '-')}-{port}"
    place.mkdir(parents=True)
    command = gateway.command(site, port, place)
    with running(
        command, GATEWAY_CORE, port, place, {**dict(gateway.environment), "HOME": str(place)}
    ) as process:
        yield Started(gateway, port, process.pid, place)


def ask(load: Load, one: Started, seconds: float) -> Answered:
    """Put *load* on a gateway. Raises LoadFailed where any answer was wrong."""
    if load.by_wrk:
        return wrk.run(load, one.port, seconds, one.directory)
    return segments.run(load, one.port, seconds)


def warm_up(load: Load, one: Started) -> None:
    """Have made what is made at first use."""
    ask(load, one, 1)


def under_load(
    gateways: list[Gateway], site: Site, load: Load, rounds: int, seconds: float, directory: Path
) -> dict[str, Figures]:
    """Measure *gateways* in turn, *rounds* times, each time in another order."""
    figures = {gateway.name: Figures() for gateway in gateways}
    with contextlib.ExitStack() as stack:
        all_started = [stack.enter_context(started(gateway, site, directory)) for gateway in gateways]
        for one in all_started:
            warm_up(load, one)
        for number in range(rounds):
            turn = number % len(all_started)
            for one in all_started[turn:] + all_started[:turn]:
                check(load, one.port)
                before = cpu_us(one.pid)
                answered = ask(load, one, seconds)
                spent = cpu_us(one.pid) - before
                check(load, one.port)
                seen = figures[one.gateway.name]
                seen.cpu_us.append(spent / answered.requests)
                seen.rate.append(answered.requests / answered.seconds)
                seen.p99_ms.append(answered.p99_ms)
                seen.resident_bytes.append(resident_bytes(one.pid))
            say(f"  round {number + 1} of {rounds}")
    return figures


def growth(
    gateways: list[Gateway], small: Site, large: Site, rounds: int, seconds: float, directory: Path
) -> dict[str, dict[str, Figures]]:
    """Measure each gateway with a small and a large site, in turn."""
    figures = {gateway.name: {"small": Figures(), "large": Figures()} for gateway in gateways}
    for gateway in gateways:
        with contextlib.ExitStack() as stack:
            both = [stack.enter_context(started(gateway, site, directory)) for site in (small, large)]
            for one in both:
                warm_up(SMALL, one)
            for _ in range(rounds):
                for seen, one in zip(figures[gateway.name].values(), both, strict=True):
                    before = cpu_us(one.pid)
                    answered = ask(SMALL, one, seconds)
                    seen.cpu_us.append((cpu_us(one.pid) - before) / answered.requests)
        say(f"  {gateway.name}")
    return figures


def at_fixed_rate(
    gateways: list[Gateway], site: Site, rate: int, rounds: int, seconds: float, directory: Path
) -> dict[str, Figures]:
    """Measure the 99th percentile of latency at a fixed rate."""
    figures = {gateway.name: Figures() for gateway in gateways}
    with contextlib.ExitStack() as stack:
        all_started = [stack.enter_context(started(gateway, site, directory)) for gateway in gateways]
        for number in range(rounds + 1):
            for one in all_started:
                asked = FixedRate(SMALL, one.port, rate, seconds if number else 1)
                latencies_s = asyncio.run(asked.run())
                if asked.failed:
                    raise LoadFailed(f"{one.gateway.name}: {asked.failed} failed at a fixed rate")
                if number:  # the first is to warm up
                    percentile = latencies_s[int(len(latencies_s) * 0.99)]
                    figures[one.gateway.name].p99_ms.append(percentile * 1000)
    return figures


def idle_connections(gateway: Gateway, site: Site, count: int, directory: Path) -> dict[str, float]:
    """Hold *count* keep-alive connections, three times; return what they take, and leave behind each time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * count), hard))
    try:
        with started(gateway, site, directory) as one:
            warm_up(SMALL, one)
            _hold(one, 100)  # what is made at first use is made
            files, before = descriptors(one.pid), resident_bytes(one.pid)
            held, left = [], []
            for _ in range(3):
                held.append(_hold(one, count))
                wait_until(lambda: descriptors(one.pid) <= files + 2, 20, "the closing of all connections")
                left.append(resident_bytes(one.pid))
            return {
                "bytes_each": (held[0][0] - before) / count,
                "answered_ms": held[0][1] * 1000,
                "left_bytes": left[0] - before,  # what an allocator keeps for the next time
                "leaked_bytes": left[2] - left[1],
                "left_descriptors": descriptors(one.pid) - files,
            }
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _hold(one: Started, count: int) -> tuple[int, float]:
    """Hold *count* connections; return the memory then, and the seconds that another request took."""
    request = f"GET {SMALL.path} HTTP/1.1\r\nHost: 127.0.0.1:{one.port}\r\n\r\n".encode()
    held = []
    try:
        for number in range(count):
            sock = socket.create_connection(
                ("127.0.0.1", one.port), 10, source_address=(f"127.0.0.{2 + number % 200}", 0)
            )
            held.append(sock)
            sock.sendall(request)
            answer = b""
            while not answer.endswith(JSON.encode()):
                answer += sock.recv(4096)
        began_s = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
        connection.request("GET", SMALL.path)
        if connection.getresponse().read() != JSON.encode():
            raise LoadFailed("no answer beside idle connections")
        took_s = time.perf_counter() - began_s
        connection.close()
        return resident_bytes(one.pid), took_s
    finally:
        for sock in held:
            sock.close()
