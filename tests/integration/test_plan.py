"""`plan` as a command: on recordings, and against a running rgate (behaviour 9). No Docker."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rgate.core.address import HostView
from rgate.core.config_file import parse_config
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.recording import Recording, recorded_source, written
from tests.integration.gateway import command, finished, running, write_config

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def container(name: str, **labels: str) -> Container:
    published = (PublishedPort(80, "127.0.0.1", 8000),)
    return Container(f"id-{name}", name, labels, State.RUNNING, published=published)


CONTAINERS = (container("pay-1", app="pay"), container("orders-1", app="orders", auth="secret"))
OLD: dict[str, Any] = {
    "routes": [
        {"path_prefix": "/pay", "backend": "pay"},
        {"path_prefix": "/orders", "backend": "orders"},
        {"path_prefix": "/", "backend": "pay", "host": "shop.example"},
    ],
    "backends": [
        {"name": "pay", "match_labels": ["app=pay"]},
        {"name": "orders", "match_labels": ["app=orders"]},
    ],
}
FIXED: dict[str, Any] = {
    "routes": [{"path_prefix": "/pay", "backend": "pay"}],
    "backends": [{"name": "pay", "urls": ["http://127.0.0.1:9"]}],
}


def changed(*routes: Mapping[str, str], **more: object) -> dict[str, Any]:
    return {**OLD, "routes": [*routes], **more}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with `config.yml`, and a recording, `containers.json`."""
    write_config(tmp_path, OLD)
    recording = Recording(0.0, (recorded_source(CONTAINERS, HostView(), version="1"),))
    (tmp_path / "containers.json").write_text(written(recording))
    return tmp_path


def write(directory: Path, config: Mapping[str, Any]) -> None:
    (directory / "new.yml").write_text(yaml.safe_dump(dict(config), sort_keys=False))


