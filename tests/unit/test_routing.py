"""The longest matching prefix wins, whatever the order in the file (behaviour 3)."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import Match, Route
from rgate.core.grammar import has_dot_segment
from rgate.core.onward import Request
from rgate.core.own import is_own
from rgate.core.problem import Problem
from rgate.core.reasons import Reason
from rgate.core.routing import LONGEST_HOST_KNOWN, MOST_HOSTS_KNOWN, Router, without_prefix
from tests.unit.messages import request

# A small alphabet, so that prefixes collide: over any text, "first match wins" passes 7 runs of 10.
PATHS = st.text(alphabet="/ab.%2e", max_size=6).map("/".__add__)
NAMES = ["a", "b.a", "b.b.a", "c.a"]
HOSTS = st.sampled_from(["", *NAMES, *("*." + name for name in NAMES), "[::1]", "127.0.0.1"])


def routes_of(paths: st.SearchStrategy[str], hosts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Route]]:
    made = st.builds(Route, path_prefix=paths, backend=st.just("x"), match=st.sampled_from(Match), host=hosts)
    return st.lists(made, unique_by=lambda route: route.name, max_size=8)


def matches(route: Route, path: str) -> bool:
    prefix = route.path_prefix
    if route.match is Match.PREFIX:
        return path.startswith(prefix)
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")


@given(routes=routes_of(PATHS, st.just("")), path=PATHS)
@example(routes=[Route("/a", "x"), Route("/ab", "x", Match.SEGMENT)], path="/abc")
@example(routes=[Route("/a", "x"), Route("/ab", "x"), Route("/b", "x")], path="/abc")
def test_the_longest_matching_prefix_wins(routes: list[Route], path: str) -> None:
    naive = max((r for r in routes if matches(r, path)), key=lambda r: len(r.path_prefix), default=None)
    assert Router(routes).match(path.encode()) == naive
    assert Router(reversed(routes)).match(path.encode(), b"any.example") == naive
    found = sorted((r for r in routes if matches(r, path)), key=lambda r: -len(r.path_prefix))
    assert Router(routes).matches(path.encode()) == tuple(found)


def is_meant(route: Route, host: str) -> bool:
    """Whether *host*, as it is compared, is one of the route's."""
    before, star, name = route.host.partition("*")
    return host.endswith(name) and len(host) > len(name) if star else before in ("", host)


def preferred(route: Route) -> tuple[bool, bool, int, int]:
    is_wildcard = route.host.startswith("*")
    return (bool(route.host), not is_wildcard, len(route.host), len(route.path_prefix))


SPELLINGS: list[Callable[[str], str]] = [
    str, str.upper, str.title, "{}:8080".format, "{}:".format, "{}.".format, "{}.:1".format,
]  # fmt: skip


@given(
    routes=routes_of(st.sampled_from(["/", "/a", "/ab", "/a/b"]), HOSTS),
    host=st.text("ab.", max_size=6) | st.sampled_from([*NAMES, "d.b.a", "[::1]", "127.0.0.1"]),
    spelt=st.sampled_from(SPELLINGS),
    path=st.text("/ab", max_size=4).map("/".__add__),
)
@example(routes=[Route("/", "x", host="*.a")], host=".a", spelt=str, path="/")
@example(routes=[Route("/a", "x", host="b.a"), Route("/", "x", host="*.a")], host="b.a", spelt=str, path="/b")
def test_the_exact_host_goes_before_wildcards_and_those_before_none(
    routes: list[Route], host: str, spelt: Callable[[str], str], path: str
) -> None:
    received = spelt(host).encode()
    # One dot at the end is not compared; an address in brackets has none.
    compared = host.removesuffix(".") if spelt(host).count(".") == host.count(".") else host
    found = [route for route in routes if is_meant(route, compared) and matches(route, path)]
    naive = max(found, key=preferred, default=None)
    router = Router(routes)
    for _ in range(2):  # the second time it is remembered
        assert router.match(path.encode(), received) == naive
    assert router.matches(path.encode(), received) == tuple(sorted(found, key=preferred, reverse=True))
    index = router.find(path.encode(), received)
    assert (router.routes[index] if index >= 0 else None) == naive


def test_what_has_no_match_in_one_host_falls_through_to_the_next() -> None:
    exact, wide, wider, rest = (
        Route("/a", "x", host="b.shop.example"),
        Route("/b", "x", host="*.shop.example"),
        Route("/", "x", Match.SEGMENT, host="*.example"),
        Route("/", "x"),
    )
    router = Router([rest, wider, exact, wide])
    found = [router.match(path, b"b.shop.example") for path in (b"/a", b"/b", b"/c")]
    assert found == [exact, wide, wider]
    assert router.match(b"/b", b"b.other.test") == rest
    assert router.match(b"/a", b"") == rest
    assert Router([exact, wide]).match(b"/c", b"b.shop.example") is None


