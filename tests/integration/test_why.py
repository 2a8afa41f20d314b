"""`why`, and the stories behind it, through the real command (behaviour 9)."""

import contextlib
import http.client
import json
import os
import signal
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.backend import Backend
from tests.integration.containers import Containers, port
from tests.integration.gateway import Gateway, finished, running, wait_until

pytestmark = pytest.mark.integration
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}


def why(gateway: Gateway, *words: str, cwd: Path) -> tuple[int, str, str]:
    ended = finished("why", *words, "--gateway", f"127.0.0.1:{gateway.port}", cwd=cwd)
    return ended.returncode, ended.stdout, ended.stderr


def requests(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    return list(gateway.get(f"/_rgate/requests?{query}").json()["requests"])


@pytest.mark.clause("9.why.story", "9.why.json")
def test_the_last_and_the_last_that_failed_are_told_and_by_id_too(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as gateway:
        status, out, error = why(gateway, "--last", cwd=tmp_path)
        assert (status, out) == (1, "")
        assert error == "rgate: no request is known yet\n"

        with gateway.client() as client, client.open("/api/broken") as response:
            identity = response.headers["X-Request-ID"]
            with contextlib.suppress(http.client.HTTPException, OSError):
                response.read()  # to where it breaks off
            wait_until(lambda: requests(gateway, "failed=1"), bool, within_s=5)
        assert gateway.get("/api/x").status == 200

        status, out, error = why(gateway, "--last", cwd=tmp_path)
        assert (status, error) == (0, "")
        assert out.startswith("200 by the container  GET /api/x\n")
        assert f"127.0.0.1:{backend.port} is asked, over " in out
        assert "\x1b" not in out, "no colour where it is no terminal"

        status, out, _ = why(gateway, "--failed", cwd=tmp_path)
        assert (status, out.splitlines()[0]) == (0, "200 cut  GET /api/broken")

        status, out, _ = why(gateway, identity, "--json", cwd=tmp_path)
        assert status == 0
        assert json.loads(out) == gateway.get(f"/_rgate/requests/{identity}").json()

        status, out, error = why(gateway, "no-such-id", cwd=tmp_path)
        assert (status, out) == (1, "")
        assert "'no-such-id'" in error


@pytest.mark.clause("9.why.story")
def test_where_nobody_is_asked_or_nobody_answers_it_is_2_and_told_in_a_line(tmp_path: Path) -> None:
    for words in (["why"], ["why", "x", "--last"], ["why", "x", "--gateway", "127.0.0.1:1"]):
        ended = finished(*words, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("rgate: ")
        assert ended.stderr.count("\n") == 1


@pytest.mark.clause("9.http.workers")
def test_with_workers_each_tells_of_all(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), "--workers", "2", environment=NO_DOCKER) as gateway:
        for number in range(20):
            gateway.get(f"/api/{number}")  # on a connection of its own: some go to each worker
        told = [requests(gateway) for _ in range(10)]
        targets = [f"/api/{number}" for number in range(19, -1, -1)]
        assert [[one["target"] for one in some] for some in told] == [targets] * 10
        ids = [one["id"] for one in told[0]]
        assert {gateway.get(f"/_rgate/requests/{one}").status for one in ids} == {200}
        assert len(requests(gateway, "limit=3")) == 3
        unknown = gateway.get("/_rgate/requests/x").json()["detail"]
        assert "now 20 and 0" in unknown


@pytest.mark.clause("9.http.workers")
def test_a_worker_that_is_killed_takes_its_own_stories_along_and_no_others(
    backend: Backend, tmp_path: Path
) -> None:
    with running(tmp_path, backend.config(), "--workers", "2", environment=NO_DOCKER) as gateway:
        for number in range(20):
            gateway.get(f"/api/{number}")
        pid = gateway.process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(workers[0]), signal.SIGKILL)
        wait_until(lambda: gateway.errors().count("another starts"), bool, within_s=10)
        gateway.get("/api/after")
        told = [one["target"] for one in requests(gateway)]
        assert told[0] == "/api/after"
        assert 0 < len(told) <= 20


@pytest.mark.docker
@pytest.mark.clause("9.why.story")
def test_a_container_that_was_killed_is_told_with_who_answered_in_its_place(
    containers: Containers, gateway: Gateway, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    del docker_client
    killed, other = containers.start(), containers.start()
    names = sorted([str(killed.name), str(other.name)])
    wait_until(lambda: len(_candidates(gateway)), lambda number: number == 2, within_s=5)
    address = f"127.0.0.1:{port(killed)}"
    with gateway.client() as client:
        assert client.get("/api/1").status == 200
    last = requests(gateway, "limit=1")[0]
    story = gateway.get(f"/_rgate/requests/{last['id']}").json()
    chosen = [one for one in story["candidates"] if one["in"]]  # those of other tests are near misses
    assert sorted(one["name"] for one in chosen) == names
    assert {one["why"] for one in chosen} == {"has all labels, no health check"}
    assert story["docker_age_s"] >= 0

    killed.kill()
    wait_until(lambda: len(_candidates(gateway)), lambda number: number == 1, within_s=5)
    assert gateway.get("/api/2").status == 200
    newest = requests(gateway, "limit=1")[0]
    then = gateway.get(f"/_rgate/requests/{newest['id']}").json()["candidates"]
    out = next(one for one in then if one["name"] == killed.name)
    assert not out["in"]
    assert str(killed.name) in out["why"], "it is being stopped, or has exited"
    before = gateway.get(f"/_rgate/requests/{last['id']}").json()["candidates"]
    assert address in [one["address"] for one in before if one["in"]], "as it was then, and not as it is now"

    other.kill()
    wait_until(lambda: gateway.get("/api/3").reason, lambda reason: reason == "no_container", within_s=5)
    status, out_, _ = why(gateway, "--failed", cwd=tmp_path)
    assert status == 0
    assert out_.startswith("503 ")
    assert f"{other.name} is " in out_
    assert "    docker " in out_


def _candidates(gateway: Gateway) -> list[str]:
    backends = gateway.get("/_rgate/backends").json()["backends"]
    return [one["name"] for one in backends["api"]["candidates"]]
