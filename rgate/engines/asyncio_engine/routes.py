"""What requests need of a route, lying ready: made once a snapshot, as routes are asked for."""

from rgate.core.balance import Balancer
from rgate.core.candidates import Candidate
from rgate.core.config import Config, Policy, ResponseFormat
from rgate.core.exchange import Attempt, Exchange
from rgate.core.gateway import Snapshot
from rgate.core.record import Counter, RequestLog, Told
from rgate.engines.asyncio_engine.ports import NS
from rgate.engines.asyncio_engine.upstream import Pool, Pools


class Destination:
    """One candidate of a route, with its connections, what counts its responses, what stories say of it, and
    the attempt that asks it first.
    """

    __slots__ = ("attempt", "counter", "pool", "told")

    def __init__(self, attempt: Attempt, pool: Pool, counter: Counter | None, told: Told) -> None:
        self.attempt = attempt
        self.pool = pool
        self.counter = counter
        self.told = told


class RouteInForce:
    """A route with all that its requests need at once."""

    __slots__ = (
        "counts_inflight", "destinations", "envelopes", "exchange", "generation", "idle_ns", "pick",
        "response_ns", "route", "strips",
    )  # fmt: skip

    def __init__(
        self, snapshot: Snapshot, index: int, balancer: Balancer, pools: Pools, log: RequestLog
    ) -> None:
        self.generation = snapshot.generation
        self.route = route = snapshot.route(index)
        self.exchange: Exchange = snapshot.exchange(route)
        backend, candidates = self.exchange.backend, self.exchange.view.candidates
        self.strips = route.strip_prefix
        self.envelopes = route.response_format is ResponseFormat.ENVELOPE
        self.response_ns = int(backend.timeouts.response * NS)
        self.idle_ns = int(backend.timeouts.idle * NS)
        self.counts_inflight = backend.policy is Policy.LEAST_INFLIGHT
        self.pick = balancer.picker(backend.name, backend.policy, candidates) if candidates else _nobody
        self.destinations = [self._destination(one, pools, log) for one in candidates]

    def _destination(self, candidate: Candidate, pools: Pools, log: RequestLog) -> Destination:
        attempt = self.exchange.attempt(candidate)
        name, backend = self.route.name, self.route.backend
        counter = log.counter(name, backend, candidate.name)
        told = Told(name, backend, candidate.name, str(candidate.address), self.generation)
        return Destination(attempt, pools.of(candidate.address), counter, told)

    def destination(self, candidate: Candidate) -> Destination:
        """Return that of *candidate*, which is one of the view's."""
        return next(one for one in self.destinations if one.attempt.candidate == candidate)


def _nobody() -> int:
    return -1


class Routes:
    """The routes of one snapshot, made as they are asked for."""

    __slots__ = ("_balancer", "_log", "_made", "_pools", "place", "proxies", "reading", "snapshot")

    def __init__(self, snapshot: Snapshot, balancer: Balancer, pools: Pools, log: RequestLog) -> None:
        self.snapshot = snapshot
        self.reading = snapshot.reading
        self.proxies = snapshot.config.trusted_proxies
        self.place = snapshot.place
        self._made: list[RouteInForce | None] = [None] * len(snapshot.router.routes)
        self._balancer, self._pools, self._log = balancer, pools, log

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.snapshot.config

    def route(self, index: int) -> RouteInForce:
        """Return the route that `place` gave the *index* of."""
        made = self._made[index]
        if made is None:
            made = RouteInForce(self.snapshot, index, self._balancer, self._pools, self._log)
            self._made[index] = made
        return made
