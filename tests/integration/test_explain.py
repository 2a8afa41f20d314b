"""The real `explain` beside a real gateway, on a terminal and in a pipe (behaviour 9). No Docker."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import Gateway, command, finished, running

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
CONFIG: dict[str, Any] = {
    "routes": [
        {"path_prefix": "/api", "backend": "fixed", "strip_prefix": True},
        {"path_prefix": "/labelled", "backend": "labelled"},
    ],
    "backends": [
        {"name": "fixed", "urls": ["http://127.0.0.1:9"]},
        {"name": "labelled", "match_labels": ["app_name=rgate-nothing"]},
    ],
}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        yield gateway


@pytest.mark.clause("9.looks.status", "9.looks.json", "9.http.explain")
def test_a_running_gateway_says_the_same_as_one_that_starts_now(gateway: Gateway, tmp_path: Path) -> None:
    words = ("explain", "GET", "/api/7?a", "--header", "X-Odd: \udcff", "--json")
    here = finished(*words, cwd=tmp_path, environment=NO_DOCKER)
    there = finished(*words, "--gateway", f"127.0.0.1:{gateway.port}", cwd=tmp_path, environment=NO_DOCKER)
    assert (here.returncode, there.returncode) == (0, 0), (here.stderr, there.stderr)
    documents = [json.loads(one.stdout) for one in (here, there)]
    for document in documents:
        del document["knowledge"]
        fields = dict(document["forwarded"]["fields"])
        assert fields.pop("X-Forwarded-Port") in ("8080", str(gateway.port))
        assert fields["X-Odd"] == "\\xff"
        document["forwarded"]["fields"] = fields
    assert documents[0] == documents[1]


@pytest.mark.clause("9.explain.serves", "9.looks.away")
@pytest.mark.parametrize("path", ["/labelled", "/nothing", "/_rgate/nothing", "/api/../x", "/api"])
def test_the_gateway_does_what_is_told(gateway: Gateway, tmp_path: Path, path: str) -> None:
    told = finished("explain", path, "--json", cwd=tmp_path, environment=NO_DOCKER)
    document, answer = json.loads(told.stdout), gateway.get(path)
    if document["outcome"] == "forward":  # nobody listens there
        (refused,) = [fact["text"] for fact in document["facts"] if fact["is"] == "If all refuse"]
        assert refused.startswith(f"{answer.status} `{answer.reason}`: {answer.json()['detail']}")
    else:
        assert (document["status"], document["reason"]) == (answer.status, answer.reason)


@pytest.mark.clause("9.looks.colour")
@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_it_is_not_wanted(
    tmp_path: Path, environment: dict[str, str], coloured: bool
) -> None:
    (tmp_path / "config.yml").write_text(json.dumps(CONFIG))
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            command("explain", "/api\x1b[2J"),
            cwd=tmp_path,
            env={**clean, **NO_DOCKER, "TERM": "xterm", **environment},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
        )
        os.close(theirs)
        shown = b""
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:  # so a terminal ends on Linux
            pass
    assert process.wait(30) == 1
    assert (b"\x1b[31m" in shown) is coloured
    assert b"\x1b[2J" not in shown
    assert rb"/api\x1b[2J" in shown


@pytest.mark.clause("9.looks.colour")
def test_a_pipe_gets_none(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(json.dumps(CONFIG))
    told = finished("explain", "/api", cwd=tmp_path, environment={**NO_DOCKER, "TERM": "xterm"})
    assert told.returncode == 0
    assert "\x1b" not in told.stdout
