"""`init`: what is written of the containers that run is a configuration that leads to them (behaviour 9)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.config import Config
from rgate.core.config_file import parse_config
from rgate.core.config_warnings import warnings
from rgate.core.config_writing import PROJECT, SERVICE, config_from
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.explain import Asked, explain
from rgate.core.gateway import Gateway
from rgate.core.left_out import doubts
from rgate.core.selection import views_of
from tests.unit.containers import containers, seen

HERE = HostView()
NETWORK = (Attachment("shop_default", "n1", "172.18.0.2"),)


def one(
    name: str, labels: dict[str, str], *ports: int, state: State = State.RUNNING, **more: object
) -> Container:
    return Container(
        f"{name}-id",
        name,
        labels,
        state,
        exposed=ports,
        attachments=NETWORK,
        **more,  # type: ignore[arg-type]
    )


def composed(project: str, service: str, number: int, *ports: int, **labels: str) -> Container:
    own = {PROJECT: project, SERVICE: service, "com.docker.compose.oneoff": "False", **labels}
    return one(f"{project}-{service}-{number}", own, *ports)


def read_back(text: str) -> Config:
    config = parse_config(text.encode(), "config.yml")
    assert warnings(config) == ()
    return config


def leads_to(config: Config, found: list[Container], host: HostView = HERE) -> dict[str, set[str]]:
    """Of each route, by its prefix, the containers that a request below it may go to."""
    views = views_of(config.backends, seen(found, host))
    gateway = Gateway(config, views, lambda: 0.0, can_tunnel=True)
    told = {}
    for route in config.routes:
        for path in (route.path_prefix, f"{route.path_prefix}/x"):
            explanation = explain(gateway, Asked("GET", path), ())
            assert explanation.is_yes, (path, explanation.detail)
            told[route.path_prefix] = {candidate.name for candidate in explanation.candidates}
    return told


def suggested(*found: Container, own_id: str = "") -> tuple[dict[str, set[str]], dict[str, str]]:
    """Where the routes lead, and why other services have none."""
    written = config_from(seen(found, HERE), own_id=own_id)
    config = read_back(written.text)
    assert len(config.routes) == written.routes
    return leads_to(config, list(found)), dict(written.left_out)


@pytest.mark.clause("9.init.routes")
def test_each_service_has_one_route_whatever_its_scale() -> None:
    routes, left_out = suggested(
        composed("shop", "web", 1, 80), composed("shop", "web", 2, 80), composed("shop", "orders", 1, 8000)
    )
    assert routes == {"/orders": {"shop-orders-1"}, "/web": {"shop-web-1", "shop-web-2"}}
    assert left_out == {}


def test_services_of_one_name_in_several_projects_are_told_apart() -> None:
    routes, _ = suggested(
        composed("shop", "web", 1, 80), composed("blog", "web", 1, 80), composed("blog", "api", 1, 80)
    )
    assert routes == {"/api": {"blog-api-1"}, "/blog-web": {"blog-web-1"}, "/shop-web": {"shop-web-1"}}


@pytest.mark.clause("9.init.guesses")
def test_the_likely_one_of_several_ports_is_taken_and_said_to_be_a_guess() -> None:
    text = config_from(seen([composed("shop", "web", 1, 443, 8000, 9999)], HERE)).text
    assert "port: 8000  # a guess: it has the ports 443, 8000, 9999" in text
    assert read_back(text).backends[0].port == 8000


def test_a_port_is_chosen_for_those_of_a_service_that_have_several() -> None:
    routes, _ = suggested(composed("shop", "web", 1, 80), composed("shop", "web", 2, 80, 90))
    assert routes == {"/web": {"shop-web-1", "shop-web-2"}}


def test_the_only_port_and_that_of_the_label_are_no_guess() -> None:
    found = composed("shop", "web", 1, 80), composed("shop", "api", 1, 80, 81, **{"rgate.port": "81"})
    assert all(backend.port is None for backend in read_back(config_from(seen(found, HERE)).text).backends)


@pytest.mark.clause("9.init.left_out")
def test_what_no_route_can_lead_to_is_left_out_with_why() -> None:
    sick = composed("shop", "sick", 1, 80)
    routes, left_out = suggested(
        composed("shop", "job", 1),
        composed("shop", "db", 1, 5432),
        Container(sick.id, sick.name, sick.labels, State.RUNNING, Health.UNHEALTHY, exposed=(80,)),
        one("bare", {}, 80),
        one("gone", {PROJECT: "shop", SERVICE: "gone"}, 80, state=State.EXITED),
    )
    assert routes == {}
    assert left_out == {
        "job, of the project shop": "shop-job-1 runs, but it has no port: publish or expose one, or set "
        "`port` or the label rgate.port",
        "db, of the project shop": "it speaks no HTTP (a guess, by its port: 5432 is mostly PostgreSQL)",
        "sick, of the project shop": "shop-sick-1 is unhealthy: `docker inspect shop-sick-1` shows its last "
        "checks",
        "bare": "no label tells it from others: start it with `--label app=bare`",
    }


def test_rgate_itself_is_left_out_by_its_id_and_by_its_name() -> None:
    routes, left_out = suggested(
        composed("shop", "front", 1, 8080), composed("shop", "rgate", 1, 8080), own_id="shop-front-1"
    )
    assert routes == {}
    assert list(left_out) == ["rgate, of the project shop"]


def test_what_compose_ran_once_is_not_asked() -> None:
    once = {PROJECT: "shop", SERVICE: "web", "com.docker.compose.oneoff": "True"}
    routes, _ = suggested(composed("shop", "web", 1, 80), one("shop-web-run-1", once, 80))
    assert routes == {"/web": {"shop-web-1"}}


def test_containers_without_compose_are_found_by_a_label_that_no_other_has() -> None:
    images = {"org.opencontainers.image.title": "nginx", "maintainer": "nobody"}
    routes, _ = suggested(
        one("a1", {"app_name": "payment", "env": "production", **images}, 80),
        one("a2", {"app_name": "payment", "env": "production", **images}, 80),
        one("b1", {"app_name": "orders", "env": "production", **images}, 80),
        one("c1", {"team": "blue", **images}, 80),
    )
    assert routes == {"/payment": {"a1", "a2"}, "/orders": {"b1"}, "/c1": {"c1"}}


@pytest.mark.parametrize(
    "service",
    ["stats", "_rgate", "..", "été ☃", 'a"b: #c', "no", "1.10", "<<", "*", ":id", "x\ny", "\u2028", "web-2"],
)
def test_a_service_may_be_called_anything(service: str) -> None:
    found = [composed("shop", service, 1, 80), composed("shop", "web", 1, 80)]
    config = read_back(config_from(seen(found, HERE)).text)
    assert sorted(map(sorted, leads_to(config, found).values())) == sorted([[found[0].name], ["shop-web-1"]])
    assert {backend.name for backend in config.backends} == {service, "web"}


def test_no_name_ends_a_comment_or_a_line() -> None:
    found = [composed("shop\nroutes: []", "web\n- x", 1, 80), one("bare\nadmin: {}", {}, 80)]
    assert len(read_back(config_from(seen(found, HERE)).text).routes) == 1


TRICKY = st.sampled_from(["web", "stats", "no", "a b", "a-b", "é", "rgate", "x: #y"])
LABELS = st.fixed_dictionaries(
    {},
    optional={
        PROJECT: st.sampled_from(["shop", "a"]),
        SERVICE: TRICKY,
        "app": TRICKY,
        "env": st.sampled_from(["production", "", "'"]),
        "rgate.port": st.sampled_from(["80", "81", "x"]),
        "com.docker.compose.oneoff": st.sampled_from(["True", "False"]),
    },
)
SOME = st.lists(
    st.builds(
        Container,
        id=st.sampled_from("abcdef"),
        name=st.sampled_from(["web-1", "web-2", "x"]),
        labels=LABELS,
        state=st.sampled_from([State.RUNNING] * 4 + [State.EXITED]),
        health=st.sampled_from([Health.NONE] * 3 + list(Health)),
        published=st.sampled_from([(), (PublishedPort(80, "127.0.0.1", 9),), (PublishedPort(443, "", 0),)]),
        exposed=st.sampled_from([(), (80,), (80, 81), (5432,)]),
        attachments=st.sampled_from([(), NETWORK]),
        network_mode=st.sampled_from(["bridge", "bridge", "host", "container:a"]),
    ),
    max_size=5,
    unique_by=lambda container: container.id,
)


@pytest.mark.clause("9.init.works")
@given(found=SOME, own_id=st.sampled_from(["", "a"]))
@example(found=[], own_id="")
def test_what_is_written_is_right_and_each_route_leads_somewhere(found: list[Container], own_id: str) -> None:
    written = config_from(seen(found, HERE), own_id=own_id)
    config = read_back(written.text)
    led_to = leads_to(config, found)
    assert all(led_to.values())
    assert len(config.routes) == len(config.backends) == written.routes
    running = [one for one in found if one.state is State.RUNNING]
    views = views_of(config.backends, seen(found, HERE))
    asked = [candidate.container_id for view in views.values() for candidate in view.candidates]
    assert len(asked) == len(set(asked)), "no container is of two services"
    assert set(asked) <= {one.id for one in running} - ({own_id} if own_id else set())


@given(found=containers(), hidden=st.sets(st.sampled_from(["app", "env", "rgate.port"])))
def test_no_route_rests_on_a_label_whose_value_is_not_known(found: list[Container], hidden: set[str]) -> None:
    left_out = {found[0].id: frozenset(hidden)} if found else {}
    known = [
        Container(
            one.id,
            one.name,
            {key: value for key, value in one.labels.items() if key not in left_out.get(one.id, ())},
            one.state,
            one.health,
            one.stopping,
            one.published,
            one.exposed,
            one.attachments,
            one.network_mode,
        )
        for one in found
    ]
    config = read_back(config_from(seen(known, HERE), left_out={"docker": left_out}).text)
    assert doubts(config.backends, seen(tuple(known), HERE), {"docker": left_out}) == {}