@pytest.mark.parametrize("length", [1, 100, 60_000])
def test_hosts_of_strangers_do_not_pile_up(length: int) -> None:
    router = Router([Route("/", "x", host="*.a"), Route("/", "y")])
    for number in range(3000):
        assert router.match(b"/", b"%d%b.a:80" % (number, b"c" * length)) is not None
        assert len(router._known) <= MOST_HOSTS_KNOWN
    assert all(len(host) <= LONGEST_HOST_KNOWN for host in router._known)


def test_a_host_of_very_many_labels_costs_no_more_than_a_name_may() -> None:
    """65,536 bytes of labels: looking for each of its 32,768 suffixes would take a gigabyte's copying."""
    router = Router([Route("/", "x", host="*.a")])
    looked_up: list[bytes] = []

    class Counting(dict[bytes, Any]):
        def get(self, key: bytes, default: Any = None) -> Any:
            looked_up.append(key)
            return super().get(key, default)

    router._tables = Counting(router._tables)
    assert router.match(b"/", b"a." * 32_767 + b"a") is None
    assert router.match(b"/", b"a." * 126 + b"a") is not None
    assert len(looked_up) <= 256


def test_a_prefix_is_literal_and_a_segment_ends_at_a_slash() -> None:
    assert Router([Route("/api/pay", "x")]).match(b"/api/payment") is not None
    segment = Router([Route("/api/pay", "x", Match.SEGMENT)])
    assert segment.match(b"/api/payment") is None
    assert segment.match(b"/api/pay/1") is not None


@pytest.mark.parametrize(
    ("prefix", "path", "forwarded"),
    [
        ("/a", b"/a/b", b"/b"),
        ("/a", b"/ab", b"/b"),
        ("/a", b"/a", b"/"),
        ("/a/", b"/a/b", b"/b"),
        ("/a", b"/a//b", b"//b"),
    ],
)
def test_strip_prefix_leaves_a_path(prefix: str, path: bytes, forwarded: bytes) -> None:
    onward = without_prefix(Route(prefix, "x", strip_prefix=True), request(b"GET %b?q HTTP/1.1" % path))
    assert isinstance(onward, Request)
    assert onward.path == forwarded
    assert onward.onward.startswith(b"GET %b?q HTTP/1.1\r\n" % forwarded)


@pytest.mark.parametrize("path", [b"/a../b", b"/a.", b"/a%2E%2e/b", b"/a..%2fb", b"/a..;x"])
def test_what_is_left_without_a_prefix_is_checked_as_all_of_it_was(path: bytes) -> None:
    asked = request(b"GET %b HTTP/1.1" % path)
    assert asked.manner.refusal is None
    onward = without_prefix(Route("/a", "x", strip_prefix=True), asked)
    assert isinstance(onward, Problem)
    assert onward.reason is Reason.PATH_NOT_NORMALIZED


DOT_SEGMENTS = [
    *(b"/.", b"/..", b"/a/./b", b"/%2e", b"/%2E%2e/x", b"/a/.%2e", b"//../"),
    *(b"/a\\..", b"/..\\a", b"/..;x", b"/a%2f..", b"/.%2Fa", b"/a%5C.", b"/%2e%5ca"),
    *(b"/.;/a", b"/..%2fa", b"/a%5c..", b"/a%5C..%5cb", b"/a\\..\\b", b"/a\\."),
]


@pytest.mark.parametrize("path", DOT_SEGMENTS)
def test_a_dot_segment_is_seen_plain_and_encoded(path: bytes) -> None:
    assert has_dot_segment(path)


@pytest.mark.parametrize(
    "path",
    [
        *(b"/", b"/...", b"/.a", b"/a.", b"/a/..b", b"/%2e%2e%2e", b"/%2f..a", b"/a;..", b"/a..;x"),
        *(b"/;/a", b"/..%3b"),
    ],
)
def test_other_dots_are_no_dot_segments(path: bytes) -> None:
    assert not has_dot_segment(path)


SEGMENTS = st.lists(st.sampled_from([*"/\\;.a%2f", "%2e", "%2E", "%2f", "%5C"]), max_size=8)


@given(pieces=SEGMENTS)
def test_a_path_has_a_dot_segment_where_a_backend_could_find_one(pieces: list[str]) -> None:
    path = "/" + "".join(pieces)
    segments = re.split(r"[/\\]|%2f|%5c", path, flags=re.IGNORECASE)[1:]
    decoded = [re.sub("%2e", ".", one, flags=re.IGNORECASE).partition(";")[0] for one in segments]
    assert has_dot_segment(path.encode()) == any(one in (".", "..") for one in decoded)
    refusal = request(b"GET %b HTTP/1.1" % path.encode()).manner.refusal
    assert (refusal is Reason.PATH_NOT_NORMALIZED) == has_dot_segment(path.encode())


@pytest.mark.clause("3.route.own")
@pytest.mark.parametrize(("path", "own"), [(b"/stats", True), (b"/stats/", False), (b"/_rgate", True),
                                           (b"/_rgate/x", True), (b"/_rgatex", False)])  # fmt: skip
def test_rgates_own_paths_are_its_stats_and_all_under_its_prefix(path: bytes, own: bool) -> None:
    assert is_own(path, "/stats") is own
