"""What becomes of a request, and why (behaviour 9): told from what serves, and never decided anew."""

import sys
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import (
    Backend,
    Config,
    DefaultResponse,
    Limits,
    Match,
    Policy,
    ResponseFormat,
    Route,
)
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.exchange import Attempt
from rgate.core.explain import Asked, Ending, Explanation, explain
from rgate.core.fields import lines
from rgate.core.gateway import Own
from rgate.core.knowledge import Connection, Events, Knowledge, stale_since
from rgate.core.message import Refused
from rgate.core.near_misses import MissingLabel, NearMiss
from rgate.core.problem import ANSWERS, Problem
from rgate.core.reading import RequestReader
from rgate.core.reasons import Failure
from rgate.core.routing import without_prefix
from tests.worlds import World, asked, worlds

PORTS = (8001, 8002)
CONNECTED = Knowledge("docker", Connection.CONNECTED, 5.0, 1.25, Events.LIVE, 7, version="27.3.1")
ORDERS = {"app": "orders", "env": "production"}


def container(name: str, port: int = 8001, **changes: Any) -> Container:
    made = Container(
        name + "-id", name, ORDERS, State.RUNNING, published=(PublishedPort(80, "0.0.0.0", port),)
    )
    return replace(made, **changes)


CONFIG = Config(
    routes=(
        Route("/api/orders", "orders", strip_prefix=True),
        Route("/api", "fixed", Match.SEGMENT, response_format=ResponseFormat.ENVELOPE),
        Route("/", "fixed"),
        Route("/api", "orders", host="*.shop.example"),
    ),
    backends=(
        Backend("orders", match_labels=tuple(ORDERS.items())),
        Backend("fixed", urls=("http://127.0.0.1:9001", "http://127.0.0.1:9002"), policy=Policy.ROUND_ROBIN),
    ),
    default_response=DefaultResponse(status_code=418),
)
TWO = (container("orders-1"), container("orders-2", 8002))


def told(
    asked: Asked,
    *containers: Container,
    config: Config = CONFIG,
    known: Knowledge = CONNECTED,
    can_tunnel: bool = True,
) -> Explanation:
    gateway = World(config, containers or TWO).gateway(can_tunnel=can_tunnel)
    return explain(gateway, asked, (known,))


def get(
    target: str = "/api/orders/7", *fields: tuple[bytes, bytes], method: str = "GET", **more: Any
) -> Asked:
    return Asked(method, target, fields=fields, **more)


def texts(explanation: Explanation, about: str) -> list[str]:
    return [fact.text for fact in explanation.facts if fact.about == about]


def abouts(explanation: Explanation) -> list[str]:
    return [fact.about for fact in explanation.facts]


@pytest.mark.clause("9.explain.outcome", "9.explain.containers", "9.explain.yes")
def test_a_request_that_goes_on_is_told_with_its_route_and_who_may_be_asked() -> None:
    explanation = told(get())
    assert (explanation.outcome, explanation.status, explanation.reason) == (Ending.FORWARD, None, None)
    assert explanation.is_yes
    assert explanation.route == CONFIG.routes[0]
    assert explanation.shadowed == ("/api", "/")
    assert explanation.backend == "orders"
    assert [(one.name, one.address, one.source) for one in explanation.candidates] == [
        ("orders-1", "127.0.0.1:8001", "docker"),
        ("orders-2", "127.0.0.1:8002", "docker"),
    ]
    assert explanation.knowledge == (CONNECTED,)
    assert abouts(explanation) == [
        "Route", "Backend", "Docker", "In", "In", "Forwarded", "If all refuse", "Answer",
    ]  # fmt: skip
    assert texts(explanation, "Route") == ["`/api/orders`: the longest of 3, as `/api` and `/` match too"]
    assert texts(explanation, "Docker") == ["connected, 27.3.1, the last full list 1.2 s old, events live"]
    assert texts(explanation, "Answer") == ["what one of these 2 says to `GET /7`"]


def test_routes_of_other_hosts_match_too_and_the_best_is_told_first() -> None:
    explanation = told(get("/api/x", host="www.shop.example"))
    assert explanation.route == CONFIG.routes[3]
    assert explanation.shadowed == ("/api", "/")
    assert texts(explanation, "Route") == ["`*.shop.example/api`: the best of 3, as `/api` and `/` match too"]


