"""The shop's containers, started once by pytest-docker, and a gateway in front of them."""

import os
from pathlib import Path

import docker
import pytest
import yaml

SHOP = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def docker_compose_command():
    return os.environ.get("COMPOSE", "docker compose")


@pytest.fixture(scope="session")
def docker_compose_file():
    return str(SHOP / "compose.yml")


@pytest.fixture(scope="session")
def docker_setup():
    return ["up --detach"]  # the gateway says when they can be asked


@pytest.fixture(scope="session")
def docker_cleanup():
    return ["down --volumes --timeout 2"]


@pytest.fixture(scope="session")
def config(docker_compose_project_name):
    """The configuration as it is shipped, for the project that pytest-docker starts."""
    shipped = (SHOP / "config.yml").read_text()
    return yaml.safe_load(shipped.replace("project=shop", f"project={docker_compose_project_name}"))


@pytest.fixture(scope="session")
def shop(docker_services, config, rgate_gateway_factory):
    """A gateway in front of the shop, for all tests."""
    gateway = rgate_gateway_factory(config)
    gateway.wait_ready("orders", "payment")
    return gateway


@pytest.fixture
def orders(docker_services, docker_compose_project_name, shop):
    """The two containers of the service `orders`, which run again behind the test."""
    client = docker.from_env()
    labels = [
        f"com.docker.compose.project={docker_compose_project_name}",
        "com.docker.compose.service=orders",
    ]
    containers = client.containers.list(all=True, filters={"label": labels})
    shop.wait_ready("orders", at_least=2)
    yield containers
    for container in containers:
        container.start()
    client.close()
