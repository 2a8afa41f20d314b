"""What /stats says after a known load, and that nothing under way is lost at the end."""

import signal
from pathlib import Path

import pytest

from tests.integration.containers import Containers
from tests.integration.gateway import Gateway, backend_config, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.docker]


def counts(gateway: Gateway) -> tuple[int, int]:
    requests = gateway.stats()["requests_count"]
    return requests["success"], requests["error"]


@pytest.mark.clause("7.counts.success", "7.last.restart")
def test_the_figures_equal_the_clients_own_counts_and_outlast_a_restart(
    containers: Containers, tmp_path: Path
) -> None:
    containers.start()
    config = backend_config(containers.app, containers.env)
    with running(tmp_path, config) as gateway:
        with gateway.client() as client:
            statuses = [client.get(f"/api?status={status}").status for status in [200] * 20 + [302, 404, 500]]
            statuses += [client.get("/elsewhere").status for _ in range(5)]
        expected = (sum(s < 400 for s in statuses), sum(s > 399 for s in statuses))
        assert expected == (21, 7)
        assert counts(gateway) == expected
        latency = gateway.stats()["latency_ms"]
        assert set(latency) == {"average", "p95", "p99"}
        assert 0 < latency["p95"] <= latency["p99"]
        assert gateway.stop() == 0
    with running(tmp_path, config) as gateway:
        assert counts(gateway) == expected
        gateway.get("/api")
        assert counts(gateway) == (expected[0] + 1, expected[1])


@pytest.mark.clause("7.last.killed")
def test_a_killed_gateway_has_lost_no_count(containers: Containers, tmp_path: Path) -> None:
    containers.start()
    config = backend_config(containers.app, containers.env)
    with running(tmp_path, config) as gateway:
        for _ in range(10):
            assert gateway.get("/api").status == 200
        # The client has the last byte a moment before the gateway counts it: until here it is under way.
        assert counts(gateway) == (10, 0)
        gateway.send_signal(signal.SIGKILL)
        gateway.exit_status()
    with running(tmp_path, config) as gateway:
        assert counts(gateway) == (10, 0)


@pytest.mark.clause("8.stop.drain")
def test_sigterm_lets_a_response_under_way_finish(containers: Containers, gateway: Gateway) -> None:
    containers.start()
    wait_until(lambda: gateway.get("/api").status, lambda status: status == 200, within_s=1)
    with gateway.client() as client, client.open("/api?stream=4&interval=0.3") as response:
        assert response.readline() == b"id: 1\n"  # the response is under way
        gateway.send_signal(signal.SIGTERM)
        assert response.read().count(b"data:") == 4
    assert gateway.exit_status() == 0


def test_each_event_of_a_stream_arrives_when_it_is_sent(containers: Containers, gateway: Gateway) -> None:
    containers.start()
    wait_until(lambda: gateway.get("/api").status, lambda status: status == 200, within_s=1)
    with gateway.client() as client, client.open("/api?stream=2&interval=5") as response:
        assert response.readline() == b"id: 1\n"
        # Had it been held back until the end, the second would be there already.
        assert not gateway.stats()["requests_count"]["success"] > 1
