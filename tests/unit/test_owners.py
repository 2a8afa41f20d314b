"""A comparison of two configurations names exactly the requests whose owner changes (behaviour 9)."""

import sys
from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core import owners
from rgate.core.config import Backend, Config, Match, Route, Stats
from rgate.core.names import LONGEST_HOST
from rgate.core.onward import Request
from rgate.core.own import is_own
from rgate.core.owners import (
    ChangeKind,
    OwnerChange,
    Owners,
    OwnPath,
    TooManyPaths,
    host_of,
    owner,
    owner_changes,
)
from tests.unit.messages import request
from tests.unit.test_routing import is_meant, matches, preferred

BACKENDS = tuple(Backend(name, urls=(f"http://{name}",)) for name in "xyz")
# A small alphabet, so that prefixes lie within each other, and requests meet them.
PIECES = ["/", "a", "b"]
PATHS = ["/" + "".join(rest) for length in range(4) for rest in product(PIECES, repeat=length)]
OWN = ["/_rgate", "/_rgate/x", "/_rgatea"]
HOSTS = ["", "a", "b.a", "c.b.a", "c.a", "d.c.b.a", "b"]
NAMES = ["", "a", "b.a", "c.b.a", "*.a", "*.b.a"]


def config_of(*routes: Route, stats: str = "/stats") -> Config:
    return Config(routes, BACKENDS, stats=Stats(path=stats))


ROUTES = st.builds(
    Route,
    path_prefix=st.sampled_from([path for path in PATHS if len(path) < 4] + ["/_rgate/x", "/_rg"]),
    backend=st.sampled_from("xyz"),
    match=st.sampled_from(Match),
    host=st.sampled_from(NAMES),
)
CONFIGS = st.builds(
    lambda routes, stats: config_of(*routes, stats=stats),
    st.lists(ROUTES, unique_by=lambda route: route.name, max_size=6),
    st.sampled_from(["/stats", "/a", "/", "/a/"]),
)


def naive_owner(config: Config, host: str, path: str) -> str | None:
    """The owner, by the words of the contract."""
    if is_own(path.encode(), config.stats.path):
        return None
    found = [route for route in config.routes if is_meant(route, host) and matches(route, path)]
    return max(found, key=preferred).backend if found else None


def that_speak_of(
    host: str, path: str, changes: Sequence[OwnerChange], old: Owners, new: Owners
) -> list[OwnerChange]:
    """The changes whose two takers take the request: what a change speaks of, by its definition."""
    pair = (old.taker(path, host), new.taker(path, host))
    return [change for change in changes if (change.old, change.new) == pair]


@pytest.mark.clause("9.plan.changes", "9.plan.exact")
@given(old=CONFIGS, new=CONFIGS)
@example(old=config_of(Route("/a", "x")), new=config_of(Route("/a", "x", Match.SEGMENT)))
@example(old=config_of(Route("/", "x")), new=config_of(Route("/", "x"), Route("/a", "y", Match.SEGMENT)))
# One host's routes come before those of all, at prefixes that only those have; and go.
@example(
    old=config_of(Route("/a", "x"), Route("/ab", "y")),
    new=config_of(Route("/a", "x"), Route("/ab", "y"), Route("/", "z", host="b.a")),
)
@example(
    old=config_of(Route("/", "z", host="*.a"), Route("/a/b", "y", host="a")),
    new=config_of(Route("/a", "x"), Route("/", "x", host="*.b.a")),
)
# Two prefixes of one host, beside each other: what lies below each counts.
@example(
    old=config_of(Route("/aa", "x"), Route("/ba", "y")),
    new=config_of(
        *(Route("/aa", "x"), Route("/ba", "y")),
        *(Route("/a", "z", host="b.a"), Route("/b", "z", host="b.a")),
    ),
)
@example(old=config_of(Route("/", "x"), stats="/a"), new=config_of(Route("/", "x"), stats="/"))
@example(old=config_of(Route("/_rg", "x")), new=config_of(Route("/_rg", "y")))
def test_an_owner_changes_where_one_change_says_so_and_nowhere_else(old: Config, new: Config) -> None:
    changes = owner_changes(old, new)
    before, after = Owners(old), Owners(new)
    for host, path in product(HOSTS, PATHS + OWN):
        was, becomes = naive_owner(old, host, path), naive_owner(new, host, path)
        speak = that_speak_of(host, path, changes, before, after)
        assert len(speak) == (was != becomes), (host, path)
        for change in speak:
            assert (change.from_backend, change.to_backend) == (was, becomes)
            assert is_meant(Route("/", "", host=change.host), host)
            assert path.startswith(change.path_prefix)


