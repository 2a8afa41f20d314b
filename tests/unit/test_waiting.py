"""What is slow is said on a terminal, and taken away (behaviour 9)."""

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rgate.cli.main import run
from rgate.cli.waiting import told_if_slow

CONFIG = "routes: []\nbackends: [{name: a, match_labels: [a=b]}]\n"
CASES = "cases: [{request: /, expect: {outcome: default_response}}]\n"


class Terminal(io.StringIO):
    """A terminal, which says when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        number = super().write(text)
        self.written.set()
        return number


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def taken_away(line: str) -> str:
    return f"{line}\r{' ' * len(line)}\r"


@pytest.mark.clause("9.commands.slow")
def test_it_is_said_once_and_taken_away_whatever_ends_it(terminal: Terminal) -> None:
    @told_if_slow("asking \x1b", 0.0)
    def interrupted() -> None:
        with told_if_slow("a part", 0.0):
            assert terminal.written.wait(20)
            raise KeyboardInterrupt

    with contextlib.redirect_stderr(terminal):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert terminal.getvalue().startswith(taken_away("rgate: asking \\x1b …"))


@pytest.mark.clause("9.commands.slow")
def test_what_is_quick_or_on_no_terminal_is_not_told(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.redirect_stderr(terminal), told_if_slow("quick", 3600):
        pass
    assert terminal.getvalue() == ""
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    with contextlib.redirect_stderr(terminal), told_if_slow("elsewhere", 0.0):
        assert not terminal.written.wait(0.05)


@pytest.fixture
def slow(terminal: Terminal) -> Iterator[Callable[[], str]]:
    """What starts a server that says nothing before the terminal was told, and then goes; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def wait() -> None:
            connection, _ = server.accept()
            with connection:
                terminal.written.wait(20)
            server.close()

        def start() -> str:
            threads.append(threading.Thread(target=wait))
            threads[-1].start()
            return f"127.0.0.1:{server.getsockname()[1]}"

        threads: list[threading.Thread] = []
        yield start
        for thread in threads:
            thread.join(20)


@pytest.mark.clause("9.commands.slow")
@pytest.mark.parametrize(
    "words",
    [
        "explain /",
        "snapshot",
        pytest.param("init --output new.yml", marks=pytest.mark.slow),
        pytest.param("plan --against config.yml", marks=pytest.mark.slow),
        pytest.param("test cases.yml", marks=pytest.mark.slow),
        pytest.param("test --write new.yml", marks=pytest.mark.slow),
        pytest.param("doctor --port 0", marks=pytest.mark.slow),
    ],
)
def test_a_docker_that_takes_its_time_is_told(
    words: str,
    slow: Callable[[], str],
    terminal: Terminal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yml").write_text(CONFIG)
    Path("cases.yml").write_text(CASES)
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{slow()}")
    with contextlib.redirect_stderr(terminal), pytest.raises(SystemExit):
        run(words.split())
    what = (
        "looking at Docker, the database and names"
        if words.startswith("doctor")
        else "asking Docker for its containers"
    )
    assert terminal.getvalue().startswith(taken_away(f"rgate: {what} …"))


@pytest.mark.clause("9.commands.slow")
@pytest.mark.parametrize(
    "words",
    [
        "why --last",
        *(
            pytest.param(words, marks=pytest.mark.slow)
            for words in ("explain /", "plan --config config.yml", "events", "top --once")
        ),
    ],
)
def test_a_gateway_that_takes_its_time_is_told(
    words: str, slow: Callable[[], str], terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yml").write_text(CONFIG)
    url = f"http://{slow()}"
    with contextlib.redirect_stderr(terminal), pytest.raises(SystemExit) as ended:
        run([*words.split(), "--gateway", url])
    assert ended.value.code == 2
    assert terminal.getvalue().startswith(taken_away(f"rgate: asking {url} …"))