def planned(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return finished("plan", *options, cwd=directory, environment=NO_DOCKER)


COMPARED = ("--config", "new.yml", "--against", "config.yml", "--snapshot", "containers.json")


@pytest.mark.clause("9.plan.changes", "9.plan.yes", "9.plan.backends", "9.looks.json", "9.looks.status")
def test_what_is_lost_is_told_first_with_an_example_and_is_status_1(directory: Path) -> None:
    pay = {"name": "pay", "match_labels": ["app=pay", "env=prod"]}
    write(
        directory,
        changed(
            {"path_prefix": "/new", "backend": "pay"},
            {"path_prefix": "/pay", "backend": "pay", "match": "segment"},
            {"path_prefix": "/", "backend": "orders", "host": "shop.example"},
            backends=[pay, OLD["backends"][1]],
            stats={"database": "sqlite:///other.db"},
        ),
    )
    told = planned(directory, *COMPARED)
    assert (told.returncode, told.stderr) == (1, "")
    assert told.stdout.splitlines() == [
        "lost: 3 prefixes and 1 backend; gained: 1 prefix",
        "lost     /orders goes from orders to the default response (route removed), such as /orders",
        "lost     /pay goes from pay to the default response, such as /payx",
        "lost     shop.example/ goes from pay to orders, such as /",
        "lost     backend pay: loses pay-1; has no container. No running container has the labels app=pay, "
        "env=prod: pay-1 has 1 of 2 labels: env is missing, wanted env=prod.",
        "gained   /new goes from the default response to pay (route added), such as /new",
        "restart  stats.database changes with the next start, not by a reload",
    ]
    as_json = planned(directory, *COMPARED, "--json")
    assert (as_json.returncode, as_json.stderr) == (1, "")
    document = json.loads(as_json.stdout)
    assert document["lost"] is True
    assert [(one["from"], one["to"], one["example"]) for one in document["routes"]] == [
        ("orders", None, "/orders"),
        ("pay", None, "/payx"),
        ("pay", "orders", "/"),
        (None, "pay", "/new"),
    ]
    assert document["backends"] == [
        {"name": "pay", "gains": [], "loses": ["pay-1"], "moves": [], "candidates": []}
    ]
    assert document["restart"] == ["stats.database"]


@pytest.mark.clause("9.plan.yes", "9.plan.never")
def test_nothing_lost_is_status_0(directory: Path) -> None:
    write(directory, changed(*OLD["routes"], {"path_prefix": "/_rgate/x", "backend": "pay"}))
    told = planned(directory, *COMPARED)
    assert told.returncode == 0
    assert told.stdout.splitlines() == [
        "nothing is lost",
        "never    /_rgate/x can never match, as rgate answers these paths itself: use another prefix",
    ]


@pytest.mark.clause("9.plan.labels")
def test_a_container_that_is_to_be_started_is_planned_for(directory: Path) -> None:
    told = planned(directory, "--labels", "orders-2 app=orders note='a b'", "--snapshot", "containers.json")
    assert told.returncode == 0
    assert told.stdout.splitlines() == [
        "nothing is lost; gained: 1 backend",
        "gained   backend orders: gains orders-2; has orders-1, orders-2",
    ]
    assert told.stderr == (
        "rgate: there is no orders-2 yet: it is taken to run, healthy, and to have one port\n"
    )


@pytest.mark.clause("9.plan.labels")
def test_a_container_that_is_to_be_relabelled_is_planned_for(directory: Path) -> None:
    options = ("--labels", "orders-1 app=pay", "--snapshot", "containers.json", "--json")
    told = planned(directory, *options)
    assert told.returncode == 1
    assert json.loads(told.stdout)["backends"] == [
        {"name": "orders", "gains": [], "loses": ["orders-1"], "moves": [], "candidates": []},
        {"name": "pay", "gains": ["orders-1"], "loses": [], "moves": [], "candidates": ["orders-1", "pay-1"]},
    ]
    # Another after it makes good what is lost.
    assert planned(directory, *options, "--labels", "orders-2 app=orders").returncode == 0


def test_what_rests_on_a_label_left_out_cannot_be_told_unless_it_is_replaced(directory: Path) -> None:
    orders = {"name": "orders", "match_labels": ["app=orders", "auth=secret"]}
    write(directory, changed(*OLD["routes"], backends=[OLD["backends"][0], orders]))
    told = planned(directory, *COMPARED)
    assert (told.returncode, told.stdout) == (2, "")
    assert "auth" in told.stderr
    again = ("--labels", "orders-1 app=orders auth=secret", *COMPARED)
    assert planned(directory, *again).returncode == 0


@pytest.mark.clause("9.plan.changes", "9.http.config")
def test_what_runs_is_what_a_plan_is_compared_with(tmp_path: Path) -> None:
    with running(tmp_path, FIXED, environment=NO_DOCKER) as gateway:
        url = ("--gateway", f"127.0.0.1:{gateway.port}")
        same = planned(tmp_path, *url)
        assert (same.returncode, same.stdout, same.stderr) == (0, "nothing is lost\n", "")
        write(tmp_path, {**FIXED, "routes": []})
        lost = planned(tmp_path, "--config", "new.yml", *url)
        assert lost.returncode == 1
        assert "/pay goes from pay to the default response (route removed), such as /pay" in lost.stdout
        # No file is needed for what runs.
        (tmp_path / "config.yml").unlink()
        assert planned(tmp_path, "--labels", "x a=b", *url).returncode == 0


@pytest.mark.clause("9.http.config")
def test_what_is_in_force_is_told_as_a_file_that_can_be_used(tmp_path: Path) -> None:
    with running(tmp_path, {**OLD, **FIXED}, environment=NO_DOCKER) as gateway:
        told = gateway.get("/_rgate/config")
        assert (told.status, told.fields["Content-Type"]) == (200, "application/json")
        assert told.json()["limits"]["connections"] == 10000
        assert parse_config(told.body, "told") == parse_config(
            (tmp_path / "config.yml").read_bytes(), "config.yml"
        )
        (tmp_path / "again.yml").write_bytes(told.body)
        assert finished("check", "--config", "again.yml", cwd=tmp_path).returncode == 0


@pytest.mark.clause("9.looks.status")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gateway", "127.0.0.1:1"), "or a file with --against"),
        (("--config", "none.yml", "--against", "config.yml"), "none.yml: cannot be read"),
        (("--against", "none.yml"), "none.yml: cannot be read"),
        (("--against", "config.yml"), "Docker does not answer"),
        (("--against", "config.yml", "--snapshot", "none.json"), "none.json: cannot be read"),
        (("--against", "config.yml", "--gateway", "h:1"), "not allowed with argument"),
        (("--labels", ""), "names no container"),
        (("--labels", "'"), "names no container"),
        (("--labels", "a=b"), "'a=b' is no name of a container"),
        (("--labels", "x ab"), "'ab' is no label"),
        (("--labels", "x =b"), "'=' is no label"),
    ],
)
def test_what_cannot_be_told_is_status_2_and_one_line(
    directory: Path, options: tuple[str, ...], said: str
) -> None:
    told = planned(directory, *options)
    assert (told.returncode, told.stdout) == (2, "")
    assert said in told.stderr
    assert told.stderr.count("\n") == 1


def test_who_stops_reading_ends_it_without_a_word(directory: Path) -> None:
    write(directory, changed(*({"path_prefix": f"/{'x' * 99}{n}", "backend": "pay"} for n in range(2000))))
    with subprocess.Popen(
        command("plan", *COMPARED), cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 2
        assert process.stderr.read() == b""
