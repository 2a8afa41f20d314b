"""A container that is stopped gets nothing until it starts, or outlives its stop time-out (behaviour 8)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rgate.core.config import Backend
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.reasons import LeftOut, Reason
from rgate.discovery.registry import Registry
from rgate.discovery.source import Details

ONE = Container(
    "1" * 64, "one", {"app": "a"}, State.RUNNING, published=(PublishedPort(80, "127.0.0.1", 40001),)
)
# What Docker says of it: to be stopped with SIGQUIT, within 3 s.
DETAILS = Details(ONE, stop_signal=3, stop_timeout_s=3)
TERM, QUIT, KILL = 15, 3, 9


@pytest.fixture
def registry() -> Registry:
    registry = Registry([Backend("b", match_labels=(("app", "a"),))])
    registry.replace([DETAILS], 0)
    return registry


def is_in(registry: Registry) -> bool:
    return bool(registry.views["b"].candidates)


@pytest.mark.clause("8.stopping.signal")
@pytest.mark.parametrize(("signal", "stays"), [(QUIT, False), (KILL, False), (TERM, True), (0, True)])
def test_its_own_stop_signal_and_sigkill_take_it_out_and_no_other(
    registry: Registry, signal: int, stays: bool
) -> None:
    registry.signalled(ONE.id, signal, 0)
    assert is_in(registry) is stays


def test_it_is_out_though_docker_goes_on_to_say_that_it_runs(registry: Registry) -> None:
    registry.signalled(ONE.id, QUIT, 0)
    registry.update(ONE.id, DETAILS, 0.1)
    registry.replace([DETAILS], 0.2)
    assert registry.views["b"].reason is Reason.NO_CONTAINER
    assert registry.views["b"].containers[0].left_out is LeftOut.STOPPING


@pytest.mark.clause("8.stopping.until")
def test_it_is_in_again_with_its_next_start(registry: Registry) -> None:
    registry.signalled(ONE.id, QUIT, 0)
    registry.update(ONE.id, replace(DETAILS, container=replace(ONE, state=State.EXITED)), 0.1)
    registry.update(ONE.id, DETAILS, 0.2)
    registry.started(ONE.id)
    assert is_in(registry)


@pytest.mark.clause("8.stopping.until")
@pytest.mark.parametrize(
    "later", [Registry.sweep, lambda r, s: r.replace([DETAILS], s), lambda r, s: r.update(ONE.id, DETAILS, s)]
)
def test_it_is_in_again_where_it_still_runs_after_its_stop_time_out(
    registry: Registry, later: Callable[[Registry, float], None]
) -> None:
    registry.signalled(ONE.id, QUIT, 0)
    later(registry, 2.9)
    assert not is_in(registry)
    later(registry, 10)
    assert is_in(registry)


@pytest.mark.clause("6.tries.until")
def test_what_docker_reports_makes_another_candidate_and_a_list_without_news_does_not(
    registry: Registry,
) -> None:
    # One that is left out after a failure is so until Docker reports a change (behaviour 6).
    before = registry.views["b"].candidates
    registry.replace([DETAILS], 1)
    assert registry.views["b"].candidates == before
    registry.update(ONE.id, DETAILS, 2)
    assert registry.views["b"].candidates != before


def test_who_subscribes_is_told_of_changes_only(registry: Registry) -> None:
    told: list[object] = []
    registry.subscribe(told.append)
    registry.replace([DETAILS], 1)
    assert told == []
    registry.replace([], 2)
    assert told == [registry.views]


MOMENT = 1764165792.9  # 2025-11-26 14:03:12.9 UTC
STALE = "Docker has not answered since 2025-11-26 14:03:12 UTC, so this is as of then."


@pytest.mark.clause("9.knowledge.stale")
def test_while_docker_is_away_the_views_say_since_when_until_the_next_list(registry: Registry) -> None:
    registry.unavailable("why", MOMENT)
    assert registry.views["b"].stale == STALE
    assert is_in(registry)
    registry.configure(
        [Backend("b", match_labels=(("app", "a"),)), Backend("c", match_labels=(("app", "c"),))]
    )
    assert {view.stale for view in registry.views.values()} == {STALE}
    registry.replace([DETAILS], 1)
    assert {view.stale for view in registry.views.values()} == {""}


def test_docker_that_never_answered_makes_nothing_stale() -> None:
    registry = Registry([Backend("b", match_labels=(("app", "a"),))])
    registry.unavailable("there is no socket: start Docker", MOMENT)
    view = registry.views["b"]
    assert (view.reason, view.stale) == (Reason.DOCKER_UNAVAILABLE, "")
    assert "there is no socket: start Docker" in view.detail


def test_that_docker_is_still_away_is_no_change(registry: Registry) -> None:
    told: list[object] = []
    registry.subscribe(told.append)
    for error in ("refused", "refused", "timed out"):
        registry.unavailable(error, MOMENT)
    assert len(told) == 1


def test_the_generation_grows_with_each_change_of_the_views_and_with_nothing_else(registry: Registry) -> None:
    told: list[int] = []
    registry.subscribe(lambda _: told.append(registry.generation))
    began = registry.generation
    registry.replace([DETAILS], 1)
    registry.update(ONE.id, DETAILS, 2)
    registry.update("2" * 64, Details(replace(ONE, id="2" * 64, labels={})), 2)
    registry.unavailable("away", MOMENT)
    registry.unavailable("away", MOMENT)
    registry.replace([], 3)
    assert told == [began + 1, began + 2, began + 3]
    registry.configure([])
    assert registry.generation == began + 4


def test_a_full_list_says_which_containers_it_has_otherwise(registry: Registry) -> None:
    two = Details(replace(ONE, id="2" * 64, health=Health.UNHEALTHY))
    assert registry.replace([DETAILS, two], 1) == {two.container.id}
    assert registry.replace([DETAILS, two], 2) == frozenset()
    paused = Details(replace(two.container, state=State.PAUSED))
    assert registry.replace([DETAILS, paused], 3) == {two.container.id}
    gone = Details(replace(two.container, state=State.EXITED))
    registry.update(two.container.id, gone, 4)
    # Of one that is not up, Docker's list says less than Docker does of it alone.
    row = Details(replace(gone.container, health=Health.NONE, published=()))
    assert registry.replace([DETAILS, row], 5) == frozenset()
    assert registry.replace([], 6) == {ONE.id, two.container.id}
