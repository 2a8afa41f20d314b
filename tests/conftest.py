"""What all suites share: tests that need Docker, daemons of their own or a browser are skipped where there is
none, and how many examples hypothesis tries: 100, and 1,000 where `make chaos` asks for them.
"""

import functools
import gc
import os
import warnings
from collections.abc import Callable

import docker
import pytest
import requests
from docker.errors import DockerException
from hypothesis import settings

pytest_plugins = ("pytester", "rgate.testing.plugin")  # the second is not installed here

# No deadline: on a busy machine it would measure the machine. Tests that name a number of examples keep it.
settings.register_profile("quick", deadline=None, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("quick")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests: more than cores, as tests wait for half of their time."""
    return max(2, 3 * len(os.sched_getaffinity(0)) // 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _leave_out(items, "docker", "RGATE_REQUIRE_DOCKER", why_docker_cannot_be_used)
    _leave_out(items, "daemons", "RGATE_REQUIRE_DAEMONS", why_no_daemon_can_be_started)
    _leave_out(items, "browser", "RGATE_REQUIRE_BROWSER", why_no_browser_can_be_used)


def _leave_out(
    items: list[pytest.Item], mark: str, required_by: str, why_it_cannot_be_used: Callable[[], str | None]
) -> None:
    """Skip the tests with *mark* where what they need is missing; fail where *required_by* is 1."""
    needing = [item for item in items if item.get_closest_marker(mark)]
    if not needing or (why_not := why_it_cannot_be_used()) is None:
        return
    if os.environ.get(required_by) == "1":
        raise pytest.UsageError(f"{required_by}=1, and {why_not}")
    for item in needing:
        item.add_marker(pytest.mark.skip(reason=why_not))


def why_no_daemon_can_be_started() -> str | None:
    from tests.integration import dockerds, sshd  # only where they are needed

    return dockerds.why_none_can_be_started() or sshd.why_none_can_be_started()


@functools.cache
def why_no_browser_can_be_used() -> str | None:
    from tests.browser import chromium  # only where it is needed: Playwright is heavy

    return chromium.why_it_cannot_be_used()


@functools.cache
def why_docker_cannot_be_used() -> str | None:
    # A client that cannot connect leaves its socket open, where nobody can close it but the collector. That
    # warns, and would do so in whatever test it runs.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        why_not = _ask_docker()
        gc.collect()
    return why_not and f"Docker does not answer: {why_not}"


def _ask_docker() -> str | None:
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
