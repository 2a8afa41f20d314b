"""What is known of containers ends in the truth, whatever lists, inspects and events come in which order.

And one that is stopped gets nothing until it starts, or outlives its stop time-out (behaviour 8).
"""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.containers import Container, Details, Event, Health, Listed, PublishedPort, State
from rgate.core.known import FIRST_RETRY_S, LONGEST_RETRY_S, SETTLES_S, Known

PORT = (PublishedPort(80, "127.0.0.1", 40001),)
ONE = Container("1", "one", {"app": "a"}, State.RUNNING, published=PORT)
# What Docker says of it: to be stopped with SIGQUIT, within 3 s.
DETAILS = Details(ONE, stop_signal=3, stop_timeout_s=3)
OTHER = Container("2", "two", {"app": "other"}, State.RUNNING)
TERM, QUIT, KILL = 15, 3, 9
MANY = 1000


def wants(labels: Mapping[str, str]) -> bool:
    return labels.get("app") == "a"


def asked(known: Known, now_s: float) -> list[str]:
    return list(known.due(now_s, most=MANY, of_lists=MANY, that_failed=MANY))


def rows(*containers: Container) -> list[Listed]:
    return [Listed(one.id, one) for one in containers]


def inspect(known: Known, now_s: float, details: Details | None = DETAILS) -> None:
    """Let all that is due be inspected, and be so."""
    for identity in asked(known, now_s):
        known.inspected(identity, details, now_s)


@pytest.fixture
def known() -> Known:
    known = Known(wants)
    known.listed(rows(ONE), 0, 0)
    inspect(known, 0)
    return known


def only(known: Known) -> Container:
    (container,) = known.containers
    return container


def event(action: str, signal: int = 0, identity: str = ONE.id) -> Event:
    return Event(identity, action, signal)


@pytest.mark.clause("8.stopping.signal")
@pytest.mark.parametrize(("signal", "stays"), [(QUIT, False), (KILL, False), (TERM, True), (0, True)])
def test_its_own_stop_signal_and_sigkill_take_it_out_and_no_other(
    known: Known, signal: int, stays: bool
) -> None:
    known.event(event("kill", signal), 0)
    assert only(known).stopping is not stays


def test_one_that_was_never_inspected_stops_by_sigterm() -> None:
    known = Known(wants)
    known.listed(rows(ONE), 0, 0)
    known.event(event("kill", TERM), 1)
    assert only(known).stopping


def test_it_is_out_though_docker_goes_on_to_say_that_it_runs(known: Known) -> None:
    known.event(event("kill", QUIT), 0)
    inspect(known, 0.1)
    known.listed(rows(ONE), 0.2, 0.2)
    assert only(known).stopping


@pytest.mark.clause("8.stopping.until")
def test_it_is_in_again_with_its_next_start(known: Known) -> None:
    known.event(event("kill", QUIT), 0)
    known.event(event("die"), 0.1)
    inspect(known, 0.1, Details(replace(ONE, state=State.EXITED)))
    known.event(event("start"), 0.2)
    inspect(known, 0.2)
    assert (only(known).state, only(known).stopping) == (State.RUNNING, False)


@pytest.mark.clause("8.stopping.until")
@pytest.mark.parametrize("how", ["sweep", "list", "inspect"])
def test_it_is_in_again_where_it_still_runs_after_its_stop_time_out(known: Known, how: str) -> None:
    known.event(event("kill", QUIT), 0)
    inspect(known, 0)
    assert known.next_s(is_asked=False) == 5

    def later(now_s: float) -> None:
        if how == "sweep":
            known.sweep(now_s)
        elif how == "list":
            known.listed(rows(replace(ONE, name=f"at-{now_s}")), now_s, now_s)
        else:
            known.event(event("rename"), now_s)
            inspect(known, now_s)

    later(2.9)
    assert only(known).stopping
    later(10)
    assert not only(known).stopping


@pytest.mark.clause("6.tries.until")
def test_what_docker_reports_makes_another_candidate_and_a_list_without_news_does_not(known: Known) -> None:
    # One that is left out after a failure is so until Docker reports a change (behaviour 6).
    known.take_changed()
    before = only(known).revision
    known.listed(rows(ONE), 1, 1)
    assert (only(known).revision, known.take_changed()) == (before, False)
    known.event(event("rename"), 2)
    inspect(known, 2)
    assert only(known).revision > before
    assert known.take_changed()


