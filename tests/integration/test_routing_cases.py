"""The real `test` beside a real gateway, on real containers and in a pipe (behaviour 9)."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.containers import Containers
from tests.integration.gateway import Gateway, backend_config, command, finished, running, write_config

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
CONFIG: dict[str, Any] = {
    "routes": [
        {"path_prefix": "/api", "backend": "fixed", "strip_prefix": True, "match": "segment"},
        {"path_prefix": "/", "backend": "labelled", "host": "*.shop.example"},
    ],
    "backends": [
        {"name": "fixed", "urls": ["http://127.0.0.1:9"]},
        {"name": "labelled", "match_labels": ["app_name=rgate-nothing"]},
    ],
}
CASES = """\
cases:
  - name: the prefix is stripped, and fields go on
    request: POST /api/7?a=é
    headers: {X-Of-Mine: "ü: 1", Connection: X-Dropped, X-Dropped: a}
    expect:
      backend: fixed
      forwarded: {target: "/7?a=é", fields: {X-Forwarded-Prefix: /api, X-Of-Mine: "ü: 1", X-Dropped: null}}
  - name: nobody is there
    request: /
    host: www.shop.example
    expect: {status: 503, reason: docker_unavailable}
  - name: whoever lies about the path is refused
    request: /api/../x
    expect: {reason: path_not_normalized}
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "c.yml").write_text(CASES)
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        yield gateway


@pytest.mark.clause("9.test.cases", "9.looks.gateway", "9.looks.away")
def test_a_running_gateway_and_one_that_starts_now_pass_the_same_cases(
    gateway: Gateway, tmp_path: Path
) -> None:
    for place in ((), ("--gateway", f"127.0.0.1:{gateway.port}")):
        ended = finished("test", "c.yml", *place, cwd=tmp_path, environment=NO_DOCKER)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
        assert "= 3 passed in " in ended.stdout


@pytest.mark.clause("9.test.report", "9.looks.gateway")
def test_a_running_gateway_explains_what_failed(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(CASES.replace("backend: fixed", "backend: other"))
    place = f"http://127.0.0.1:{gateway.port}"
    ended = finished("test", "c.yml", "--gateway", place, cwd=tmp_path, environment=NO_DOCKER)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert f"looked up: {place}\n" in ended.stdout
    assert "E   backend: expected other, got fixed (route /api)\n" in ended.stdout
    assert "127.0.0.1:9" in ended.stdout


@pytest.mark.clause("9.test.write")
def test_nothing_is_written_where_docker_does_not_answer(gateway: Gateway, tmp_path: Path) -> None:
    del gateway  # its configuration is there
    ended = finished("test", "--write", "new.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("rgate: nothing is written, as what is true is not known: Docker has not")
    assert not (tmp_path / "new.yml").exists()


@pytest.mark.slow
@pytest.mark.clause("9.looks.status")
def test_who_reads_may_go_before_the_end(gateway: Gateway, tmp_path: Path) -> None:
    del gateway
    words = command("test", *["c.yml"] * 100, "--json")  # more than a pipe holds
    environment = {**os.environ, **NO_DOCKER}
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (2, b"")


@pytest.mark.clause("9.looks.status")
def test_a_full_disk_under_standard_output_is_no_failure_of_a_case(gateway: Gateway, tmp_path: Path) -> None:
    del gateway
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            command("test", "c.yml"),
            cwd=tmp_path,
            env={**os.environ, **NO_DOCKER},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (
        2,
        b"rgate: cannot go on: [Errno 28] No space left on device\n",
    )


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.clause("9.test.write", "9.looks.docker", "9.looks.snapshot")
def test_cases_written_from_docker_pass_there_and_in_a_snapshot_until_something_changes(
    containers: Containers, tmp_path: Path
) -> None:
    started = containers.start()
    write_config(tmp_path, backend_config(containers.app, containers.env))
    for words in (
        ("test", "--write", "new.yml"),
        ("test", "new.yml"),
        ("snapshot", "--output", "docker.json"),
        ("test", "new.yml", "--snapshot", "docker.json"),
    ):
        ended = finished(*words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    started.stop(timeout=0)
    ended = finished("test", "new.yml", "--json", cwd=tmp_path)
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["failed"], document["passed"]) == (1, 2, 1)
    assert document["cases"][0]["differences"][0] == "outcome: expected forward, got problem 503 no_container"
