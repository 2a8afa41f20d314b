"""Where commands look: Docker, a snapshot, a running rgate (behaviour 9)."""

import contextlib
import json
import socket
import threading
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest

from rgate.cli.asking_gateway import NoAnswer, ask_gateway
from rgate.cli.looking import look, looked_at_recording
from rgate.cli.main import parse, run
from rgate.cli.options import add_gateway, add_looking
from rgate.core.address import HostView
from rgate.core.config import Backend, Config, Route
from rgate.core.config_errors import ConfigErrors
from rgate.core.containers import Container, State
from rgate.core.knowledge import Connection, Events
from rgate.core.left_out import LeftOutLabel
from rgate.core.reasons import Reason
from rgate.core.recording import Recording, recorded_source

SNAPSHOT: Final = "tests/contract/snapshots/1.json"
CONFIG: Final = Config(
    (Route("/a", "a"), Route("/b", "b")),
    (
        Backend("a", match_labels=(("app_name", "orders-db"), ("url", "x"))),
        Backend("b", match_labels=(("app_name", "orders"),)),
    ),
)


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "DOCKER_HOST", "tcp://127.0.0.1:1"
    )  # nobody may listen there but root, and nobody does


@pytest.mark.clause("9.looks.snapshot")
@pytest.mark.usefixtures("no_docker")
def test_a_snapshot_is_read_in_the_place_of_docker() -> None:
    looked = look(Namespace(snapshot=SNAPSHOT), CONFIG)
    (seen,), (knowledge,) = looked.seen(CONFIG), looked.knowledge(CONFIG)
    assert seen.containers is not None
    assert len(seen.containers) == 11
    assert (knowledge.source, knowledge.docker, knowledge.version) == (
        "docker",
        Connection.CONNECTED,
        "27.3.1",
    )
    assert knowledge.events is Events.POLLED
    only = Config(CONFIG.routes[1:], CONFIG.backends[1:])
    assert [one.name for one in looked.gateway(only).views["b"].candidates] == ["orders-1"]


@pytest.mark.clause("9.looks.away")
@pytest.mark.usefixtures("no_docker")
def test_where_docker_does_not_answer_it_is_a_gateway_that_starts_now() -> None:
    looked = look(Namespace(snapshot=None), CONFIG)
    (seen,), (knowledge,) = looked.seen(CONFIG), looked.knowledge(CONFIG)
    assert seen.containers is None
    assert (knowledge.docker, knowledge.last_list_s) == (Connection.NEVER, None)
    assert "nobody listens at " in knowledge.error
    gateway = looked.gateway(CONFIG, can_tunnel=False)
    assert not gateway.can_tunnel
    assert [view.reason for view in gateway.views.values()] == 2 * [Reason.DOCKER_UNAVAILABLE]
    assert knowledge.error in gateway.views["a"].detail


def test_a_docker_host_that_is_no_url_is_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://[::1")
    (seen,) = look(Namespace(snapshot=None), CONFIG).seen(CONFIG)
    assert seen.containers is None


@pytest.mark.clause("9.snapshot.rests")
def test_what_is_in_doubt_stops_who_tells_of_all_and_no_one_who_tells_of_another_backend() -> None:
    looked = look(Namespace(snapshot=SNAPSHOT), CONFIG)
    with pytest.raises(LeftOutLabel, match="requests to the backend a rests on a label of orders-db"):
        looked.gateway(CONFIG)
    assert [*looked.doubts(CONFIG)] == ["a"]
    assert looked.gateway(CONFIG, doubtful=True).views["b"].candidates


def test_a_container_of_two_sources_is_one_and_the_first_says_what_of_it() -> None:
    one = Container("1", "one", {"token": "x"}, State.RUNNING)
    first = recorded_source([one], HostView())
    other = recorded_source([one], HostView(), name="far", keep=("*",))
    looked = looked_at_recording(Recording(5.0, (first, other)), 3.0)
    assert [one.seen.containers for one in looked.at] == [first.containers, other.containers]
    assert looked.left_out(CONFIG) == {"docker": {"1": {"token"}}, "far": {}}
    knowledge = looked.knowledge(CONFIG)
    assert [one.source for one in knowledge] == ["docker", "far"]
    assert knowledge[0].last_list_s == 0  # its clock was ahead of ours
    (nothing,) = looked_at_recording(Recording(0.0, ()), 0.0).seen(CONFIG)
    assert nothing.containers == ()


