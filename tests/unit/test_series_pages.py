"""What `/_rgate/series` says of the figures over time (behaviour 10)."""

import json
from typing import Any

import pytest

from rgate.core.config import Config
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.message import parse_request_head
from rgate.core.own import OwnPage, asks_database
from rgate.core.record import Record
from rgate.stats import MemoryStats
from rgate.telling.rings import Rings
from rgate.telling.siblings import Alone
from rgate.web.app import create_web

BEGAN_S = 600_000 * 60
NUMBERS = ("requests", "errors", "own", "p50", "p95", "p99")


class Clock:
    now_s = float(BEGAN_S)

    def __call__(self) -> float:
        return self.now_s


def record(at_s: float, ms: float, status: int = 200, route: str = "/a", reason: str = "") -> Record:
    container = "a-1" if route else ""
    return Record(at_s, "c", "GET", "/x", status, 0, int(ms * 1e6), route, route, container, reason=reason)


@pytest.fixture
def stats() -> MemoryStats:
    """Ran since BEGAN_S, and was asked five times, in the third minute and in the fifth."""
    clock = Clock()
    stats = MemoryStats(clock)
    clock.now_s += 4 * 60 + 30
    for one in (
        record(BEGAN_S + 130, 1),
        record(BEGAN_S + 140, 3.0004),
        record(BEGAN_S + 150, 2, 503, reason="closed_early"),
        record(BEGAN_S + 245, 10, 500),
        record(BEGAN_S + 250, 10, 403, ""),
    ):
        stats.add(one)
    return stats


def ask(stats: MemoryStats, query: str) -> tuple[int, Any]:
    gateway = Gateway(Config(routes=(), backends=()), {}, lambda: 0.0)
    client = create_web(gateway, stats, tuple, stories=Rings(tuple), siblings=Alone()).test_client()
    target = f"/_rgate/series?{query}"
    overrides = {
        "rgate.client": ClientConnection("127.0.0.1", 80),
        "rgate.head": parse_request_head(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()),
        "rgate.path": "/_rgate/series",
    }
    answer = client.get(target, environ_overrides=overrides)
    return answer.status_code, json.loads(answer.data)


@pytest.mark.clause("10.series.shape", "10.series.null")
def test_each_minute_has_its_numbers_and_what_is_not_known_is_null(stats: MemoryStats) -> None:
    status, told = ask(stats, "window=15m")
    assert status == 200
    assert list(told) == ["now", "window_s", "step_s", "start", *NUMBERS, "total", "before"]
    assert (told["now"], told["window_s"], told["step_s"]) == (BEGAN_S + 270, 900, 60)
    assert told["start"] == BEGAN_S - 600, "the last bucket is the running one"
    assert told["requests"] == [None] * 10 + [0, 0, 3, 0, 2]
    assert told["errors"] == [None] * 10 + [0, 0, 1, 0, 2]
    assert told["own"] == [None] * 10 + [0, 0, 1, 0, 1], "the default response is rgate's own too"
    assert [one is None for one in told["p95"]] == [True] * 12 + [False, True, False]
    assert told["p50"][12] == pytest.approx(2, rel=0.01)
    assert told["p99"][14] == pytest.approx(10, rel=0.01)
    assert told["total"]["requests_count"] == {"success": 2, "error": 3}
    assert all(round(one, 3) == one for name in ("p50", "p95", "p99") for one in told[name] if one)


@pytest.mark.clause("10.series.shape", "10.series.null")
def test_the_window_before_has_the_same_numbers(stats: MemoryStats) -> None:
    before = ask(stats, "window=15m")[1]["before"]
    assert list(before) == [*NUMBERS, "total"]
    assert all(before[name] == [None] * 15 for name in NUMBERS)
    assert before["total"]["requests_count"] == {"success": 0, "error": 0}


@pytest.mark.clause("10.series.windows")
@pytest.mark.parametrize(
    ("window", "step_s", "length"),
    [("15m", 60, 15), ("1h", 60, 60), ("6h", 60, 360), ("24h", 300, 288), ("7d", 3600, 168)],
)
def test_longer_windows_have_longer_buckets(
    stats: MemoryStats, window: str, step_s: int, length: int
) -> None:
    told = ask(stats, f"window={window}")[1]
    assert (told["step_s"], {len(told[name]) for name in NUMBERS}) == (step_s, {length})
    assert told["start"] % step_s == 0
    assert sum(filter(None, told["requests"])) == 5


@pytest.mark.clause("10.series.route")
def test_each_route_has_its_numbers_in_the_same_frame(stats: MemoryStats) -> None:
    told = ask(stats, "window=15m&by=route")[1]
    assert list(told) == ["now", "window_s", "step_s", "start", "names"]
    assert told["start"] == BEGAN_S - 600
    assert sorted(told["names"]) == ["", "/a"]
    assert told["names"]["/a"]["requests"] == [None] * 10 + [0, 0, 3, 0, 1]
    assert told["names"]["/a"]["errors"] == [None] * 10 + [0, 0, 1, 0, 1]
    assert told["names"][""]["total"]["requests_count"] == {"success": 0, "error": 1}


@pytest.mark.clause("10.series.windows")
@pytest.mark.parametrize("query", ["window=2h", "by=backend", "x=1"])
def test_what_is_not_offered_is_a_bad_query(stats: MemoryStats, query: str) -> None:
    status, told = ask(stats, query)
    assert (status, told["reason"]) == (400, "bad_query")


def test_it_may_have_to_wait_for_the_database_and_no_page_waits_for_it() -> None:
    assert asks_database(OwnPage.SERIES, b"/_rgate/series")
