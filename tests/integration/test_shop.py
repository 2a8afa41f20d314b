"""examples/shop: all of it is run, and broken in five ways to see that the reports say why."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.integration.gateway import ROOT

# A machine that is busy takes its time for containers.
pytestmark = [pytest.mark.integration, pytest.mark.any_engine, pytest.mark.slow, pytest.mark.timeout(400)]

SHOP = ROOT / "examples" / "shop"


class Shop:
    """A copy of the example, run as its README tells; the programs that it calls are those of this run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "shop"
        shutil.copytree(SHOP, self.directory, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
        programs = directory / "bin"
        programs.mkdir()
        for name, command in (
            ("rgate", f"{sys.executable} {ROOT}/rgate.py"),
            ("pytest", f"{sys.executable} -m pytest -p rgate.testing.plugin -p no:cacheprovider"),
        ):
            (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (programs / name).chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COMPOSE": str(ROOT / "scripts" / "compose"),
            "COLUMNS": "200",
        }

    def run(self, *command: str) -> tuple[int, str]:
        """Return the exit status of *command*, and all that it said."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.directory / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.usefixtures("demo_image")
@pytest.mark.clause("11.example.shop", "11.plugin.leaves")
def test_its_pipeline_is_green_and_leaves_nothing(shop: Shop) -> None:
    status, said = shop.run("./ci.sh")
    assert status == 0, said
    assert re.search(r"=+ 4 passed in .*=\n", said), said
    assert re.search(r"\b10 passed\b", said), said
    made = {file.name for file in shop.directory.iterdir()} - {file.name for file in SHOP.iterdir()}
    assert made == {"routes.xml", "tests.xml"}


@pytest.mark.clause("11.example.shop")
def test_its_workflow_runs_the_same_script_and_its_readme_names_what_is_there() -> None:
    workflow = yaml.safe_load((SHOP / ".github" / "workflows" / "test.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["test"]["steps"]]
    assert "./ci.sh" in steps
    readme = (SHOP / "README.md").read_text()
    named = set(re.findall(r"\]\(([^)#]+)\)", readme))
    assert [name for name in named if not (SHOP / name).exists()] == []
    assert {file.name for file in SHOP.iterdir() if file.is_file() and file.name[0] != "."} - {
        "README.md"
    } <= named


FAULTY_ORDERS = """orders:
    <<: *service
    command:
      - python3
      - -c
      - |
        import socket
        listener = socket.create_server(("", 8000))
        while True:
            listener.accept()[0].close()
    healthcheck: {disable: true}
    stop_signal: SIGKILL
"""

STOPPED = """
def test_orders(shop, orders):
    for container in orders:
        container.stop(timeout=2)
        shop.wait_gone(container.name)
    assert shop.get("/api/orders/42").status_code == 200
"""


def wrong_label(shop: Shop) -> None:
    shop.edit("compose.yml", "shop.role: orders", "shop.role: order")
    shop.edit("tests/conftest.py", '"payment")\n', '"payment", within_s=10)\n')


def stopped(shop: Shop) -> None:
    (shop.directory / "tests" / "test_shop.py").write_text(STOPPED)


def wrong_port(shop: Shop) -> None:
    shop.edit("compose.yml", '"127.0.0.1::8000"', '"127.0.0.1::9000"')


def shadowed(shop: Shop) -> None:
    shop.edit("config.yml", "routes:\n", "routes:\n  - {path_prefix: /api/orders/42, backend: payment}\n")


def closes_early(shop: Shop) -> None:
    shop.edit("compose.yml", "orders:\n    <<: *service\n", FAULTY_ORDERS)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.usefixtures("demo_image")
@pytest.mark.clause("11.example.broken")
@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (
            wrong_label,
            [
                r"NotReady: after 10 s\nE +`orders` has no candidate: ",
                r"E +\S+-orders-1: .*shop\.role=order\b.*shop\.role=orders\b",
            ],
        ),
        (
            stopped,
            [
                r"503 no_container  GET /api/orders/42  route /api/orders,",
                r"out  \S+-orders-1 .*(stop|exit)",
                r"meanwhile:\n(.*\n)*.*-orders-[12]` out",
            ],
        ),
        (
            wrong_port,
            [
                r"503 (connect_failed|closed_early)  GET /api/orders/42",
                r"published port \d+ of 9000",
                r"(listens on that port|behind a published port)",
            ],
        ),
        (
            shadowed,
            [
                r"AssertionError: assert 'payment' == 'orders'",
                r"200  GET /api/orders/42\?page=2  route /api/orders/42, \S+-payment-1",
                r"Route: `/api/orders/42`",
            ],
        ),
        (
            closes_early,
            [
                r"503 closed_early  GET /api/orders/42",
                r"closed it without one byte of a response",
                r"docker logs .*-orders-[12]",
            ],
        ),
    ],
    ids=["label", "stopped", "port", "shadowed", "closes early"],
)
def test_broken_its_report_says_why(shop: Shop, break_it: Callable[[Shop], None], why: list[str]) -> None:
    break_it(shop)
    status, said = shop.run("pytest", "-q", "-x", "tests/test_shop.py")
    assert status == 1, said
    assert [reason for reason in why if not re.search(reason, said)] == [], said


@pytest.mark.clause("11.example.broken")
def test_a_prefix_that_is_shadowed_fails_a_routing_case_that_needs_no_docker(shop: Shop) -> None:
    shadowed(shop)
    status, said = shop.run("rgate", "test", "routes.yml", "--snapshot", "snapshot.json")
    assert status == 1
    assert "route: expected /api/orders, got /api/orders/42" in said
    assert "`/api/orders` matches too" in said