@pytest.mark.clause("9.explain.containers")
def test_fixed_addresses_are_told_to_come_from_the_configuration_and_rest_on_no_docker() -> None:
    explanation = told(get("/api"))
    assert [(one.name, one.address_from, one.source) for one in explanation.candidates] == [
        ("127.0.0.1:9001", "backends[].urls", ""),
        ("127.0.0.1:9002", "backends[].urls", ""),
    ]
    assert "Docker" not in abouts(explanation)
    assert texts(explanation, "Route") == [
        "`/api`, which matches whole segments: the longest of 2, as `/` matches too"
    ]
    assert texts(explanation, "Backend") == ["`fixed` has fixed addresses (`urls`); they are asked in turn"]
    assert texts(explanation, "Answer") == ["what one of these 2 says to `GET /api`, in an envelope"]


@pytest.mark.clause("9.explain.containers")
def test_those_left_out_are_told_with_their_reasons() -> None:
    explanation = told(
        get(),
        container("orders-1", state=State.EXITED),
        container("orders-2", health=Health.UNHEALTHY),
        container("orders-3", labels={"app": "orders"}),
        container("orders-4"),
    )
    assert [one.name for one in explanation.candidates] == ["orders-4"]
    assert {one.name: one.reason for one in explanation.left_out} == {
        "orders-1": "not_running",
        "orders-2": "unhealthy",
    }
    assert texts(explanation, "Out") == [one.detail for one in explanation.left_out]
    assert texts(explanation, "Answer") == ["what `orders-4` says to `GET /7`"]


def test_near_misses_are_those_of_the_view() -> None:
    near = NearMiss("o", 1, 2, (MissingLabel("env", "prod", "production"),), "o has 1 of 2 labels: env=prod")
    world = World(CONFIG, (container("orders-1", state=State.EXITED),))
    gateway = world.gateway(can_tunnel=True)
    views = {name: replace(view, near_misses=(near,)) for name, view in world.views.items()}
    gateway.swap_views(views)
    explanation = explain(gateway, get(), (CONNECTED,))
    assert explanation.near_misses == (near,)
    assert texts(explanation, "Near miss") == [near.detail]


@pytest.mark.clause("9.explain.forwarded")
def test_the_forwarded_head_is_the_one_that_a_container_gets() -> None:
    asked = get("/api/orders/7?a=b", (b"Connection", b"x-y"), (b"X-Y", b"1"), (b"Accept", b"\xff"), port=8123)
    forwarded = told(asked).forwarded
    assert forwarded is not None
    assert (forwarded.method, forwarded.target) == ("GET", "/7?a=b")
    assert forwarded.fields == (
        ("Host", "localhost"),
        ("Accept", "\\xff"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "localhost"),
        ("X-Forwarded-Port", "8123"),
        ("Via", "1.1 rgate"),
        ("X-Request-ID", "<made>"),
        ("X-Forwarded-Prefix", "/api/orders"),
    )
    assert texts(told(asked), "Forwarded") == ["`GET /7?a=b`, without `/api/orders`, with the fields"]


def test_a_request_id_that_was_sent_goes_on() -> None:
    forwarded = told(get("/", (b"X-Request-ID", b"mine"))).forwarded
    assert forwarded is not None
    assert ("X-Request-ID", "mine") in forwarded.fields


@pytest.mark.clause("9.explain.refused")
def test_what_follows_if_all_refuse_is_what_the_exchange_comes_to() -> None:
    (text,) = texts(told(get()), "If all refuse")
    assert text.startswith("503 `connect_failed`: Nothing accepted a connection within 2 s at orders-1 ")
    assert "orders-2 (127.0.0.1:8002)" in text


def test_a_thousand_containers_are_told_with_little_work() -> None:
    many = tuple(container(f"orders-{number}", number) for number in range(1, 1001))
    gateway = World(CONFIG, many).gateway(can_tunnel=True)
    compared = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal compared
        del arg
        compared += event == "call" and frame.f_code.co_name == "__eq__"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        explanation = explain(gateway, get(), ())
    finally:
        sys.setprofile(before)
    assert len(explanation.candidates) == 1000
    assert compared < 10_000  # not each with each