@given(old=CONFIGS, new=CONFIGS)
def test_each_example_is_a_request_that_changes_as_its_change_says(old: Config, new: Config) -> None:
    listed = {route.host for route in (*old.routes, *new.routes)}
    before, after = Owners(old), Owners(new)
    changes = owner_changes(old, new)
    for change in changes:
        host = host_of(change.host, listed)
        assert host is not None
        assert change.example.startswith(change.path_prefix)
        asked = request(f"GET {change.example} HTTP/1.1".encode())
        assert isinstance(asked, Request)
        assert asked.manner.refusal is None
        assert that_speak_of(host, change.example, changes, before, after) == [change]
        assert change.from_backend == naive_owner(old, host, change.example)
        assert change.to_backend == naive_owner(new, host, change.example)
        assert change.from_backend != change.to_backend


@given(config=CONFIGS)
def test_nothing_changes_between_equal_configurations(config: Config) -> None:
    assert owner_changes(config, config) == ()
    assert owner_changes(config, config_of(*reversed(config.routes), stats=config.stats.path)) == ()


def told(old: Config, new: Config) -> list[tuple[str, str, str, str | None, str | None, str]]:
    return [
        (c.kind.value, c.host, c.path_prefix, c.from_backend, c.to_backend, c.example)
        for c in owner_changes(old, new)
    ]


def test_what_goes_to_nobody_stands_first_then_what_goes_to_another_and_what_is_gained_last() -> None:
    old = config_of(Route("/b", "x"), Route("/c", "x"), Route("/a", "y", host="h"), Route("/a", "x"))
    new = config_of(Route("/d", "z"), Route("/c", "z"), Route("/a", "z", host="h"))
    assert told(old, new) == [
        ("removed", "", "/a", "x", None, "/a"),
        ("removed", "", "/b", "x", None, "/b"),
        ("owner", "", "/c", "x", "z", "/c"),
        ("owner", "h", "/a", "y", "z", "/a"),
        ("added", "", "/d", None, "z", "/d"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ([Route("/", "x")], [Route("/", "x"), Route("/a", "y")], ChangeKind.ADDED),
        ([Route("/", "x"), Route("/a", "y")], [Route("/", "x")], ChangeKind.REMOVED),
        ([Route("/a", "y")], [], ChangeKind.REMOVED),
        ([], [Route("/a", "y")], ChangeKind.ADDED),
        ([Route("/a", "y")], [Route("/a", "x")], ChangeKind.OWNER),
        ([Route("/a", "y")], [Route("/", "x")], ChangeKind.OWNER),  # one is gone, the other new
        ([Route("/", "x", host="h"), Route("/a", "y")], [Route("/a", "y")], ChangeKind.REMOVED),
    ],
)
def test_what_became_of_the_routes_is_told(old: list[Route], new: list[Route], kind: ChangeKind) -> None:
    assert owner_changes(config_of(*old), config_of(*new))[0].kind is kind


def test_a_prefix_that_ends_at_a_segment_changes_what_goes_on_within_it() -> None:
    old, new = config_of(Route("/api/pay", "x")), config_of(Route("/api/pay", "x", Match.SEGMENT))
    assert told(old, new) == [("owner", "", "/api/pay", "x", None, "/api/payx")]


def test_hosts_that_fall_through_to_the_same_change_are_not_repeated() -> None:
    kept = [Route("/only", "z", host=host) for host in ("a", "b.a", "*.a")]
    old, new = config_of(Route("/", "x"), *kept), config_of(Route("/", "y"), *kept)
    assert told(old, new) == [("owner", "", "/", "x", "y", "/")]


