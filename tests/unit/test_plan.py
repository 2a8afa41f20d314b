"""What a plan says of backends, settings and routes that can never match (behaviour 9)."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.cli.plan import lines
from rgate.core.address import HostView
from rgate.core.config import Backend, Config, Match, Route, Stats
from rgate.core.config_warnings import Never, never_matching, warnings
from rgate.core.containers import Container, PublishedPort, State
from rgate.core.owners import Owners
from rgate.core.plan import Situation, needs_restart, plan
from rgate.core.selection import views_of
from tests.unit.containers import seen
from tests.unit.test_owners import CONFIGS, HOSTS, OWN, PATHS


def container(name: str, state: State = State.RUNNING, **labels: str) -> Container:
    published = (PublishedPort(80, "127.0.0.1", 8000),)
    return Container(name, name, labels, state, published=published)


def situation(config: Config, *containers: Container) -> Situation:
    return Situation(config, views_of(config.backends, seen(containers, HostView())))


def config_of(*backends: Backend, routes: tuple[Route, ...] = (), database: str = "sqlite:///a") -> Config:
    return Config(routes, backends, stats=Stats(database=database))


A = Backend("a", match_labels=(("app", "a"),))
B = Backend("b", match_labels=(("app", "b"),))
FIXED = Backend("fixed", urls=("http://h:1", "http://h:2"))


@pytest.mark.clause("9.plan.backends")
def test_backends_that_gain_lose_or_have_no_container_are_told_the_lost_first() -> None:
    before = [container("a-1", app="a"), container("a-2", app="a"), container("b-1", app="b")]
    after = [container("a-2", app="a"), container("a-3", app="a"), container("b-1", State.EXITED, app="b")]
    more = (Backend("new", match_labels=(("app", "n"),)), FIXED)
    found = plan(situation(config_of(A, B), *before), situation(config_of(A, B, *more), *after))
    assert found.as_json()["backends"] == [
        {"name": "b", "gains": [], "loses": ["b-1"], "moves": [], "candidates": []},
        {"name": "new", "gains": [], "loses": [], "moves": [], "candidates": []},
        {"name": "a", "gains": ["a-3"], "loses": ["a-1"], "moves": [], "candidates": ["a-2", "a-3"]},
        {"name": "fixed", "gains": ["h:1", "h:2"], "loses": [], "moves": [], "candidates": ["h:1", "h:2"]},
    ]
    assert "b-1 is exited" in found.backends[0].detail


@pytest.mark.clause("9.plan.backends")
def test_a_container_that_is_asked_at_another_address_is_told() -> None:
    one = Container(
        "a-1", "a-1", {"app": "a"}, State.RUNNING,
        published=(PublishedPort(80, "127.0.0.1", 8000), PublishedPort(90, "127.0.0.1", 9000)),
    )  # fmt: skip
    old, new = config_of(replace(A, port=80)), config_of(replace(A, port=90))
    assert plan(situation(old, one), situation(old, one)).backends == ()
    found = plan(situation(old, one), situation(new, one))
    assert found.as_json()["backends"] == [
        {
            "name": "a",
            "gains": [],
            "loses": [],
            "moves": [{"name": "a-1", "from": "127.0.0.1:8000", "to": "127.0.0.1:9000"}],
            "candidates": ["a-1"],
        }
    ]
    assert list(lines(found)) == [
        "nothing is lost",
        "changed  backend a: asks a-1 at 127.0.0.1:9000, and no more at 127.0.0.1:8000; has a-1",
    ]


def test_a_backend_that_is_gone_has_lost_all() -> None:
    found = plan(situation(config_of(FIXED)), situation(config_of()))
    assert found.as_json()["backends"] == [
        {"name": "fixed", "gains": [], "loses": ["h:1", "h:2"], "moves": [], "candidates": []}
    ]
    assert found.lost


@pytest.mark.clause("9.plan.yes")
@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ((config_of(A), "a-1"), (config_of(A), "a-1"), False),
        ((config_of(A), "a-1"), (config_of(A), "b-1"), True),  # its last candidate goes
        ((config_of(A), "b-1"), (config_of(A), "b-1"), False),  # it had none
        ((config_of(A), "a-1"), (config_of(A, B), "a-1"), False),
        ((config_of(A, routes=(Route("/", "a"),)), "a-1"), (config_of(A), "a-1"), True),
        ((config_of(A), "a-1"), (config_of(A, routes=(Route("/", "a"),)), "a-1"), False),
        (
            (config_of(A, B, routes=(Route("/", "a"),)), "a-1"),
            (config_of(A, B, routes=(Route("/", "b"),)), "a-1"),
            True,
        ),
    ],
)
def test_lost_is_a_path_that_loses_its_backend_and_a_backend_that_loses_its_last_candidate(
    old: tuple[Config, str], new: tuple[Config, str], *, lost: bool
) -> None:
    situations = [situation(config, container(name, app=name[0])) for config, name in (old, new)]
    found = plan(*situations)
    assert found.lost is lost
    assert found.as_json()["lost"] is lost


NAMES = st.frozensets(st.sampled_from(["a-1", "a-2", "b-1"]))


@given(before=NAMES, after=NAMES, backends=st.permutations([A, B]))
def test_what_is_gained_and_lost_makes_of_the_candidates_before_those_afterwards(
    before: frozenset[str], after: frozenset[str], backends: list[Backend]
) -> None:
    config = config_of(*backends)
    old, new = (situation(config, *(container(n, app=n[0]) for n in names)) for names in (before, after))
    found = plan(old, new)
    for name in "ab":
        had = {one for one in before if one.startswith(name)}
        has = {one for one in after if one.startswith(name)}
        told = [change for change in found.backends if change.name == name]
        assert len(told) == (had != has or not has)
        for change in told:
            assert (had | {*change.gains}) - {*change.loses} == has == {*change.candidates}
            assert not {*change.gains} & had
            assert {*change.loses} <= had
            assert bool(change.detail) == (not has)


@pytest.mark.clause("9.plan.restart")
def test_a_setting_that_only_a_restart_changes_is_told() -> None:
    old, new = config_of(FIXED), config_of(FIXED, database="sqlite:///b")
    assert plan(situation(old), situation(new)).as_json()["restart"] == ["stats.database"]
    moved = Config((), (FIXED,), stats=Stats("sqlite:///a", "/figures"))
    assert needs_restart(old, moved) == needs_restart(old, old) == ()


LONG = ".".join(["a" * 63] * 4)[:252]


@pytest.mark.clause("9.plan.never")
@pytest.mark.parametrize(
    ("routes", "never"),
    [
        ([Route("/_rgate/x", "x")], ["/_rgate/x"]),
        ([Route("/_rgatex", "x"), Route("/_rg", "x")], []),
        ([Route("/", "x", host=f"*.{LONG[1:]}"), Route("/a", "x", host=LONG)], []),
        ([Route("/", "x", host=f"*.{LONG}"), Route("/a", "x", host=LONG)], [f"*.{LONG}/"]),
        ([Route("/stats", "x", Match.SEGMENT)], []),
        ([Route("/stats", "x"), Route("/stats/", "x")], []),
        ([Route("/stats", "x", Match.SEGMENT), Route("/stats/", "x", host="h")], []),
        ([Route("/stats", "x", Match.SEGMENT), Route("/stats/", "x")], ["/stats"]),
    ],
)
def test_a_route_that_can_never_match_is_told_and_warned_of(routes: list[Route], never: list[str]) -> None:
    config = Config(tuple(routes), (Backend("x", urls=("http://x",)),))
    found = never_matching(config)
    assert [one.host + one.path_prefix for one in found] == never
    told = [warning for warning in warnings(config) if "can never match" in warning]
    assert told == [f"{one.host}{one.path_prefix} can never match, as {one.why}" for one in found]
    (*_, document) = plan(situation(config), situation(config)).as_json().values()
    assert document == [{"host": one.host, "path_prefix": one.path_prefix, "why": one.why} for one in found]


def test_below_a_slash_at_its_end_a_route_at_the_stats_still_matches() -> None:
    routes = (Route("/s/", "x", Match.SEGMENT), Route("/s//", "x"))
    assert never_matching(Config(routes, (Backend("x", urls=("http://x",)),), stats=Stats(path="/s/"))) == ()


@given(config=CONFIGS)
def test_a_route_that_can_never_match_takes_nothing_and_each_other_one_something(config: Config) -> None:
    owners = Owners(config)
    paths = [path + more for path in (*PATHS, *OWN, "/_rg") for more in ("", "x", "/x")]
    takers = {owners.taker(path, host) for path in paths for host in (*HOSTS, "x.a", "x.b.a")}
    never = [Never(route.host, route.path_prefix, "") for route in config.routes if route not in takers]
    assert [Never(one.host, one.path_prefix, "") for one in never_matching(config)] == never


@given(old=CONFIGS, new=CONFIGS)
def test_the_document_is_json_with_the_keys_of_the_contract(old: Config, new: Config) -> None:
    found = plan(situation(old), situation(new))
    document = found.as_json()
    assert json.loads(json.dumps(document)) == document
    assert [*document] == ["lost", "routes", "backends", "restart", "never"]
    for route, change in zip(document["routes"], found.routes, strict=True):
        assert [*route] == ["change", "host", "path_prefix", "from", "to", "example"]
        assert [*route.values()][3:5] == [change.from_backend, change.to_backend]
    assert document["lost"] == (
        any(route["from"] is not None for route in document["routes"])
        or any(one["loses"] and not one["candidates"] for one in document["backends"])
    )