@pytest.mark.clause("9.explain.outcome", "9.explain.yes")
@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (get("/x", method="TRACE"), 405, "method_not_allowed"),
        (get("/a/../b"), 400, "path_not_normalized"),
        (get("/api/orders../b"), 400, "path_not_normalized"),
        (get("/a b"), 400, "bad_request"),
        (get("/x", (b"Host", b"a"), (b"Host", b"b")), 400, "bad_request"),
        (get("/x", host="a b"), 400, "bad_request"),
        (get("/x", (b"Transfer-Encoding", b"gzip")), 400, "bad_request"),
        (get("/x", (b"Content-Length", b"11")), 413, "body_too_large"),
        (get("/" + "a" * 1000), 414, "uri_too_long"),
        (get("/", (b"X", b"a" * 1000)), 431, "fields_too_large"),
        (get("/_rgate/nothing"), 404, "not_found"),
        (get("/_rgate/backends", peer="192.0.2.7"), 403, "forbidden"),
        (get("/_rgate/backends", (b"Via", b"1.1 x")), 403, "forbidden"),
        (get("/_rgate/backends", method="POST"), 405, "method_not_allowed"),
    ],
)
def test_a_refusal_is_told_with_its_reason(request_: Asked, status: int, reason: str) -> None:
    config = replace(CONFIG, limits=Limits(body_bytes=10, header_bytes=500))
    explanation = told(request_, config=config)
    assert (explanation.outcome, explanation.status, explanation.reason) == (Ending.PROBLEM, status, reason)
    assert not explanation.is_yes
    assert explanation.detail
    assert explanation.forwarded is None
    assert explanation.facts[-1].about == "Answer"
    assert explanation.facts[-1].text.startswith(f"{status} `{reason}`, made by rgate: ")


@pytest.mark.clause("9.explain.outcome", "9.explain.yes")
@pytest.mark.parametrize("path", ["/stats", "/_rgate/backends", "/_rgate/verdict"])
def test_a_page_of_rgates_own_is_a_yes_and_decides_its_status(path: str) -> None:
    explanation = told(get(path))
    assert (explanation.outcome, explanation.status) == (Ending.OWN, None)
    assert explanation.is_yes
    assert explanation.facts[-1].text == f"rgate's own page `{path}`"


@pytest.mark.clause("9.explain.outcome", "9.explain.yes")
@pytest.mark.parametrize(
    ("routes", "why"),
    [
        ((), "there is none in the configuration"),
        (CONFIG.routes[:1], "the one route does not match `/x` of `localhost`"),
        (CONFIG.routes[:2], "none of the 2 routes matches `/x` of `localhost`"),
    ],
)
def test_the_default_response_is_no_yes(routes: tuple[Route, ...], why: str) -> None:
    explanation = told(get("/x"), config=replace(CONFIG, routes=routes))
    assert (explanation.outcome, explanation.status) == (Ending.DEFAULT_RESPONSE, 418)
    assert not explanation.is_yes
    assert [fact.text for fact in explanation.facts] == [why, "418, the default response"]


def test_a_503_has_the_detail_that_one_of_us_reads() -> None:
    explanation = told(get(), container("orders-1", state=State.PAUSED))
    assert (explanation.status, explanation.reason) == (503, "no_container")
    assert "orders-1 is paused: unpause it" in explanation.detail
    assert explanation.forwarded is None
    assert explanation.backend == "orders"


def test_where_docker_has_not_answered_that_is_told() -> None:
    known = Knowledge(error="no such file")
    explanation = explain(World(CONFIG, None).gateway(can_tunnel=True), get(), (known,))
    assert (explanation.status, explanation.reason) == (503, "docker_unavailable")
    assert texts(explanation, "Docker") == ["it has not answered yet (no such file)"]


def test_where_docker_is_away_what_is_known_is_said_to_be_from_before() -> None:
    away = Knowledge("far", Connection.AWAY, 5.0, error="refused")
    explanation = told(get(), known=away)
    assert texts(explanation, "Docker far") == [stale_since(5.0)]
    assert [fact.at for fact in explanation.facts if fact.about == "Docker far"] == [5.0]


