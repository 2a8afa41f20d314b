"""A real Prometheus asks rgate, and counts what its clients counted (behaviour 10)."""

import contextlib
import json
import os
import re
import signal
import subprocess
import urllib.parse
from collections.abc import Iterator
from functools import partial
from operator import eq
from pathlib import Path

import pytest
import yaml

from tests.integration.backend import Backend
from tests.integration.gateway import Gateway, get, running, wait_until
from tests.integration.test_workers import workers_of
from tests.prometheus import program

pytestmark = [pytest.mark.integration, pytest.mark.slow]
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}
HOSTILE = 'a"} 1\n\\\r\u2028{}=, #é\0'
TOLD_AS = HOSTILE.replace("\0", "?")


class Prometheus:
    """One that asks five times a second, and what it found out. *targets* says whom it asks."""

    def __init__(self, port: int, targets: Path) -> None:
        self._port = port
        self._targets = targets

    def ask(self, port: int) -> None:
        """Let it ask the rgate on *port* from now on; it is one instance, wherever it listens."""
        found = [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": "rgate"}}]
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps(found))
        new.replace(self._targets)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return what *expression* comes to: labels and values."""
        answer = get(self._port, f"/api/v1/query?query={urllib.parse.quote(expression)}")
        assert answer.status == 200, answer
        return [(one["metric"], float(one["value"][1])) for one in answer.json()["data"]["result"]]

    def number(self, expression: str) -> float | None:
        found = self.query(expression)
        return found[0][1] if found else None

    def error(self) -> str:
        """Return what was wrong when it asked last."""
        (target,) = get(self._port, "/api/v1/targets").json()["data"]["activeTargets"]
        return str(target["lastError"])


@contextlib.contextmanager
def prometheus(directory: Path) -> Iterator[Prometheus]:
    binary, targets = program("prometheus"), directory / "targets.json"
    scrape = {
        "job_name": "rgate",
        "metrics_path": "/_rgate/metrics",
        "file_sd_configs": [{"files": [str(targets)]}],
    }
    config = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": [scrape]}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    log = directory / "prometheus.log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [
                binary,
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/tsdb",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        ) as process,
    ):
        try:
            yield Prometheus(wait_until(partial(_port, log), bool, within_s=20), targets)
        finally:
            process.terminate()


def _port(log: Path) -> int:
    """Return the port that it listens on, once it is ready; 0 before."""
    said = log.read_text()
    found = re.search(r'msg="Listening on" address=127\.0\.0\.1:(\d+)', said)
    return int(found[1]) if found is not None and "ready to receive web requests" in said else 0


@pytest.mark.clause("10.metrics.prometheus", "10.metrics.hostile", "10.metrics.never_less")
def test_a_prometheus_counts_what_clients_counted_over_a_restart(backend: Backend, tmp_path: Path) -> None:
    answered = 0
    routes = [{"path_prefix": "/api", "backend": HOSTILE}]
    backends = [{"name": HOSTILE, "urls": [f"http://127.0.0.1:{backend.port}"]}]
    config = {"routes": routes, "backends": backends}
    with prometheus(tmp_path) as asking:
        for _ in range(2):
            with running(tmp_path, config, "--workers", "2", environment=NO_DOCKER) as gateway:
                asking.ask(gateway.port)
                for _ in range(2):
                    answered += _ask(gateway, 25)
                    total = partial(asking.number, 'sum(rgate_requests_total{status="200"})')
                    wait_until(total, partial(eq, answered), within_s=10)
                    os.kill(workers_of(gateway.process.pid)[0], signal.SIGKILL)
                    wait_until(total, partial(eq, answered), within_s=10)
                counted = {labels["backend"] for labels, _ in asking.query("rgate_requests_total")}
                assert counted == {TOLD_AS}
                assert asking.error() == ""
                assert gateway.stop() == 0
        # What it saw at any time: nothing fell, not even between two lives of rgate.
        assert asking.query("max(resets(rgate_requests_total[1h]))")[0][1] == 0
        assert asking.query("max(resets(rgate_request_duration_seconds_count[1h]))")[0][1] == 0
        assert asking.number('max_over_time(rgate_requests_total{status="200"}[1h])') == answered
        assert asking.number("max_over_time(rgate_request_duration_seconds_count[1h])") == answered
        assert asking.number("sum(max_over_time(rgate_container_requests_total[1h]))") == answered


def _ask(gateway: Gateway, times: int) -> int:
    for _ in range(times):
        assert gateway.get("/api/x").status == 200
    return times


@pytest.mark.clause("10.metrics.prometheus")
def test_promtool_finds_nothing_to_say(backend: Backend, tmp_path: Path) -> None:
    promtool = program("promtool")
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as gateway:
        _ask(gateway, 3)
        told = gateway.get("/_rgate/metrics").body
    done = subprocess.run([promtool, "check", "metrics"], input=told, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
