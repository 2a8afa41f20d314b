"""What the asyncio engine tells of each request: without a record where it can, whole where it cannot
(behaviour 9).
"""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from rgate.core.record import SHORT_HEAD_BYTES, Record, record_of_whole
from tests.unit.asyncio_pair import ANSWER, CANDIDATE, GET, OTHER, POST, Counts, Pair, pair_of


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A pair whose responses are counted without a record."""
    with pair_of(log=Counts()) as made:
        yield made


def told(pair: Pair) -> list[Record]:
    """All that was told, as records: first what was told without one."""
    return [*(record_of_whole(whole, 0.0) for whole in pair.log.wholes), *pair.log]


def counted(pair: Pair) -> list[tuple[str, int]]:
    assert isinstance(pair.log, Counts)
    return pair.log.counted


def test_a_response_to_a_pooled_connection_is_told_of_without_a_record(pair: Pair) -> None:
    pair.ask(GET.replace(b"\r\n\r\n", b"\r\nX-Request-ID: mine\r\n\r\n"))
    pair.answer(ANSWER)
    (record,) = told(pair)
    assert list(pair.log) == []
    assert counted(pair) == [("/a c", 200)]
    assert (record.method, record.target, record.host, record.status) == ("GET", "/a/1", "h", 200)
    assert (record.bytes_sent, record.request_id) == (3, "mine")
    assert (record.route, record.backend, record.container) == ("/a", "b", "c")
    assert (record.client, record.client_port, record.generation) == ("192.0.2.7", 1, 1)
    (attempt,) = record.tries
    assert (attempt.reused, attempt.outcome, attempt.address) == (True, "response", "127.0.0.1:1")
    assert record.ended_ns >= attempt.answered_ns >= attempt.began_ns >= record.ended_ns - record.latency_ns


def test_each_of_several_requests_that_came_at_once_is_told_of(pair: Pair) -> None:
    pair.answer_all(GET + GET.replace(b"/a/1", b"/a/2?x") + POST)
    assert [record.target for record in told(pair)] == ["/a/1", "/a/2?x", "/a/1"]
    assert len({record.request_id for record in told(pair)}) == 3


def test_the_target_is_told_as_it_came_where_its_prefix_is_stripped() -> None:
    with pair_of(log=Counts(), strip_prefix=True) as pair:
        assert pair.ask(GET).startswith(b"GET /1 ")
        pair.answer(ANSWER)
        assert [record.target for record in told(pair)] == ["/a/1"]


def test_a_head_that_is_not_short_is_told_of_with_its_target_cut(pair: Pair) -> None:
    target = b"/a/" + b"b" * SHORT_HEAD_BYTES
    pair.ask(GET.replace(b"/a/1", target))
    pair.answer(ANSWER)
    (record,) = told(pair)
    assert record.target == target.decode()[:2049]
    assert counted(pair) == [("/a c", 200)], "it is counted as any other"


@pytest.mark.parametrize("status", [b"499", b"500", b"503"])
def test_what_failed_is_recorded_and_so_counted_once(pair: Pair, status: bytes) -> None:
    pair.ask(GET)
    pair.answer(ANSWER.replace(b"200", status))
    assert counted(pair) == []
    (record,) = pair.log
    assert (record.status, record.reason, [one.outcome for one in record.tries]) == (
        int(status),
        "",
        ["response"],
    )


def test_content_that_comes_behind_its_head_is_received_for_a_while(pair: Pair) -> None:
    pair.ask(GET)
    pair.answer(ANSWER[:-2], ANSWER[-2:])
    (record,) = told(pair)
    (attempt,) = record.tries
    assert attempt.began_ns < attempt.answered_ns < attempt.ended_ns


def test_a_new_connection_is_told_with_the_time_that_it_took() -> None:
    with pair_of(log=Counts(), candidates=(OTHER,)) as pair:
        pair.pool.idle.clear()
        pair.turns.network[2] = None
        pair.ask(GET)
        pair.turns.made[-1][0].data_received(ANSWER)
        pair.turns.end_turn()
        (record,) = told(pair)
        (attempt,) = record.tries
        assert not attempt.reused
        assert 0 < attempt.began_ns < attempt.connected_ns < attempt.answered_ns == attempt.ended_ns


def test_who_refused_and_who_answered_then_are_both_told() -> None:
    with pair_of(log=Counts(), candidates=(CANDIDATE, OTHER)) as pair:
        pair.pool.idle.clear()
        pair.turns.network[2] = None
        pair.ask(GET)
        pair.turns.made[-1][0].data_received(ANSWER)
        pair.turns.end_turn()
        (record,) = told(pair)
        assert [(one.container, one.outcome, one.text) for one in record.tries] == [
            ("c", "refused", "ConnectionRefusedError"),
            ("other", "response", ""),
        ]


def test_a_pooled_connection_that_was_closed_is_an_attempt_and_the_new_one_another(pair: Pair) -> None:
    pair.turns.network[1] = None
    pair.ask(GET)
    pair.to_upstream.lose()
    pair.turns.end_turn()
    pair.turns.made[-1][0].data_received(ANSWER)
    pair.turns.end_turn()
    (record,) = told(pair)
    assert [(one.reused, one.outcome) for one in record.tries] == [(True, "stale"), (False, "response")]
    assert record.attempts == 1, "the candidates that were attempted, as in the access log"


@pytest.mark.parametrize("pieces", [(), (ANSWER[:-1],)])
def test_a_client_that_goes_away_ends_the_attempt(pair: Pair, pieces: tuple[bytes, ...]) -> None:
    pair.ask(GET)
    pair.answer(*pieces)
    pair.to_client.lose()
    (record,) = pair.log
    assert (record.status, record.reason) == (499, "client_closed")
    assert [one.outcome for one in record.tries] == ["client_closed"]


def test_content_that_cannot_be_enveloped_is_a_bad_response_of_that_attempt() -> None:
    with pair_of(log=Counts(), envelope=True) as pair:
        pair.ask(GET)
        pair.answer(ANSWER.replace(b"\r\n\r\n", b"\r\nContent-Type: application/json\r\n\r\n")[:-1])
        pair.to_upstream.lose()
        pair.turns.end_turn()
        (record,) = pair.log
        assert (record.status, record.reason) == (502, "bad_response")
        assert [one.outcome for one in record.tries] == ["bad_response"]
        assert "sent something that is no HTTP response" in record.detail


def calls_of(pair: Pair) -> list[str]:
    """What is called for one whole response: Python's functions by module and name, those in C by name."""
    calls: list[str] = []

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            calls.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")
        elif event == "c_call":
            calls.append(arg.__qualname__)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        pair.client.data_received(GET)
        pair.shared.outbox.flush()
        pair.upstream.data_received(ANSWER)
    finally:
        sys.setprofile(before)
    pair.turns.end_turn()
    return calls


@pytest.mark.clause("9.cost.request")
def test_keeping_a_story_on_the_hot_path_is_one_call_into_c_and_none_of_python(pair: Pair) -> None:
    """A call of Python costs some 50 ns and more. How much all of it takes is measured by `bench.stories`."""
    kept = set[Any]()
    pair.shared.keep = kept.add  # in C too, and told from all others
    calls = calls_of(pair)
    assert len(kept) == calls.count("set.add") == 1
    about_stories = ("rgate.telling.", "rgate.core.record.", "rgate.core.trace.", "rgate.core.story.")
    assert [call for call in calls if call.startswith(about_stories)] == []
    assert not [call for call in calls if call.endswith((".count", ".record", ".tries", ".traced"))]
