"""Routing cases that are made from what is true now (behaviour 9)."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.cli.case_results import told
from rgate.core.case_file import parse_cases
from rgate.core.case_writing import Tell, as_yaml, cases_of
from rgate.core.cases import PlacedCase, differences
from rgate.core.config import Backend, Config, Match, Route, Stats
from rgate.core.explain import Asked, explain
from rgate.web.documents import ExplanationDocument
from tests.worlds import World, worlds

ORDERS = Backend("orders", urls=("http://127.0.0.1:1", "http://127.0.0.1:2"))
LABELLED = Backend("payment", match_labels=(("app", "payment"),))


def world_of(*routes: Route, stats: str = "/stats") -> World:
    return World(Config(routes, (ORDERS, LABELLED), stats=Stats(path=stats)), ())


def tell_in(world: World) -> Tell:
    gateway = world.gateway(can_tunnel=True)
    return lambda asked: told(ExplanationDocument.of(explain(gateway, asked, ())))


def written(world: World, comment: str = "What is true now.") -> str:
    return as_yaml(cases_of(world.config, tell_in(world)), comment)


def read(text: str) -> tuple[PlacedCase, ...]:
    return parse_cases(text.encode(), "c.yml")


def questions(world: World) -> list[tuple[str, str, str | None]]:
    """Of each case that is written its name, its request and its host."""
    cases = [placed.case for placed in read(written(world))]
    return [(case.title, str(case.request), case.host) for case in cases]


@pytest.mark.clause("9.test.write")
def test_the_file_says_what_was_made_and_what_is_expected() -> None:
    world = world_of(Route("/api", "orders", Match.SEGMENT), Route("/pay", "payment", host="*.shop.example"))
    assert written(world, "What is\ntrue now.").startswith("""\
# What is
# true now.
cases:

# The route /api, to the backend orders.
- name: /api
  request: GET /api
  expect:
    outcome: forward
    route: /api
    backend: orders
    containers:
    - 127.0.0.1:1
    - 127.0.0.1:2
""")
    assert """
# The route *.shop.example/pay, to the backend payment.
- name: '*.shop.example/pay'
  request: GET /pay
  host: www.shop.example
  expect:
    outcome: problem
    route: '*.shop.example/pay'
    backend: payment
    status: 503
    reason: no_container