@pytest.mark.parametrize("path", ["missing.json", "."])
def test_a_snapshot_that_cannot_be_read_is_told(path: str) -> None:
    with pytest.raises(ConfigErrors, match=f"^{path}: cannot be read: .*; name another with --snapshot$"):
        look(Namespace(snapshot=path))


class _Peer(BaseHTTPRequestHandler):
    """Answers with what its server holds, and keeps the targets and fields of what was asked."""

    server: "_Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        status, fields, body = self.server.answer
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class _Server(ThreadingHTTPServer):
    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Peer)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def peer() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.clause("9.looks.gateway")
def test_a_running_rgate_is_asked_itself_whatever_proxy_the_environment_names(
    peer: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    peer.answer = (200, {}, b'{"a": [1]}')
    asked = {"target": "/a b?c=d&e=\u00e9", "host": None}
    assert ask_gateway(peer.url, "/_rgate/explain", asked) == {"a": [1]}
    ((target, fields),) = peer.asked
    assert urlsplit(target).path == "/_rgate/explain"
    assert parse_qs(urlsplit(target).query) == {"target": ["/a b?c=d&e=\u00e9"]}
    assert fields["Accept"] == "application/json"


PROBLEM: Final = {"type": "urn:rgate:forbidden", "detail": "10.0.0.1 is not in `admin.allow`\x1b[2J: add it."}


@pytest.mark.clause("9.looks.gateway")
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, json.dumps(PROBLEM).encode(), " says 403: 10.0.0.1 is not in `admin.allow`\\x1b[2J: add it."),
        (200, b"hello", " is no rgate, or an older one (status 200 for /x): name another with --gateway"),
        (200, b'"hello"', " is no rgate, or an older one (status 200 for /x): name another with --gateway"),
        (200, b"[" * 100_000, " is no rgate, or an older one (status 200 for /x): "),
        (200, b"\xff", " is no rgate, or an older one (status 200 for /x): "),
        (404, b"{}", " is no rgate, or an older one (status 404 for /x): "),
        (302, b"", " is no rgate, or an older one (status 302 for /x): "),
    ],
)
def test_what_is_no_answer_of_rgates_is_told_in_one_line(
    peer: _Server, status: int, body: bytes, said: str
) -> None:
    peer.answer = (status, {"Location": "/y"} if status == 302 else {}, body)
    with pytest.raises(NoAnswer) as raised:
        ask_gateway(peer.url, "/x")
    assert f"{peer.url}{said}" in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(peer.asked) == 1


def looking(*words: str, gateway: bool = True) -> Namespace:
    parser = ArgumentParser(exit_on_error=False)
    add_looking(parser, gateway=gateway)
    return parser.parse_args(words)


@pytest.mark.clause("9.looks.gateway")
@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("localhost:8080", "http://localhost:8080"),
        ("localhost", "http://localhost"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("https://shop.example", "https://shop.example"),
    ],
)
def test_a_gateway_is_named_with_or_without_its_scheme(text: str, url: str) -> None:
    assert looking("--gateway", text).gateway == url


@pytest.mark.parametrize(
    "text",
    ["", ":8080", "a b", "ftp://x", "http://x/y", "http://u:p@x", "x:0", "x:65536", "::1", "x?y", "x\n"],
)
def test_what_is_no_gateway_is_told_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"is no gateway; allowed: http://host:port, or host:port$"):
        looking("--gateway", text)


def test_one_place_is_looked_at() -> None:
    assert vars(looking()) == {"snapshot": None, "gateway": None}
    assert vars(looking(gateway=False)) == {"snapshot": None}
    with pytest.raises(ArgumentError, match="not allowed with argument --snapshot"):
        looking("--snapshot", "s.json", "--gateway", "x")
    parser = ArgumentParser()
    add_gateway(parser)
    assert vars(parser.parse_args([])) == {"gateway": "http://127.0.0.1:8080"}


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.mark.clause("9.looks.gateway", "9.looks.status")
def test_nobody_at_the_gateway_is_told_with_what_the_system_says() -> None:
    with listening() as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NoAnswer) as raised:
        ask_gateway(f"http://127.0.0.1:{port}", "/x")
    assert str(raised.value) == (
        f"nobody answers at http://127.0.0.1:{port} (Connection refused): start rgate there, or name another "
        "with --gateway"
    )


