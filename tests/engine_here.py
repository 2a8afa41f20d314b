"""An engine in the process of the tests."""

import importlib
from typing import Any

from rgate.core.config import Config
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Knowledge
from rgate.engines import CAN_TUNNEL, ENGINES
from rgate.stats import MemoryStats
from rgate.telling.rings import Rings
from rgate.telling.siblings import Alone
from rgate.web.app import create_web
from rgate.web.pages import Web
from tests.kept_records import KeptRecords

KNOWN = Knowledge(docker=Connection.CONNECTED)


def gateway_of(name: str) -> Gateway:
    """A gateway without routes, for the engine *name*."""
    return Gateway(Config((), ()), {}, lambda: 0.0, can_tunnel=name in CAN_TUNNEL)


def engine_of(name: str, gateway: Gateway, stats: MemoryStats) -> Any:
    """The engine *name*, not started yet."""
    module, _, kind = ENGINES[name].partition(":")
    app = create_web(gateway, stats, lambda: (KNOWN,), stories=Rings(lambda: (KNOWN,)), siblings=Alone())
    web = Web(gateway, app, lambda: (KNOWN,))
    return getattr(importlib.import_module(module), kind)(gateway, web, KeptRecords())
