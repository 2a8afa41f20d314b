"""Connections to an address, in any order of what may happen to them (behaviour 5)."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rgate.core.candidates import Address
from rgate.core.onward import AFTER_A_REST, AT_ONCE, NEVER, Reuse
from rgate.core.patience import MOST_RESTING, REST_S
from rgate.engines.asyncio_engine.ports import NS
from rgate.engines.asyncio_engine.upstream import Pool, Pools, Upstream

ADDRESS = Address("127.0.0.1", 1)
REST_NS = int(REST_S * NS)


class Connection:
    """A transport that can only be ended, and the other end of its socket."""

    def __init__(self) -> None:
        self.here, self.far = socket.socketpair()
        self.was_aborted = False

    def get_extra_info(self, name: str) -> Any:
        assert name == "socket"
        return self.here

    def abort(self) -> None:
        self.was_aborted = True

    def close(self) -> None:
        self.here.close()
        self.far.close()


def connected(pool: Pool) -> tuple[Upstream, Connection]:
    upstream, connection = Upstream(pool), Connection()
    upstream.connection_made(cast(Any, connection))
    return upstream, connection


class PoolMachine(RuleBasedStateMachine):
    """A pool beside a naive one: lists of who is idle and who rests, the one used last at the end."""

    @initialize()
    def begin(self) -> None:
        self.now_ns = 0
        self.pool = Pool(ADDRESS, now=lambda: self.now_ns)
        self.connections: dict[Upstream, Connection] = {}
        self.in_use: list[Upstream] = []
        self.idle: list[Upstream] = []
        self.resting: list[Upstream] = []
        self.noisy: set[Upstream] = set()  # something came there that nobody read yet

    def teardown(self) -> None:
        for connection in getattr(self, "connections", {}).values():
            connection.close()

    @rule()
    def connect(self) -> None:
        upstream, connection = connected(self.pool)
        self.connections[upstream] = connection
        self.in_use.append(upstream)

    @precondition(lambda self: self.in_use)
    @rule(index=st.integers(0, 9), reuse=st.sampled_from([*Reuse, AT_ONCE, AFTER_A_REST]))
    def give_back(self, index: int, reuse: Reuse) -> None:
        upstream = self.in_use.pop(index % len(self.in_use))
        self.pool.give_back(upstream, self.now_ns, reuse)
        if reuse is AT_ONCE:
            self.idle.append(upstream)
        elif reuse is AFTER_A_REST:
            self.resting.append(upstream)
        assert self.connections[upstream].was_aborted is (reuse is NEVER)
        assert upstream.reused

    @rule(certainly_open=st.booleans())
    def take(self, certainly_open: bool) -> None:
        taken = self.pool.take(certainly_open=certainly_open)
        assert taken is self.expected(certainly_open), "the one used last, else one that has rested"
        if taken is not None:
            assert taken.is_open
            self.in_use.append(taken)

    def expected(self, certainly_open: bool) -> Upstream | None:
        while True:
            if not self.idle:
                self.idle = [one for one in self.resting if self.now_ns - one.idle_since_ns >= REST_NS]
                self.resting = [one for one in self.resting if one not in self.idle]
            if not self.idle:
                return None
            one = self.idle.pop()
            if not (certainly_open and one in self.noisy):
                return one
            assert self.connections[one].was_aborted, "one that said something is not open"

    def some(self, index: int) -> Upstream:
        waiting = [*self.idle, *self.resting]
        return waiting[index % len(waiting)]

    def forgotten(self, upstream: Upstream) -> None:
        for some in (self.idle, self.resting):
            if upstream in some:
                some.remove(upstream)

    @precondition(lambda self: self.idle or self.resting)
    @rule(index=st.integers(0, 9))
    def says_something(self, index: int) -> None:
        upstream = self.some(index)
        self.connections[upstream].far.send(b"x")
        self.noisy.add(upstream)

    @precondition(lambda self: self.idle or self.resting)
    @rule(index=st.integers(0, 9), how=st.sampled_from(["data", "eof", "lost"]))
    def ends(self, index: int, how: str) -> None:
        upstream = self.some(index)
        if how == "data":
            upstream.data_received(b"x")
            assert self.connections[upstream].was_aborted
        elif how == "eof":
            assert upstream.eof_received() is False
        else:
            upstream.connection_lost(None)
        self.forgotten(upstream)

    @rule(age_ns=st.sampled_from([0, REST_NS, 10 * REST_NS]))
    def sweep(self, age_ns: int) -> None:
        old = [one for one in (*self.idle, *self.resting) if one.idle_since_ns < self.now_ns - age_ns]
        self.pool.close_idle_since(self.now_ns - age_ns)
        for upstream in old:
            assert self.connections[upstream].was_aborted
            self.forgotten(upstream)

    @rule(passed_ns=st.sampled_from([1, REST_NS // 2, REST_NS - 1, REST_NS, 20 * REST_NS]))
    def time_passes(self, passed_ns: int) -> None:
        self.now_ns += passed_ns

    @invariant()
    def what_waits_is_what_should(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.idle == self.idle
            assert list(self.pool._resting) == self.resting
            assert all(one.is_open and one.owner is None for one in (*self.idle, *self.resting))
            assert not {*self.idle, *self.resting} & {*self.in_use}


TestPool = PoolMachine.TestCase


@pytest.fixture
def pool() -> Pool:
    return Pool(ADDRESS, now=lambda: 0)


@pytest.mark.clause("5.pool.resting")
def test_so_many_rest_at_a_time_and_further_ones_are_closed(pool: Pool) -> None:
    made = [connected(pool) for _ in range(MOST_RESTING + 1)]
    for upstream, _ in made:
        pool.give_back(upstream, 0, AFTER_A_REST)
    assert [connection.was_aborted for _, connection in made] == [False] * MOST_RESTING + [True]
    for _, connection in made:
        connection.close()


def test_the_one_that_was_used_last_comes_first_so_that_the_rest_can_go(pool: Pool) -> None:
    made = [connected(pool) for _ in range(3)]
    for upstream, _ in made:
        pool.give_back(upstream, 0, AT_ONCE)
    assert [pool.take() for _ in range(4)] == [made[2][0], made[1][0], made[0][0], None]
    for _, connection in made:
        connection.close()


def test_a_pool_is_of_one_address_and_stays_while_it_is_used() -> None:
    pools = Pools(cast(Any, None), lambda: 9)
    pool = pools.of(ADDRESS)
    assert pools.of(Address("127.0.0.1", 1)) is pool
    assert pools.of(Address("127.0.0.1", 2)) is not pool


def test_for_a_connection_over_the_limit_the_one_idle_longest_is_closed() -> None:
    loop = asyncio.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    address = Address("127.0.0.1", listener.getsockname()[1])
    other = Address("127.0.0.2", address.port)
    pools = Pools(loop, lambda: 2)
    try:
        first, second = (loop.run_until_complete(pools.connect(pools.of(address), "b")) for _ in range(2))
        for at_ns, upstream in ((1, second), (2, first)):
            upstream.pool.give_back(upstream, at_ns, AFTER_A_REST if at_ns == 1 else AT_ONCE)
        with contextlib.suppress(OSError):  # nobody listens there
            loop.run_until_complete(pools.connect(pools.of(other), "b"))
        assert (first.is_open, second.is_open) == (True, False)
        assert pools.counts()[:2] == (0, 1)
    finally:
        pools.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        listener.close()


@pytest.mark.parametrize("tells", [False, True], ids=["uvloop", "asyncio"])
def test_a_connection_that_nobody_waits_for_any_more_is_counted_no_more(tells: bool) -> None:
    made: list[Upstream] = []

    class Loop:
        async def create_connection(self, factory: Callable[[], Upstream], *_: object) -> None:
            made.append(factory())
            made[0].connection_made(asyncio.Transport())
            raise asyncio.CancelledError

    pools = Pools(cast(Any, Loop()), lambda: 9)
    pool = pools.of(Address("127.0.0.1", 1))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(pools.connect(pool, "b"))
    if tells:
        made[0].connection_lost(None)
    assert pools.counts()[:2] == (0, 0)
