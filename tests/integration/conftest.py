"""Containers for one test, and the services of docker-compose.yml for all, under labels of this run."""

import contextlib
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from rgate.engines import ENGINES
from tests.integration import gateway as gateway_process
from tests.integration.backend import Backend, running_backend
from tests.integration.containers import Containers
from tests.integration.daemon import Daemon, real_socket
from tests.integration.gateway import ROOT, Gateway, backend_config, running

DEFAULT_ENGINE = "asyncio"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what no engine has a part in with the default one, and leave most of the other to `make test-all`.

    The rules of HTTP are held by both in tests/contract; what engines may well differ in says so.
    """
    others = {
        item
        for item in items
        if isinstance(item, pytest.Function)
        and hasattr(item, "callspec")
        and item.callspec.params.get("engine", DEFAULT_ENGINE) != DEFAULT_ENGINE
    }
    again = {item for item in others if item.get_closest_marker("any_engine")}
    if again:
        config.hook.pytest_deselected(items=list(again))
        items[:] = [item for item in items if item not in again]
    for item in others - again:
        if not item.get_closest_marker("both_engines"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=sorted(ENGINES), autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test with every engine."""
    monkeypatch.setattr(gateway_process, "engine", request.param)
    return str(request.param)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running_backend() as backend:
        yield backend


@pytest.fixture(scope="session")
def demo_image() -> None:
    subprocess.run([ROOT / "scripts" / "build-images"], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def docker_client(demo_image: None) -> Iterator[docker.DockerClient]:  # noqa: ARG001 # only that it is there
    with contextlib.closing(docker.from_env(timeout=30)) as client:
        yield client


@pytest.fixture
def containers(docker_client: docker.DockerClient) -> Iterator[Containers]:
    started = Containers(docker_client)
    try:
        yield started
    finally:
        started.remove()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon that can be lost; it is not started yet."""
    real = real_socket()
    if real is None:
        pytest.skip("DOCKER_HOST names no socket that another could stand in front of")
    with tempfile.TemporaryDirectory(prefix="rgate-") as directory:
        daemon = Daemon(Path(directory), real)
        try:
            yield daemon
        finally:
            daemon.kill()


@pytest.fixture
def gateway(containers: Containers, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that sends /api to the containers with both labels of this test."""
    config = backend_config(containers.app, containers.env, timeouts={"response": 3})
    with running(tmp_path, config) as gateway:
        yield gateway


# The services of docker-compose.yml: pytest-docker starts them once, and takes them down.

SERVICES = """
services:
  payment:
    extends: {{file: {root}/docker-compose.yml, service: payment}}
    labels: {{env: {env}}}
  orders:
    extends: {{file: {root}/docker-compose.yml, service: orders}}
    labels: {{env: {env}}}
"""


@pytest.fixture(scope="session")
def compose_env() -> str:
    """The value of the label `env` in this run."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def docker_compose_project_name(compose_env: str) -> str:
    return f"rgate-{compose_env}"


@pytest.fixture(scope="session")
def docker_compose_command() -> str:
    return str(ROOT / "scripts" / "compose")


@pytest.fixture(scope="session")
def docker_compose_file(
    tmp_path_factory: pytest.TempPathFactory,
    compose_env: str,
    demo_image: None,  # noqa: ARG001 # only that it is there
) -> str:
    file = tmp_path_factory.mktemp("compose") / "docker-compose.yml"
    file.write_text(SERVICES.format(root=ROOT, env=compose_env))
    return str(file)


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    return ["up --detach --wait --no-build --scale payment=3"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down --timeout 2"]
