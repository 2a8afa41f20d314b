"""The gateways under test: each engine of rgate, and the peers that are installed.

A gateway is a process that carries the routes of a Site on 127.0.0.1. All that differs between
gateways is here and in `peers.py`; a case knows only what `Gateway` offers.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.contract.http.site import (
    ALLOWED,
    DEFAULT_BODY,
    DEFAULT_STATUS,
    MOST_BODY_BYTES,
    MOST_CONNECTIONS,
    TRUSTED,
    Lane,
    Site,
)
from tests.contract.http.wire import DEADLINE_S, Message, Wire, connect

ROOT = Path(__file__).parents[3]
START_S = 60.0
END_S = 15.0  # on a machine that is busy with other things

T = TypeVar("T")

PLAIN_ASYNCIO = "asyncio-without-uvloop"


def wait_until(look: Callable[[], T], within_s: float, awaited: str) -> T:
    """Return the first true value of *look*; fails at the deadline with the last one seen."""
    until = time.monotonic() + within_s
    while not (seen := look()):
        assert time.monotonic() < until, f"{awaited} did not come within {within_s} s; last seen: {seen!r}"
        time.sleep(0.005)
    return seen


class Gateway(ABC):
    """One running gateway. `start` it before use, and `stop` it."""

    name: str
    gives_reasons = False  # whether its own answers carry X-Rgate-Reason
    lacks: frozenset[str] = frozenset()  # kinds of lanes that it cannot be set to carry

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        self.directory = directory
        self.port = 0
        self._wires: list[Wire] = []
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the program."""

    @abstractmethod
    def _find_port(self) -> int:
        """Return the port once the program listens on it, 0 until then."""

    def start(self) -> None:
        """Return when the gateway is ready."""
        self._process = self._launch()
        self.port = wait_until(self._port_or_death, START_S, f"{self.name}'s readiness")

    def _port_or_death(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended at its start:\n{self.log()}"
        return self._find_port()

    def _run(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env=os.environ | environment,
            )

    def log(self) -> str:
        """Return the end of what the program wrote to stderr."""
        return (self.directory / "err").read_text(errors="replace")[-3000:]

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def exit_status(self, within_s: float = END_S) -> int:
        """Return the process's status, once it has ended."""
        assert self._process is not None
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {within_s} s") from None

    def stop(self) -> None:
        """End the process; waits for it."""
        self.close_clients()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.site.close()

    # What cases use.

    def client(self, source: str = "127.0.0.1") -> Wire:
        """Return a new connection to the gateway, from address *source*."""
        wire = connect(self.port, source)
        self._wires.append(wire)
        return wire

    def close_clients(self) -> None:
        """Close all connections of `client`."""
        for wire in self._wires:
            wire.close()
        self._wires.clear()

    def lane(self, kind: str = "single") -> Lane:
        """Return a route and its backends that no other case uses."""
        if kind in self.lacks:
            pytest.skip(f"{self.name} cannot be set to carry lanes of kind {kind!r}")
        return self.site.take(kind)

    def check_answer(self, answer: Message, status: int, reason: str) -> None:
        """Assert that *answer* is the gateway's own, with *status* and, where it gives any, *reason*."""
        assert answer.status == status, f"{answer.line!r}, wanted {status} {reason}: {answer.content[:400]!r}"
        if self.gives_reasons:
            assert answer.values(b"x-rgate-reason") == [reason.encode()], answer.fields

    def resident_bytes(self) -> int:
        """Return the resident memory of the process and its children."""
        assert self._process is not None
        return sum(_resident_bytes(pid) for pid in _family(self._process.pid))

    def cpu_s(self) -> float:
        """Return the seconds of CPU that the process and its children used so far, to 10 ms."""
        assert self._process is not None
        return sum(_cpu_s(pid) for pid in _family(self._process.pid))

    def figures(self, by: str) -> dict[str, dict[str, int]]:
        """Return the `requests_count` of each *by* that `/stats` tells of."""
        if not self.gives_reasons:
            pytest.skip(f"{self.name} has no such figures")
        with self.client() as client:
            client.send(b"GET /stats?by=%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % by.encode())
            told = json.loads(client.read_response().content)
        return {name: figures["requests_count"] for name, figures in told.items()}

    def requests(self, query: str) -> list[dict[str, Any]]:
        """Return the requests that `/_rgate/requests` tells of."""
        return list(self._told(f"/_rgate/requests?{query}")["requests"])

    def story(self, request_id: str) -> dict[str, Any]:
        """Return the story of the request with that id, once it is told."""

        def look() -> list[dict[str, Any]]:
            return self.requests(f"id={request_id}")

        wait_until(look, DEADLINE_S, f"a story of {request_id}")
        return self._told(f"/_rgate/requests/{request_id}")

    def _told(self, target: str) -> dict[str, Any]:
        if not self.gives_reasons:
            pytest.skip(f"{self.name} tells no stories")
        with self.client() as client:
            client.send(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target.encode())
            told: dict[str, Any] = json.loads(client.read_response().content)
        return told

    def logged(self, path: bytes) -> dict[str, str | int | float]:
        """Return what the access log says of the request for *path*, once it says so."""
        if not self.gives_reasons:
            pytest.skip(f"{self.name} has another log")

        def look() -> list[dict[str, str | int | float]]:
            lines = (self.directory / "access").read_text().splitlines(keepends=True)
            told = [json.loads(line) for line in lines if line.endswith("\n")]
            return [one for one in told if one["target"] == path.decode()]

        return wait_until(look, DEADLINE_S, f"a line of the log for {path!r}")[0]


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _resident_bytes(pid: int) -> int:
    matched = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(matched[1]) * 1024 if matched else 0


def _cpu_s(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Rgate(Gateway):
    """rgate itself, with one of its engines.

    *options* are further ones of the command line. *logging*: with an access log, for `logged`; without
    one requests are counted on another path.
    """

    gives_reasons = True

    def __init__(
        self, site: Site, directory: Path, engine: str, *options: str, logging: bool = False
    ) -> None:
        super().__init__(site, directory)
        self.name = engine
        self._options = options
        self._logging = logging
        self._environment = {"PYTHONUNBUFFERED": "1"}
        if engine == PLAIN_ASYNCIO:
            self._environment["PYTHONPATH"] = str(Path(__file__).parent / "without_uvloop")

    def _launch(self) -> subprocess.Popen[bytes]:
        config = self.directory / "config.yml"
        config.write_text(json.dumps(rgate_config(self.site, self.directory), indent=1))  # JSON is YAML
        options = ["--port", "0", "--config", str(config), "--engine", self.name.split("-")[0]]
        if self._logging:
            options += ["--access-log", str(self.directory / "access"), "--log-format", "json"]
        return self._run(sys.executable, "rgate.py", *options, *self._options, **self._environment)

    def _find_port(self) -> int:
        said = (self.directory / "out").read_text(errors="replace")
        matched = re.search(r"\blistening\b.*?http://\S+?:(\d+)\b", said)
        return int(matched[1]) if matched else 0


def rgate_config(site: Site, directory: Path) -> dict[str, object]:
    """Return what `config.yml` says for *site*."""
    config: dict[str, object] = {
        "routes": [_route(lane) for lane in site.lanes],
        "default_response": {"body": DEFAULT_BODY.decode(), "status_code": DEFAULT_STATUS},
        "backends": [_backend(lane) for lane in site.lanes],
        "stats": {"database": f"sqlite:///{directory}/rgate.db"},
    }
    if site.limited:
        config["limits"] = {"body_bytes": MOST_BODY_BYTES, "connections": MOST_CONNECTIONS}
        config["trusted_proxies"] = [f"{TRUSTED}/32"]
        config["admin"] = {"allow": [f"{TRUSTED}/32", f"{ALLOWED}/32"]}
    for key, value in site.settings.items():
        there = config.get(key)
        config[key] = [*there, *value] if isinstance(there, list) and isinstance(value, list) else value
    return config


def _route(lane: Lane) -> dict[str, object]:
    route: dict[str, object] = {"path_prefix": lane.path.decode(), "backend": lane.name}
    if lane.host:
        route["host"] = lane.host
    if lane.kind.strip_prefix:
        route["strip_prefix"] = True
    if lane.kind.segment:
        route["match"] = "segment"
    if lane.kind.envelope:
        route["response_format"] = "envelope"
    return route


def _backend(lane: Lane) -> dict[str, object]:
    return {
        "name": lane.name,
        "urls": [f"http://127.0.0.1:{listener.port}" for listener in lane.listeners],
        "policy": lane.kind.policy,
        "timeouts": vars(lane.kind.timeouts),
    }
