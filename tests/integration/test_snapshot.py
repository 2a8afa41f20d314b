"""`rgate snapshot` of real containers, and what other commands read in it."""

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from rgate.cli.asking_gateway import NoAnswer, ask_gateway
from rgate.cli.looking import Looked, load_recording, look_at, looked_at_recording
from rgate.core.config import ENVIRONMENT, AddressKind, Backend, Config
from rgate.core.left_out import LeftOutLabel
from tests.integration.backend import Backend as Served
from tests.integration.containers import IMAGE, Containers
from tests.integration.gateway import Gateway, command, finished, frozen_docker, running

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

SECRET = "s3cr3t-of-a-test"
WAIT = ["-c", "import time; time.sleep(600)"]


@pytest.fixture(autouse=True)
def engine() -> None:
    """Run once: no engine has a part in it."""


@pytest.fixture
def network(docker_client: docker.DockerClient, containers: Containers) -> Iterator[str]:
    made = docker_client.networks.create(f"rgate-{containers.id}", labels={"rgate-test": containers.id})
    try:
        yield made.name or ""
    finally:
        containers.remove()  # those that are on it
        made.remove()


@pytest.fixture
def recorded(
    docker_client: docker.DockerClient, containers: Containers, network: str, tmp_path: Path
) -> dict[str, Any]:
    """Containers that differ in all that counts, and the file that tells of them."""
    label = containers.app
    labels = {"app_name": label.partition("=")[2]}
    containers.start(
        label,
        "env=test",
        f"shop.password={SECRET}",
        f"shop.db=postgres://shop:{SECRET}@db/shop",
        f"com.docker.compose.project.working_dir=/home/{SECRET}",
    )
    containers.start(label, "env=other", health_check=True)
    for options in (
        {"network": network, "command": ["-c", f"'{SECRET}'; import time; time.sleep(600)"]},
        {"network_mode": "none", "environment": {"PASSWORD": SECRET}, "hostname": "h-of-a-test"},
        {"network_mode": "host", "volumes": {str(tmp_path): {"bind": f"/mnt/{SECRET}"}}},
        {"ports": {"8000/tcp": None, "9000/tcp": ("127.0.0.1", None), "9001/udp": None}},
    ):
        made: Any = {"entrypoint": "python3", "command": WAIT, "labels": labels, **options}
        containers.add(docker_client.containers.create(IMAGE, **made)).start()
    containers.add(docker_client.containers.create(IMAGE, labels=labels))
    result = finished("snapshot", "--output", "s.json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    return {"text": (tmp_path / "s.json").read_text(), "path": tmp_path / "s.json", "told": result.stderr}


def config_of(containers: Containers) -> Config:
    app = ("app_name", containers.app.partition("=")[2])
    backends = [
        Backend("both", match_labels=(app, ("env", "test"))),
        *(Backend(f"app-{kind.value}", match_labels=(app,), address=kind) for kind in AddressKind),
        Backend("port", match_labels=(app,), port=9000),
        Backend("none", match_labels=(("app_name", "x"), app)),
    ]
    return Config((), tuple(backends))


def ours(looked: Looked, containers: Containers) -> Looked:
    """Leave out what other tests start meanwhile."""
    app_name = containers.app.partition("=")[2]
    (at,) = looked.at
    found = tuple(one for one in at.seen.containers or () if one.labels.get("app_name") == app_name)
    return replace(looked, at=(replace(at, seen=replace(at.seen, containers=found)),))


@pytest.mark.docker
@pytest.mark.clause("9.looks.docker", "9.looks.snapshot", "9.snapshot.records")
def test_the_file_gives_the_same_views_as_docker_does(
    recorded: dict[str, Any], containers: Containers
) -> None:
    there = ours(look_at([ENVIRONMENT]), containers)
    read = ours(looked_at_recording(load_recording(str(recorded["path"])), 0.0), containers)
    config = config_of(containers)
    assert len(read.at[0].seen.containers or ()) == 7
    theirs, found = (looked.gateway(config).views for looked in (there, read))
    assert found == theirs
    assert [one.name for one in found["both"].candidates] == [f"rgate-{containers.id}-0"]
    assert len(found["app-auto"].candidates) > 1
    assert found["port"].candidates
    assert read.at[0].seen.host == there.at[0].seen.host
    assert read.at[0].knowledge.version == there.at[0].knowledge.version


@pytest.mark.docker
@pytest.mark.clause("9.snapshot.secrets", "9.snapshot.nothing_else", "9.snapshot.rests")
def test_nothing_of_a_secret_is_in_it_and_what_rests_on_one_is_told(
    recorded: dict[str, Any], containers: Containers
) -> None:
    assert SECRET not in recorded["text"]
    assert "h-of-a-test" not in recorded["text"]
    (one,) = [
        one
        for one in json.loads(recorded["text"])["sources"][0]["containers"]
        if one["name"] == f"rgate-{containers.id}-0"
    ]
    left_out = ["com.docker.compose.project.working_dir", "shop.db", "shop.password"]
    assert one["left_out_labels"] == left_out
    assert one["labels"].items() >= {"app_name": containers.app.partition("=")[2], "env": "test"}.items()
    values = sum(
        len(one["left_out_labels"]) for one in json.loads(recorded["text"])["sources"][0]["containers"]
    )
    assert f"the values of {values} labels were left out" in recorded["told"]
    assert recorded["told"].startswith("rgate: recorded ")
    read = looked_at_recording(load_recording(str(recorded["path"])), 0.0)
    wanting = Config((), (Backend("b", match_labels=(("env", "test"), ("shop.password", SECRET))),))
    with pytest.raises(LeftOutLabel, match=f"{one['name']}.*--keep-labels shop.password"):
        read.gateway(wanting)


@pytest.mark.docker
@pytest.mark.clause("9.snapshot.keep")
def test_labels_that_are_kept_all_the_same_decide(containers: Containers, tmp_path: Path) -> None:
    containers.start(containers.app, "shop.auth=blue", f"shop.token={SECRET}")
    result = finished("snapshot", "--keep-labels", "shop.auth*", "other", cwd=tmp_path)
    assert (result.returncode, SECRET in result.stdout) == (0, False)
    (tmp_path / "s.json").write_text(result.stdout)
    read = looked_at_recording(load_recording(str(tmp_path / "s.json")), 0.0)
    app = ("app_name", containers.app.partition("=")[2])
    backend = Backend("b", match_labels=(app, ("shop.auth", "blue")))
    assert len(read.gateway(Config((), (backend,))).views["b"].candidates) == 1


@pytest.mark.docker
def test_the_file_is_for_its_owner_alone_and_takes_the_place_of_another_whole(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "real.json").chmod(0o644)
    (tmp_path / "s.json").symlink_to("real.json")
    result = finished("snapshot", "--output", "s.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE((tmp_path / "real.json").stat().st_mode) == 0o600
    assert (tmp_path / "s.json").is_symlink()
    assert json.loads((tmp_path / "s.json").read_text())["rgate_snapshot"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real.json", "s.json"]


@pytest.mark.docker
@pytest.mark.parametrize("path", ["missing/s.json", "."])
def test_a_file_that_cannot_be_written_is_told_in_one_line(path: str, tmp_path: Path) -> None:
    result = finished("snapshot", "--output", path, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"rgate: {path} cannot be written: ")
    assert not [*tmp_path.iterdir()]


@pytest.mark.docker
def test_a_pipe_is_written_to_and_one_that_nobody_reads_ends_it_quietly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(
        command("snapshot", "--output", "pipe"), cwd=tmp_path, stderr=subprocess.PIPE
    ) as one:
        assert json.loads((tmp_path / "pipe").read_text())["rgate_snapshot"] == 1
        one.communicate(timeout=20)
    assert (one.returncode, stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)) == (0, True)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        closed = subprocess.run(
            command("snapshot"), cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, timeout=30, check=False
        )
    finally:
        os.close(writer)
    assert (closed.returncode, closed.stderr) == (2, b"")


@pytest.mark.slow
@pytest.mark.clause("9.looks.status")
def test_a_docker_that_is_frozen_is_told_and_one_who_waits_no_more_is_heard(tmp_path: Path) -> None:
    with frozen_docker() as frozen:
        result = finished("snapshot", "--output", "s.json", cwd=tmp_path, environment=frozen.environment)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("rgate: Docker does not answer: nothing came within 5 s from ")
        assert result.stderr.count("\n") == 1
        frozen.wait_until_asked()
        with subprocess.Popen(
            command("snapshot", "--output", "s.json"),
            cwd=tmp_path,
            env={**os.environ, **frozen.environment},
            stderr=subprocess.PIPE,
        ) as waiting:
            frozen.wait_until_asked()
            waiting.send_signal(signal.SIGINT)
            _, told = waiting.communicate(timeout=20)
    assert (waiting.returncode, told) == (130, b"")
    assert not [*tmp_path.iterdir()]


@pytest.mark.clause("9.looks.gateway")
def test_a_running_rgate_is_asked_and_says_why_it_will_not_tell(tmp_path: Path, backend: Served) -> None:
    config = {
        "routes": [{"path_prefix": "/api", "backend": "api"}],
        "backends": [{"name": "api", "urls": [f"http://127.0.0.1:{backend.port}"]}],
    }
    with running(tmp_path, config) as gateway:
        told = ask_gateway(url(gateway), "/_rgate/backends")
        assert [*told["backends"]] == ["api"]
        with pytest.raises(NoAnswer, match=f"{url(gateway)} says 404: There is: "):
            ask_gateway(url(gateway), "/_rgate/nothing")
    said = "says 403: 127.0.0.1 is not in `admin.allow`"
    with (
        running(tmp_path, {**config, "admin": {"allow": []}}) as gateway,
        pytest.raises(NoAnswer, match=f"{url(gateway)} {said}"),
    ):
        ask_gateway(url(gateway), "/_rgate/backends")


def url(gateway: Gateway) -> str:
    return f"http://127.0.0.1:{gateway.port}"