""" in written(world)


@pytest.mark.clause("9.test.write")
@pytest.mark.parametrize(
    ("route", "asked"),
    [
        (Route("/api", "orders"), [("/api", "/api", None), ("below /api", "/api/x", None)]),
        (Route("/api/", "orders"), [("/api/", "/api/", None), ("below /api/", "/api/x", None)]),
        (
            Route("/api", "orders", Match.SEGMENT),
            [("/api", "/api", None), ("below /api", "/api/x", None), ("beside /api", "/apix", None)],
        ),
        (
            Route("/api/", "orders", Match.SEGMENT),
            [("/api/", "/api/", None), ("below /api/", "/api/x", None), ("beside /api/", "/api", None)],
        ),
        (
            Route("/a", "orders", host="shop.example"),
            [
                ("shop.example/a", "/a", "shop.example"),
                ("below shop.example/a", "/a/x", "shop.example"),
                ("shop.example/a at another host", "/a", None),
            ],
        ),
        (
            Route("/a", "orders", host="*.shop.example"),
            [
                ("*.shop.example/a", "/a", "www.shop.example"),
                ("below *.shop.example/a", "/a/x", "www.shop.example"),
                ("*.shop.example/a at another host", "/a", "shop.example"),
            ],
        ),
        (
            Route("/a", "orders", host="localhost"),
            [
                ("localhost/a", "/a", "localhost"),
                ("below localhost/a", "/a/x", "localhost"),
                ("localhost/a at another host", "/a", "elsewhere.example"),
            ],
        ),
    ],
)
def test_a_route_is_asked_for_itself_below_it_and_just_outside(
    route: Route, asked: list[tuple[str, str, str | None]]
) -> None:
    asked = [(name, f"GET {path}", host) for name, path, host in asked]
    nowhere = ("no route for /no-such-path", "GET /no-such-path", None)
    assert questions(world_of(route)) == [*asked, nowhere]


@pytest.mark.clause("9.test.write")
def test_the_path_below_a_route_is_below_no_other() -> None:
    world = world_of(Route("/a", "orders"), Route("/a/x", "payment"), Route("/a/y/", "payment"))
    assert ("below /a", "GET /a/y", None) in questions(world)


@pytest.mark.clause("9.test.write")
@pytest.mark.parametrize(
    ("routes", "stats", "path"),
    [
        ((Route("/no", "orders"),), "/stats", "/"),
        ((Route("/no", "orders"), Route("/a", "orders")), "/", "/b"),
        ((Route("/", "orders"),), "/stats", None),
        ((Route("/", "orders", host="*.localhost"),), "/stats", "/no-such-path"),
    ],
)
def test_a_path_that_no_route_matches_is_among_them_if_there_is_one(
    routes: tuple[Route, ...], stats: str, path: str | None
) -> None:
    found = [request for name, request, _ in questions(world_of(*routes, stats=stats)) if "no route" in name]
    assert found == ([f"GET {path}"] if path else [])


def test_a_route_that_nothing_can_ask_for_is_left_out() -> None:
    host = "*." + ".".join(["a" * 63] * 3 + ["b" * 59])
    assert [name for name, _, _ in questions(world_of(Route("/a", "orders", host=host)))] == [
        "no route for /no-such-path"
    ]


# A name with half of a surrogate pair is none in a configuration.
NAMES = st.text(st.sampled_from("a:# \n'\"{é\u2028\ufeff-*&!%@`|>no1.~=\U0001f600"), min_size=1, max_size=6)


@pytest.mark.clause("9.test.write")
@given(world=worlds([1, 2]), names=st.lists(NAMES, min_size=8, max_size=8, unique=True), comment=NAMES)
@example(
    world=world_of(Route("/a", "orders")), names=["no", "<<", "1.10", "=", "null", "2024-01-01", "-", "a: b"],
    comment="\ud800",
)  # fmt: skip
def test_what_is_written_passes_at_once(world: World, names: list[str], comment: str) -> None:
    """Whatever the backends and the containers are called."""
    old = [backend.name for backend in world.config.backends]
    called = dict(zip(old, names, strict=False))
    config = replace(
        world.config,
        backends=tuple(replace(backend, name=called[backend.name]) for backend in world.config.backends),
        routes=tuple(replace(route, backend=called[route.backend]) for route in world.config.routes),
    )
    found = world.containers
    if found is not None:
        found = tuple(replace(one, name=name) for one, name in zip(found, names, strict=False))
    renamed = World(config, found)
    tell = tell_in(renamed)
    for placed in read(written(renamed, comment)):
        assert differences(placed.case.expect, tell(placed.case.asked)) == ()


@given(world=worlds([1, 2]))
def test_what_is_written_fails_where_routes_go_elsewhere(world: World) -> None:
    other = Backend("other", urls=("http://127.0.0.1:3",))
    routes = tuple(replace(route, backend="other") for route in world.config.routes)
    changed = World(replace(world.config, routes=routes, backends=(other,)), world.containers)
    tell = tell_in(changed)
    for placed in read(written(world)):
        differs = differences(placed.case.expect, tell(placed.case.asked)) != ()
        assert differs == (placed.case.expect.backend is not None)


def test_a_request_is_told_of_as_its_case_asks_it() -> None:
    asked: list[Asked] = []
    world = world_of(Route("/a", "orders", host="shop.example"))

    def tell(one: Asked) -> object:
        asked.append(one)
        return tell_in(world)(one)

    cases = [case for group in cases_of(world.config, tell) for case in group.cases]  # type: ignore[arg-type]
    assert [case.asked for case in cases] == list(dict.fromkeys(asked))
