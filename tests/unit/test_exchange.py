"""What happens after failures, in any order (behaviour 6)."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.balance import FIRST_PAUSE_S, LONGEST_PAUSE_S, Balancer
from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Policy, Route
from rgate.core.exchange import IDEMPOTENT, Attempt, Exchange, Step
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.message import parse_request_head
from rgate.core.problem import OwnResponse
from rgate.core.reasons import Failure, Reason


def candidates(number: int) -> tuple[Candidate, ...]:
    return tuple(Candidate(f"c{i}", f"id{i}", Address("127.0.0.1", 1000 + i)) for i in range(number))


def gateway(number: int, policy: Policy = Policy.RANDOM) -> Gateway:
    numbers = (i * 0.37 % 1 for i in count())
    config = Config((Route("/", "b"),), (Backend("b", urls=("x",), policy=policy),))
    found = candidates(number)
    reason = None if found else Reason.NO_CONTAINER
    return Gateway(config, {"b": BackendView("b", found, reason, "")}, lambda: next(numbers))


def begin(target: Gateway, method: bytes = b"GET") -> Exchange:
    head = parse_request_head(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
    begun = target.begin(head, ClientConnection("127.0.0.1", 1), b"made", can_tunnel=False)
    assert isinstance(begun.outcome, Exchange)
    return begun.outcome


def reason_of(step: Step) -> Reason | None:
    assert isinstance(step, OwnResponse)
    return step.reason


FAILURES = st.lists(
    st.tuples(st.sampled_from(Failure), st.booleans(), st.booleans()),  # failure, sent, replayable
    max_size=12,
)


@given(
    number=st.integers(0, 4),
    method=st.sampled_from([b"GET", b"POST", b"PUT", b"X"]),
    policy=st.sampled_from(Policy),
    failures=FAILURES,
)
def test_any_order_of_failures_comes_to_an_end_and_repeats_nothing_unsafe(
    number: int, method: bytes, policy: Policy, failures: list[tuple[Failure, bool, bool]]
) -> None:
    exchange = begin(gateway(number, policy), method)
    step = exchange.next(0.0)
    attempted: list[Candidate] = []
    closed_early = 0
    for now_s, (failure, sent, replayable) in enumerate(failures):
        if not isinstance(step, Attempt):
            break
        if not step.fresh:
            assert step.candidate not in attempted, "no candidate is tried twice"
            attempted.append(step.candidate)
        elif failure is Failure.STALE:
            failure = Failure.CLOSED_EARLY  # a fresh connection cannot be stale
        step = exchange.failed(failure, float(now_s), sent=sent, replayable=replayable)
        if isinstance(step, Attempt) and failure is not Failure.REFUSED:
            assert not sent or (method in IDEMPOTENT and replayable), (
                "nothing that may have had an effect is repeated"
            )
            assert failure in (Failure.STALE, Failure.CLOSED_EARLY), "a time-out or a bad response is final"
            closed_early += failure is Failure.CLOSED_EARLY
    assert closed_early <= 1, "closed_early goes to one other candidate at most"
    assert len(attempted) <= number
    exchange.ended()
    exchange.ended()


def test_every_candidate_is_tried_before_a_503_with_any_method() -> None:
    exchange = begin(gateway(3), b"POST")
    step = exchange.next(0)
    for _ in range(3):
        assert isinstance(step, Attempt)
        step = exchange.failed(Failure.REFUSED, 0, sent=False, replayable=False)
    assert reason_of(step) is Reason.CONNECT_FAILED
    assert exchange.attempts == 3


@pytest.mark.parametrize(
    ("failure", "reason", "status"),
    [
        (Failure.CLOSED_EARLY, Reason.CLOSED_EARLY, 503),
        (Failure.BAD_RESPONSE, Reason.BAD_RESPONSE, 502),
        (Failure.TIMEOUT, Reason.TIMEOUT, 504),
    ],
)
def test_a_post_that_was_sent_is_not_repeated(failure: Failure, reason: Reason, status: int) -> None:
    exchange = begin(gateway(3), b"POST")
    exchange.next(0)
    step = exchange.failed(failure, 0, sent=True, replayable=True)
    assert isinstance(step, OwnResponse)
    assert (step.reason, step.status) == (reason, status)


def test_a_stale_connection_is_replaced_by_a_fresh_one_to_the_same_candidate() -> None:
    exchange = begin(gateway(2))
    first = exchange.next(0)
    assert isinstance(first, Attempt)
    again = exchange.failed(Failure.STALE, 0, sent=True, replayable=True)
    assert again == Attempt(first.candidate, fresh=True)
    assert exchange.attempts == 1


def test_nobody_to_ask_is_told_with_the_views_reason() -> None:
    step = begin(gateway(0)).next(0)
    assert reason_of(step) is Reason.NO_CONTAINER


def test_one_that_refused_is_left_out_for_a_second_doubling_to_thirty() -> None:
    balancer, (one,) = Balancer(lambda: 0.0), candidates(1)
    now_s, pauses = 0.0, []
    for _ in range(7):
        balancer.refused(one, now_s)
        balancer.refused(one, now_s)  # many that fail together count once
        pause_s = 0.0
        while balancer.is_left_out(one, now_s + pause_s):
            pause_s += 0.5
        pauses.append(pause_s)
        now_s += pause_s
    assert pauses == [FIRST_PAUSE_S, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    balancer.accepted(one)
    assert not balancer.is_left_out(one, now_s)


def test_those_left_out_are_tried_when_no_other_is_there() -> None:
    balancer, both = Balancer(lambda: 0.0), candidates(2)
    balancer.refused(both[0], 0)
    assert balancer.pick("b", Policy.RANDOM, both, [], 0.5) == both[1]
    assert balancer.pick("b", Policy.RANDOM, both, [both[1]], 0.5) == both[0]
    assert balancer.pick("b", Policy.RANDOM, both, both, 0.5) is None


def test_a_change_that_docker_reports_makes_a_new_candidate() -> None:
    balancer, (old,) = Balancer(lambda: 0.0), candidates(1)
    new = Candidate(old.name, old.container_id, old.address, revision=1)
    balancer.refused(old, 0)
    assert not balancer.is_left_out(new, 0)


def test_round_robin_takes_turns_and_least_inflight_the_idle_one() -> None:
    balancer, three = Balancer(lambda: 0.0), candidates(3)
    assert [balancer.pick("b", Policy.ROUND_ROBIN, three, [], 0) for _ in range(4)] == [*three, three[0]]
    balancer.started(three[0])
    assert balancer.pick("b", Policy.LEAST_INFLIGHT, three, [], 0) == three[1]
    balancer.ended(three[0])
    assert balancer.pick("b", Policy.LEAST_INFLIGHT, three, [], 0) == three[0]