def test_a_full_list_says_which_containers_it_has_otherwise(known: Known) -> None:
    two = replace(ONE, id="2", health=Health.UNHEALTHY)
    assert known.listed(rows(ONE, two, replace(OTHER, id="3")), 1, 1) == {"2"}
    assert known.listed(rows(ONE, two), 2, 2) == frozenset()
    paused = replace(two, state=State.PAUSED)
    assert known.listed(rows(ONE, paused), 3, 3) == {"2"}
    gone = replace(two, state=State.EXITED)
    known.event(event("die", identity="2"), 4)
    inspect(known, 4, Details(gone))
    # Of one that is not up, Docker's list says less than Docker does of it alone.
    row = replace(gone, health=Health.NONE, published=())
    assert known.listed(rows(ONE, row), 5, 5) == frozenset()
    assert known.listed([], 6, 6) == {"1", "2"}


# What a list costs.


@pytest.mark.clause("4.docker.reads")
def test_a_list_has_only_those_inspected_that_run_and_a_backend_wants_and_that_changed() -> None:
    known = Known(wants)
    exited = replace(ONE, id="3", state=State.EXITED)
    known.listed(rows(ONE, OTHER, exited), 0, 0)
    assert asked(known, 0) == ["1"]
    known.inspected("1", DETAILS, 0)
    known.listed(rows(ONE, OTHER, exited), 30, 30)
    assert asked(known, 30) == []
    known.listed(rows(replace(ONE, published=()), OTHER, exited), 60, 60)
    assert asked(known, 60) == ["1"]


def test_what_a_list_lacks_stays_as_it_was_inspected() -> None:
    known = Known(wants)
    on_hosts = replace(ONE, network_mode="host", published=())
    known.listed(rows(on_hosts), 0, 0)
    inspect(known, 0, Details(replace(on_hosts, exposed=(8000,))))
    known.listed(rows(replace(on_hosts, name="other")), 1, 1)
    assert (only(known).name, only(known).exposed) == ("other", (8000,))


def test_other_backends_have_those_inspected_that_they_want() -> None:
    mine = {"a"}
    known = Known(lambda labels: labels["app"] in mine)
    known.listed(rows(ONE, OTHER), 0, 0)
    inspect(known, 0)
    mine.add("other")
    known.look_again()
    assert asked(known, 1) == ["2"]


def test_health_of_which_no_list_tells_is_asked_for() -> None:
    known = Known(wants)
    known.listed(rows(ONE), 0, 0)
    inspect(known, 0, Details(replace(ONE, health=Health.HEALTHY)))
    known.look_at_health()
    inspect(known, 5, Details(replace(ONE, health=Health.UNHEALTHY)))
    assert only(known).health is Health.UNHEALTHY
    known.listed(rows(replace(ONE, name="other")), 6, 6)
    assert only(known).health is Health.UNHEALTHY
    known.listed(rows(replace(ONE, health=Health.HEALTHY)), 7, 7)
    inspect(known, 7, Details(replace(ONE, health=Health.HEALTHY)))
    known.look_at_health()
    assert asked(known, 8) == []


@pytest.mark.clause("4.events.health")
def test_health_is_asked_for_of_one_that_no_list_has_had_yet() -> None:
    known = Known(wants)
    known.listed(rows(), 0, 0)
    known.event(event("start"), 1)
    inspect(known, 1, Details(replace(ONE, health=Health.STARTING)))
    known.look_at_health()
    inspect(known, 5, Details(replace(ONE, health=Health.HEALTHY)))
    assert only(known).health is Health.HEALTHY


# What cannot be inspected.


@pytest.mark.clause("4.docker.not_inspected")
def test_one_that_was_never_inspected_is_left_out_and_one_that_was_is_kept(known: Known) -> None:
    known.listed(rows(replace(ONE, name="other"), replace(ONE, id="2")), 1, 1)
    for identity in asked(known, 1):
        known.failed(identity, "it hangs", 3)
    kept, left_out = known.containers
    assert (kept.not_inspected, kept.was_inspected, kept.name) == ("it hangs", True, "other")
    assert (left_out.not_inspected, left_out.was_inspected) == ("it hangs", False)
    known.event(event("die"), 4)
    assert known.containers[0].state is State.EXITED


@pytest.mark.clause("4.docker.not_inspected")
def test_one_that_cannot_be_inspected_is_tried_again_less_and_less_often() -> None:
    known = Known(wants)
    now_s, pauses = 0.0, []
    known.listed(rows(ONE), now_s, now_s)
    for _ in range(7):
        assert asked(known, now_s) == ["1"]
        known.failed("1", "it hangs", now_s)
        known.listed(rows(ONE), now_s, now_s)
        assert asked(known, now_s) == []
        pauses.append(known.next_s(is_asked=True) - now_s)
        now_s += pauses[-1]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (FIRST_RETRY_S, LONGEST_RETRY_S)
    inspect(known, now_s)
    assert only(known) == ONE


