"""What open pages are told of, as it is now, whichever worker has them (behaviour 10.live)."""

import json

import pytest

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Route
from rgate.core.facts import Level
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.live import MOST_A_SECOND
from rgate.core.record import Record
from rgate.core.timeline import Kind, TimelineEvent
from rgate.stats import MemoryStats
from rgate.telling.live import Heard
from rgate.telling.process import Process
from rgate.telling.recent import Recent
from rgate.telling.rings import Rings
from rgate.telling.timeline import Timeline
from rgate.web.backends_page import BackendsPage
from rgate.web.gateway_now import GatewayNow
from rgate.web.moments import Moments
from rgate.web.verdict_page import VerdictPage

from .fellows import Fellow

NOW_S = 600_000 * 60 + 90.0
CONFIG = Config((Route("/a", "a"),), (Backend("a", urls=("http://127.0.0.1:1",)),))
VIEWS = {"a": BackendView("a", (Candidate("127.0.0.1:1", "", Address("127.0.0.1", 1)),))}


def known() -> tuple[Knowledge, ...]:
    return (Knowledge("docker", Connection.CONNECTED, 0.0, 1.0, Events.LIVE),)


class Clock:
    """Nanoseconds, as all workers see them."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Worker:
    """One of *fellows*. All count into *stats*."""

    def __init__(self, fellows: list[Fellow], stats: MemoryStats, clock: Clock) -> None:
        gateway = Gateway(CONFIG, VIEWS, lambda: 0.0)
        self.gateway = gateway
        self.timeline = Timeline()
        self.stories = Rings(known, now_ns=clock)
        self.fellow = Fellow(fellows)
        process = Process(self.timeline)
        self.moments = Moments(
            gateway,
            stats,
            self.stories,
            Recent(self.timeline, clock),
            self.fellow,
            BackendsPage(GatewayNow(gateway, stats, known, process, self.fellow)),
            VerdictPage(GatewayNow(gateway, stats, known, process, self.fellow)),
        )


class Both:
    """Two workers, one of which has the page."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.stats = MemoryStats(lambda: NOW_S)
        fellows: list[Fellow] = []
        self.one, self.other = (Worker(fellows, self.stats, self.clock) for _ in range(2))

    def fails(self, worker: Worker, identity: str, ended_at_s: float = NOW_S) -> None:
        record = Record(ended_at_s, "c", "GET", "/a", 503, 0, 1000, "/a", "a", request_id=identity)
        worker.stories.add(record)
        self.stats.add(record)


@pytest.fixture
def both() -> Both:
    return Both()


def event(text: str, at: float, *, is_own: bool = False) -> TimelineEvent:
    return TimelineEvent(at, Kind.OUT, Level.WARN, "a", text, is_own=is_own)


@pytest.mark.clause("10.live.tick")
def test_a_tick_tells_the_running_bucket_the_total_and_how_fresh_all_is(both: Both) -> None:
    for number in range(3):
        both.fails(both.one, str(number))
    verdict = both.one.moments.verdict()
    tick = both.one.moments.tick(900, verdict)
    assert list(tick) == ["now", "freshness", "bucket", "total"]
    assert tick["freshness"] == verdict["freshness"]
    assert (tick["now"], tick["bucket"]["t"]) == (NOW_S, NOW_S - 30)
    assert tick["bucket"]["requests"] == tick["bucket"]["errors"] == tick["bucket"]["own"] == 3
    assert tick["bucket"].keys() == {"t", "requests", "errors", "own", "p50", "p95", "p99"}
    assert tick["total"]["requests_count"] == {"success": 0, "error": 3}


@pytest.mark.clause("10.live.backends", "10.live.routes", "10.live.verdict")
def test_the_rest_is_what_the_pages_of_the_same_names_say(both: Both) -> None:
    both.fails(both.one, "x")
    moments = both.one.moments
    backends, routes, verdict = moments.backends(900), moments.routes(900), moments.verdict()
    assert backends["backends"]["a"]["addresses"][0]["requests"] == 0
    assert routes["names"]["/a"]["total"]["requests_count"]["error"] == 1
    assert verdict["word"] == "Well"
    json.dumps([backends, routes, verdict])
    assert moments.generation == both.one.gateway.snapshot.generation


@pytest.mark.clause("10.live.workers", "10.live.failure")
def test_failures_of_all_workers_come_in_the_order_in_which_they_ended(both: Both) -> None:
    for at_ns, worker, identity in ((1, both.one, "a"), (2, both.other, "c"), (3, both.one, "b")):
        both.clock.now_ns = at_ns
        both.fails(worker, identity, NOW_S + ord(identity))
    happened, heard = both.one.moments.happened(Heard(0), 2)
    number, failures = happened["failure"]
    assert (number, [one["id"] for one in failures]) == (2, ["a", "c"])
    happened, heard = both.one.moments.happened(heard, 3)
    assert [one["id"] for one in happened["failure"].entries] == ["b"]
    assert both.one.moments.happened(heard, 9)[0]["failure"] == (0, [])


@pytest.mark.clause("10.live.workers", "10.live.failure", "10.live.timeline")
def test_a_worker_that_did_not_answer_in_time_is_heard_of_later_and_nothing_is_told_twice(both: Both) -> None:
    both.clock.now_ns = 1
    both.fails(both.one, "a")
    both.fails(both.other, "b")
    both.other.timeline.add(event("seen by the other", 1.0, is_own=True))
    both.other.fellow.hangs = True
    happened, heard = both.one.moments.happened(Heard(0), 1)
    assert [one["id"] for one in happened["failure"].entries] == ["a"]
    both.clock.now_ns = 2
    both.fails(both.one, "c", NOW_S + 1)
    both.other.fellow.hangs = False
    happened, heard = both.one.moments.happened(heard, 2)
    assert [one["id"] for one in happened["failure"].entries] == ["b", "c"]
    assert happened["timeline"].number == 1
    happened, _ = both.one.moments.happened(heard, 3)
    assert (happened["failure"].number, happened["timeline"].number) == (0, 0)


@pytest.mark.clause("10.live.failure")
def test_of_many_failures_it_is_known_how_many_there_were(both: Both) -> None:
    both.clock.now_ns = 1
    for worker in (both.one, both.other):
        for number in range(MOST_A_SECOND):
            both.fails(worker, str(number))
    number, failures = both.one.moments.happened(Heard(0), 1)[0]["failure"]
    assert (number, len(failures)) == (2 * MOST_A_SECOND, MOST_A_SECOND)


@pytest.mark.clause("10.live.timeline", "10.live.workers")
def test_what_all_saw_is_told_once_and_what_one_saw_too(both: Both) -> None:
    both.clock.now_ns = 1
    for worker in (both.one, both.other):
        worker.timeline.add(event("seen by both", 2.0))
    both.other.timeline.add(event("seen by the other", 1.0, is_own=True))
    happened, heard = both.one.moments.happened(Heard(0), 1)
    number, events = happened["timeline"]
    assert (number, [one["text"] for one in events]) == (2, ["seen by the other", "seen by both"])
    assert "is_own" not in events[0]
    assert both.one.moments.happened(heard, 2)[0]["timeline"].number == 0
