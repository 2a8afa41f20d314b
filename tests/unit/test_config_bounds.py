"""A configuration of any kind is refused soon, in few words, and in little memory (behaviour 2 and 8)."""

import os
import select
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rgate.cli.check import check
from rgate.cli.config_file import load_config, read_file, unreadable
from rgate.core.config_errors import MOST_TOLD, ConfigErrors, shown
from rgate.core.config_file import parse_config
from rgate.core.nearest import did_you_mean

LONG = 1_000_000
X, Y = "x" * LONG, "y" * LONG
BASE = "routes: []\nbackends: [{name: a, urls: [http://127.0.0.1:1]}]\n"


def errors_of(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        parse_config(text.encode(), "c.yml")
    return [str(error) for error in raised.value.errors]


def bomb(first: str, of: str) -> str:
    return f"a0: &a0 {first}\n" + "".join(
        f"a{i + 1}: &a{i + 1} {of}\n".replace("@", f"*a{i}") for i in range(12)
    )


@pytest.mark.clause("8.check.cut")
@pytest.mark.parametrize(
    "text",
    [
        BASE + f"stats: {{path: '{X}'}}",
        BASE + f"stats: {{path: /_rgate/{X}}}",
        BASE + f"stats: {{database: {X}}}",
        BASE + f"? {X}\n: 1",
        BASE + f"limits: {{{X}: 1}}",
        BASE + f"stats: !!{X} 1",
        BASE + f"stats: {X}",
        BASE + f"<<: {X}",
        BASE + f"admin: {{allow: [{X}], hosts: ['*.{X}']}}",
        f"routes: [{{path_prefix: /a, backend: {X}}}]\nbackends: [{{name: {Y}, urls: [http://a]}}]",
        f"routes: [{{path_prefix: {X}, backend: a, match: {X}, host: '{X}/'}}]\nbackends: [{{name: a}}]",
        f"routes: []\nbackends: [{{name: {X}, urls: [http://a]}}, {{name: {X}, urls: ['{X}']}}]",
        f"routes: []\nbackends: [{{name: a, match_labels: [{X}, {Y}=a, {Y}=b]}}]",
        f"routes: []\nbackends: [{{name: a, match_labels: {{{X}: 1, b: {'1' * LONG}}}}}]",
    ],
)
def test_what_is_quoted_is_cut(text: str) -> None:
    assert max(map(len, errors_of(text))) < 500


@pytest.mark.clause("8.check.soon")
@pytest.mark.parametrize(
    "number", ["9" * LONG, "0x" + "9" * LONG, "1" + ":59" * (LONG // 3), "1." + "9" * LONG]
)
def test_a_number_of_a_million_digits_is_not_made_one(number: str) -> None:
    error, _ = errors_of(BASE + f"limits: {{connections: {number}}}")
    assert "quote it" in error


@pytest.mark.clause("8.check.soon")
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * LONG,
        "a: " + "{a: " * LONG,
        "- " * LONG,
        "? " * LONG,
        bomb("[x, x]", "[" + "@, " * 10 + "@]"),
        bomb("{x: 1}", "{<<: [" + "@, " * 10 + "@]}"),
        BASE + "".join(f"k{i}: 1\n" for i in range(100_000)),
        BASE + "a: 1\n" * 100_000,
    ],
)
def test_what_nobody_writes_is_refused_before_it_is_read(text: str) -> None:
    (error,) = errors_of(text)
    assert "too many values, or nested too deeply" in error


def test_only_the_first_of_many_documents_are_read() -> None:
    assert errors_of("---\na: 1\n" * 100_000)[0].startswith("c.yml: several YAML documents")


@pytest.mark.clause("8.check.soon")
@pytest.mark.parametrize(
    "text",
    [
        BASE + "".join(f"k{i}: 1\n" for i in range(5000)),
        BASE + "default_response: [" + ", ".join(f"{{k{i}: 1}}" for i in range(5000)) + "]",
        "routes: ["
        + ", ".join(f"{{path_prefix: /a{i}, backend: backen{i}}}" for i in range(5000))
        + "]\nbackends: ["
        + ", ".join(f"{{name: backend{i}, urls: [http://a]}}" for i in range(2000))
        + "]",
    ],
)
def test_of_very_many_errors_the_first_are_told_and_how_many_more_there_are(text: str) -> None:
    errors = errors_of(text)
    assert len(errors) == MOST_TOLD + 1
    assert (
        errors[-1] == f"c.yml: and {5000 - MOST_TOLD} more errors: these are told once the others are mended"
    )


def test_names_that_nobody_misspells_are_not_compared() -> None:
    assert did_you_mean(X + "y", [X]) == did_you_mean("abcd", [X]) == ""
    assert did_you_mean("abcd", [X, "abcde"]) == '; did you mean "abcde"?'


@pytest.mark.clause("8.check.soon")
def test_a_file_that_is_too_large_or_has_no_end_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "c.yml"
    large.write_bytes(b"#" * (5 << 20))
    for path in (str(large), "/dev/zero"):
        with pytest.raises(ConfigErrors, match="has more than 4194304 bytes"):
            load_config(path)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yml")
    assert read_file(str(tmp_path / "c.yml")) == b""


@pytest.mark.clause("8.check.soon")
def test_a_pipe_whose_writer_says_nothing_or_comes_to_no_end_is_not_waited_for_for_long(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "c.yml"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        for said in (b"", b"routes: []"):
            os.write(writer, said)
            with pytest.raises(ConfigErrors, match=r"c\.yml: cannot be read: its end did not come within"):
                read_file(str(pipe))
        assert unreadable(str(pipe)).startswith("its end did not come within")
    finally:
        os.close(writer)


@pytest.mark.clause("8.check.pipe")
def test_what_comes_through_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "c.yml"
    os.mkfifo(pipe)
    text = b"#" * 200_000  # more than a pipe holds
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_bytes, text)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # so that the writer is there
        select.select([reader], [], [])
        assert read_file(str(pipe)) == text
        os.close(reader)
        assert written.result() == len(text)


@pytest.mark.clause("1.exit.secrets")
@pytest.mark.parametrize(
    "stats",
    [
        "postgresql://u:hush@h/d",
        "{database: 'Postgresql://u:hush@h/d'}",
        "{database: 'postgresql://u@h/d ?password=hush'}",
        "{path: 'postgresql://u:hush@h/d'}",
        "{path: 'postgresql://u@h/d?password=hush'}",
        "postgresql:/u:hush@h/d",
        "{path: 'postgresql+psycopg//u:hush@h/d'}",
        "{path: 'u:x@hush@h/d'}",
        "{path: 'x://h/d?db_pw=hush'}",
        "{path: 'x://h/d?dbname=postgresql%3A%2F%2Fu%3Ahush%40h%2Fd'}",
    ],
)
def test_a_url_in_a_wrong_place_is_quoted_without_its_password(stats: str) -> None:
    (error,) = errors_of(BASE + f"stats: {stats}")
    assert "hush" not in error
    assert "***" in error


def test_what_is_within_a_list_or_mapping_is_quoted_without_a_password() -> None:
    assert "hush" not in shown(["postgresql://u:hush@h/d"])
    assert "hush" not in shown({"a": "postgresql://u@h/d?password=hush"})


@pytest.mark.clause("8.check.escaped", "8.check.cut")
@pytest.mark.parametrize(
    "text",
    [
        'routes: [{path_prefix: /a, backend: "\\e[2Ja"}]\nbackends: [{name: "\\e[2Jb", urls: [http://a]}]',
        'routes: []\nbackends: [{name: "\\e[2Jb", urls: [http://a]}]',
        f'routes: []\nbackends: [{{name: "\\e[2J{X}", urls: [http://a]}}]',
        '"\\e[2Ja": 1',
        "routes: \x1b[2J",
    ],
)
def test_nothing_in_a_file_steers_the_terminal_of_who_checks_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "\x1b[2J.yml"
    path.write_text(text)
    check(Namespace(config=str(path)))
    told = capsys.readouterr()
    lines = (told.out + told.err).splitlines()
    assert lines
    assert all(line.isprintable() and len(line) < 1100 for line in lines)
