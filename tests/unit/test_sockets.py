"""What the kernel tells of connections: how much was taken; and a port at which nobody listens, and which the
system gives whoever connects to it (behaviour 6).
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop

from rgate.core.candidates import Address
from rgate.engines.asyncio_engine.upstream import Pools, Upstream
from rgate.engines.sockets import is_itself, poll, untaken_bytes
from tests.kept_records import KeptRecords
from tests.unit.test_requests_upstream import app_for


def _address() -> Address:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Address(*sock.getsockname())


def test_a_connection_that_met_itself_is_told_from_one_to_somebody() -> None:
    with socket.socket() as alone:
        alone.bind(("127.0.0.1", 0))
        alone.connect(alone.getsockname())
        assert is_itself(alone.getsockname(), alone.getpeername())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect(server.getsockname())
        assert not is_itself(sock.getsockname(), sock.getpeername())
    assert not is_itself(None, None), "it has left again, and the loop does not know it any more"


def test_what_the_other_end_has_not_taken_becomes_less_as_it_reads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        far.connect(server.getsockname())
        near = server.accept()[0]
        with near:
            near.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                near.sendall(bytes(16 << 20))
            before = untaken_bytes(near.fileno())
            assert before > 1 << 16
            assert not poll({near.fileno(): select.POLLOUT}, 0), "the kernel takes no more"
            read = 0
            while untaken_bytes(near.fileno()) == before:
                read += len(far.recv(1 << 14))
            assert read <= 1 << 18
            assert not poll({near.fileno(): select.POLLOUT}, 0)
    assert untaken_bytes(near.fileno()) == 0


class FromThere(socket.socket):
    """Connects from the port that it connects to."""

    def connect_ex(self, address: Any) -> int:
        self.bind(address)
        return super().connect_ex(address)


@pytest.mark.clause("6.answers.refused")
def test_it_is_refused_by_the_flask_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    records, address = KeptRecords(), _address()
    monkeypatch.setattr(socket, "socket", FromThere)
    answer = app_for(address, records).test_client().get("/x")
    assert (answer.status_code, answer.headers["X-Rgate-Reason"]) == (503, "connect_failed")


class FromTherein:
    """A loop that does so."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def create_connection(self, factory: Callable[[], Upstream], host: str, port: int) -> object:
        return await self._loop.create_connection(factory, host, port, local_addr=(host, port))


@pytest.mark.clause("6.answers.refused")
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_is_refused_by_the_asyncio_engine(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    loop = new_loop()
    try:
        pools = Pools(cast(Any, FromTherein(loop)), lambda: 9)
        connecting = loop.create_task(pools.connect(pools.of(_address()), "b"))
        loop.run_until_complete(asyncio.wait([connecting]))
        refused = connecting.exception()
        if refused is None:
            connecting.result().discard()  # else the loop waits for it
        loop.run_until_complete(asyncio.sleep(0))
        assert isinstance(refused, ConnectionRefusedError)
        assert pools.counts() == (0, 0, {}), "it is closed"
    finally:
        loop.close()
