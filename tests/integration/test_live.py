"""Open pages are told of all workers, whichever has them (behaviour 10.live). No Docker."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import Gateway, get, running
from tests.integration.test_workers import NO_DOCKER, open_sockets, workers_of

pytestmark = pytest.mark.integration
CONFIG: dict[str, Any] = {
    "routes": [{"path_prefix": "/api", "backend": "refuses"}],
    "backends": [{"name": "refuses", "urls": ["http://127.0.0.1:9"]}],
}
CLIENTS = 16
"""Fewer than are told of in a second, and more than one worker gets by chance."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, CONFIG, "--workers", "2", "--drain", "60", environment=NO_DOCKER) as gateway:
        yield gateway
        gateway.stop()


@contextlib.contextmanager
def page_of(gateway: Gateway) -> Iterator[Iterator[tuple[str, Any]]]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request("GET", "/_rgate/live", headers={"Accept": "text/event-stream"})
    with contextlib.closing(connection), connection.getresponse() as stream:
        yield events(stream)


def events(stream: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in stream:
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


@pytest.mark.clause("10.live.workers")
def test_failures_and_figures_of_both_workers_come(gateway: Gateway) -> None:
    with page_of(gateway) as told, contextlib.ExitStack() as stack:
        assert next(told)[0] == "tick"
        before = {pid: open_sockets(pid) for pid in workers_of(gateway.process.pid)}
        asked = set()
        clients = [stack.enter_context(gateway.client()) for _ in range(CLIENTS)]
        for client in clients:
            response = client.get("/api/x")
            assert response.reason == "connect_failed"
            asked.add(response.fields["X-Request-ID"])
        assert all(open_sockets(pid) > count for pid, count in before.items()), "both were asked"

        seen = set[str]()
        while seen != asked:
            name, data = next(told)
            if name == "failure":
                assert data["id"] in asked - seen, "each is told once"
                seen.add(data["id"])
        while True:
            name, data = next(told)
            if name == "tick" and data["total"]["requests_count"]["error"] == CLIENTS:
                break


@pytest.mark.clause("10.live.timeline", "10.live.workers")
def test_what_only_one_worker_saw_is_told_to_pages_of_the_other(gateway: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(page_of(gateway)) for _ in range(8)]  # of either worker
        for page in pages:
            next(page)
        get(gateway.port, "/api/x")
        for page in pages:
            event = next(data for name, data in page if name == "timeline" and data["kind"] == "out")
            assert event["backend"] == "refuses"


@pytest.mark.clause("10.live.stop")
def test_pages_do_not_hold_the_end_of_any_worker(gateway: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(page_of(gateway)) for _ in range(8)]
        for page in pages:
            next(page)
        gateway.process.terminate()
        for page in pages:
            assert all(name for name, _ in page), "each comes to its end"
        assert gateway.exit_status() == 0
