"""Gateways of both engines in this process, and backends for them."""

import importlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rgate.core.config import Config
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Knowledge
from rgate.engines import CAN_TUNNEL, ENGINES
from rgate.stats import MemoryStats
from rgate.telling.rings import Rings
from rgate.telling.siblings import Alone
from rgate.web.app import create_web
from rgate.web.pages import Web
from tests.contract.explain.backends import Backends, closed_port
from tests.kept_records import KeptRecords

KNOWN = Knowledge(docker=Connection.CONNECTED)


@dataclass
class Running:
    """A gateway on a port of 127.0.0.1, backends, and a port that refuses."""

    gateway: Gateway
    port: int
    backends: Backends
    refusing: int


@pytest.fixture(scope="module", params=sorted(ENGINES))
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    module, _, name = ENGINES[request.param].partition(":")
    gateway = Gateway(Config((), ()), {}, lambda: 0.0, can_tunnel=request.param in CAN_TUNNEL)
    stats = MemoryStats()
    app = create_web(gateway, stats, lambda: (KNOWN,), stories=Rings(lambda: (KNOWN,)), siblings=Alone())
    web = Web(gateway, app, lambda: (KNOWN,))
    engine = getattr(importlib.import_module(module), name)(gateway, web, KeptRecords())
    listener = socket.create_server(("127.0.0.1", 0))
    refusing, refusing_port = closed_port()
    with refusing, Backends(3) as backends:
        engine.start([listener])
        yield Running(gateway, listener.getsockname()[1], backends, refusing_port)
        engine.drain(5)
        engine.stop()
