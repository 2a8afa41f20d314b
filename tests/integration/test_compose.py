"""config.yml in front of docker-compose.yml, as the README tells."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytest_docker.plugin import Services

from tests.integration.gateway import NO_SERVICE_URLS, ROOT, Gateway, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.docker]


@pytest.fixture
def gateway(docker_services: Services, compose_env: str, tmp_path: Path) -> Iterator[Gateway]:  # noqa: ARG001
    text = (ROOT / "config.yml").read_text().replace("env=production", f"env={compose_env}")
    with running(tmp_path, yaml.safe_load(text)) as gateway:
        yield gateway


@pytest.fixture
def compose(docker_services: Services) -> Callable[[str], Any]:
    execute: Callable[[str], Any] = docker_services._docker_compose.execute  # there is no other way to it
    return execute


@pytest.mark.parametrize("service", ["payment", "orders"])
def test_a_path_reaches_the_service_that_its_prefix_names(gateway: Gateway, service: str) -> None:
    response = gateway.get(f"/api/{service}/42?x=%2F")
    assert response.status == 200
    assert response.json()["service"] == service
    assert response.json()["target"] == f"/api/{service}/42?x=%2F"


def test_no_route_gives_the_default_response(gateway: Gateway) -> None:
    response = gateway.get("/elsewhere")
    assert (response.status, response.body) == (403, b"This is not reachable")


@pytest.mark.clause("4.candidates.pick")
def test_requests_spread_evenly_over_three_replicas(gateway: Gateway) -> None:
    with gateway.client() as client:
        counts = Counter(client.get("/api/payment").container for _ in range(300))
    # Five standard deviations of 8.2 about 100: one run in a million falls out by chance.
    assert len(counts) == 3
    assert all(59 <= count <= 141 for count in counts.values()), counts


def test_a_service_that_is_down_gives_503_with_its_reason_and_one_that_is_back_is_used_again(
    gateway: Gateway, compose: Callable[[str], Any]
) -> None:
    compose("stop --timeout 2 orders")
    try:
        # Docker tells of the end of a container a moment after its port is gone.
        response = wait_until(
            lambda: gateway.get("/api/orders"), lambda r: r.reason == "no_container", within_s=1
        )
        assert response.status == 503
        assert response.fields["Content-Type"] == "application/problem+json"
        assert response.fields["Retry-After"] == "1"
        problem = response.json()
        assert (problem["title"], problem["status"], problem["backend"]) == (NO_SERVICE_URLS, 503, "orders")
        assert gateway.get("/api/payment").status == 200
    finally:
        compose("up --detach --wait --no-build --no-recreate --scale payment=3")
    wait_until(lambda: gateway.get("/api/orders"), lambda r: r.status == 200, within_s=1)


def test_compose_tells_a_failure_whichever_program_it_is() -> None:
    command = [str(ROOT / "scripts" / "compose"), "no-such-command"]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