def test_what_speaks_no_http_is_no_rgate() -> None:
    with listening() as listener:
        answered = threading.Thread(target=_greet, args=(listener, b"SSH-2.0-x\r\n"))
        answered.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NoAnswer, match=rf"^what answers at {url} is no rgate \(BadStatusLine\): name "):
            ask_gateway(url, "/x")
        answered.join()


def _greet(listener: socket.socket, greeting: bytes) -> None:
    with listener.accept()[0] as connection:
        connection.recv(65536)
        connection.sendall(greeting)


# A limit for each read never comes to an end with these: they say nothing, or something now and then.
_NEVER_ENDING: Final = {
    "silent": (b"", b""),
    "head": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "content": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b" "),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99999999\r\n\r\n", b" "),
}


@contextlib.contextmanager
def never_ending(kind: str) -> Iterator[int]:
    """Serve one connection with what never ends, until the other side has gone; gives the port."""
    start, more = _NEVER_ENDING[kind]
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(start)
            while not over.wait(0.001):
                connection.sendall(more)

    with listening() as listener:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listener.getsockname()[1]
        over.set()
        serving.join()


@pytest.mark.parametrize("kind", _NEVER_ENDING)
def test_what_never_ends_is_not_waited_for_for_ever(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgate.cli.asking_gateway._WITHIN_S", 0.1)
    with never_ending(kind) as port, pytest.raises(NoAnswer, match="did not answer in time"):
        ask_gateway(f"http://127.0.0.1:{port}", "/x")


@pytest.mark.clause("8.pages.health")
@pytest.mark.parametrize("kind", ["silent", "head", "interim"])
def test_health_does_not_wait_for_ever(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rgate.cli.health._WITHIN_S", 0.1)
    with never_ending(kind) as port:
        status, said = told(capsys, "health", "--port", str(port))
    assert (status, said) == (
        1,
        f"rgate: http://127.0.0.1:{port}/_rgate/healthz does not answer: timed out; see that it runs there\n",
    )


@pytest.mark.clause("9.looks.status")
@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b", "."])
def test_a_gateway_of_a_name_that_can_be_none_cannot_be_told(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = told(capsys, "explain", "/x", "--gateway", f"http://{host}")
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"rgate: nobody answers at http://{host} (")


def test_a_redirect_to_nowhere_is_no_rgates(peer: _Server) -> None:
    peer.answer = (302, {"Location": "http://["}, b"")
    with pytest.raises(NoAnswer, match="is no rgate, or an older one"):
        ask_gateway(peer.url, "/x")


def test_an_answer_that_does_not_end_is_not_kept(peer: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgate.cli.asking_gateway._MOST_BYTES", 10)
    peer.answer = (200, {}, b'["0123456789"]')
    with pytest.raises(NoAnswer, match=r"does not end: it is no rgate$"):
        ask_gateway(peer.url, "/x")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    """Run the command. Returns its exit status and what it said on standard error."""
    with pytest.raises(SystemExit) as exit_:
        run(words)
    return exit_.value.code, capsys.readouterr().err


@pytest.mark.clause("9.looks.status")
@pytest.mark.usefixtures("no_docker")
def test_a_snapshot_of_a_docker_that_does_not_answer_is_told_in_one_line_and_leaves_no_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, said = told(capsys, "snapshot", "--output", str(tmp_path / "s.json"))
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith("rgate: Docker does not answer: nobody listens at ")
    assert said.endswith(": start Docker, or check DOCKER_HOST\n")
    assert not [*tmp_path.iterdir()]


def test_globs_may_stand_together_and_apart() -> None:
    words = "snapshot --keep-labels a.* b --output s.json --keep-labels c"
    options = parse(words.split())
    assert (options.output, options.keep_labels) == ("s.json", ["a.*", "b", "c"])
    assert vars(parse(["snapshot"])) == {
        "command": "snapshot",
        "config": None,
        "output": "-",
        "keep_labels": [],
    }


@pytest.mark.clause("9.looks.status")
@pytest.mark.parametrize("words", [("explain", "/x"), ("test", "cases.yml"), ("snapshot",)])
def test_a_defect_is_no_answer(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("rgate.cli.main._run", broken)
    status, said = told(capsys, *words)
    assert status == 2
    assert said.endswith("ZeroDivisionError: a defect\n")


@pytest.mark.clause("9.looks.status")
def test_an_error_that_nobody_takes_changes_no_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        with pytest.raises(SystemExit) as exit_:
            run(["explain", "/x", "--config", "/nowhere.yml"])
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert exit_.value.code == 2
