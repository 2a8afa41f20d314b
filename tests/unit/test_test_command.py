"""The command `test`, as its users see it, on recordings of Docker (behaviour 9)."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rgate.cli.main import run
from rgate.core.address import HostView
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.recording import Recording, recorded_source, written

CONFIG = """\
routes:
  - {path_prefix: /api/payment, backend: payment}
  - {path_prefix: /api/orders, backend: orders, match: segment, strip_prefix: true}
backends:
  - {name: payment, match_labels: {app: payment}}
  - {name: orders, match_labels: {app: orders, env: production}}
"""
CASES = """\
cases:
  - name: orders go to orders
    request: GET /api/orders/42
    expect: {outcome: forward, backend: orders, containers: [orders-1, orders-2], forwarded: {target: /42}}
  - name: nobody takes payment
    request: POST /api/payment
    host: shop.example
    expect: {status: 503, reason: no_container}
"""
WRONG = CASES.replace("backend: orders", "backend: payment")


def container(name: str, **labels: str) -> Container:
    return Container(
        name.ljust(12, "0"), name, labels, State.RUNNING, published=(PublishedPort(80, "", 8001),)
    )


ORDERS = [container(f"orders-{number}", app="orders", env="production") for number in (1, 2)]


@dataclass
class Ended:
    status: int
    out: str
    err: str


Try = Callable[..., Ended]


def record(*containers: Container) -> None:
    Path("docker.json").write_text(written(Recording(0.0, (recorded_source(containers, HostView()),))))


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Try:
    """Runs `rgate test` on a recording, in a directory with a configuration and cases."""
    monkeypatch.chdir(tmp_path)
    Path("config.yml").write_text(CONFIG)
    Path("c.yml").write_text(CASES)
    record(*ORDERS)

    def ended(*words: str) -> Ended:
        with pytest.raises(SystemExit) as exit_:
            run(["test", "--snapshot", "docker.json", *words])
        assert isinstance(exit_.value.code, int)
        return Ended(exit_.value.code, *capsys.readouterr())

    return ended


@pytest.mark.clause("9.test.report", "9.looks.snapshot", "9.looks.status")
def test_it_is_yes_where_all_pass(attempt: Try) -> None:
    ended = attempt("c.yml")
    assert (ended.status, ended.err) == (0, "")
    assert "looked up: config.yml, docker.json\ncollected 2 cases\n\nc.yml .." in ended.out
    assert "= 2 passed in 0." in ended.out


@pytest.mark.clause("9.test.report", "9.looks.status")
def test_it_is_no_where_one_fails_and_explain_is_quoted(attempt: Try) -> None:
    Path("c.yml").write_text(WRONG)
    ended = attempt("c.yml")
    assert (ended.status, ended.err) == (1, "")
    assert (
        "c.yml:2: GET /api/orders/42\n\nE   backend: expected payment, got orders (route /api/orders)"
        in ended.out
    )
    assert "orders-2" in ended.out
    assert "= 1 failed, 1 passed in 0." in ended.out


@pytest.mark.clause("9.test.chosen")
@pytest.mark.parametrize("word", ["NOBODY", "takes pay"])
def test_k_chooses_by_a_word_in_the_name_whatever_its_case(attempt: Try, word: str) -> None:
    ended = attempt("c.yml", "-k", word)
    assert ended.status == 0
    assert "collected 2 cases / 1 deselected / 1 selected" in ended.out
    assert "= 1 passed, 1 deselected in 0." in ended.out


@pytest.mark.clause("9.test.chosen", "9.looks.status")
@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (
            CASES,
            ("-k", "refund"),
            "rgate: the name of none of 2 cases holds 'refund', so that nothing was tested\n",
        ),
        ("cases: []", (), "rgate: no case is there, so that nothing was tested\n"),
    ],
)
def test_where_nothing_is_tested_it_cannot_be_told(
    attempt: Try, text: str, words: tuple[str, ...], said: str
) -> None:
    Path("c.yml").write_text(text)
    ended = attempt("c.yml", *words)
    assert (ended.status, ended.out, ended.err) == (2, "", said)


@pytest.mark.clause("9.test.wrong", "9.looks.status")
def test_all_that_is_wrong_with_all_files_is_told(attempt: Try) -> None:
    Path("d.yml").write_text("cases:\n  - request: api\n    expect: {}\n")
    ended = attempt("d.yml", "missing.yml", "c.yml")
    assert (ended.status, ended.out) == (2, "")
    assert [line.partition(": ")[0] for line in ended.err.splitlines()] == [
        "d.yml:2",
        "d.yml:3",
        "missing.yml",
    ]


@pytest.mark.clause("9.looks.status")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "rgate: name a file of routing cases, or make one with --write CASES.yml\n"),
        (
            ("c.yml", "--config", "no.yml"),
            "no.yml: cannot be read: No such file or directory; `rgate init` makes one, ",
        ),
        (("c.yml", "--junit", "no/j.xml"), "rgate: no/j.xml cannot be written: No such file or directory\n"),
        *(
            ((*words, "--write", "d.yml"), "rgate: --write makes a file of cases, and runs none: leave out")
            for words in (("c.yml",), ("-k", "a"), ("--json",), ("--junit", "j.xml"))
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(attempt: Try, words: tuple[str, ...], said: str) -> None:
    ended = attempt(*words)
    assert (ended.status, ended.err[: len(said)], ended.err.count("\n")) == (2, said, 1)


@pytest.mark.clause("9.looks.json")
def test_json_is_one_document_with_what_differs_and_the_explanation(attempt: Try) -> None:
    Path("c.yml").write_text(WRONG)
    ended = attempt("c.yml", "--json", "-k", "orders")
    document = json.loads(ended.out)
    (case,) = document.pop("cases")
    assert (ended.status, ended.err) == (1, "")
    assert (document.pop("duration_s") >= 0, document) == (True, {"passed": 0, "failed": 1, "deselected": 1})
    assert (case.pop("explanation")["backend"], case) == (
        "orders",
        {
            "file": "c.yml",
            "line": 2,
            "name": "orders go to orders",
            "request": "GET /api/orders/42",
            "passed": False,
            "differences": ["backend: expected payment, got orders (route /api/orders)"],
        },
    )


@pytest.mark.clause("9.test.junit")
def test_junit_is_written_beside_the_report(attempt: Try) -> None:
    Path("c.yml").write_text(WRONG)
    Path("j.xml").write_text("of an earlier run")
    ended = attempt("c.yml", "--junit", "j.xml")
    assert (ended.status, "1 failed" in ended.out) == (1, True)
    assert ElementTree.parse("j.xml").getroot().attrib["failures"] == "1"
    assert sorted(os.listdir()) == ["c.yml", "config.yml", "docker.json", "j.xml"]


def test_junit_may_go_where_a_link_points(attempt: Try) -> None:
    Path("real.xml").touch()
    Path("j.xml").symlink_to("real.xml")
    assert attempt("c.yml", "--junit", "j.xml").status == 0
    assert Path("j.xml").is_symlink()
    assert Path("real.xml").read_text().startswith("<?xml")


def test_junit_takes_no_device_away(attempt: Try) -> None:
    os.mkfifo("j.fifo")
    reader = os.open("j.fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert attempt("c.yml", "--junit", "j.fifo").status == 0
        assert os.read(reader, 65536).startswith(b"<?xml")
    finally:
        os.close(reader)
    assert Path("j.fifo").is_fifo()


@pytest.mark.clause("9.test.write")
def test_what_is_written_passes_and_fails_once_something_changes(attempt: Try) -> None:
    ended = attempt("--write", "new.yml")
    assert (ended.status, ended.out, ended.err) == (0, "new.yml: 6 cases\n", "")
    assert attempt("new.yml").status == 0
    record(*ORDERS[:1])
    ended = attempt("new.yml")
    assert ended.status == 1
    assert "containers: expected orders-1, orders-2, got orders-1" in ended.out


@pytest.mark.clause("9.test.write")
def test_no_file_is_written_over(attempt: Try) -> None:
    ended = attempt("--write", "c.yml")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "rgate: c.yml is there already, and nothing is written over it: name another file, or remove it\n"
    )
    assert Path("c.yml").read_text() == CASES


@pytest.mark.clause("9.snapshot.rests", "9.looks.status")
def test_a_case_that_rests_on_a_label_left_out_cannot_be_told_and_others_can(attempt: Try) -> None:
    record(container("orders-1", app="orders", auth="yes"))
    Path("config.yml").write_text(CONFIG.replace("env: production", "auth: 'yes'"))
    ended = attempt("c.yml")
    assert ended.status == 2
    assert ended.err.startswith("rgate: what becomes of requests to the backend orders rests on a label")
    assert attempt("c.yml", "-k", "payment").status == 0
