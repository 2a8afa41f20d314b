"""The commands by hand: the examples of the docs, and those that look at what runs (behaviour 9)."""

import contextlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rgate.cli.config_file import load_config
from rgate.cli.examples import EXAMPLES
from rgate.cli.main import parse, run
from rgate.core.address import HostView
from rgate.core.config_writing import PROJECT, SERVICE
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.recording import Recording, recorded_source, written
from tests.integration.backend import Backend
from tests.integration.containers import Containers
from tests.integration.gateway import ROOT, Gateway, command, finished, get, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

PAGE = (ROOT / "docs" / "commands.md").read_text()
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}
LABELS = {"app_name": "orders", "env": "production"}
ORDERS = Container("1" * 64, "orders-1", LABELS, State.RUNNING, published=(PublishedPort(80, "", 9),))
CONFIG = """\
routes: [{path_prefix: /api, backend: orders}]
backends: [{name: orders, match_labels: [app_name=orders, env=production]}]
"""
CASES = "cases: [{request: /api/orders, expect: {backend: orders}}]\n"
# What asks Docker itself, or says whether this machine is fit.
OF_DOCKER = ("snapshot", "init", "doctor")
RUN = [(name, line) for name, lines in EXAMPLES.items() if name != "serve" for line in lines]


@pytest.fixture
def asked(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway without Docker, that had a request and a failure."""
    place = tmp_path / "gateway"
    place.mkdir()
    with running(place, backend.config(), environment=NO_DOCKER) as gateway:
        assert gateway.get("/api/x").status == 200
        with gateway.client() as client, contextlib.suppress(Exception):
            client.get("/api/broken")
        wait_until(lambda: gateway.get("/_rgate/requests?failed=1").json()["requests"], bool, within_s=5)
        yield gateway


def here(words: list[str], gateway: Gateway) -> list[str]:
    """*words* with this gateway in place of the default one, and the recording in place of Docker."""
    name, url = words[0], f"http://127.0.0.1:{gateway.port}"
    changed = [word.replace("http://127.0.0.1:8080", url) for word in words]
    if name == "health":
        return [name, "--port", str(gateway.port)]
    if name in ("why", "events", "top"):
        return [*changed, "--gateway", url]
    if name in ("explain", "plan", "test") and not {"--gateway", "--snapshot"} & set(words):
        return [*changed, "--snapshot", "production.json"]
    return changed


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
@pytest.mark.clause("9.commands.help", "9.init.writes")
def test_each_example_of_the_docs_and_of_help_can_be_typed(
    asked: Gateway,
    containers: Containers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    containers.start()
    monkeypatch.chdir(tmp_path)
    for name in ("config.yml", "new.yml"):
        (tmp_path / name).write_text(CONFIG)
    (tmp_path / "cases.yml").write_text(CASES)
    recorded = written(Recording(1.7e9, (recorded_source((ORDERS,), HostView(), version="27", keep=()),)))
    for name, line in RUN:
        (tmp_path / "production.json").write_text(recorded)  # one example writes it
        words = shlex.split(line.partition(" > ")[0])[1:]
        with pytest.raises(SystemExit) as ended:
            run(here(words, asked))
        told = capsys.readouterr()
        assert ended.value.code == 0, (line, told)
        assert name == words[0]
        assert told.out or "--output" in words
    for line in EXAMPLES["serve"]:
        assert parse(shlex.split(line)[1:]).command == "serve"


@pytest.mark.clause("9.commands.help")
def test_the_docs_have_the_examples_of_help_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    sections = re.split(r"^## (\w+)$", PAGE, flags=re.MULTILINE)[1:]
    shown = dict(zip(sections[::2], sections[1::2], strict=True))
    for name, lines in EXAMPLES.items():
        assert tuple(re.findall(r"^    (rgate .*)$", shown[name], re.MULTILINE)) == lines
        assert len(lines) >= 2
        with pytest.raises(SystemExit):
            parse([name, "--help"])
        told = capsys.readouterr().out
        assert all(line in told for line in lines)
    assert list(shown) == list(EXAMPLES)


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.clause("9.init.works", "9.init.never")
def test_what_init_writes_of_a_compose_project_works_as_it_is(
    docker_services: object, docker_compose_project_name: str, tmp_path: Path  # noqa: ARG001 # that it is up
) -> None:  # fmt: skip
    ended = finished("init", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert finished("check", cwd=tmp_path).returncode == 0
    config = load_config(str(tmp_path / "config.yml"))
    services = {
        dict(one.match_labels)[SERVICE]: one.name
        for one in config.backends
        if dict(one.match_labels).get(PROJECT) == docker_compose_project_name
    }
    assert services.keys() == {"payment", "orders"}
    with running_as_it_is(tmp_path) as gateway:
        for name in services.values():
            (prefix,) = [route.path_prefix for route in config.routes if route.backend == name]
            assert finished("explain", prefix, cwd=tmp_path).returncode == 0
            assert gateway.get(f"{prefix}/x").json()["target"] == "/x"
    again = finished("init", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "config.yml is there already" in again.stderr
    assert json.loads((tmp_path / "rgate.schema.json").read_text())["title"]


@contextlib.contextmanager
def running_as_it_is(directory: Path) -> Iterator[Gateway]:
    with subprocess.Popen(
        command("--port", "0"), cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Gateway(process, directory / "config.yml")
        finally:
            process.kill()


def test_init_where_nothing_runs_or_docker_is_away_says_so(tmp_path: Path) -> None:
    recorded = written(Recording(1.7e9, (recorded_source((), HostView(), version="27", keep=()),)))
    (tmp_path / "none.json").write_text(recorded)
    ended = finished("init", "--snapshot", "none.json", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "nothing is written" in ended.stderr
    ended = finished("init", cwd=tmp_path, environment=NO_DOCKER)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Docker does not answer: there is no socket" in ended.stderr
    ended = finished("init", "--output", "-", "--json", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert os.listdir(tmp_path) == ["none.json"]


@pytest.mark.clause("9.events.line", "9.events.json")
def test_events_are_told_a_line_each_oldest_first(asked: Gateway, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{asked.port}"
    known = asked.get("/_rgate/timeline").json()["events"][::-1]
    ended = finished("events", "--gateway", url, "--json", cwd=tmp_path)
    assert [json.loads(line) for line in ended.stdout.splitlines()] == known
    text = finished("events", "--gateway", url, cwd=tmp_path).stdout
    assert len(text.splitlines()) == len(known)
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S \w+ +\S", text)
    assert finished("events", "--gateway", "127.0.0.1:1", cwd=tmp_path).returncode == 2


@pytest.mark.clause("9.events.follow", "9.events.ends")
def test_events_are_followed_until_ctrl_c(asked: Gateway, tmp_path: Path) -> None:
    follow = command("events", "--follow", "--gateway", f"127.0.0.1:{asked.port}")
    with subprocess.Popen(
        follow, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            asked.send_signal(signal.SIGHUP)
            lines = iter(process.stdout.readline, "")
            assert any("config.yml reloaded: nothing changed" in line for line in lines)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.clause("9.events.ends")
@pytest.mark.parametrize("follow", [[], ["--follow"]], ids=["all", "follow"])
def test_a_reader_that_has_gone_is_no_error_and_the_end(
    asked: Gateway, tmp_path: Path, follow: list[str]
) -> None:
    events = shlex.join(command("events", *follow, "--gateway", f"127.0.0.1:{asked.port}"))
    ended = subprocess.run(
        ["bash", "-c", f"{events} | head -1 > /dev/null"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("", "")


@pytest.mark.clause("9.top.shown", "9.top.once")
def test_top_shows_it_once_where_it_is_no_terminal(asked: Gateway, tmp_path: Path) -> None:
    ended = finished("top", "--gateway", f"127.0.0.1:{asked.port}", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    plain = on_a_terminal("top", "--gateway", f"127.0.0.1:{asked.port}", TERM="dumb")
    assert "\x1b" not in plain
    assert plain.startswith(ended.stdout[:4]), "nothing can be shown in place of what stands there"
    assert "\x1b" not in ended.stdout
    for word in ("/api", "api", "requests", "p95", "failed at", "GET /api/broken"):
        assert word in ended.stdout
    document = finished("top", "--json", "--gateway", f"127.0.0.1:{asked.port}", cwd=tmp_path).stdout
    assert list(json.loads(document)) == ["verdict", "series", "routes", "backends", "failures"]


@pytest.mark.clause("9.top.live")
def test_top_goes_on_on_a_terminal_until_ctrl_c(asked: Gateway, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    top = command("top", "--gateway", f"127.0.0.1:{asked.port}")
    terminal = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "60"}
    with subprocess.Popen(
        top, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=terminal
    ) as process:
        try:
            os.close(theirs)
            seen = b""
            while seen.count(b"failed at") < 2:  # the second one is that of the next second
                seen += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the end of a terminal
                while piece := os.read(ours, 65536):
                    seen += piece
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(ours)
    assert b"\x1b[?1049h" in seen
    assert b"\x1b[?1049l" in seen, "the screen is given back"
    assert b"Traceback" not in seen


def on_a_terminal(*words: str, **environment: str) -> str:
    """What the command says on a terminal, up to its end."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*words), stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **environment}
    ) as process:
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(ours, 65536):
                told += piece
        os.close(ours)
        assert process.wait(20) == 0
    return told.decode()


