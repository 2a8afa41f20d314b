"""Letting nobody new in on a listener: whom the kernel has let in stays, all others are told nothing."""

import socket
from collections.abc import Iterator

import pytest

from rgate.core.succession import Listeners
from rgate.engines.last_clients import let_nobody_in
from tests.unit.test_wsgi_server import Serve, echo, serve

__all__ = ["serve"]


def _is_let_in(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address[:2], 0.2).close()
    except TimeoutError:
        return False
    return True


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host = "127.0.0.1" if request.param == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=request.param) as one:
        one.settimeout(5)
        yield one


def test_who_was_let_in_is_accepted_and_served_and_nobody_else_is_let_in(listener: socket.socket) -> None:
    address = listener.getsockname()
    with socket.create_connection(address[:2], 5) as waiting:
        let_nobody_in(listener)
        assert not _is_let_in(address)
        accepted, _ = listener.accept()
        with accepted:
            waiting.sendall(b"a request")
            assert accepted.recv(100) == b"a request"
            accepted.sendall(b"its answer")
        assert [waiting.recv(100), waiting.recv(100)] == [b"its answer", b""]


def test_a_system_without_such_filters_changes_nothing() -> None:
    closed = socket.socket()
    closed.close()
    let_nobody_in(closed)


@pytest.mark.parametrize("listeners", Listeners)
def test_listeners_that_another_holds_stay_open_for_it(serve: Serve, listeners: Listeners) -> None:
    served = serve(echo)
    with served.listener.dup() as of_another:
        assert served.server.drain(5, listeners)
        assert _is_let_in(of_another.getsockname()) == (listeners is not Listeners.CLOSED)
