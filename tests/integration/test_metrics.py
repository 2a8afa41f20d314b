"""The metrics, through the real command (behaviour 10)."""

import contextlib
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from operator import eq
from pathlib import Path

import pytest

from rgate._version import __version__
from rgate.core.reasons import Reason
from tests.contract.stats import postgres
from tests.integration.backend import Backend
from tests.integration.containers import Containers
from tests.integration.gateway import Gateway, backend_config, running, wait_until, write_config
from tests.integration.scrape import Values, scraped, values_of
from tests.integration.test_workers import workers_of

pytestmark = pytest.mark.integration
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}
REQUESTS = "rgate_requests_total"
CONNECTIONS = "rgate_connections"


@pytest.fixture
def alone(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as gateway:
        yield gateway


@pytest.fixture
def several(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, backend.config(), "--workers", "3", environment=NO_DOCKER) as gateway:
        yield gateway


def total(values: Values, name: str = REQUESTS) -> float:
    return sum(values.get(name, {}).values())


def figures_of(values: Values) -> Values:
    """Return what of *values* goes on over a restart."""
    names = ("rgate_requests", "rgate_container_requests", "rgate_request_duration", "rgate_problems")
    return {name: series for name, series in values.items() if name.startswith(names)}


def fallen(before: Values, after: Values) -> list[object]:
    """Return the counters of *before* that are less, or missing, in *after*."""
    return [
        (name, labels, value, after.get(name, {}).get(labels))
        for name, series in before.items()
        if name.endswith(("_total", "_bucket", "_count", "_sum"))
        for labels, value in series.items()
        if after.get(name, {}).get(labels, -1) < value
    ]


@pytest.mark.clause("10.metrics.formats", "10.metrics.requests", "10.metrics.containers")
def test_each_format_says_what_stats_says(alone: Gateway, backend: Backend) -> None:
    for target in ("/api/x", "/api/y", "/elsewhere"):
        alone.get(target)
    with alone.client() as client:
        for accept in ("text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"):
            response = client.request("GET", "/_rgate/metrics", fields={"Accept": accept})
            assert response.fields["Content-Type"].startswith(accept.partition(";")[0])
            values = values_of(response)
            assert values[REQUESTS] == {("api", "/api", "200"): 2, ("", "", "404"): 1}
            address = f"127.0.0.1:{backend.port}"
            assert values["rgate_container_requests_total"] == {("api", address, "200"): 2}
            assert values["rgate_request_duration_seconds_count"] == {("api", "/api"): 2, ("", ""): 1}
    assert alone.stats()["requests_count"] == {"success": 2, "error": 1}


@pytest.mark.clause("10.metrics.formats")
def test_it_is_for_those_who_may_know_and_for_get(alone: Gateway) -> None:
    with alone.client() as client:
        for method, fields, status in (
            ("GET", {"X-Forwarded-For": "1.2.3.4"}, 403),
            ("POST", {}, 405),
            ("HEAD", {}, 200),
            ("GET", {}, 200),
        ):
            assert client.request(method, "/_rgate/metrics", fields=fields).status == status
        assert client.get("/_rgate/metrics?x=1").status == 400


@pytest.mark.clause("10.metrics.problems")
def test_problems_are_counted_by_their_reasons_and_the_others_are_0(tmp_path: Path) -> None:
    config = {
        "routes": [{"path_prefix": "/api", "backend": "api"}],
        "backends": [{"name": "api", "urls": ["http://127.0.0.1:1"]}],
    }
    with running(tmp_path, config, environment=NO_DOCKER) as gateway:
        assert gateway.get("/api/x").reason == "connect_failed"
        assert gateway.get("/api/../x").reason == "path_not_normalized"
        problems = scraped(gateway)["rgate_problems_total"]
        assert problems == {
            (reason.value,): int(reason in (Reason.CONNECT_FAILED, Reason.PATH_NOT_NORMALIZED))
            for reason in Reason
        }
        assert scraped(gateway)["rgate_candidates"] == {("api", "in"): 0, ("api", "resting"): 1}


class _Lasting(BaseHTTPRequestHandler):
    """Answers, and keeps the connection open."""

    protocol_version = "HTTP/1.1"
    waiting: threading.Event
    let_go: threading.Event

    def do_GET(self) -> None:
        if self.path == "/api/slow":
            self.waiting.set()
            self.let_go.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.clause("10.metrics.connections", "10.metrics.connects")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_connections_are_counted_and_those_that_were_made(tmp_path: Path, workers: str) -> None:
    class Handler(_Lasting):
        waiting, let_go = threading.Event(), threading.Event()

    with contextlib.ExitStack() as opened:
        server = opened.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        opened.callback(server.shutdown)
        config = Backend(server.server_address[1]).config()
        gateway = opened.enter_context(running(tmp_path, config, "--workers", workers, environment=NO_DOCKER))
        assert scraped(gateway)["rgate_pool_connects_total"] == {("api",): 0}
        client = opened.enter_context(gateway.client())
        for _ in range(3):
            assert client.get("/api/x").status == 200
        values = scraped(gateway)
        assert values["rgate_pool_connects_total"] == {("api",): 1}
        # The one who asks has a request on its connection; one before may not be gone yet.
        assert values[CONNECTIONS]["client", "active"] == 1
        assert values[CONNECTIONS]["upstream", "active"] == 0
        assert values[CONNECTIONS]["upstream", "idle"] == 1
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(client.get, "/api/slow")
            assert Handler.waiting.wait(10)
            values = wait_until(
                lambda: scraped(gateway), lambda seen: not seen[CONNECTIONS]["client", "idle"], within_s=5
            )
            assert values[CONNECTIONS] == {
                ("client", "active"): 2,
                ("client", "idle"): 0,
                ("upstream", "active"): 1,
                ("upstream", "idle"): 0,
            }
            Handler.let_go.set()
            assert slow.result().status == 200


@pytest.mark.clause("10.metrics.loaded", "10.metrics.build", "10.metrics.process")
def test_what_runs_is_told_and_since_when(
    several: Gateway, backend: Backend, tmp_path: Path, engine: str
) -> None:
    values = scraped(several)
    assert values["rgate_build_info"] == {(engine, platform.python_version(), __version__): 1}
    pids = workers_of(several.process.pid)
    started, loaded = (
        values["process_start_time_seconds"][()],
        values["rgate_config_loaded_timestamp_seconds"][()],
    )
    assert time.time() - 60 < started < loaded < time.time()
    resident = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * os.sysconf(
        "SC_PAGESIZE"
    )
    assert values["process_resident_memory_bytes"][()] == pytest.approx(resident, rel=0.2)
    open_fds = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
    assert values["process_open_fds"][()] == pytest.approx(open_fds, abs=20)
    assert 0 < values["process_cpu_seconds_total"][()] < 60
    (tmp_path / "config.yml").write_text("routes: 7")
    several.send_signal(signal.SIGHUP)
    wait_until(several.errors, lambda said: "not reloaded" in said, within_s=5)
    assert scraped(several)["rgate_config_loaded_timestamp_seconds"] == {(): loaded}
    write_config(tmp_path, backend.config())
    several.send_signal(signal.SIGHUP)
    wait_until(
        lambda: scraped(several)["rgate_config_loaded_timestamp_seconds"][()],
        lambda seen: loaded < seen < time.time(),
        within_s=5,
    )


@pytest.mark.clause("10.metrics.lost")
def test_lines_that_no_log_took_are_counted(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), "--access-log", "/dev/full", environment=NO_DOCKER) as gateway:
        assert scraped(gateway)["rgate_log_lines_lost_total"] == {("access",): 0, ("stderr",): 0}
        for _ in range(3):
            assert gateway.get("/api/x").status == 200
        wait_until(
            lambda: scraped(gateway)["rgate_log_lines_lost_total"]["access",],
            lambda lost: lost == 3,
            within_s=5,
        )


