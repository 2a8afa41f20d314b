"""Gateways of both engines in this process, and backends for them."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rgate.core.gateway import Gateway
from rgate.engines import ENGINES
from rgate.stats import MemoryStats
from tests.contract.explain.backends import Backends, closed_port
from tests.engine_here import engine_of, gateway_of


@dataclass
class Running:
    """A gateway on a port of 127.0.0.1, backends, and a port that refuses."""

    gateway: Gateway
    port: int
    backends: Backends
    refusing: int


@pytest.fixture(scope="module", params=sorted(ENGINES))
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    gateway = gateway_of(request.param)
    engine = engine_of(request.param, gateway, MemoryStats())
    listener = socket.create_server(("127.0.0.1", 0))
    refusing, refusing_port = closed_port()
    with refusing, Backends(3) as backends:
        engine.start([listener])
        yield Running(gateway, listener.getsockname()[1], backends, refusing_port)
        engine.drain(5)
        engine.stop()
