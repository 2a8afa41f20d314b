"""The longest matching prefix wins, whatever the order in the file (behaviour 3)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import Match, Route
from rgate.core.message import has_dot_segment
from rgate.core.own import is_own
from rgate.core.routing import Router, forwarded_path

# A small alphabet, so that prefixes collide: over any text, "first match wins" passes 7 runs of 10.
PATHS = st.text(alphabet="/ab.%2e", max_size=6).map("/".__add__)
ROUTES = st.lists(
    st.builds(Route, path_prefix=PATHS, backend=st.just("x"), match=st.sampled_from(Match)),
    unique_by=lambda route: route.path_prefix,
    max_size=8,
)


def matches(route: Route, path: str) -> bool:
    prefix = route.path_prefix
    if route.match is Match.PREFIX:
        return path.startswith(prefix)
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else prefix + "/")


@given(routes=ROUTES, path=PATHS)
@example(routes=[Route("/a", "x"), Route("/ab", "x", Match.SEGMENT)], path="/abc")
@example(routes=[Route("/a", "x"), Route("/ab", "x"), Route("/b", "x")], path="/abc")
def test_the_longest_matching_prefix_wins(routes: list[Route], path: str) -> None:
    naive = max((r for r in routes if matches(r, path)), key=lambda r: len(r.path_prefix), default=None)
    assert Router(routes).match(path.encode()) == naive
    assert Router(reversed(routes)).match(path.encode()) == naive


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
    assert forwarded_path(Route(prefix, "x", strip_prefix=True), path) == forwarded


@pytest.mark.parametrize("path", [b"/.", b"/..", b"/a/./b", b"/%2e", b"/%2E%2e/x", b"/a/.%2e", b"//../"])
def test_a_dot_segment_is_seen_plain_and_encoded(path: bytes) -> None:
    assert has_dot_segment(path)


@pytest.mark.parametrize("path", [b"/", b"/...", b"/.a", b"/a.", b"/a/..b", b"/%2e%2e%2e", b"/%2f..a"])
def test_other_dots_are_no_dot_segments(path: bytes) -> None:
    assert not has_dot_segment(path)


@pytest.mark.parametrize(("path", "own"), [(b"/stats", True), (b"/stats/", False), (b"/_rgate", True),
                                           (b"/_rgate/x", True), (b"/_rgatex", False)])  # fmt: skip
def test_rgates_own_paths_are_its_stats_and_all_under_its_prefix(path: bytes, own: bool) -> None:
    assert is_own(path, "/stats") is own