@pytest.mark.clause("10.metrics.discovery")
def test_where_no_backend_is_found_by_labels_no_source_is_told_of(alone: Gateway, tmp_path: Path) -> None:
    values = scraped(alone)
    assert "rgate_docker_connected" not in values
    assert "rgate_discovery_age_seconds" not in values
    write_config(tmp_path, backend_config("app_name=rgate-nothing"))
    alone.send_signal(signal.SIGHUP)
    values = wait_until(lambda: scraped(alone), lambda seen: "rgate_docker_connected" in seen, within_s=5)
    assert values["rgate_docker_connected"] == {("docker",): 0}
    assert "rgate_discovery_age_seconds" not in values  # there was no list


@pytest.mark.docker
@pytest.mark.clause("10.metrics.candidates", "10.metrics.gone", "10.metrics.discovery", "10.metrics.lag")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_containers_are_told_of_once_and_after_they_are_gone(
    containers: Containers, tmp_path: Path, workers: str
) -> None:
    config = backend_config(containers.app, containers.env)
    with running(tmp_path, config, "--workers", workers) as gateway:
        one = containers.start()

        def candidates(wanted: dict[tuple[str, str], int]) -> Values:
            def are_there(seen: Values) -> bool:
                # Near misses apart: the containers of other tests that run now are such.
                told = seen["rgate_candidates"].items()
                return {key: count for key, count in told if key != ("api", "labels")} == wanted

            return wait_until(lambda: scraped(gateway), are_there, within_s=10)

        values = candidates({("api", "in"): 1, ("api", "resting"): 0})
        assert values["rgate_docker_connected"] == {("docker",): 1}
        assert 0 <= values["rgate_discovery_age_seconds"]["docker",] < 60
        assert gateway.get("/api/x").status == 200
        counted = {("api", one.name, "200"): 1}
        assert scraped(gateway)["rgate_container_requests_total"] == counted
        one.stop(timeout=1)
        values = candidates({("api", "in"): 0, ("api", "resting"): 0, ("api", "not_running"): 1})
        assert values["rgate_container_requests_total"] == counted
        containers.remove()
        values = candidates({("api", "in"): 0, ("api", "resting"): 0})
        assert values["rgate_container_requests_total"] == counted
        assert values["rgate_discovery_lag_seconds_count"][()] >= 2 * int(workers)
        assert (
            values["rgate_discovery_lag_seconds_bucket"]["10.0",]
            == values["rgate_discovery_lag_seconds_count"][()]
        )