def test_a_websocket_goes_on_where_the_engine_can_tunnel_and_not_elsewhere() -> None:
    asked = get("/", (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
    forwarded = told(asked).forwarded
    assert forwarded is not None
    assert ("Upgrade", "websocket") in forwarded.fields
    assert told(asked, can_tunnel=False).reason == "not_implemented"


def test_an_absolute_target_says_which_host_is_meant() -> None:
    explanation = told(get("http://www.shop.example:81/api/x", host="other"))
    assert explanation.host == "www.shop.example:81"
    assert explanation.route == CONFIG.routes[3]


def test_asking_leaves_no_trace_in_the_gateway() -> None:
    config = replace(
        CONFIG, backends=tuple(replace(b, policy=Policy.LEAST_INFLIGHT) for b in CONFIG.backends)
    )
    gateway = World(config, TWO).gateway(can_tunnel=True)
    explain(gateway, get(), ())
    assert [
        (gateway.balancer.inflight(one), gateway.balancer.is_left_out(one, 0.1))
        for one in gateway.views["orders"].candidates
    ] == [(0, False), (0, False)]


@pytest.mark.clause("9.explain.serves")
@given(world=worlds(PORTS), asked=asked(8080), can_tunnel=st.booleans())
@example(
    world=World(
        Config((Route("/a", "b0", strip_prefix=True),), (Backend("b0", urls=("http://127.0.0.1:1",)),)),
        (),
    ),
    asked=Asked("GET", "/a../b", "a"),
    can_tunnel=True,
)
def test_what_is_explained_is_what_serves(world: World, asked: Asked, can_tunnel: bool) -> None:
    """By what engines call, one by one."""
    gateway = world.gateway(can_tunnel=can_tunnel)
    explanation = explain(gateway, asked, (CONNECTED,))
    snapshot, client = gateway.snapshot, gateway.client(asked.peer, asked.port)
    host = (
        () if any(name.lower() == b"host" for name, _ in asked.fields) else ((b"Host", asked.host.encode()),)
    )
    line = f"{asked.method} {asked.target} HTTP/1.1\r\n".encode()
    try:
        request = RequestReader().read(
            line + lines((*host, *asked.fields)) + b"\r\n", snapshot.reading, client, lambda: b"<made>"
        )
    except Refused as refused:
        check_problem(explanation, Problem(refused.reason, refused.detail))
        return
    assert request is not None
    place = snapshot.place(request)
    if isinstance(place, Own):
        page = gateway.own_page(request.head(), client)
        if isinstance(page, Problem):
            check_problem(explanation, page)
        else:
            assert explanation.outcome is Ending.OWN
    elif isinstance(place, DefaultResponse):
        assert (explanation.outcome, explanation.status) == (Ending.DEFAULT_RESPONSE, place.status_code)
    elif isinstance(place, Problem):
        check_problem(explanation, place)
    else:
        route = snapshot.route(place)
        assert explanation.route == route
        onward = without_prefix(route, request) if route.strip_prefix else request
        step = onward if isinstance(onward, Problem) else snapshot.exchange(route).first(0.0)
        if isinstance(step, Problem):
            check_problem(explanation, step)
        else:
            assert not isinstance(onward, Problem)
            assert explanation.outcome is Ending.FORWARD
            assert step.candidate.name in [one.name for one in explanation.candidates]
            assert head_of(explanation) == onward.onward
            while isinstance(step, Attempt):
                step = snapshot.exchange(route).after(step, Failure.REFUSED, 0.0, repeatable=True)
            assert texts(explanation, "If all refuse")[0].startswith(f"503 `{step.reason.value}`: ")


def check_problem(explanation: Explanation, problem: Problem) -> None:
    assert (explanation.outcome, explanation.status, explanation.reason, explanation.detail) == (
        Ending.PROBLEM, ANSWERS[problem.reason][0], problem.reason.value, problem.detail,
    )  # fmt: skip


def head_of(explanation: Explanation) -> bytes:
    """The bytes of the forwarded head; those that are no UTF-8 are shown as `\\xff`."""
    forwarded = explanation.forwarded
    assert forwarded is not None
    head = [
        f"{forwarded.method} {forwarded.target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in forwarded.fields),
    ]
    return "".join(f"{line}\r\n" for line in (*head, "")).encode().replace(rb"\xff\xe9", b"\xff\xe9")