@pytest.mark.clause("4.docker.not_inspected")
def test_those_that_hang_leave_room_for_others_and_for_events() -> None:
    known = Known(wants)
    known.listed(rows(*(replace(ONE, id=str(number)) for number in range(20))), 0, 0)

    def due(now_s: float) -> list[str]:
        return list(known.due(now_s, most=8, of_lists=6, that_failed=2))

    hang = due(0)
    assert len(hang) == 6
    known.event(event("start", identity="19"), 1)
    assert due(1) == ["19"]
    for identity in hang:
        known.failed(identity, "it hangs", 2)
    assert len(set(due(2)) - set(hang)) == 5
    known.look_again()
    assert set(due(3)) <= {*hang, *map(str, range(20))}
    assert len(set(due(4)) & set(hang)) <= 2


def test_of_one_that_no_list_had_a_list_has_to_tell_where_it_cannot_be_inspected(known: Known) -> None:
    known.event(event("create", identity="9"), 1)
    assert asked(known, 1) == ["9"]
    assert known.failed("9", "it hangs", 1)
    known.listed(rows(ONE, replace(ONE, id="9")), 2, 2)
    assert [(one.id, one.was_inspected) for one in known.containers] == [("1", True), ("9", False)]


# Order.


@pytest.mark.clause("4.events.delay")
def test_a_list_never_overwrites_what_was_heard_since_it_was_asked_for(known: Known) -> None:
    late = rows(ONE, replace(ONE, id="2"))  # asked for at 1, there at 10
    known.event(event("die"), 2)
    known.event(event("destroy", identity="2"), 3)
    known.event(event("start", identity="4"), 4)
    for identity in asked(known, 5):
        state = State.EXITED if identity == "1" else State.RUNNING
        known.inspected(identity, Details(replace(ONE, id=identity, state=state)), 5)
    known.listed(late, 1, 10)
    assert {one.id: one.state for one in known.containers} == {"1": State.EXITED, "4": State.RUNNING}


@pytest.mark.clause("4.events.delay")
def test_a_list_from_before_brings_back_neither_who_died_nor_what_was_inspected_since(known: Known) -> None:
    known.event(event("die"), 2)
    known.listed(rows(ONE), 1, 3)
    assert only(known).state is State.EXITED
    inspect(known, 4)
    moved = replace(ONE, name="later")
    known.event(event("rename"), 6)
    inspect(known, 6, Details(moved))
    known.listed(rows(ONE), 5, 7)
    assert only(known) == moved


@pytest.mark.clause("4.events.list")
def test_a_list_that_is_as_the_last_one_mends_what_events_told_half_of(known: Known) -> None:
    known.event(event("pause"), 1)
    inspect(known, 1, Details(replace(ONE, state=State.PAUSED)))
    known.listed(rows(ONE), 2, 2)  # that it goes on, no event told
    assert only(known).state is State.RUNNING


def test_one_that_died_is_out_though_it_reads_running_for_a_moment(known: Known) -> None:
    known.event(event("die"), 1)
    inspect(known, 1.1)  # Podman's inspect still says so
    assert only(known).state is State.EXITED
    again_s = known.next_s(is_asked=True)
    assert again_s == 1 + SETTLES_S
    inspect(known, again_s)
    assert only(known).state is State.RUNNING


def test_what_comes_in_is_inspected_first_as_its_port_may_be_another(known: Known) -> None:
    known.event(event("die"), 1)
    inspect(known, 1, Details(replace(ONE, state=State.EXITED, published=())))
    known.event(event("start"), 2)
    assert only(known).state is State.EXITED
    moved = replace(ONE, published=(PublishedPort(80, "127.0.0.1", 40002),))
    inspect(known, 2, Details(moved))
    assert only(known) == moved