@pytest.mark.clause("10.metrics.same", "10.metrics.workers", "10.metrics.requests")
def test_any_of_several_workers_tells_of_all(several: Gateway) -> None:
    for _ in range(30):
        assert several.get("/api/x").status == 200
    told = [scraped(several) for _ in range(12)]
    # But for what asking itself takes: connections, time and memory.
    assert [figures_of(one) for one in told] == [figures_of(told[0])] * 12
    assert told[0][REQUESTS] == {("api", "/api", "200"): 30}
    assert [total(one, "rgate_pool_connects_total") for one in told] == [30] * 12
    assert several.stats()["requests_count"] == {"success": 30, "error": 0}


@pytest.mark.slow
@pytest.mark.clause("10.metrics.never_less", "10.metrics.workers", "10.metrics.requests")
def test_nothing_falls_while_workers_are_killed_and_rgate_is_started_again(
    backend: Backend, tmp_path: Path
) -> None:
    lives = [
        _a_life(backend, tmp_path, answered_before=0),
        _a_life(backend, tmp_path, answered_before=40),
    ]
    for seen in lives:
        for before, after in pairwise(seen):
            assert fallen(before, after) == []
    for before, after in pairwise(figures_of(one) for seen in lives for one in seen):
        assert fallen(before, after) == []


def _a_life(backend: Backend, directory: Path, answered_before: int) -> list[Values]:
    """Let 40 requests be answered, while two workers are killed; return what was told meanwhile."""
    seen: list[Values] = []
    with running(directory, backend.config(), "--workers", "3", environment=NO_DOCKER) as gateway:

        def ask() -> float:
            seen.append(scraped(gateway))
            return total(seen[-1])

        for answered in (answered_before + 20, answered_before + 40):
            for number in range(answered - 20, answered):
                assert gateway.get("/api/x").status == 200
                # Behind a kill, what the dead worker folded last may be missing for one scrape.
                wait_until(ask, partial(eq, number + 1), within_s=5)
            pids = workers_of(gateway.process.pid)
            os.kill(pids[0], signal.SIGKILL)
            wait_until(ask, partial(eq, answered), within_s=5)
            wait_until(partial(workers_of, gateway.process.pid), partial(_are_others, pids[0]), within_s=10)
        assert gateway.stop() == 0
    return seen


def _are_others(killed: int, pids: list[int]) -> bool:
    return len(pids) == 3 and killed not in pids


@pytest.mark.slow
@pytest.mark.clause("10.metrics.memory")
def test_a_frozen_database_is_not_waited_for(backend: Backend, tmp_path: Path) -> None:
    if (binaries := postgres.programs()) is None:
        pytest.skip("PostgreSQL is not installed")
    environment = {**NO_DOCKER, "XDG_STATE_HOME": str(tmp_path)}
    with postgres.server(binaries) as url:
        options = ("--workers", "2", "--db", url)
        with running(tmp_path, backend.config(), *options, environment=environment) as gateway:
            for _ in range(10):
                assert gateway.get("/api/x").status == 200
            before = scraped(gateway)
            with postgres.frozen(url):
                asked = [gateway.get("/_rgate/metrics") for _ in range(5)]
                assert gateway.get("/stats").fields["X-Rgate-Stale"] is not None  # which took its second
                assert gateway.get("/api/x").status == 200
                asked.append(gateway.get("/_rgate/metrics"))
            assert [total(values_of(one)) for one in asked] == [10] * 5 + [11]
            for one in asked:
                assert fallen(before, values_of(one)) == []
            assert gateway.stop() == 0
