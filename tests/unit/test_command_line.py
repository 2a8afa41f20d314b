"""What the command's words mean, and what is said of wrong ones (behaviour 1)."""

import io
from argparse import Namespace
from pathlib import Path

import pytest

from rgate.cli.check import check
from rgate.cli.examples import EXAMPLES
from rgate.cli.main import parse


@pytest.mark.clause("1.command.serve", "1.options.defaults")
def test_serve_is_the_default_with_these_options() -> None:
    assert vars(parse([])) == vars(parse(["serve"]))
    assert vars(parse([])) == {
        "command": "serve",
        "host": ["127.0.0.1"],
        "port": 8080,
        "config": "config.yml",
        "engine": "asyncio",
        "workers": 1,
        "drain": 8,
        "replace": False,
        "seed": None,
        "access_log": None,
        "log_format": "text",
        "log_level": "info",
        "db": None,
    }


@pytest.mark.clause("1.options.host")
def test_hosts_are_taken_in_their_order_and_in_place_of_the_default() -> None:
    assert parse(["--host", "::1", "--host", "127.0.0.2"]).host == ["::1", "127.0.0.2"]


@pytest.mark.clause("1.options.drain")
@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("2.5", 2.5), ("86400", 86400)])
def test_drain_is_a_time_in_seconds(text: str, seconds: float) -> None:
    assert parse(["--drain", text]).drain == seconds


@pytest.mark.clause("1.exit.wrong", "1.exit.message")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("serv", "'serv' is no command; did you mean \"serve\"? (`rgate --help` "),
        ("help", "'help' is no command; did you mean \"--help\"? ("),
        ("version", "'version' is no command; did you mean \"--version\"? ("),
        ("completion", "the following arguments are required: bash|zsh|fish ("),
        ("nothing", "'nothing' is no command; there are serve, check, "),
        ("--prot 8080", "'--prot' is no option; did you mean \"--port\"? (`rgate serve --help` "),
        ("--prot=8080", "'--prot' is no option; did you mean \"--port\"? (`rgate serve --help` "),
        (
            "check --cnofig c.yml",
            "'--cnofig' is no option; did you mean \"--config\"? (`rgate check --help` ",
        ),
        ("serve 8080", "'8080' is no option ("),
        ("--port", "argument --port: expected one argument ("),
        *((f"--port {port}", f"{port!r} is no port; allowed: 0 to 65535 (") for port in ("-1", "x", "65536")),
        *(
            (f"--drain {time}", f"{time!r} is no time; allowed: 0 to 86400 seconds (")
            for time in ("-1", "x", "nan", "inf", "86401")
        ),
        *(
            (f"--workers {number}", f"{number!r} is no number of workers; allowed: 1 to 256, or auto (")
            for number in ("0", "-1", "many", "2.5", "257")
        ),
        ("--engine flaks", "invalid choice: 'flaks'; there are asyncio, flask; did you mean \"flask\"? ("),
        ("--log-level trace", "invalid choice: 'trace'; there are debug, info, warning, error ("),
        ("why --faild", "'--faild' is no option; did you mean \"--failed\"? (`rgate why --help` "),
        ("init --outptu=x", "'--outptu' is no option; did you mean \"--output\"? (`rgate init --help` "),
        ("completion basch", "invalid choice: 'basch'; there are bash, zsh, fish; did you mean \"bash\"? ("),
        ("events --since 10", "'10' is no length of time; allowed: such as 90s, 10m, 2h, 1d ("),
        ("--seed x", "argument --seed: invalid int value: 'x' ("),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(words.split())
    assert exit_.value.code == 2
    told = capsys.readouterr()
    assert told.err.startswith("rgate: ")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_is_told_wherever_there_are_no_more_letters_than_ascii(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse([name, "--help"])
    assert capsys.readouterr().out.isascii()


@pytest.mark.clause("8.check.exit")
def test_check_warns_of_names_that_standard_output_has_no_letters_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yml"
    config.write_text("routes: []\nbackends: [{name: 支付, urls: ['http://h:9']}]\n", encoding="utf-8")
    output = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(output, encoding="ascii", write_through=True))
    assert check(Namespace(config=str(config))) == 0
    assert rb"no route uses the backend \u652f\u4ed8" in output.getvalue()
