"""How well a container stands with a backend, and since when (behaviour 10)."""

from dataclasses import replace

import pytest

from rgate.core.address import HostView
from rgate.core.candidates import Address, ContainerView
from rgate.core.config import Backend
from rgate.core.container_level import level_of, since_now
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.reasons import LeftOut
from rgate.core.selection import views_of
from tests.unit.containers import seen

VIEW = ContainerView("one", "1" * 64, "running", "healthy", Address("127.0.0.1", 1), None, "")
BACKENDS = [Backend("a", match_labels=(("app", "a"),)), Backend("b", match_labels=(("app", "a"),), port=81)]
ONE = Container("1" * 64, "one", {"app": "a"}, State.RUNNING, published=(PublishedPort(80, "127.0.0.1", 1),))


@pytest.mark.clause("10.backends.level")
@pytest.mark.parametrize(
    ("container", "resting", "told"),
    [
        (VIEW, False, ("ok", "in, healthy")),
        (replace(VIEW, health="none"), False, ("ok", "in, no health check")),
        (VIEW, True, ("warn", "in, but it refused: others first")),
        (replace(VIEW, left_out=LeftOut.LABELS), False, ("info", "near miss")),
        (replace(VIEW, left_out=LeftOut.STARTING), False, ("warn", "out: starting")),
        (replace(VIEW, left_out=LeftOut.STOPPING), True, ("warn", "out: stopping")),
        (replace(VIEW, left_out=LeftOut.UNHEALTHY), False, ("bad", "out: unhealthy")),
        (replace(VIEW, left_out=LeftOut.NO_ADDRESS), False, ("bad", "out: no address")),
        (replace(VIEW, left_out=LeftOut.NOT_RUNNING, state="paused"), False, ("bad", "out: paused")),
    ],
)
def test_it_is_told_in_a_word_or_two(container: ContainerView, resting: bool, told: tuple[str, str]) -> None:
    level, says = level_of(container, is_resting=resting)
    assert (level.value, says) == told


@pytest.mark.clause("10.backends.since")
def test_since_when_changes_as_it_comes_in_goes_out_or_moves_and_by_nothing_else() -> None:
    paused = replace(ONE, state=State.PAUSED)
    moved = replace(ONE, published=(PublishedPort(80, "127.0.0.1", 2),))
    moments = [
        (10.0, [], []),
        (11.0, [ONE], [11.0, 11.0]),
        (12.0, [replace(ONE, revision=2)], [11.0, 11.0]),
        (13.0, [paused], [13.0, 13.0]),
        (14.0, [paused], [13.0, 13.0]),
        (15.0, [ONE], [15.0, 15.0]),
        # Where a port is asked for that is not published, a container that moves stays out as it is.
        (16.0, [moved], [16.0, 15.0]),
        (17.0, [], []),
        (18.0, [ONE], [18.0, 18.0]),
    ]
    since, before = since_now({}, {}, {}, 9.0), views_of(BACKENDS, seen([], HostView()))
    for at, containers, expected in moments:
        after = views_of(BACKENDS, seen(containers, HostView()))
        since = since_now(since, before, after, at)
        assert [value for _, value in sorted(since.items())] == expected
        before = after
