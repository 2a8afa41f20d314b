"""What keeping a story costs a request on the asyncio engine's hot path: `python -m bench.stories`.

Requests and responses are handed to the engine in a loop without sockets, over 64 connections; what it writes
is thrown away. The same is done without the one statement of `Asking._answer` that keeps the story. Both take
turns, and of each the least is told, in CPU time: a busy machine tells nearly the same. No figures are
counted: the difference is the story's alone. What of it stays where the ring keeps nothing is told too; the
rest is the memory of a thousand stories, as it comes and goes.
"""

import argparse
import ast
import asyncio
import inspect
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from flask import Flask

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Route
from rgate.core.gateway import Gateway
from rgate.core.onward import AT_ONCE
from rgate.core.record import Record, Whole
from rgate.engines.asyncio_engine import asking
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.engine import Acceptor
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.asyncio_engine.upstream import Upstream
from rgate.telling.rings import Rings
from rgate.web.pages import Web

CONNECTIONS: Final = 64
REQUESTS: Final = 2000
"""In each turn."""

LIMIT_NS: Final = 500
"""Clause 9.cost.request of docs/behaviour.md."""

GET: Final = (
    b"GET /a/orders/%d?page=1 HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\nUser-Agent: curl/8\r\n\r\n"
)
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\nabc"


class _Counter:
    def add(self, status: int, latency_ns: int, now_ns: int) -> None:
        """Count nothing."""


class _Log:
    def __init__(self, keep: Callable[[Whole], object]) -> None:
        self.keep = keep

    def add(self, record: Record) -> None:
        raise AssertionError(f"a request left the hot path: {record}")

    def counter(self, route: str, backend: str, container: str) -> _Counter:
        del route, backend, container
        return _Counter()


class _Nowhere(asyncio.Transport):
    """Takes what is written, and forgets it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 1), "sockname": ("192.0.2.1", 8080)})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class Loop:
    """The engine with clients and pooled connections to one candidate, and *keep* to tell its stories to."""

    def __init__(self, keep: Callable[[Whole], object]) -> None:
        candidate = Candidate("orders-1", "", Address("127.0.0.1", 1))
        config = Config((Route("/a", "b"),), (Backend("b", urls=("http://127.0.0.1:1",)),))
        gateway = Gateway(config, {"b": BackendView("b", (candidate,))}, lambda: 0.0)
        self._loop = asyncio.new_event_loop()
        self._shared = Shared(self._loop, gateway, Web(gateway, Flask("bench"), tuple), _Log(keep))
        acceptor = Acceptor(self._shared)
        self._clients = [Client(self._shared, acceptor) for _ in range(CONNECTIONS)]
        self._pool = pool = self._shared.pools.of(candidate.address)  # it is forgotten where nobody has it
        for client in self._clients:
            client.connection_made(_Nowhere())
            upstream = Upstream(pool)
            upstream.connection_made(_Nowhere())
            pool.give_back(upstream, 0, AT_ONCE)
        self._asked = 0

    def turn(self) -> float:
        """Return the nanoseconds of CPU that a request takes."""
        flush, first = self._shared.outbox.flush, self._asked
        requests = [GET % number for number in range(first, first + REQUESTS)]
        began_ns = time.process_time_ns()
        for number, request in enumerate(requests):
            client: Any = self._clients[number % CONNECTIONS]
            client.data_received(request)
            flush()
            client.work.upstream.data_received(ANSWER)
        taken_ns = time.process_time_ns() - began_ns
        flush()
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()  # what was to be done soon
        self._asked += REQUESTS
        return taken_ns / REQUESTS

    def close(self) -> None:
        self._loop.close()


def without_keeping(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return *method* of the engine without its statement that keeps the story: there has to be one."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    kept = _Kept()
    kept.visit(tree)
    assert kept.found == 1, "the statement that keeps the story is not where it was: mend this"
    names: dict[str, Any] = {}
    code = compile(ast.fix_missing_locations(tree), "<without keeping>", "exec")
    exec(code, vars(asking), names)  # our own source
    return names[method.__name__]  # type: ignore[no-any-return]


class _Kept(ast.NodeTransformer):
    found = 0

    def visit_Expr(self, node: ast.Expr) -> ast.AST:  # the library's name
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "self.shared.keep":
            self.found += 1
            return ast.Pass()
        return node


def measured(turns: int) -> dict[str, float]:
    """Return the least nanoseconds of CPU for a request, by what is done with its story."""
    with_it, without_it = asking.Asking._answer, without_keeping(asking.Asking._answer)
    kinds = {
        "no story": (Loop(deque[Any](maxlen=0).append), without_it),
        "a story that is not kept": (Loop(deque[Any](maxlen=0).append), with_it),
        "a story that is kept": (Loop(Rings(tuple).keep), with_it),
    }
    least = dict.fromkeys(kinds, float("inf"))
    try:
        for _ in range(turns):
            for name, (loop, method) in kinds.items():
                asking.Asking._answer = method  # type: ignore[method-assign]  # for this turn
                least[name] = min(least[name], loop.turn())
    finally:
        asking.Asking._answer = with_it  # type: ignore[method-assign]
        for loop, _ in kinds.values():
            loop.close()
    return least


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell. The exit status is 1 where a story costs more than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.stories", description=__doc__)
    parser.add_argument("--turns", type=int, default=200, help="of each kind (%(default)s)")
    least = measured(parser.parse_args(arguments).turns)
    for name, taken_ns in least.items():
        print(f"{name + ':':26}{taken_ns:6.0f} ns a request")
    cost_ns = least["a story that is kept"] - least["no story"]
    print(f"{'keeping it costs:':26}{cost_ns:6.0f} ns (at most {LIMIT_NS})")
    return 0 if cost_ns <= LIMIT_NS else 1


if __name__ == "__main__":
    sys.exit(main())
