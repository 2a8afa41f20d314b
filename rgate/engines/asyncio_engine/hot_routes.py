"""What the hot path needs of a route, lying ready: made once a snapshot, as routes are asked for."""

import itertools
import secrets
import sys
from collections.abc import Iterator

from rgate.core.candidates import Candidate
from rgate.core.config import Config, Policy, ResponseFormat
from rgate.core.gateway import Gateway, Snapshot
from rgate.core.ordinary import ordinary_request, ordinary_response
from rgate.core.record import Counter, RequestLog
from rgate.engines.asyncio_engine.client import NS
from rgate.engines.asyncio_engine.upstream import Pool, Pools


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


class Destination:
    """One candidate of a route, with its connections and with what counts its responses."""

    __slots__ = ("candidate", "counter", "pool")

    def __init__(self, candidate: Candidate, pool: Pool, counter: Counter | None) -> None:
        self.candidate = candidate
        self.pool = pool
        self.counter = counter


class HotRoute:
    """A route with all that its requests need at once."""

    __slots__ = (
        "counts_inflight", "destinations", "pick", "response_ns", "route", "snapshot", "stripped",
    )  # fmt: skip

    def __init__(
        self, snapshot: Snapshot, index: int, gateway: Gateway, pools: Pools, log: RequestLog
    ) -> None:
        route = snapshot.router.routes[index]
        backend, candidates = snapshot.backends[route.backend], snapshot.views[route.backend].candidates
        self.snapshot = snapshot
        self.route = route
        self.stripped = len(route.path_prefix.encode()) if route.strip_prefix else 0
        self.response_ns = int(backend.timeouts.response * NS)
        self.pick = gateway.balancer.picker(backend.name, backend.policy, candidates)
        self.counts_inflight = backend.policy is Policy.LEAST_INFLIGHT
        # Without any, the general way finds out why; an envelope is made by the general way.
        self.destinations = [
            Destination(one, pools.of(one.address), log.counter(route.path_prefix, backend.name, one.name))
            for one in (candidates if route.response_format is ResponseFormat.RAW else ())
        ]


class HotRoutes:
    """The routes of one snapshot, made as they are asked for, and the limits of its messages."""

    def __init__(self, gateway: Gateway, pools: Pools, log: RequestLog) -> None:
        self.snapshot = snapshot = gateway.snapshot
        config: Config = snapshot.config
        self.stats_path = config.stats.path.encode()
        self.most_bytes = config.limits.header_bytes
        self.most_content = sys.maxsize if config.limits.body_bytes is None else config.limits.body_bytes
        self.match_request = ordinary_request(config.limits.header_fields).match
        self.match_response = ordinary_response(config.limits.header_fields).match
        self.find = snapshot.router.find
        self.made: list[HotRoute | None] = [None] * len(snapshot.router.routes)
        self._gateway, self._pools, self._log = gateway, pools, log

    def make(self, index: int) -> HotRoute:
        """Return the route that `find` gave the *index* of, made now."""
        made = self.made[index] = HotRoute(self.snapshot, index, self._gateway, self._pools, self._log)
        return made