def test_where_the_stats_move_to_is_lost_and_where_they_were_is_gained() -> None:
    old, new = config_of(Route("/", "x"), stats="/s"), config_of(Route("/", "x"), stats="/t")
    assert told(old, new) == [
        ("owner", "", "/t", "x", None, "/t"),
        ("owner", "", "/s", None, "x", "/s"),
    ]
    assert owner_changes(old, new)[0].new == OwnPath("/t")


def test_an_example_is_found_where_other_prefixes_take_nearly_all_that_goes_on() -> None:
    ascii_ = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in "?#"]
    taken = [Route(f"/a{character}", "z") for character in ascii_]
    segment = Route("/a", "y", Match.SEGMENT)
    old, new = config_of(Route("/", "x"), *taken), config_of(Route("/", "x"), segment, *taken)
    assert told(old, new) == [("added", "", "/a", "x", "y", "/a")]
    narrowed = config_of(Route("/", "x"), Route("/a", "y"), *taken)
    (change,) = owner_changes(config_of(Route("/", "x"), segment, *taken), narrowed)
    assert change.example == "/aé"


def test_an_example_has_no_dot_segment() -> None:
    taken = [Route(f"/a/.%2{character}", "z") for character in "x1abcdABCD"]
    old = config_of(Route("/a/.%2", "x", Match.SEGMENT), *taken)
    (change,) = owner_changes(old, config_of(Route("/a/.%2", "x"), *taken))
    assert request(f"GET {change.example} HTTP/1.1".encode()).manner.refusal is None


@pytest.mark.parametrize(
    ("name", "listed", "host"),
    [
        ("", [], ""),
        ("a.b", ["*.b"], "a.b"),
        ("[::1]", [], "[::1]"),
        ("*.b", [], "x.b"),
        ("*.b", ["x.b", "a.b", "*.x.b"], "b.b"),
        ("*." + "a" * LONGEST_HOST, [], None),
    ],
)
def test_a_host_stands_for_the_name_of_a_route_and_for_no_nearer_one(
    name: str, listed: list[str], host: str | None
) -> None:
    assert host_of(name, listed) == host


def test_there_is_a_host_for_a_wildcard_though_all_short_labels_are_listed() -> None:
    listed = [f"{label}.b" for label in "abcdefghijklmnopqrstuvwxyz0123456789_"]
    assert host_of("*.b", listed) == "x0.b"


def test_the_owner_of_what_rgate_answers_is_nobody() -> None:
    assert [owner(taker) for taker in (None, OwnPath("/stats"), Route("/", "x"))] == [None, None, "x"]


def calls(compare: Callable[[], object]) -> int:
    count = 0

    def trace(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(trace)
    try:
        compare()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "route",
    [
        lambda n: Route(f"/r{n}", "x"),
        lambda n: Route("/" + "a" * (n % 500) + str(n), "x"),
        lambda n: Route("/", "x", host=f"h{n}.example"),
        lambda n: Route("/" if n % 2 else f"/r{n}", "x", host=f"h{n}" if n % 2 else ""),
    ],
    ids=["beside each other", "within each other", "of many hosts", "of many hosts, over those of none"],
)
def test_comparing_takes_steps_by_the_number_of_routes(route: Callable[[int], Route]) -> None:
    """Counted, not timed: how often a function is called."""

    def compared(number: int) -> int:
        routes = [route(n) for n in range(number)]
        changed = [Route(one.path_prefix, "y", one.match, host=one.host) for one in routes]
        return calls(lambda: owner_changes(config_of(*routes), config_of(*changed)))

    assert compared(2_000) < 12 * compared(200)


def test_what_would_take_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each host's route comes before each route of no host: all pairs change.
    shared = [Route(f"/r{n}", "x") for n in range(40)]
    hosts = [Route("/", "y", host=f"h{n}") for n in range(40)]
    assert len(owner_changes(config_of(*shared), config_of(*shared, *hosts))) == 40 * 40 + 40
    monkeypatch.setattr(owners, "MOST_LOOKED_AT", 1_000)
    with pytest.raises(TooManyPaths, match="fewer hosts"):
        owner_changes(config_of(*shared), config_of(*shared, *hosts))