class Truth:
    """A Docker of two containers, whose answers may come late, and whose events may be lost."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.containers: dict[str, Container] = {}
        self.known = Known(wants)
        self.lists: list[tuple[float, list[Listed]]] = []
        self.inspects: list[tuple[str, Details | None]] = []
        self.events: list[Event] = []
        self.sent: list[Event] = []

    def happen(self, identity: str, action: str) -> None:
        there = self.containers.get(identity)
        if action == "start" and (there is None or there.state is not State.RUNNING):
            port = PublishedPort(80, "127.0.0.1", 40000 + int(self.now_s * 8))
            self.containers[identity] = Container(
                identity, identity, {"app": "a"}, State.RUNNING, published=(port,)
            )
        elif action == "die" and there is not None and there.state is State.RUNNING:
            self.containers[identity] = replace(there, state=State.EXITED, published=())
        elif action == "pause" and there is not None and there.state is State.RUNNING:
            self.containers[identity] = replace(there, state=State.PAUSED)
        elif action == "destroy" and there is not None and there.state is not State.RUNNING:
            del self.containers[identity]
        else:
            return
        self.events.append(Event(identity, action))

    def step(self, what: str, number: int) -> None:
        self.now_s += 0.125
        now_s, known = self.now_s, self.known
        if what in ("start", "die", "pause", "destroy"):
            self.happen("ab"[number % 2], what)
        elif what == "list":
            self.lists.append((now_s, rows(*self.containers.values())))
        elif what == "listed" and self.lists:
            asked_s, found = self.lists.pop(0)
            known.listed(found, asked_s, now_s)
        elif what == "inspect":
            for identity in known.due(now_s, most=2, of_lists=1, that_failed=1):
                there = self.containers.get(identity)
                self.inspects.append((identity, None if there is None else Details(there)))
        elif what == "inspected" and self.inspects:
            identity, details = self.inspects.pop(number % len(self.inspects))
            known.inspected(identity, details, now_s)
        elif what == "failed" and self.inspects:
            known.failed(self.inspects.pop(number % len(self.inspects))[0], "it hangs", now_s)
        elif what == "event" and self.events:
            self.sent.append(self.events.pop(0))
            known.event(self.sent[-1], now_s)
        elif what == "lost" and self.events:
            self.events.pop(0)
        elif what == "twice" and self.sent and self.sent[-1].action != "destroy":
            known.event(self.sent[-1], now_s)

    def settle(self) -> None:
        """Let all come that is under way, then a full list, and all that is due because of it."""
        while self.lists or self.events or self.inspects:
            for what in ("listed", "event", "inspected"):
                self.step(what, 0)
        self.now_s += SETTLES_S
        self.step("list", 0)
        self.step("listed", 0)
        for _ in range(20):
            self.now_s += LONGEST_RETRY_S
            self.step("inspect", 0)
            while self.inspects:
                self.step("inspected", 0)


STEPS = ("start", "die", "pause", "destroy", "list", "listed", "inspect", "inspected", "failed", "event")


@pytest.mark.clause("4.events.list", "4.events.delay")
@given(
    st.lists(
        st.tuples(st.sampled_from([*STEPS, "event", "inspect", "lost", "twice"]), st.integers(0, 1)),
        max_size=40,
    )
)
@example([("start", 0), ("list", 0), ("die", 0), ("event", 0), ("event", 0), ("inspect", 0), ("listed", 0)])
def test_whatever_comes_in_which_order_a_full_list_ends_in_the_truth(steps: list[tuple[str, int]]) -> None:
    truth = Truth()
    for what, number in steps:
        truth.step(what, number)
    truth.settle()
    assert {one.id: one for one in truth.known.containers} == truth.containers
    assert asked(truth.known, truth.now_s + LONGEST_RETRY_S) == []


@pytest.mark.clause("4.events.delay")
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1)), max_size=40))
def test_one_that_died_is_never_in_once_its_event_has_come(steps: list[tuple[str, int]]) -> None:
    truth = Truth()
    died: dict[str, float] = {}
    for what, number in steps:
        before = len(truth.sent)
        truth.step(what, number)
        for sent in truth.sent[before:]:
            if sent.action == "die":
                died[sent.container_id] = truth.now_s
        for one in truth.known.containers:
            is_dead = (
                one.id in died
                and (there := truth.containers.get(one.id)) is not None
                and there.state is State.EXITED
            )
            if is_dead and not any(later.container_id == one.id for later in truth.events):
                assert one.state is not State.RUNNING, "a list or an inspect from before brought it back"


@pytest.mark.clause("4.events.second")
@pytest.mark.parametrize(
    "inspected",
    [
        replace(ONE, state=State.RESTARTING),
        replace(ONE, state=State.EXITED),
        replace(ONE, health=Health.UNHEALTHY),
    ],
)
def test_where_an_inspect_says_otherwise_than_the_list_the_next_list_is_news(inspected: Container) -> None:
    row = replace(ONE, health=Health.HEALTHY)
    known = Known(lambda _: True)
    known.listed([Listed(row.id, row)], 1.0, 1.0)
    assert list(known.due(1.0, most=9, of_lists=9, that_failed=9)) == [row.id]
    known.inspected(row.id, Details(inspected), 1.5)
    assert known.containers[0].state is inspected.state
    known.listed([Listed(row.id, row)], 30.0, 30.0)
    assert (known.containers[0].state, known.containers[0].health) == (row.state, row.health)
    assert list(known.due(30.0, most=9, of_lists=9, that_failed=9)) == [row.id]
    known.inspected(row.id, Details(row), 30.5)
    known.listed([Listed(row.id, row)], 60.0, 60.0)
    assert list(known.due(60.0, most=9, of_lists=9, that_failed=9)) == [], "they agree"
