"""What all suites share: tests that need Docker are skipped where it does not answer."""

import functools
import os

import docker
import pytest
import requests
from docker.errors import DockerException


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needing = [item for item in items if item.get_closest_marker("docker")]
    if not needing or (why_not := why_docker_cannot_be_used()) is None:
        return
    if os.environ.get("RGATE_REQUIRE_DOCKER") == "1":
        raise pytest.UsageError(f"RGATE_REQUIRE_DOCKER=1, and Docker does not answer: {why_not}")
    for item in needing:
        item.add_marker(pytest.mark.skip(reason=f"Docker does not answer: {why_not}"))


@functools.cache
def why_docker_cannot_be_used() -> str | None:
    try:
        client = docker.from_env(timeout=10)
    except DockerException as error:
        return str(error)
    try:
        client.ping()
    except (DockerException, requests.RequestException) as error:
        return str(error)
    finally:
        client.close()
    return None
