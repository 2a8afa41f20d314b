"""rgate's own WSGI server: it serves any application (PEP 3333), and ends in order."""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from rgate.core.candidates import BackendView
from rgate.core.config import Config
from rgate.core.gateway import Gateway
from rgate.core.succession import Listeners
from rgate.engines import wsgi_connection, wsgi_server
from rgate.engines.crowd import Crowd
from rgate.engines.sockets import poll
from rgate.engines.wsgi_connection import Connection, Service, Then
from rgate.engines.wsgi_server import WsgiServer
from tests.kept_records import KeptRecords
from tests.threadless import gives_none

Application = Callable[[dict[str, Any], Callable[..., Any]], list[bytes]]
Serve = Callable[[Application], "Served"]


class Served:
    """A server of one application, and what it recorded."""

    def __init__(self, app: Application, stack: ExitStack) -> None:
        self.log = KeptRecords()
        self._stack = stack
        gateway = Gateway(Config((), ()), dict[str, BackendView](), lambda: 0.0, can_tunnel=False)
        self.server = WsgiServer(Service(app, gateway, self.log), Crowd())
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.server.start([self.listener])
        stack.callback(self.server.stop)

    def client(self) -> socket.socket:
        return self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port), 30))

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Return head and content of the response to *request*, behind which the connection closes."""
        client = self.client()
        client.sendall(request)
        return to_end(client)


def to_end(client: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while piece := client.recv(65536):
        received += piece
    head, _, content = received.partition(b"\r\n\r\n")
    return head, content


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda app: Served(app, stack)


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 Fine", [("Content-Type", "text/x"), ("A", "b")])
    return [environ["wsgi.input"].read()]


LENGTH = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = (
    b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"
)


@pytest.mark.parametrize("request_", [LENGTH, CHUNKS], ids=["a known length", "chunks"])
def test_an_application_reads_content_that_came_with(serve: Serve, request_: bytes) -> None:
    head, content = serve(echo).ask(request_)
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nA: b\r\nDate: ")
    assert b"\r\nContent-Length: 5\r\n" in head
    assert content == b"hello"


def test_what_is_written_comes_before_what_is_returned(serve: Serve) -> None:
    def app(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"two ")
        return [b"three"]

    assert serve(app).ask(LENGTH)[1] == b"one two three"


def test_an_application_that_fails_costs_one_connection(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/x":
            raise RuntimeError("a defect")
        return echo(environ, start_response)

    served = serve(app)
    with caplog.at_level(logging.ERROR, "rgate"), pytest.raises(ConnectionResetError):
        served.ask(LENGTH)
    assert "a defect" in caplog.text
    assert served.ask(LENGTH.replace(b"/x", b"/y"))[1] == b"hello"


def test_what_is_no_request_is_answered_and_recorded(serve: Serve) -> None:
    served = serve(echo)
    head, _ = served.ask(b"nonsense\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert [(record.status, record.reason) for record in served.log] == [(400, "bad_request")]


def test_an_empty_line_begins_no_request(serve: Serve) -> None:
    served = serve(echo)
    client = served.client()
    client.sendall(b"\r\n")
    assert served.server.drain(5)
    assert to_end(client) == (b"", b"")


@pytest.fixture
def half_asked() -> Iterator[tuple[Connection, socket.socket]]:
    """Return a connection on which half a head has come, and the client's end of it."""
    gateway = Gateway(Config((), ()), dict[str, BackendView](), lambda: 0.0, can_tunnel=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), 5)
        near, peer = listener.accept()
    with near, far:
        connection = Connection(near, peer, Service(echo, gateway, KeptRecords()))
        far.sendall(LENGTH[:20])
        assert poll({near.fileno(): select.POLLIN}, 5)
        assert connection.serve() is Then.WAIT
        assert connection.has_half_a_head
        yield connection, far


