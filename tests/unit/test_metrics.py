"""What all workers come to together, and which containers are told of."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.knowledge import Connection, Knowledge
from rgate.core.ledger import Counted
from rgate.core.metrics import KEPT_S, Gone, OfWorker, Source, of_all, sources_of, states_of
from rgate.core.reasons import LeftOut

STATES = ["in", "resting", *(one.value for one in LeftOut)]
NAMES = st.sampled_from(["a", "b"])
BY_CONTAINER = st.dictionaries(NAMES, st.dictionaries(NAMES, st.sampled_from(STATES)))
SOURCES = st.dictionaries(NAMES, st.builds(Source, st.booleans(), st.none() | st.integers(0, 9)))
WORKERS = st.builds(
    OfWorker,
    st.builds(Counted, NAMES, NAMES, st.just({})),
    st.just({"rgate_connections": {("client", "active"): (1,)}}),
    BY_CONTAINER,
    st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(0, 9))),
    SOURCES,
    st.integers(0, 9),
    st.none() | st.integers(0, 9),
)


def candidate(name: str) -> Candidate:
    return Candidate(name, name, Address("10.0.0.1", 80))


def left_out(name: str, why: LeftOut) -> ContainerView:
    return ContainerView(name, name, "running", "none", None, why, "because")


def view(*names: str, out: tuple[ContainerView, ...] = ()) -> BackendView:
    return BackendView("b", tuple(map(candidate, names)), containers=out)


@pytest.mark.clause("10.metrics.same")
@given(st.lists(WORKERS, min_size=1, max_size=4), st.randoms())
def test_all_come_to_the_same_whoever_asks(workers: list[OfWorker], random: object) -> None:
    others = [*workers]
    random.shuffle(others)  # type: ignore[attr-defined]
    assert of_all(workers) == of_all(others)
    assert of_all(workers).gauges == {"rgate_connections": {("client", "active"): (len(workers),)}}


@pytest.mark.clause("10.metrics.candidates")
def test_a_container_counts_once_and_as_the_worker_says_that_sees_it_worst() -> None:
    def worker(**states: str) -> OfWorker:
        return OfWorker(Counted("0", "1", {}), {}, {"b": states}, {}, {}, 0, None)

    together = of_all([worker(x="in", y="in"), worker(x="resting", y="in"), worker(x="in", z="unhealthy")])
    assert together.states == {"b": {"x": "resting", "y": "in", "z": "unhealthy"}}


@given(WORKERS)
def test_what_a_worker_says_is_the_same_through_json(worker: OfWorker) -> None:
    assert OfWorker.of_json(json.loads(json.dumps(worker.as_json()))) == worker


def test_the_states_are_those_of_the_views() -> None:
    found = states_of([view("x", "y", out=(left_out("z", LeftOut.UNHEALTHY),))], lambda one: one.name == "y")
    assert found == {"b": {"x": "in", "y": "resting", "z": "unhealthy"}}


def test_containers_are_called_as_in_the_figures() -> None:
    odd = BackendView("b\0", (candidate("x\ud800"),), containers=(left_out("y\0", LeftOut.STARTING),))
    assert states_of([odd], lambda _: False) == {"b?": {"x?": "in", "y?": "starting"}}


@pytest.mark.clause("10.metrics.discovery")
def test_a_source_that_one_worker_lost_is_not_connected_and_as_old_as_the_oldest_list() -> None:
    def worker(connected: bool, age_s: float | None) -> OfWorker:
        return OfWorker(Counted("0", "1", {}), {}, {}, {}, {"docker": Source(connected, age_s)}, 0, None)

    assert of_all([worker(True, 1), worker(False, 40)]).sources == {"docker": Source(False, 40)}
    assert of_all([worker(True, None), worker(True, 2)]).sources == {"docker": Source(True, 2)}
    known = sources_of([Knowledge("far", Connection.AWAY, last_list_s=3)])
    assert known == {"far": Source(False, 3)}


@pytest.mark.clause("10.metrics.gone")
def test_a_container_that_went_is_told_of_for_an_hour_and_then_forgotten() -> None:
    gone = Gone()
    gone.note([view("x", "y")], 0)
    assert gone.seconds(10) == {}
    gone.note([view("y")], 10)
    assert gone.seconds(20) == {"b": {"x": 10}}
    assert gone.seconds(10 + KEPT_S) == {}
    gone.note([view("y")], 10 + KEPT_S)
    assert gone.seconds(20) == {}  # nothing is kept of it


@pytest.mark.clause("10.metrics.gone")
def test_a_container_that_comes_back_or_does_not_run_is_not_gone() -> None:
    gone = Gone()
    gone.note([view("x")], 0)
    gone.note([view()], 10)
    gone.note([view(out=(left_out("x", LeftOut.NOT_RUNNING),))], 20)
    assert gone.seconds(30) == {}
    worker = OfWorker(Counted("0", "1", {}), {}, {"b": {"x": "not_running"}}, {"b": {"y": 5}}, {}, 0, None)
    together = of_all([worker])
    assert [together.is_kept(*one) for one in (("b", "x"), ("b", "y"), ("b", "z"), ("c", "x"))] == [
        True, True, False, False,
    ]  # fmt: skip
