"""Letting nobody new in on a listener: whom the kernel has let in stays, all others are told nothing."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rgate.core.patience import LAST_MOMENT_S
from rgate.core.succession import Listeners
from rgate.engines import ENGINES
from rgate.engines.asyncio_engine.engine import AsyncioEngine
from rgate.engines.last_clients import let_nobody_in
from rgate.stats import MemoryStats
from tests.engine_here import engine_of, gateway_of


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


def _hold_up(engine: Any, for_s: float) -> None:
    """Keep what accepts from doing anything else, as a busy machine would."""
    order = engine._loop.call_soon_threadsafe if isinstance(engine, AsyncioEngine) else engine._order
    order(lambda: time.sleep(for_s))


@pytest.mark.parametrize("late_s", [0, 0.3])
@pytest.mark.parametrize("listeners", Listeners)
@pytest.mark.parametrize("name", sorted(ENGINES))
def test_listeners_that_another_holds_stay_open_for_it(
    name: str, listeners: Listeners, late_s: float
) -> None:
    engine = engine_of(name, gateway_of(name), MemoryStats())
    listener = socket.create_server(("127.0.0.1", 0))
    with listener.dup() as of_another:
        engine.start([listener])
        timer = threading.Timer(LAST_MOMENT_S / 2, _hold_up, (engine, late_s))
        timer.start()
        assert engine.drain(10, listeners)
        timer.join()
        engine.stop()
        assert _is_let_in(of_another.getsockname()) == (listeners is not Listeners.CLOSED)