def test_the_rest_of_a_head_that_came_in_time_counts_however_late_it_is_looked_at(
    half_asked: tuple[Connection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where rgate stood still meanwhile, it said 408 with the rest of the head unread.
    connection, far = half_asked
    monkeypatch.setattr(wsgi_connection, "HEAD_S", 0.0)
    far.sendall(LENGTH[20:])
    assert poll({connection.socket.fileno(): select.POLLIN}, 5)
    assert connection.serve() is Then.LINGER
    assert far.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_half_a_head_is_waited_for_no_longer_than_its_time(
    half_asked: tuple[Connection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, far = half_asked
    monkeypatch.setattr(wsgi_connection, "HEAD_S", 0.0)
    assert connection.serve() is Then.LINGER
    assert far.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_has_more_time_where_another_accepts_already(serve: Serve) -> None:
    served = serve(echo)
    idle = served.client()
    draining = threading.Thread(target=served.server.drain, args=(5, Listeners.SUCCEEDED))
    draining.start()
    with contextlib.suppress(ConnectionError):
        while True:
            served.client()
    idle.sendall(LENGTH)
    assert to_end(idle)[1] == b"hello"
    draining.join(10)


def test_idle_connections_end_with_a_drain_and_new_ones_are_refused(serve: Serve) -> None:
    served = serve(echo)
    idle = served.client()
    assert served.server.drain(5)
    assert to_end(idle) == (b"", b"")
    with pytest.raises(ConnectionRefusedError):
        served.client()


def _threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "rgate-request"}


def test_threads_serve_again_and_those_of_a_peak_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_server, "_RESTS_S", 0.3)
    before, most = _threads(), list[int]()
    together = threading.Barrier(8, lambda: most.append(len(_threads() - before)))

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/together":
            together.wait(30)
        return echo(environ, start_response)

    served = serve(app)
    asking = LENGTH.replace(b"/x", b"/together")
    askers = [threading.Thread(target=served.ask, args=(asking,)) for _ in range(8)]
    for one in askers:
        one.start()
    for one in askers:
        one.join(30)
    assert most == [8]
    until_s = time.monotonic() + 30
    while len(left := _threads() - before) > 1:  # one is always needed
        assert served.ask(LENGTH)[1] == b"hello"
        assert time.monotonic() < until_s, left


def test_work_that_comes_as_a_thread_ends_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_server, "_RESTS_S", 0)
    threads, done = wsgi_server._Threads(), threading.Semaphore(0)
    for _ in range(2000):
        threads.run(done.release)
    assert all(done.acquire(timeout=5) for _ in range(2000))


def test_where_the_system_gives_no_thread_requests_wait_for_one(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    is_asked, goes_on = threading.Event(), threading.Event()

    def app(environment: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        is_asked.set()
        assert goes_on.wait(5)
        return echo(environment, start_response)

    served, starts, refused = serve(app), threading.Thread.start, threading.Semaphore(0)

    def start(thread: threading.Thread) -> None:
        if thread.name == "rgate-request":
            refused.release()
            gives_none(thread)
        starts(thread)

    first = served.client()
    first.sendall(LENGTH)
    assert is_asked.wait(5)
    monkeypatch.setattr(threading.Thread, "start", start)
    others = [served.client() for _ in range(2)]
    for other in others:
        other.sendall(LENGTH)
        assert refused.acquire(timeout=5)
    goes_on.set()
    assert [to_end(client)[1] for client in (first, *others)] == [b"hello"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "the system gives no more threads: raise the limit on processes, or lower limits.connections"
    ]


def test_who_waits_for_a_thread_is_served_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    starts, order, done = threading.Thread.start, list[int](), threading.Semaphore(0)

    def work(number: int) -> None:
        order.append(number)
        done.release()

    threads = wsgi_server._Threads()
    monkeypatch.setattr(threading.Thread, "start", gives_none)
    for number in range(4):
        assert not threads.run(partial(work, number))
    for _ in range(3):
        threads.run_late()
    monkeypatch.setattr(threading.Thread, "start", starts)
    goes_on = threading.Event()
    assert threads.run(goes_on.wait)  # type: ignore[arg-type]  # what it returns is not looked at
    goes_on.set()
    assert all(done.acquire(timeout=5) for _ in range(4))
    assert order == [0, 1, 2, 3]


def test_where_no_thread_is_left_at_all_requests_wait_until_the_system_gives_one(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, starts, refused = serve(echo), threading.Thread.start, threading.Event()

    def start(thread: threading.Thread) -> None:
        if thread.name == "rgate-request":
            refused.set()
            gives_none(thread)
        starts(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    client = served.client()
    client.sendall(LENGTH)
    assert refused.wait(5)
    monkeypatch.setattr(threading.Thread, "start", starts)
    assert to_end(client)[1] == b"hello"
