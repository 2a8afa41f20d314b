"""What all connections of one loop share. Everything here is used in the loop only."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterator

from rgate.core.gateway import Gateway
from rgate.core.record import RequestLog
from rgate.engines.asyncio_engine.outbox import Outbox
from rgate.engines.asyncio_engine.routes import Routes
from rgate.engines.asyncio_engine.upstream import Pools
from rgate.engines.crowd import Crowd
from rgate.web.pages import Web


class Shared:
    """One for each engine."""

    __slots__ = (
        "crowd", "draining", "gateway", "keep", "log", "loop", "next_id", "outbox", "pools", "routes", "web",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, gateway: Gateway, web: Web, log: RequestLog) -> None:
        self.loop = loop
        self.gateway = gateway
        self.web = web
        self.log = log
        self.keep = log.keep
        self.pools = Pools(loop, lambda: gateway.most_connections)
        self.routes = Routes(gateway.snapshot, gateway.balancer, self.pools, log)
        self.outbox = Outbox(loop)
        self.crowd = Crowd()
        self.next_id: Callable[[], bytes] = request_ids().__next__
        self.draining = False

    def renew_routes(self) -> Routes:
        """Return the routes of the snapshot that is in force now."""
        gateway = self.gateway
        self.routes = Routes(gateway.snapshot, gateway.balancer, self.pools, self.log)
        return self.routes


def request_ids() -> Iterator[bytes]:
    """Yield ids of 128 bits, as others make them: random for each call of this, and counted on from there.

    In blocks, as formatting a number costs twice as much as joining two pieces.
    """
    prefix, first = secrets.token_hex(8).encode("ascii"), secrets.randbits(50)
    ends = [b"%03x" % number for number in range(1 << 12)]
    for block in itertools.count(first):
        beginning = b"%b%013x" % (prefix, block)
        for end in ends:
            yield beginning + end
