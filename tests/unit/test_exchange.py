"""What happens after failures, in any order (behaviour 6)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rgate.core.balance import FIRST_PAUSE_S, LONGEST_PAUSE_S, Balancer
from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.config import Backend, Policy, Timeouts
from rgate.core.exchange import Attempt, Exchange
from rgate.core.patience import CONNECTS
from rgate.core.problem import ANSWERS, Problem
from rgate.core.reasons import Failure, Reason

CONNECT_S = 2.0
BEFORE_A_CONNECTION = {Failure.REFUSED, Failure.OVERLOADED}


def candidates(number: int) -> tuple[Candidate, ...]:
    return tuple(Candidate(f"c{i}", f"id{i}", Address("127.0.0.1", 1000 + i)) for i in range(number))


def exchange_of(
    number: int, policy: Policy = Policy.RANDOM, random: Callable[[], float] = lambda: 0.0
) -> Exchange:
    found = candidates(number)
    view = BackendView("b", found, None if found else Reason.NO_CONTAINER, "" if found else "none has them")
    backend = Backend("b", urls=("x",), policy=policy, timeouts=Timeouts(CONNECT_S, 30.0, 60.0))
    return Exchange(backend, view, Balancer(random))


def first(exchange: Exchange) -> Attempt:
    step = exchange.first(0.0)
    assert isinstance(step, Attempt)
    return step


@dataclass
class Asked:
    """One request, as an engine carries it out."""

    attempt: Attempt
    may_repeat: bool  # its method is idempotent, and its content can be sent again
    has_connection: bool = False
    is_pooled: bool = False
    was_sent_to: list[Candidate] = field(default_factory=list)
    failures: list[tuple[Candidate, Failure]] = field(default_factory=list)
    sent_and_closed: int = 0
    waited_s: float = 0.0


class Exchanges(RuleBasedStateMachine):
    """Requests at once, each carried out as an engine would, and failing wherever it may."""

    @initialize(
        number=st.integers(1, 4),
        policy=st.sampled_from(Policy),
        numbers=st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.99]), min_size=1, max_size=5),
    )
    def begin_all(self, number: int, policy: Policy, numbers: Sequence[float]) -> None:
        turns = count()
        self.exchange = exchange_of(number, policy, lambda: numbers[next(turns) % len(numbers)])
        self.candidates = self.exchange.view.candidates
        self.balancer = self.exchange.balancer
        self.now_s = 0.0
        self.under_way: list[Asked] = []
        self.closed: set[Candidate] = set()
        """Those that closed a new connection without an answer, and did not answer since."""
        self.answered: set[Candidate] = set()

    def has_to_stay_open(self, asked: Asked) -> bool:
        """Whether a request that might be lost is to see first that its connection stays open."""
        candidate = asked.attempt.candidate
        may_go_on = asked.may_repeat and all(
            failure is not Failure.CLOSED_EARLY for _, failure in asked.failures
        )
        others = set(self.candidates) - set(asked.attempt.tried)
        return not may_go_on and bool(others) and (candidate in self.closed or candidate not in self.answered)

    def some(self, index: int) -> Asked:
        return self.under_way[index % len(self.under_way)]

    def step(self, asked: Asked | None, step: Attempt | Problem, *, may_repeat: bool = False) -> None:
        """Begin with *step*, as an engine does."""
        if isinstance(step, Problem):
            assert asked is not None, "there are candidates, so one is asked first"
            self.exchange.ended(asked.attempt)
            self.under_way.remove(asked)
            assert step.reason is self.reason_after(asked), f"{step} after {asked.failures}"
            return
        self.check_pick(step)
        if asked is None:
            self.under_way.append(Asked(step, may_repeat))
        else:
            self.check_another(asked, step)
            asked.attempt, asked.has_connection, asked.is_pooled = step, False, False

    def reason_after(self, asked: Asked) -> Reason:
        failures = [failure for _, failure in asked.failures]
        if failures[-1] in (Failure.TIMEOUT, Failure.UNREAD):
            return Reason.TIMEOUT
        if failures[-1] is Failure.OVERLOADED:
            return Reason.OVERLOADED
        if failures[-1] in (Failure.BAD_RESPONSE, Failure.NOISE):
            return Reason.BAD_RESPONSE
        closed = Failure.CLOSED_EARLY in failures or failures[-1] is Failure.STALE
        return Reason.CLOSED_EARLY if closed else Reason.CONNECT_FAILED

    def check_pick(self, step: Attempt) -> None:
        untried = [one for one in self.candidates if one not in step.tried[:-1]]
        assert step.candidate in untried
        if step.fresh:
            return
        good = [one for one in untried if not self.balancer.is_left_out(one, self.now_s)] or untried
        assert step.candidate in good, "one that refused lately is asked only where no other is there"
        if self.exchange.backend.policy is Policy.LEAST_INFLIGHT:
            counts = {one: self.balancer.inflight(one) - (one is step.candidate) for one in good}
            assert counts[step.candidate] == min(counts.values())

    def check_another(self, asked: Asked, step: Attempt) -> None:
        _, failure = asked.failures[-1]
        if step.fresh:
            assert failure in (Failure.STALE, Failure.NOISE)
            assert (step.candidate, step.tried) == (asked.attempt.candidate, asked.attempt.tried)
            assert not asked.attempt.fresh, "a stale connection is replaced once"
        else:
            unasked = failure is Failure.BAD_RESPONSE and asked.attempt.candidate not in asked.was_sent_to
            assert unasked or failure in (Failure.REFUSED, Failure.CLOSED_EARLY), (
                "nothing else is tried again"
            )
            assert step.tried == (*asked.attempt.tried, step.candidate)
            assert len(set(step.tried)) == len(step.tried), "no candidate is tried twice"
        if asked.was_sent_to:
            assert asked.may_repeat, "nothing that may have had an effect is sent twice"
        assert asked.sent_and_closed <= 1, "closed_early goes to one other candidate, never to a third"
        assert self.exchange.connect_within_s(step) > 0

    @rule(may_repeat=st.booleans())
    def begin(self, may_repeat: bool) -> None:
        self.step(None, self.exchange.first(self.now_s), may_repeat=may_repeat)

    @precondition(lambda self: any(not one.has_connection for one in self.under_way))
    @rule(index=st.integers(0, 9), share=st.sampled_from([0.0, 0.5, 1.0]), accepts=st.booleans())
    def connect(self, index: int, share: float, accepts: bool) -> None:
        asked = [one for one in self.under_way if not one.has_connection]
        one = asked[index % len(asked)]
        within_s = self.exchange.connect_within_s(one.attempt)
        assert within_s <= CONNECT_S
        waited_s = within_s * share
        self.now_s += waited_s
        one.waited_s += waited_s
        if accepts:
            one.attempt = self.exchange.accepted(one.attempt, waited_s)
            one.has_connection = True
            if one.attempt.candidate not in self.closed:
                assert not self.balancer.is_left_out(one.attempt.candidate, self.now_s), "it accepted again"
            within_s = self.exchange.stays_open_s(one.attempt, repeatable=one.may_repeat)
            assert bool(within_s) is self.has_to_stay_open(one)
        else:
            self.fail_with(one, Failure.REFUSED, sent=False, waited_s=waited_s)
            assert self.balancer.is_left_out(one.failures[-1][0], self.now_s)

    @precondition(lambda self: any(not one.has_connection for one in self.under_way))
    @rule(index=st.integers(0, 9))
    def lack_a_descriptor(self, index: int) -> None:
        asked = [one for one in self.under_way if not one.has_connection]
        one = asked[index % len(asked)]
        left_out = self.balancer.is_left_out(one.attempt.candidate, self.now_s)
        self.fail_with(one, Failure.OVERLOADED, sent=False)
        candidate = one.attempt.candidate
        assert self.balancer.is_left_out(candidate, self.now_s) == left_out, "it is no fault of a candidate"

    @precondition(
        lambda self: any(not one.has_connection and not one.attempt.fresh for one in self.under_way)
    )
    @rule(index=st.integers(0, 9))
    def take_pooled_connection(self, index: int) -> None:
        asked = [one for one in self.under_way if not one.has_connection and not one.attempt.fresh]
        one = asked[index % len(asked)]
        one.has_connection = one.is_pooled = True

    @precondition(lambda self: any(one.has_connection for one in self.under_way))
    @rule(
        index=st.integers(0, 9),
        failure=st.sampled_from(sorted(set(Failure) - BEFORE_A_CONNECTION, key=lambda one: one.value)),
        sent=st.sampled_from([True, True, False]),
    )
    def fail(self, index: int, failure: Failure, sent: bool) -> None:
        asked = [one for one in self.under_way if one.has_connection]
        one = asked[index % len(asked)]
        if failure in (Failure.STALE, Failure.NOISE) and not one.is_pooled:
            failure = Failure.CLOSED_EARLY  # a new connection is never stale
        elif failure is Failure.CLOSED_EARLY and one.is_pooled:
            failure = Failure.STALE
        self.fail_with(one, failure, sent=sent)

    def fail_with(self, one: Asked, failure: Failure, *, sent: bool, waited_s: float = 0.0) -> None:
        if sent:
            one.was_sent_to.append(one.attempt.candidate)
        one.failures.append((one.attempt.candidate, failure))
        if failure is Failure.CLOSED_EARLY:
            one.sent_and_closed += sent
            self.closed.add(one.attempt.candidate)
        elif failure is Failure.REFUSED and not self.balancer.is_left_out(one.attempt.candidate, self.now_s):
            self.closed.discard(one.attempt.candidate)  # to accept is enough then
        step = self.exchange.after(
            one.attempt, failure, self.now_s, repeatable=one.may_repeat, sent=sent, waited_s=waited_s
        )
        self.step(one, step)

    @precondition(lambda self: any(one.has_connection for one in self.under_way))
    @rule(index=st.integers(0, 9))
    def succeed(self, index: int) -> None:
        asked = [one for one in self.under_way if one.has_connection]
        one = asked[index % len(asked)]
        self.under_way.remove(one)
        self.exchange.answered(one.attempt)
        self.closed.discard(one.attempt.candidate)
        self.answered.add(one.attempt.candidate)
        assert not self.balancer.is_left_out(one.attempt.candidate, self.now_s), "it answered"
        self.exchange.ended(one.attempt)

    @rule(seconds=st.sampled_from([0.5, 1.0, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def no_request_waits_longer_than_all_may(self) -> None:
        for asked in self.under_way if hasattr(self, "under_way") else ():
            assert asked.waited_s <= CONNECTS * CONNECT_S + 1e-9
            assert asked.attempt.number <= len(self.candidates)

    @invariant()
    def each_request_under_way_is_counted_where_the_policy_asks(self) -> None:
        if hasattr(self, "under_way"):
            counts = Counter(asked.attempt.candidate for asked in self.under_way)
            if self.exchange.backend.policy is not Policy.LEAST_INFLIGHT:
                counts.clear()
            assert {one: self.balancer.inflight(one) for one in self.candidates} == {
                one: counts[one] for one in self.candidates
            }


TestExchanges = Exchanges.TestCase


def test_every_candidate_is_tried_before_a_503() -> None:
    exchange = exchange_of(3)
    step: Attempt | Problem = first(exchange)
    for number in (1, 2, 3):
        assert isinstance(step, Attempt)
        assert not step.fresh
        assert step.number == number
        step = exchange.after(step, Failure.REFUSED, 0.0, repeatable=True, waited_s=0.1)
    assert step == Problem(
        Reason.CONNECT_FAILED,
        "Nothing accepted a connection within 2 s at c0 (127.0.0.1:1000), c1 (127.0.0.1:1001), "
        "c2 (127.0.0.1:1002): check that the application is up and listens on that port.",
        "b",
    )


def test_a_request_waits_three_times_connect_however_many_candidates_are_dead() -> None:
    exchange = exchange_of(10)
    step: Attempt | Problem = first(exchange)
    waits = []
    while isinstance(step, Attempt):
        waits.append(exchange.connect_within_s(step) * 0.8)
        step = exchange.after(step, Failure.REFUSED, 0.0, repeatable=True, waited_s=waits[-1])
    assert sum(waits) <= CONNECTS * CONNECT_S
    assert len(waits) > CONNECTS
    assert "more were not tried: the time was over" in step.detail or len(waits) == 10


def test_those_that_were_not_tried_are_told_of() -> None:
    exchange = exchange_of(4)
    step: Attempt | Problem = first(exchange)
    for _ in range(3):
        assert isinstance(step, Attempt)
        step = exchange.after(step, Failure.REFUSED, 0.0, repeatable=True, waited_s=2.0)
    assert isinstance(step, Problem)
    assert "c2 (127.0.0.1:1002) (1 more were not tried: the time was over): check that" in step.detail


def test_the_wait_for_a_connection_that_was_accepted_counts_too() -> None:
    exchange = exchange_of(4)
    slow = exchange.accepted(first(exchange), 1.5)
    other = exchange.after(slow, Failure.CLOSED_EARLY, 0.0, repeatable=True)
    assert isinstance(other, Attempt)
    assert other.left_s == CONNECTS * CONNECT_S - 1.5


def test_who_closed_early_is_told_with_its_own_port_where_another_is_published() -> None:
    """Docker accepts at the published one, whatever the application listens on."""
    exchange = exchange_of(1)
    (one,) = exchange.view.candidates
    how = "published port 1000 of 8000"
    seen = ContainerView("c0", "id0", "running", "none", one.address, None, "", how)
    exchange = replace(exchange, view=replace(exchange.view, containers=(seen,)))
    step = exchange.after(first(exchange), Failure.CLOSED_EARLY, 0.0, repeatable=False)
    assert isinstance(step, Problem)
    assert step.detail.startswith(f"c0 (127.0.0.1:1000, {how}) accepted the connection and closed it")


@pytest.mark.parametrize(
    ("failure", "reason", "detail"),
    [
        (
            Failure.CLOSED_EARLY,
            Reason.CLOSED_EARLY,
            "c0 (127.0.0.1:1000) accepted the connection and closed it without one byte of a response: "
            "look at its log, and check that the application listens on that port.",
        ),
        (
            Failure.STALE,
            Reason.CLOSED_EARLY,
            "c0 (127.0.0.1:1000) accepted the connection and closed it without one byte of a response: "
            "look at its log, and check that the application listens on that port.",
        ),
        (
            Failure.BAD_RESPONSE,
            Reason.BAD_RESPONSE,
            "c0 (127.0.0.1:1000) sent something that is no HTTP response, or whose framing is in doubt: "
            "check that its port speaks plain HTTP/1.1.",
        ),
        (
            Failure.NOISE,
            Reason.BAD_RESPONSE,
            "c0 (127.0.0.1:1000) sent something that is no HTTP response, or whose framing is in doubt: "
            "check that its port speaks plain HTTP/1.1.",
        ),
        (
            Failure.TIMEOUT,
            Reason.TIMEOUT,
            "c0 (127.0.0.1:1000) did not begin a response within 30 s of the request's end: "
            "look at its log, or raise `timeouts.response` of the backend.",
        ),
        (
            Failure.UNREAD,
            Reason.TIMEOUT,
            "c0 (127.0.0.1:1000) took nothing of the request's content for 60 s: "
            "look at its log, or raise `timeouts.idle` of the backend.",
        ),
    ],
)
def test_a_post_that_was_sent_is_not_repeated(failure: Failure, reason: Reason, detail: str) -> None:
    exchange = exchange_of(3)
    step = exchange.after(first(exchange), failure, 0.0, repeatable=False)
    assert step == Problem(reason, detail, "b")


@pytest.mark.parametrize("failure", [Failure.BAD_RESPONSE, Failure.TIMEOUT, Failure.UNREAD])
def test_a_time_out_or_a_bad_response_is_final(failure: Failure) -> None:
    exchange = exchange_of(3)
    assert isinstance(exchange.after(first(exchange), failure, 0.0, repeatable=True), Problem)


@pytest.mark.parametrize("repeatable", [True, False])
def test_one_that_spoke_before_it_was_asked_is_followed_by_another(repeatable: bool) -> None:
    exchange = exchange_of(2)
    step: Attempt | Problem = first(exchange)
    for number in (1, 2):
        assert isinstance(step, Attempt)
        assert step.number == number
        step = exchange.after(step, Failure.BAD_RESPONSE, 0.0, repeatable=repeatable, sent=False)
    assert isinstance(step, Problem)
    assert step.reason is Reason.BAD_RESPONSE


@pytest.mark.parametrize("number", [3, 4])
def test_one_that_closed_early_is_followed_by_one_other_and_never_by_a_third(number: int) -> None:
    exchange = exchange_of(number)
    one = first(exchange)
    other = exchange.after(one, Failure.CLOSED_EARLY, 0.0, repeatable=True)
    assert isinstance(other, Attempt)
    assert other.candidate != one.candidate
    third = exchange.after(other, Failure.CLOSED_EARLY, 0.0, repeatable=True)
    assert isinstance(third, Problem)
    assert third.detail.startswith("c1 (127.0.0.1:1001) accepted the connection and closed it")


def test_who_closed_early_is_named_also_where_the_other_refused() -> None:
    # The one that refused was once said to have accepted.
    exchange = exchange_of(2)
    other = exchange.after(first(exchange), Failure.CLOSED_EARLY, 0.0, repeatable=True)
    assert isinstance(other, Attempt)
    step = exchange.after(other, Failure.REFUSED, 0.0, repeatable=True)
    assert isinstance(step, Problem)
    assert step.reason is Reason.CLOSED_EARLY
    assert step.detail.startswith("c0 (127.0.0.1:1000) accepted the connection and closed it")


@pytest.mark.parametrize("failure", [Failure.STALE, Failure.NOISE])
def test_a_stale_connection_is_replaced_by_a_fresh_one_to_the_same_candidate(failure: Failure) -> None:
    exchange = exchange_of(2)
    one = first(exchange)
    again = exchange.after(one, failure, 0.0, repeatable=True)
    assert again == Attempt(one.candidate, one.left_s, (one.candidate,), fresh=True)
    assert again.number == 1


def test_nobody_to_ask_is_told_with_the_views_reason() -> None:
    assert exchange_of(0).first(0.0) == Problem(Reason.NO_CONTAINER, "none has them", "b")


def test_one_for_a_fixed_url_is_called_by_its_address() -> None:
    backend = Backend("b", urls=("http://127.0.0.1:81",))
    only = Candidate("127.0.0.1:81", "", Address("127.0.0.1", 81))
    exchange = Exchange(backend, BackendView("b", (only,)), Balancer(lambda: 0.0))
    step = exchange.after(first(exchange), Failure.CLOSED_EARLY, 0.0, repeatable=False)
    assert isinstance(step, Problem)
    assert step.detail.startswith("127.0.0.1:81 accepted the connection")


@pytest.mark.clause("6.tries.left_out")
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


@pytest.mark.clause("6.tries.until")
def test_one_that_accepts_again_is_left_out_no_longer_and_begins_anew() -> None:
    exchange = exchange_of(2)
    balancer, (one, other) = exchange.balancer, exchange.view.candidates
    for now_s in (0.0, 1.0):
        balancer.refused(one, now_s)
    assert first(exchange).candidate == other
    exchange.accepted(exchange.attempt(one))
    assert not balancer.is_left_out(one, 1.5)
    assert first(exchange).candidate == one
    balancer.refused(one, 2.0)
    assert not balancer.is_left_out(one, 2.0 + FIRST_PAUSE_S)


@pytest.mark.clause("6.tries.closed")
def test_one_that_closed_early_is_left_out_for_a_second_at_a_time_until_it_answers() -> None:
    exchange = exchange_of(2)
    balancer, (one, other) = exchange.balancer, exchange.view.candidates
    told: list[tuple[Candidate, bool, float | None]] = []
    balancer.told = lambda *what: told.append(what)
    for now_s in (0.0, 0.5, 1.0):
        exchange.after(exchange.attempt(one), Failure.CLOSED_EARLY, now_s, repeatable=True)
        exchange.accepted(exchange.attempt(one))  # as Docker does for it, which proves nothing
        assert first(exchange).candidate == other
    assert balancer.left_out_until_s(one, 1.5) == 1.0 + FIRST_PAUSE_S
    exchange.answered(exchange.attempt(one))
    assert first(exchange).candidate == one
    assert told == [(one, True, None), (one, True, 0.0)]


@pytest.mark.clause("6.tries.closed")
def test_a_stale_connection_is_no_reason_to_leave_its_candidate_out() -> None:
    exchange = exchange_of(2)
    exchange.after(first(exchange), Failure.STALE, 0.0, repeatable=False)
    assert first(exchange).candidate == exchange.view.candidates[0]


@pytest.mark.clause("6.tries.unproven")
@pytest.mark.parametrize("repeatable", [True, False])
def test_what_may_be_sent_once_only_waits_whether_a_connection_to_one_that_never_answered_stays_open(
    repeatable: bool,
) -> None:
    exchange = exchange_of(4)

    def waits(step: Attempt) -> bool:
        return bool(exchange.stays_open_s(step, repeatable=repeatable))

    step: Attempt | Problem = first(exchange)
    for number in (1, 2, 3):
        assert isinstance(step, Attempt)
        assert waits(step) is (not repeatable or number > 1)
        # None of these has seen anything: any number of them is passed over.
        step = exchange.after(step, Failure.CLOSED_EARLY, 0.0, repeatable=repeatable, sent=False)
    assert isinstance(step, Attempt)
    assert not waits(step)  # there is nobody else to go to
    exchange.answered(step)
    assert not waits(exchange.attempt(step.candidate))
    exchange.after(exchange.attempt(step.candidate), Failure.CLOSED_EARLY, 1.0, repeatable=True)
    assert waits(exchange.attempt(step.candidate)) is not repeatable
    exchange.answered(step)
    exchange.balancer.keep_only(())
    assert not exchange.balancer.is_proven(step.candidate)


@pytest.mark.clause("6.tries.last_resort")
def test_those_left_out_are_tried_when_no_other_is_there() -> None:
    balancer, both = Balancer(lambda: 0.0), candidates(2)
    balancer.refused(both[0], 0)
    assert balancer.pick("b", Policy.RANDOM, both, [], 0.5) == both[1]
    assert balancer.pick("b", Policy.RANDOM, both, [both[1]], 0.5) == both[0]
    assert balancer.pick("b", Policy.RANDOM, both, both, 0.5) is None


@pytest.mark.clause("6.tries.until")
def test_a_change_that_docker_reports_makes_a_new_candidate() -> None:
    balancer, (old, other) = Balancer(lambda: 0.0), candidates(2)
    new = Candidate(old.name, old.container_id, old.address, revision=1)
    balancer.refused(old, 0)
    balancer.refused(other, 0)
    assert not balancer.is_left_out(new, 0)
    balancer.keep_only([new, other])
    assert not balancer.is_left_out(old, 0)  # forgotten
    assert balancer.is_left_out(other, 0)


@pytest.mark.clause("2.backend.policy")
def test_round_robin_takes_turns_and_least_inflight_the_idle_one() -> None:
    balancer, three = Balancer(lambda: 0.0), candidates(3)
    assert [balancer.pick("b", Policy.ROUND_ROBIN, three, [], 0) for _ in range(4)] == [*three, three[0]]
    balancer.started(three[0])
    assert balancer.pick("b", Policy.LEAST_INFLIGHT, three, [], 0) == three[1]
    balancer.ended(three[0])
    assert balancer.pick("b", Policy.LEAST_INFLIGHT, three, [], 0) == three[0]


STALE = "Docker has not answered since then."


def stale(exchange: Exchange) -> Exchange:
    return replace(exchange, view=replace(exchange.view, stale=STALE))


@pytest.mark.clause("9.knowledge.stale")
@pytest.mark.parametrize("reason", [Reason.NO_CONTAINER, Reason.UNHEALTHY, Reason.NO_ADDRESS])
def test_why_there_is_no_candidate_says_how_old_it_is(reason: Reason) -> None:
    exchange = exchange_of(0)
    exchange = replace(exchange, view=replace(exchange.view, reason=reason))
    assert isinstance(fresh := exchange.first(0.0), Problem)
    assert isinstance(old := stale(exchange).first(0.0), Problem)
    assert (fresh.detail, old.detail) == ("none has them", f"none has them {STALE}")


@pytest.mark.clause("9.knowledge.stale")
@pytest.mark.parametrize(
    ("failure", "is_told"),
    [
        (Failure.REFUSED, True),
        (Failure.CLOSED_EARLY, True),
        (Failure.STALE, True),
        (Failure.BAD_RESPONSE, False),
        (Failure.TIMEOUT, False),
        (Failure.UNREAD, False),
    ],
)
def test_a_503_behind_a_failure_says_how_old_the_candidates_are(failure: Failure, is_told: bool) -> None:
    details = []
    for exchange in (exchange_of(1), stale(exchange_of(1))):
        problem = exchange.after(first(exchange), failure, 0.0, repeatable=False)
        assert isinstance(problem, Problem)
        assert (ANSWERS[problem.reason][0] == 503) is is_told
        details.append(problem.detail)
    assert details[1] == (f"{details[0]} {STALE}" if is_told else details[0])


@pytest.mark.parametrize("reason", [Reason.NO_CONTAINER, Reason.CONNECT_FAILED, Reason.CLOSED_EARLY])
def test_strangers_are_not_told_how_old_it_is(reason: Reason) -> None:
    assert STALE not in Problem(reason, f"x {STALE}").detail_for(insider=False)
