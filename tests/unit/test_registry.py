"""What is known of containers, as each backend's view of it."""

import threading

import pytest

from rgate.core.config import Backend, Source
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.knowledge import stale_since
from rgate.core.reasons import Reason
from rgate.core.seen import Seen
from rgate.discovery.registry import Registry

ONE = Container(
    "1" * 64, "one", {"app": "a"}, State.RUNNING, published=(PublishedPort(80, "127.0.0.1", 40001),)
)
TWO = Container("2" * 64, "two", {}, State.RUNNING)
SINCE = 1764165792.9
STALE = stale_since(SINCE)


def shown(*containers: Container, since: float | None = None) -> Seen:
    return Seen(containers, error="why" if since else "", away_since=since)


@pytest.fixture
def registry() -> Registry:
    registry = Registry([Backend("b", match_labels=(("app", "a"),))])
    registry.show(shown(ONE))
    return registry


def is_in(registry: Registry) -> bool:
    return bool(registry.views["b"].candidates)


def test_who_subscribes_is_told_of_changes_only(registry: Registry) -> None:
    told: list[object] = []
    registry.subscribe(told.append)
    registry.show(shown(ONE))
    assert told == []
    registry.show(shown())
    assert told == [registry.views]


@pytest.mark.clause("9.knowledge.stale")
def test_while_docker_is_away_the_views_say_since_when_until_the_next_list(registry: Registry) -> None:
    registry.show(shown(ONE, since=SINCE))
    assert registry.views["b"].stale == STALE
    assert is_in(registry)
    registry.configure(
        [Backend("b", match_labels=(("app", "a"),)), Backend("c", match_labels=(("app", "c"),))]
    )
    assert {view.stale for view in registry.views.values()} == {STALE}
    registry.show(shown(ONE))
    assert {view.stale for view in registry.views.values()} == {""}


def test_docker_that_never_answered_makes_nothing_stale() -> None:
    registry = Registry([Backend("b", match_labels=(("app", "a"),))])
    registry.show(Seen(None, error="there is no socket: start Docker"))
    view = registry.views["b"]
    assert (view.reason, view.stale) == (Reason.DOCKER_UNAVAILABLE, "")
    assert "there is no socket: start Docker" in view.detail


def test_the_generation_grows_with_each_change_of_the_views_and_with_nothing_else(registry: Registry) -> None:
    told: list[int] = []
    registry.subscribe(lambda _: told.append(registry.generation))
    began = registry.generation
    registry.show(shown(ONE, TWO))
    registry.show(shown(ONE, since=SINCE))
    registry.show(shown(ONE, since=SINCE))
    registry.show(shown())
    assert told == [began + 1, began + 2]
    registry.configure([])
    assert registry.generation == began + 3


def test_what_backends_want_is_known_and_changes_with_them(registry: Registry) -> None:
    registry.configure(
        [Backend("b", match_labels=(("app", "a"), ("env", "x"))), Backend("u", urls=("http://a",))]
    )
    assert registry.wants({"app": "a", "env": "x", "more": "y"})
    assert not registry.wants({"app": "a"})
    registry.configure([Backend("b", match_labels=(("app", "a"),))])
    assert registry.wants({"app": "a"})
    assert not registry.wants({})


@pytest.mark.clause("12.reload.changed", "4.events.away")
@pytest.mark.parametrize("when", ["before it is configured", "behind that"])
def test_a_source_that_is_changed_and_does_not_answer_keeps_what_it_showed(when: str) -> None:
    backends = [Backend("b", match_labels=(("app", "a"),))]
    before, changed = Source("far", docker="tcp://a:1"), Source("far", docker="tcp://a:2")
    registry = Registry(backends, [before], unix_s=lambda: SINCE)
    registry.show(Seen((ONE,), source="far"), before)
    registry.expect(backends, [changed])
    silent = Seen(None, source="far", error="it does not answer")
    if when == "before it is configured":
        registry.show(silent, changed)
    registry.configure(backends, [changed])
    assert is_in(registry)
    registry.show(silent, changed)
    assert is_in(registry)
    assert registry.views["b"].stale
    told = registry.generation
    registry.show(silent, changed)
    assert registry.generation == told
    registry.show(Seen((), source="far"), changed)
    assert not is_in(registry)


@pytest.mark.clause("8.reload.whole")
def test_what_is_shown_as_another_configuration_comes_in_force_comes_behind_it(registry: Registry) -> None:
    in_force: list[object] = []
    registry.subscribe(in_force.append)
    showing = threading.Thread(target=registry.show, args=(shown(),))

    def put_in_force(views: object) -> None:
        showing.start()
        showing.join(0.2)
        assert in_force == []
        in_force.append(views)

    registry.configure([Backend("b", match_labels=(("app", "a"),))], put_in_force=put_in_force)
    showing.join(5)
    assert in_force[-1] == registry.views
    assert not is_in(registry)