BASH = """
PATH={place}:$PATH
eval "$(rgate completion bash)"
COMP_LINE={line} COMP_POINT=${{#COMP_LINE}} COMP_TYPE=9 COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
COMP_LINE={line}; COMP_POINT=${{#COMP_LINE}}
read -ra COMP_WORDS <<< "$COMP_LINE"; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_python_argcomplete rgate
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = """
set PATH {place} $PATH
rgate completion fish | source
complete --do-complete {line} | string replace --regex '\\t.*' ''
"""


@pytest.mark.slow
@pytest.mark.clause("9.commands.completion")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rgate do", {"doctor"}),
        ("rgate --po", {"--port"}),
        ("rgate top --win", {"--window"}),
        ("rgate serve --engine fl", {"flask"}),
        ("rgate completion b", {"bash"}),
    ],
)
@pytest.mark.parametrize(
    "shell",
    [
        pytest.param(("bash", "--norc", "-c", BASH), id="bash"),
        pytest.param(
            ("fish", "--no-config", "-c", FISH),
            id="fish",
            marks=pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed"),
        ),
    ],
)
def test_a_shell_completes_commands_options_and_values(
    shell: Sequence[str], line: str, words: set[str], tmp_path: Path
) -> None:
    wrapper = tmp_path / "rgate"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / "rgate.py"} "$@"\n')
    wrapper.chmod(0o755)
    ended = subprocess.run(
        [*shell[:-1], shell[-1].format(place=tmp_path, line=shlex.quote(line))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert {word.strip() for word in ended.stdout.split()} == words, ended.stderr


def test_the_gateway_that_is_asked_is_not_changed_by_it(asked: Gateway) -> None:
    assert get(asked.port, "/stats").json()["requests_count"] == {"success": 1, "error": 1}
