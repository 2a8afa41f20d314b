"""What `/_rgate/backends` tells of who may be asked, and how much each is, of all workers (behaviour 10)."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.candidates import BackendView, Candidate
from rgate.core.config import Backend, Config, Policy, Route
from rgate.core.config_errors import ConfigError
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.containers_now import Together, Told
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.reasons import LeftOut
from rgate.core.record import Record
from rgate.core.selection import views_of
from rgate.core.timeline import config_refused, started
from rgate.stats import MemoryStats
from rgate.telling.process import Process, Started
from rgate.telling.timeline import Timeline
from rgate.web.backends_page import BackendsPage
from rgate.web.gateway_now import GatewayNow
from tests.unit.containers import seen

from .fellows import Fellow

ORDERS = Backend("orders", (("app", "orders"), ("env", "production")), policy=Policy.ROUND_ROBIN)
FIXED = Backend("fixed", urls=("http://127.0.0.1:9",))
CONFIG = Config(
    (Route("/api/orders", "orders"), Route("/f", "fixed"), Route("/", "orders", host="shop.example")),
    (ORDERS, FIXED),
)
ONE = Container(
    "1" * 64,
    "orders-1",
    dict(ORDERS.match_labels),
    State.RUNNING,
    Health.HEALTHY,
    published=(PublishedPort(80, "127.0.0.1", 40001),),
)
SICK = replace(ONE, id="2" * 64, name="orders-2", health=Health.UNHEALTHY)
NEAR = replace(ONE, id="3" * 64, name="orders-3", labels={"app": "orders", "env": "prod"})
VIEWS = views_of(CONFIG.backends, seen([ONE, SICK, NEAR], HostView()))
KNOWN = Knowledge("docker", Connection.CONNECTED, 5.0, 12.0, Events.LIVE, 41, "27.3.1", last_event=990.0)
LOADED = {"resting_until", "in_flight", "requests", "errors", "p95"}


class World:
    """One worker with what it knows, and others."""

    def __init__(
        self, all: list[Fellow], *, began: float = 1.0, views: Mapping[str, BackendView] = VIEWS
    ) -> None:
        self.gateway = Gateway(CONFIG, views, lambda: 0.0)
        self.stats = MemoryStats()
        started_as = Started("0.1.0", "127.0.0.1:8080", "asyncio", 2, "config.yml", "http://127.0.0.1:8080")
        self.process = Process(Timeline(began=began), started_as)
        self.since: dict[tuple[str, str], float] = {}
        self.process.knows(lambda: self.since)
        self.under_way: Counter[tuple[str, Candidate]] = Counter()
        self.process.serves(lambda: self.under_way)
        self.fellow = Fellow(all)
        self.page = BackendsPage(
            GatewayNow(self.gateway, self.stats, lambda: (KNOWN,), self.process, self.fellow)
        )

    def told(self, window_s: int | None = None) -> dict[str, Any]:
        told = json.loads(json.dumps(self.page.document(window_s).as_json()))
        assert isinstance(told, dict)
        return told

    @property
    def candidate(self) -> Candidate:
        return self.gateway.views["orders"].candidates[0]


@pytest.fixture
def fellows() -> list[Fellow]:
    return []


@pytest.mark.clause("10.backends.keys")
def test_each_container_is_told_with_these_keys(fellows: list[Fellow]) -> None:
    world = World(fellows)
    world.since = {("orders", one.id): 100.0 + n for n, one in enumerate((ONE, SICK, NEAR))}
    told = world.told()
    assert list(told) == [
        "now", "missing_workers", "generation", "knowledge", "docker", "config", "gateway", "backends",
    ]  # fmt: skip
    orders = told["backends"]["orders"]
    assert {key: value for key, value in orders.items() if key != "containers"} == {
        "candidates": [{"name": "orders-1", "address": "127.0.0.1:40001"}],
        "reason": None,
        "detail": "",
        "match_labels": ["app=orders", "env=production"],
        "policy": "round_robin",
        "routes": ["/api/orders", "shop.example/"],
    }
    assert orders["containers"] == [
        {
            "name": "orders-1",
            "id": "111111111111",
            "state": "running",
            "health": "healthy",
            "address": "127.0.0.1:40001",
            "candidate": True,
            "left_out": None,
            "detail": "",
            "level": "ok",
            "says": "in, healthy",
            "since": 100.0,
            "resting_until": None,
            "labels": {"has": 2, "of": 2, "missing": []},
            "in_flight": 0,
        },
        {
            "name": "orders-2",
            "id": "222222222222",
            "state": "running",
            "health": "unhealthy",
            "address": None,
            "candidate": False,
            "left_out": "unhealthy",
            "detail": "orders-2 is unhealthy: `docker inspect orders-2` shows its last checks",
            "level": "bad",
            "says": "out: unhealthy",
            "since": 101.0,
            "resting_until": None,
            "labels": {"has": 2, "of": 2, "missing": []},
            "in_flight": 0,
        },
        {
            "name": "orders-3",
            "id": "333333333333",
            "state": "running",
            "health": "healthy",
            "address": None,
            "candidate": False,
            "left_out": "labels",
            "detail": "orders-3 has 1 of 2 labels: env=prod, wanted env=production",
            "level": "info",
            "says": "near miss",
            "since": 102.0,
            "resting_until": None,
            "labels": {
                "has": 1,
                "of": 2,
                "missing": [{"key": "env", "found": "prod", "wanted": "production"}],
            },
            "in_flight": 0,
        },
    ]
    assert told["backends"]["fixed"] == {
        "candidates": [{"name": "127.0.0.1:9", "address": "127.0.0.1:9"}],
        "reason": None,
        "detail": "",
        "containers": [],
        "urls": ["127.0.0.1:9"],
        "addresses": [
            {
                "address": "127.0.0.1:9",
                "level": "ok",
                "says": "in, a fixed address",
                "resting_until": None,
                "in_flight": 0,
            }
        ],
        "policy": "random",
        "routes": ["/f"],
    }


@pytest.mark.clause("10.backends.keys")
def test_docker_the_file_and_the_gateway_are_told_with_these_keys(fellows: list[Fellow]) -> None:
    world = World(fellows)
    world.process.timeline.add(started(50.0, "0.1.0", 2, "127.0.0.1:8080"))
    world.process.timeline.add(config_refused(60.0, [ConfigError("config.yml", 3, "routes", "is missing")]))
    told = world.told()
    assert told["docker"] == {
        "connected": True,
        "version": "27.3.1",
        "error": "",
        "events": "live",
        "last_list": pytest.approx(told["now"] - 12.0),
        "last_event": 990.0,
        "away_since": None,
    }
    assert told["config"] == {"path": "config.yml", "loaded": 50.0, "error": "line 3: `routes`: is missing"}
    assert told["gateway"] == {
        "version": "0.1.0",
        "listen": "127.0.0.1:8080",
        "engine": "asyncio",
        "workers": 2,
        "started": 50.0,
        "in_flight": 0,
    }
    assert told["generation"] == 41


@pytest.mark.clause("10.backends.window")
def test_with_a_window_there_are_the_figures_of_each_container_and_address(fellows: list[Fellow]) -> None:
    world = World(fellows)
    record = Record(time.time(), "", "GET", "/", 200, 0, 2_000_000, "/api/orders", "orders", "orders-1")
    for status in (200, 200, 500):
        world.stats.add(record._replace(status=status))
    world.stats.add(record._replace(backend="fixed", container="127.0.0.1:9"))
    told = world.told(900)
    first, second, _ = told["backends"]["orders"]["containers"]
    assert (first["requests"], first["errors"]) == (3, 1)
    assert first["p95"] == pytest.approx(2.0, rel=0.01)
    assert (second["requests"], second["errors"], second["p95"]) == (0, 0, None)
    assert told["backends"]["fixed"]["addresses"][0]["requests"] == 1
    assert first.keys() >= LOADED


@pytest.mark.clause("10.backends.in_flight", "10.backends.resting", "10.backends.since")
def test_what_is_under_way_and_who_rests_is_told_of_all_workers(fellows: list[Fellow]) -> None:
    worlds = [World(fellows, began=float(began)) for began in (3, 1, 2)]
    for number, world in enumerate(worlds, 1):
        world.under_way["orders", world.candidate] = number
        world.under_way["fixed", world.gateway.views["fixed"].candidates[0]] = 1
        world.since = {("orders", ONE.id): 1000.0 + number}
    worlds[2].gateway.balancer.refused(worlds[2].candidate, time.monotonic())
    for world in worlds:
        told = world.told()
        first = told["backends"]["orders"]["containers"][0]
        assert (first["in_flight"], told["gateway"]["in_flight"], told["missing_workers"]) == (6, 9, 0)
        assert told["backends"]["fixed"]["addresses"][0]["in_flight"] == 3
        assert (first["level"], first["says"]) == ("warn", "in, but it refused: others first")
        assert told["now"] < first["resting_until"] <= told["now"] + 1
        assert first["since"] == 1002.0  # of the one that watches the longest
    worlds[1].fellow.hangs = True
    told = worlds[0].told()
    assert (told["gateway"]["in_flight"], told["missing_workers"]) == (6, 1)
    assert told["backends"]["orders"]["containers"][0]["since"] == 1003.0


KEYS = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"))
TOLD = st.builds(
    Told,
    began=st.floats(0, 9),
    in_flight=st.dictionaries(KEYS, st.integers(0, 9)),
    resting=st.dictionaries(KEYS, st.floats(0, 9)),
    since=st.dictionaries(KEYS, st.tuples(st.none() | st.sampled_from(LeftOut), st.floats(0, 9))),
)


@given(st.lists(TOLD, max_size=3), KEYS, st.none() | st.sampled_from(LeftOut))
def test_together_workers_say_what_each_says(
    told: list[Told], key: tuple[str, str], left_out: LeftOut | None
) -> None:
    assert [Told.of_json(json.loads(json.dumps(one.as_json()))) for one in told] == told
    together = Together(told)
    assert together.in_flight(key) == sum(one.in_flight.get(key, 0) for one in told)
    assert together.all_in_flight == sum(sum(one.in_flight.values()) for one in told)
    resting = [one.resting[key] for one in told if key in one.resting]
    assert together.resting_until(key) == (max(resting) if resting else None)
    known = [one for one in told if one.since.get(key, (object(),))[0] is left_out]
    since = together.since(key, left_out)
    assert (since is None) is (not known)
    if known:
        eldest = min(one.began for one in known)
        assert since in [one.since[key][1] for one in known if one.began == eldest]
