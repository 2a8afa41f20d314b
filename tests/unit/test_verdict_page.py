"""One verdict, whichever worker is asked (behaviour 10)."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.config import Backend, Config, Route
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.selection import view_of
from rgate.core.timeline import started
from rgate.core.verdict import (
    RISES_AFTER_S,
    Held,
    Shared,
    Standing,
    held_by_all,
    known_by_all,
    settled,
)
from rgate.stats import MemoryStats
from rgate.telling.process import Process, Started
from rgate.telling.timeline import Timeline
from rgate.web.gateway_now import GatewayNow
from rgate.web.verdict_page import VerdictPage
from tests.unit.containers import seen, unseen

from .fellows import Fellow

FIXED = Backend("fixed", urls=("http://127.0.0.1:9",))
ORDERS = Backend("orders", match_labels=(("app", "orders"),))
CONFIG = Config((Route("/f", "fixed"),), (FIXED, ORDERS))
EMPTY = {"fixed": view_of(FIXED, seen([], HostView())), "orders": view_of(ORDERS, seen([], HostView()))}
HERE = Knowledge("docker", Connection.CONNECTED, 5.0, 12.0, Events.LIVE, 41, "27.3.1", last_event=990.0)
AWAY = replace(HERE, docker=Connection.AWAY, events=Events.BROKEN, version="", error="refused")
NEVER = replace(HERE, docker=Connection.NEVER, last_list_s=None)


class World:
    def __init__(self, all: list[Fellow], config: Config = CONFIG) -> None:
        views = {name: view for name, view in EMPTY.items() if name in [b.name for b in config.backends]}
        self.gateway = Gateway(config, views, lambda: 0.0)
        self.knowledge = HERE
        self.fellow = Fellow(all)
        process = Process(Timeline([started(50.0, "0.1.0", 1, "x")]), Started(url="http://127.0.0.1:8080"))
        stats = MemoryStats()
        self.page = VerdictPage(
            GatewayNow(self.gateway, stats, lambda: (self.knowledge,), process, self.fellow)
        )

    def told(self) -> dict[str, Any]:
        document = json.loads(json.dumps(self.page.document().as_json()))
        assert isinstance(document, dict)
        return document


@pytest.mark.clause("10.verdict.page", "10.verdict.freshness")
def test_it_is_told_with_these_keys() -> None:
    world = World([])
    told = world.told()
    assert list(told) == ["level", "word", "window_s", "headline", "findings", "freshness"]
    assert (told["level"], told["word"], told["window_s"]) == ("degraded", "Degraded", 900)
    assert told["headline"] == ("1 of 2 backends have containers, `orders` has none; nothing was asked yet.")
    (finding,) = told["findings"]
    assert list(finding) == ["level", "text", "do", "command", "show"]
    assert finding["show"] == {"reason": "no_container", "container": None, "backend": "orders"}
    assert [list(fact) for fact in told["freshness"]] == [["level", "is", "text", "at"]] * 4
    assert [(fact["is"], fact["text"]) for fact in told["freshness"]] == [
        ("Docker", "connected, 27.3.1"),
        ("Full list", "{ago} ago"),
        ("Events", "live, last {ago} ago"),
        ("Config", "loaded {ago} ago, gen 41"),
    ]
    assert told["freshness"][3]["at"] == 50.0


@pytest.mark.clause("10.verdict.workers")
def test_what_one_worker_told_holds_for_all() -> None:
    fellows: list[Fellow] = []
    first, second = World(fellows), World(fellows)
    assert first.told()["level"] == "degraded"
    well = {"fixed": EMPTY["fixed"]}
    for world in (first, second):
        world.gateway.swap(Config((Route("/f", "fixed"),), (FIXED,)), well)
    # It is well now, and a level rises late: whichever is asked.
    assert [world.told()["level"] for world in (second, first)] == ["degraded", "degraded"]
    assert World([], Config((Route("/f", "fixed"),), (FIXED,))).told()["level"] == "waiting"


@pytest.mark.clause("10.verdict.workers")
def test_what_any_worker_knows_of_docker_counts_for_all() -> None:
    fellows: list[Fellow] = []
    first, second = World(fellows), World(fellows)
    second.knowledge = AWAY
    assert [world.told()["level"] for world in (first, second)] == ["stale", "stale"]
    second.knowledge = NEVER  # it has just started
    assert [world.told()["level"] for world in (first, second)] == ["degraded", "degraded"]


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0.1, 40), st.sampled_from(Standing)), min_size=1, max_size=12
    )
)
def test_workers_that_are_asked_in_turn_judge_as_one_would(
    asked: Sequence[tuple[int, float, Standing]],
) -> None:
    alone: Held | None = None
    told = [Shared(0.0, None, ())] * 3
    now = 1000.0
    for worker, later, standing in asked:
        now += later
        alone = settled(standing, alone, now)
        held = settled(standing, held_by_all(told, now), now)
        told[worker] = Shared(now, held, ())
        assert held == alone


@pytest.mark.clause("10.verdict.holds")
def test_what_was_told_long_ago_does_not_hold() -> None:
    told = [Shared(1000.0, Held(Standing.DOWN), ()), Shared(900.0, Held(Standing.WELL), ())]
    assert held_by_all(told, 1000.0 + RISES_AFTER_S) == Held(Standing.DOWN)
    assert held_by_all(told, 1001.0 + RISES_AFTER_S) is None
    assert held_by_all([], 0.0) is None


@pytest.mark.clause("10.verdict.holds")
def test_what_was_told_before_the_clock_was_set_back_holds_no_longer_than_ever() -> None:
    told = [Shared(9000.0, Held(Standing.DEGRADED, 9000.0), ()), Shared(1000.0, Held(Standing.STALE), ())]
    assert held_by_all(told, 1001.0) == Held(Standing.STALE)
    assert held_by_all(told[:1], 1001.0) is None


@given(st.permutations([HERE, AWAY, NEVER]), st.integers(1, 3))
def test_the_worst_that_is_known_of_a_source_is_known_in_any_order(
    known: list[Knowledge], number: int
) -> None:
    some = known[:number]
    (found,) = known_by_all([Shared(0.0, None, (one,)) for one in some])
    worst = next(one for one in (AWAY, HERE, NEVER) if one in some)
    assert found == worst


def test_unavailable_views_and_time_of_day() -> None:
    world = World([])
    since = (2026, 1, 2, 14, 32, 5, 0, 0, -1)
    world.knowledge = replace(AWAY, since=time.mktime(since))
    world.gateway.swap_views({**EMPTY, "orders": view_of(ORDERS, unseen("x"))})
    zone = time.strftime("%Z", time.localtime(world.knowledge.since))  # others may read it in another one
    assert world.told()["headline"].startswith(
        f"Docker does not answer since 01-02 14:32 {zone}, containers are as of then"
    )
    world.knowledge = replace(AWAY, since=time.time() - 3)
    assert re.match(rf"Docker does not answer since \d\d:\d\d:\d\d {zone},", world.told()["headline"])
