"""What is kept of the last requests, and for how long (behaviour 9)."""

import gc
import itertools
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Route, Source
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway, Snapshot
from rgate.core.knowledge import Knowledge
from rgate.core.onward import Request
from rgate.core.record import Record, Told, Try, Whole, record_of_whole
from rgate.core.story_query import MOST_STORIES, StoryQuery
from rgate.telling.past_views import MOST_CONTAINERS, MOST_VIEWS, PastViews
from rgate.telling.rings import Rings
from tests.unit.asyncio_pair import ANSWER, GET, Counts, Pair, pair_of

CLIENT = ClientConnection("192.0.2.7", 8080, peer_port=51884)
TOLD = Told("/a", "b", "c", "127.0.0.1:1", 1)
LABELS = (("a", "b"),)
ALL = StoryQuery(limit=MOST_STORIES)
FAILED = StoryQuery(limit=MOST_STORIES, failed=True)


def rings(*knowledge: Knowledge, now: float = 1000.0, now_ns: int = 50 * 10**9) -> Rings:
    return Rings(lambda: knowledge, now=lambda: now, now_ns=lambda: now_ns)


def whole(number: int, *, line: bytes = b"GET /a HTTP/1.1\r\n", ended_ns: int = 40 * 10**9) -> Whole:
    identity = b"%d" % number
    return ended_ns, ended_ns - 5000, ended_ns - 3000, 0, 200, 3, line, b"h", identity, CLIENT, TOLD, None


def record(number: int, status: int = 200, **values: Any) -> Record:
    plain = Record(990.0, "192.0.2.7", "GET", "/a", status, 3, 5000, request_id=str(number))
    return plain._replace(**values)


def asking(backend: Backend, *sources: str) -> Snapshot:
    config = Config((), (backend,), sources=tuple(Source(name, f"tcp://{name}:2376") for name in sources))
    return Gateway(config, {"b": view("x")}, lambda: 0.0).snapshot


def ids(records: Iterable[Record]) -> list[str]:
    return [one.request_id for one in records]


endings = st.lists(st.sampled_from(["whole", "record", "failed"]), max_size=40)


@pytest.mark.clause("9.http.requests", "9.http.failed")
@given(before=st.sampled_from([0, MOST_STORIES - 1, MOST_STORIES]), endings=endings)
@example(before=MOST_STORIES, endings=["failed", "whole"])
def test_the_last_1000_are_kept_and_the_last_1000_that_failed_newest_first(
    before: int, endings: list[str]
) -> None:
    kept, endings = rings(), ["failed"] * before + endings
    for number, ending in enumerate(endings):
        if ending == "whole":
            kept.keep(whole(number))
        else:
            kept.add(record(number, 503 if ending == "failed" else 200))
    numbers = [str(number) for number in range(len(endings))]
    failed = [number for number, ending in zip(numbers, endings, strict=True) if ending == "failed"]
    assert ids(kept.records(ALL)) == numbers[::-1][:1000]
    assert ids(kept.records(FAILED)) == failed[::-1][:1000]
    assert kept.counts == (min(len(numbers), 1000), min(len(failed), 1000))


@pytest.mark.clause("9.http.failed")
@pytest.mark.parametrize(
    ("status", "cut", "has_failed"),
    [
        *((status, False, False) for status in (101, 200, 304, 400, 404, 408, 431, 498)),
        *((status, False, True) for status in (499, 500, 502, 503, 504, 599)),
        (200, True, True),
    ],
)
def test_failed_are_cuts_499_and_statuses_over_499(status: int, cut: bool, has_failed: bool) -> None:
    kept = rings()
    kept.add(record(1, status, cut=cut))
    assert bool(kept.records(FAILED)) == has_failed
    assert len(kept.records(ALL)) == 1


def test_no_more_are_told_than_are_asked_for() -> None:
    kept = rings()
    for number in range(5):
        kept.keep(whole(number))
    assert ids(kept.records(StoryQuery(limit=2))) == ["4", "3"]


@pytest.mark.clause("9.http.story")
def test_a_failed_request_is_found_by_its_id_once_and_after_a_thousand_others() -> None:
    kept = rings()
    kept.add(record(-1, 503))
    assert ids(kept.records(StoryQuery(id="-1"))) == ["-1"]
    for number in range(MOST_STORIES):
        kept.keep(whole(number))
    assert ids(kept.records(StoryQuery(id="-1"))) == ["-1"]
    assert "-1" not in ids(kept.records(ALL))


def test_what_was_counted_without_a_record_is_told_as_its_record_would_be() -> None:
    kept = rings(now=1000.0, now_ns=50 * 10**9)
    kept.keep(whole(7, line=b"GET /a?b=c HTTP/1.1\r\n"))
    (told,) = kept.records(ALL)
    began_ns = 40 * 10**9 - 3000
    attempt = Try("c", "127.0.0.1:1", True, began_ns, 0, 40 * 10**9, 40 * 10**9, "response")
    assert told == Record(
        990.0, "192.0.2.7", "GET", "/a?b=c", 200, 3, 5000, "/a", "b", "c", 1, "", "7", False, "h", 51884,
        40 * 10**9, 1, (attempt,),
    )  # fmt: skip


