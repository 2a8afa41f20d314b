"""The command `explain`: what it prints, and its exit status (behaviour 9)."""

import io
import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.cli.main import run
from rgate.cli.text import has_colour, text_of
from rgate.core.address import HostView
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.escape import in_one_line
from rgate.core.explain import Ending, Explanation, Fact, Forwarded, Level
from rgate.core.recording import Recording, recorded_source, written
from rgate.web.documents import ExplanationDocument

CONFIG = """
routes:
  - {path_prefix: /api, backend: api, strip_prefix: true}
  - {path_prefix: /secret, backend: secret}
  - {path_prefix: /api, backend: fixed, host: shop.example}
backends:
  - {name: api, match_labels: [app=api]}
  - {name: secret, match_labels: [token=x]}
  - {name: fixed, urls: ["http://127.0.0.1:9"]}
"""
CONTAINERS = (
    Container("1" * 64, "api-1", {"app": "api"}, State.RUNNING, published=(PublishedPort(80, "", 8001),)),
    Container("2" * 64, "api-2", {"app": "api"}, State.EXITED),
    Container("3" * 64, "other", {"token": "x"}, State.RUNNING, published=(PublishedPort(80, "", 8003),)),
)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of a configuration and of a snapshot; no Docker."""
    (tmp_path / "config.yml").write_text(CONFIG)
    source = recorded_source(CONTAINERS, HostView(), version="27.3.1", keep=())
    (tmp_path / "docker.json").write_text(written(Recording(1700000000.0, (source,))))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def status_of(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(["explain", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Mapping[str, Any]:
    status_of("--snapshot", "docker.json", "--json", *words)
    document: Mapping[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.clause("9.looks.status", "9.explain.yes")
@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("/api/7", 0),
        ("/stats", 0),
        ("/nothing", 1),
        ("TRACE /api", 1),
        ("/_rgate/nothing", 1),
        ("/_rgate/backends --client 192.0.2.7", 1),
        (f"http://{socket.gethostname()}/_rgate/backends", 0),
        ("http://shop.example/_rgate/backends", 1),
        ("/secret", 2),
        ("/api --config none.yml", 2),
        ("/api --header x", 2),
        ("/api --client x", 2),
        ("GET POST /api", 2),
        ("api", 2),
        ("", 2),
        ("/api --engine none", 2),
        ("/api --hedaer a:b", 2),
    ],
)
def test_the_exit_status_is_0_for_yes_1_for_no_and_2_where_it_cannot_be_told(
    words: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("--snapshot", "docker.json", *words.split()) == status
    said = capsys.readouterr()
    assert (said.out == "", said.err.count("\n")) == ((True, 1) if status == 2 else (False, 0))


@pytest.mark.clause("9.explain.containers", "9.explain.forwarded", "9.explain.refused")
def test_text_tells_each_step_on_a_line_and_the_answer_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--snapshot", "docker.json", "/api/7?a", "--header", "Accept: */*") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "● Docker" not in line]
    assert lines[0] == "GET /api/7?a of localhost"
    assert [line[:17].rstrip() for line in lines[1:]] == [
        "● Route", "● Backend", "● In", "▲ Out", "○ Forwarded", *[""] * 9, "○ If all refuse", "● Answer",
    ]  # fmt: skip
    assert "▲ Out            api-2 is exited: start it" in lines
    assert "○ Forwarded      `GET /7?a`, without `/api`, with the fields" in lines
    assert "                 Accept: */*" in lines
    assert "                 X-Request-ID: <made>" in lines
    assert lines[-1] == "● Answer         what `api-1` says to `GET /7?a`"


@pytest.mark.clause("9.looks.json")
def test_json_is_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--snapshot", "docker.json", "--json", "/é\x9b\x7f\u202e") == 1
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    assert json.loads(out)["target"] == "/é\x9b\x7f\u202e"


def test_a_url_says_which_host_and_port_are_asked_and_a_host_field_takes_its_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = told(capsys, "PUT", "http://shop.example:81/api?a=b#c")
    assert (document["method"], document["target"], document["host"]) == (
        "PUT",
        "/api?a=b",
        "shop.example:81",
    )
    assert document["backend"] == "fixed"
    assert ["X-Forwarded-Port", "81"] in document["forwarded"]["fields"]
    document = told(capsys, "http://shop.example/api", "--header", "host: other")
    assert (document["host"], document["backend"]) == ("other", "api")


def test_the_engine_counts(capsys: pytest.CaptureFixture[str]) -> None:
    upgrade = ["/api", "--header", "Connection: Upgrade", "--header", "Upgrade: websocket"]
    assert told(capsys, *upgrade)["outcome"] == "forward"
    assert told(capsys, *upgrade, "--engine", "flask")["reason"] == "not_implemented"


def test_a_label_left_out_of_the_snapshot_is_named_where_the_answer_rests_on_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status_of("--snapshot", "docker.json", "/secret") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "--keep-labels token" in said.err


@pytest.mark.clause("9.looks.away")
def test_where_docker_is_away_a_gateway_that_starts_now_is_told_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert status_of("--json", "/api") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["reason"]) == (503, "docker_unavailable")
    assert [one["docker"] for one in document["knowledge"]] == ["never"]


@pytest.mark.clause("9.looks.status")
def test_nobody_at_the_gateway_cannot_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--gateway", "http://127.0.0.1:1", "/api") == 2
    assert "nobody answers at http://127.0.0.1:1" in capsys.readouterr().err
    assert status_of("--gateway", "http://127.0.0.1:1", "--engine", "flask", "/api") == 2
    assert "--engine is not for --gateway" in capsys.readouterr().err


# Text.

HOSTILE = "a\x1b[31m\x07\r\n\x9b2J\u202e\u2066\u200f\x7f`b`"


def hostile() -> ExplanationDocument:
    explanation = Explanation(
        HOSTILE,
        HOSTILE,
        HOSTILE,
        Ending.FORWARD,
        forwarded=Forwarded(HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),)),
        facts=(Fact(Level.OK, "Forwarded", HOSTILE, 1e300), Fact(Level.BAD, HOSTILE, HOSTILE, 0.0)),
    )
    return ExplanationDocument.of(explanation)


def test_what_others_say_reaches_no_terminal_as_a_command() -> None:
    for line in text_of(hostile(), colour=False).split("\n"):
        assert line.isprintable()
    painted = text_of(hostile(), colour=True)
    for own in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\n"):
        painted = painted.replace(own, "")
    assert painted.isprintable()


@given(text=st.text(max_size=5))
def test_escaped_text_is_printable_and_what_was_printable_is_left(text: str) -> None:
    assert in_one_line(text).isprintable()
    assert (in_one_line(text) == text) is text.isprintable()


def test_a_document_without_facts_is_text_too() -> None:
    document = ExplanationDocument.of(Explanation("GET", "/", "", Ending.OWN))
    assert text_of(document, colour=False) == "GET /"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.clause("9.looks.colour")
@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "0"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_and_no_color_is_heeded(
    environment: Mapping[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert has_colour(Terminal()) is colour
    assert not has_colour(io.StringIO())


@pytest.mark.clause("9.looks.colour")
def test_colour_paints_levels_and_code_and_changes_no_word() -> None:
    explanation = Explanation("GET", "/", "h", Ending.OWN, facts=(Fact(Level.WARN, "Route", "the `/a`"),))
    document = ExplanationDocument.of(explanation)
    assert text_of(document, colour=False) == "GET / of h\n▲ Route  the `/a`"
    assert text_of(document, colour=True) == (
        "\x1b[1mGET /\x1b[0m of h\n\x1b[33m▲\x1b[0m \x1b[1mRoute\x1b[0m  the \x1b[36m/a\x1b[0m"
    )


def test_output_that_knows_no_such_letters_gets_them_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert status_of("--snapshot", "docker.json", "/é") == 1
    assert rb"GET /\xe9 of localhost" in raw.getvalue()
