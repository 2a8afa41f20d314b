"""What `check` warns of, and what it does not (behaviour 2 and 8)."""

import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.config import Backend, Config, Match, Route, Source
from rgate.core.config_file import parse_config
from rgate.core.config_warnings import warnings

HEAD = "backends: [{name: a, match_labels: [x=y]}, {name: b, match_labels: [x=z]}]\nroutes:\n"


def told(*routes: str) -> tuple[str, ...]:
    lines = "".join(f"  - {{{route}}}\n" for route in routes)
    return warnings(parse_config((HEAD + lines).encode(), "c.yml"))


BOTH = ("path_prefix: /a, backend: a", "path_prefix: /b, backend: b")


@pytest.mark.clause("2.strip.warned", "8.check.within", "8.check.pattern", "8.check.never")
@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("path_prefix: /bc, backend: a", ("/b ends within a segment of /bc", "match: segment")),
        ("path_prefix: /b-c, backend: a", ("/b ends within a segment of /b-c", "match: segment")),
        ("path_prefix: /_rgate, backend: a", ("/_rgate can never match", "another prefix")),
        ("path_prefix: /_rgate/x, backend: a", ("/_rgate/x can never match",)),
        ("path_prefix: /_rgate/x, backend: a, host: h", ("h/_rgate/x can never match",)),
        ("path_prefix: /c/*, backend: a", ("/c/* is no pattern", "`*`", "`path_prefix: /c/`")),
        ("path_prefix: /c*, backend: a", ("`path_prefix: /c`",)),
        ("path_prefix: /c/**/d, backend: a", ("`**`", "`path_prefix: /c/`")),
        ('path_prefix: "/users/:id", backend: a', ("`:id`", "`path_prefix: /users/`")),
        ('path_prefix: "/users/:id/x", backend: a, host: h',
         ("h/users/:id/x is no pattern", "`path_prefix: /users/`")),
        ("path_prefix: /c/.*, backend: a", ("`.*`", "`path_prefix: /c/`")),
        ("path_prefix: /c/.+, backend: a", ("`.+`", "`path_prefix: /c/`")),
        ('path_prefix: "/c/{id}", backend: a', ("`{id}`", "`path_prefix: /c/`")),
        ('path_prefix: "/c/<int:id>/x", backend: a', ("`<int:id>`", "`path_prefix: /c/`")),
        ('path_prefix: "/c/[0-9]+", backend: a', ("`[0-9]`", "`path_prefix: /c/`")),
        ('path_prefix: "/c/(x|y)", backend: a', ("`(x|y)`", "`path_prefix: /c/`")),
        (r'path_prefix: /c/\d+, backend: a', (r"`\d`", "`path_prefix: /c/`")),
        ("path_prefix: /^c, backend: a", ("`^`", "`path_prefix: /`")),
        ("path_prefix: /c$, backend: a", ("`$`", "`path_prefix: /c`")),
        ("path_prefix: /c, backend: a, strip_prefix: true",
         ("/c is stripped of paths such as /cx too, which become /x",
          "`path_prefix: /c/`", "`match: segment`")),
    ],
)  # fmt: skip
def test_a_route_that_is_probably_not_meant_is_told_with_its_remedy(
    route: str, words: tuple[str, ...]
) -> None:
    (warning,) = told(*BOTH, route)
    for word in words:
        assert word in warning


@pytest.mark.clause("8.check.unused")
def test_a_backend_that_no_route_uses_is_told_of() -> None:
    (warning,) = told(BOTH[0])
    assert "no route uses the backend b" in warning


@pytest.mark.parametrize(
    "route",
    [
        "path_prefix: /b/c, backend: a",
        "path_prefix: /, backend: a",
        "path_prefix: /B, backend: a",
        "path_prefix: /ab, backend: a, match: segment",
        "path_prefix: /bc, backend: a, host: shop.example",
        "path_prefix: /_rgatex, backend: a",
        "path_prefix: /c, backend: a, strip_prefix: true, match: segment",
        "path_prefix: /c/, backend: a, strip_prefix: true",
        "path_prefix: /, backend: a, strip_prefix: true",
        'path_prefix: "/c:d/x", backend: a',
        'path_prefix: "/c/:", backend: a',
        "path_prefix: /.well-known/, backend: a",
        "path_prefix: /a.b/~user/c+d/, backend: a",
        "path_prefix: /odata/$metadata, backend: a",
        "path_prefix: /Products(1), backend: a",
        "path_prefix: /c=d;e!@f', backend: a",
    ],
)
def test_what_is_meant_is_not_warned_of(route: str) -> None:
    segment = "path_prefix: /a, backend: a, match: segment"
    assert told(segment, BOTH[1], route) == ()


def config_of(*routes: Route) -> Config:
    return Config(routes, (Backend("x", urls=("http://a",)),))


ROUTES = st.lists(
    st.builds(
        Route,
        path_prefix=st.text("/ab0-.~", max_size=4).map("/".__add__),
        backend=st.just("x"),
        match=st.sampled_from(Match),
        host=st.sampled_from(["", "h"]),
    ),
    unique_by=lambda route: route.name,
    min_size=1,
    max_size=8,
)


@given(routes=ROUTES)
def test_each_prefix_within_a_segment_of_others_is_told_once_with_how_many(routes: list[Route]) -> None:
    found = {}
    for route in routes:
        others = [
            other
            for other in routes
            if other.name != route.name
            and other.name.startswith(route.name)
            and other.path_prefix[len(route.path_prefix)] != "/"
        ]
        if others and route.match is Match.PREFIX and not route.path_prefix.endswith("/"):
            found[route.name] = len(others)
    told = warnings(config_of(*routes))
    assert len(told) == len(found)
    for name, number in found.items():
        (warning,) = [one for one in told if one.startswith(f"{name} ends within")]
        assert (f"and {number - 1} more" in warning) == (number > 1)


@pytest.mark.parametrize(
    "prefix",
    [lambda n: f"/r{n}", lambda n: f"/r/{n}/", lambda n: f"/{'a' * (n % 500)}{n}", lambda n: f"/r{n}*"],
)
def test_ten_thousand_routes_are_looked_at_in_steps_by_their_number(prefix: Callable[[int], str]) -> None:
    """Counted, not timed: how often a function is called."""

    def calls(number: int) -> int:
        config = config_of(*(Route(prefix(n), "x", strip_prefix=True) for n in range(number)))
        count = 0

        def trace(_frame: object, event: str, _argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(trace)
        try:
            warnings(config)
        finally:
            sys.setprofile(None)
        return count

    assert calls(10_000) < 25 * calls(1_000)


def test_a_source_that_no_backend_asks_is_told() -> None:
    sources = (Source("here", "unix:///a"), Source("far", "unix:///b"))
    some = Backend("a", match_labels=(("app", "a"),), sources=("far",))
    all_ = Backend("b", match_labels=(("app", "b"),))
    routes = (Route("/a", "a"), Route("/b", "b"))
    assert warnings(Config(routes[:1], (some,), sources=sources)) == (
        "no backend asks the source here: remove it, or name it in `sources` of a backend",
    )
    assert warnings(Config(routes, (some, all_), sources=sources)) == ()