# Memory.


@pytest.mark.clause("9.cost.target", "9.cost.memory")
@given(length=st.sampled_from([0, 2046, 2047, 2048, 3000, 60_000]))
def test_what_clients_send_is_cut_and_the_target_is_said_to_be(length: int) -> None:
    kept, target = rings(), "/" + "a" * length
    kept.add(record(1, 503, target=target, host="h" * length, method="M" * length, detail="d" * length))
    for found in (kept.records(ALL)[0], kept.records(FAILED)[0]):
        assert found.target.startswith(target[:2048])
        assert len(found.target) == min(len(target), 2049), "one more is the sign that it was cut"
        assert (len(found.host), len(found.method)) == (min(length, 301), min(length, 65))
        assert len(found.detail) <= 2001
    (story,) = kept.stories(FAILED)
    assert any("2048" in fact.text for fact in story.facts) == (len(target) > 2048)


def reached(start: object) -> list[object]:
    """All that *start* keeps alive, but for code."""
    seen: dict[int, object] = {}
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return list(seen.values())


@pytest.mark.clause("9.cost.memory", "9.http.fields")
def test_no_view_no_snapshot_and_nothing_of_a_heads_fields_is_kept_alive() -> None:
    log = KeptInRings()
    with pair_of(log=log) as pair:
        pair.ask(GET.replace(b"\r\n\r\n", b"\r\nAuthorization: s3cret-value\r\n\r\n"))
        pair.answer(ANSWER)
        pair.ask(GET.replace(b"\r\n\r\n", b"\r\nCookie: s3cret-value\r\nX: %b\r\n\r\n" % (b"a" * 5000)))
        pair.answer(ANSWER)
        pair.ask(GET)
        pair.answer(ANSWER.replace(b"200 OK", b"503 No"))
        assert [story.record.status for story in log.rings.stories(ALL)] == [503, 200, 200]
        held = reached([log.rings._last, log.rings._failed])
        assert not [one for one in held if isinstance(one, Snapshot | BackendView | Request | Pair)]
        assert not [one for one in held if isinstance(one, bytes | str) and "s3cret" in str(one)]


class KeptInRings(Counts):
    """A log that counts, with rings behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.rings = rings()
        self.keep = self.rings.keep  # type: ignore[assignment]  # of another deque

    def add(self, record: Record) -> None:
        self.rings.add(record)


# Who was a candidate then.


def view(*names: str) -> BackendView:
    return BackendView("b", tuple(Candidate(name, name, Address(name, 80)) for name in names))


def snapshots(*views: BackendView) -> Iterable[Snapshot]:
    config = Config((Route("/a", "b"),), (Backend("b", match_labels=(("a", "b"),)),))
    gateway = Gateway(config, {"b": views[0]}, lambda: 0.0)
    yield gateway.snapshot
    for one in views[1:]:
        gateway.swap_views({"b": one})
        yield gateway.snapshot


@given(names=st.lists(st.sampled_from("xyz"), min_size=1, max_size=40))
def test_who_was_a_candidate_is_known_for_the_last_16_changes_and_then_said_to_be_unknown(
    names: list[str],
) -> None:
    past = PastViews()
    for snapshot in snapshots(*(view(name) for name in names)):
        past.note(snapshot)
    changes = [at for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
    oldest = changes[-MOST_VIEWS:][0]
    for at, name in enumerate(names):
        then = past.then("b", at + 1)
        if at >= oldest:
            assert then is not None
            assert [one.name for one in then] == [f"{name}:80"]
        else:
            assert then is None
    assert past.then("b", 0) is None
    assert past.then("other", 1) is None


@pytest.mark.clause("9.cost.memory")
def test_the_memory_of_candidates_is_bounded_however_many_backends_there_are() -> None:
    names = [f"b{number}" for number in range(MOST_CONTAINERS // 60 + 50)]
    backends = tuple(Backend(name, match_labels=(("a", "b"),)) for name in names)
    many = tuple(f"c{number}" for number in range(500))
    gateway = Gateway(Config((), backends), dict.fromkeys(names, view(*many)), lambda: 0.0)
    past = PastViews()
    past.note(gateway.snapshot)
    gateway.swap_views(dict.fromkeys(names, view(*many[1:])))
    past.note(gateway.snapshot)
    kept = [past.then(name, 2) for name in names]
    assert 0 < sum(len(then) for then in kept if then) <= MOST_CONTAINERS
    assert past.then(names[0], 1) is None


def test_a_backend_that_went_and_came_back_had_no_candidates_in_between() -> None:
    config = Config((), (Backend("b", urls=("http://a:80",)),))
    gateway = Gateway(config, {"b": view("x")}, lambda: 0.0)
    past = PastViews()
    past.note(gateway.snapshot)
    for views in ({}, {"b": view("x")}):
        gateway.swap(Config((), config.backends if views else ()), views)
        past.note(gateway.snapshot)
    assert [len(past.then("b", generation) or ()) for generation in (1, 2, 3)] == [1, 0, 1]


def test_a_story_tells_the_candidates_of_its_own_generation() -> None:
    kept = rings()
    for number, snapshot in enumerate(snapshots(view("x"), view("x", "y"))):
        kept.note(snapshot)
        told = TOLD._replace(generation=snapshot.generation, container="x:80")
        kept.keep((*whole(number)[:10], told, None))
    newer, older = kept.stories(ALL)
    assert [one.then.name for one in older.candidates] == ["x:80"]
    assert [(one.then.name, one.picked) for one in newer.candidates] == [("x:80", 1), ("y:80", None)]


def test_a_story_older_than_what_is_known_says_so() -> None:
    kept = rings()
    kept.keep(whole(1))
    (story,) = kept.stories(ALL)
    assert story.candidates == ()
    assert any("not known any more" in fact.text for fact in story.facts)


# How fresh what was known was.


@pytest.mark.parametrize(
    ("last_list_s", "ended_s_ago", "age_s"),
    [(30.0, 10.0, 20.0), (10.0, 10.0, 0.0), (9.0, 10.0, None), (None, 10.0, None)],
)
def test_how_old_the_last_list_was_is_told_unless_a_later_one_came(
    last_list_s: float | None, ended_s_ago: float, age_s: float | None
) -> None:
    kept = rings(Knowledge(last_list_s=last_list_s), now_ns=50 * 10**9)
    kept.note(asking(Backend("b", match_labels=LABELS)))
    kept.keep(whole(1, ended_ns=int((50 - ended_s_ago) * 1e9)))
    assert kept.stories(ALL)[0].docker_age_s == age_s


def test_of_several_sources_the_oldest_list_counts_and_of_a_failure_it_is_remembered() -> None:
    knowledge = [Knowledge("here", last_list_s=3.0), Knowledge("far", last_list_s=7.0)]
    kept = Rings(lambda: knowledge)
    kept.note(asking(Backend("b", match_labels=LABELS), "here", "far"))
    kept.add(record(1, 503, backend="b"))
    knowledge[:] = [Knowledge("here", last_list_s=0.0), Knowledge("far")]
    assert kept.stories(ALL)[0].docker_age_s == 7.0


@pytest.mark.clause("12.away.own")
@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    ("backend", "age_s"),
    [
        (Backend("b", match_labels=LABELS), 700.0),
        (Backend("b", match_labels=LABELS, sources=("here",)), 3.0),
        (Backend("b", match_labels=LABELS, sources=("gone",)), None),
        (Backend("b", match_labels=LABELS, sources=("gone", "here")), 3.0),
        (Backend("b", urls=("http://a:80",)), None),
    ],
)
def test_how_old_the_last_list_was_is_told_of_the_sources_that_the_backend_asks(
    backend: Backend, age_s: float | None, status: int
) -> None:
    known = Knowledge("here", last_list_s=3.0), Knowledge("far", last_list_s=700.0), Knowledge("gone")
    kept = rings(*known)
    kept.note(asking(backend, "here", "far", "gone"))
    ended = record(1, status, backend="b", ended_ns=50 * 10**9)
    kept.add(ended)
    assert kept.stories(ALL)[0].docker_age_s == age_s
    assert kept.story(ended).docker_age_s == age_s


def test_a_record_of_a_whole_counts_each_candidate_once() -> None:
    tries = tuple(Try("c", address, True, 1, 0, 2, 3, "stale") for address in ("a:1", "a:1", "b:1"))
    assert record_of_whole((*whole(1)[:11], tries), 0.0).attempts == 2


@pytest.mark.clause("10.live.failure")
@given(
    times=st.lists(st.integers(1, 5), max_size=12).map(sorted),
    looks=st.lists(st.integers(0, 6), min_size=2, max_size=4).map(sorted),
)
@example(times=[2, 2, 3], looks=[0, 2, 3])
@example(times=[1] * (MOST_STORIES + 3), looks=[0, 1])
def test_who_looks_again_and_again_sees_each_failure_once(times: list[int], looks: list[int]) -> None:
    now_ns = iter(times)
    kept = Rings(tuple, now_ns=lambda: next(now_ns))
    for number in range(len(times)):
        kept.add(record(number, 503))
        kept.add(record(1000 + number, 404))
    told = []
    for since_ns, until_ns in itertools.pairwise(looks):
        number, failures = kept.failures(since_ns, until_ns, 5)
        everything = kept.failures(since_ns, until_ns, len(times))[1]
        assert (number, failures) == (len(everything), everything[:5])
        told += ids(everything)
    wanted = [str(number) for number, at in enumerate(times) if looks[0] < at <= looks[-1]]
    assert told == wanted[-MOST_STORIES:]
