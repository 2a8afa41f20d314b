"""Which containers are told to be nearly right, and which have nothing to do with a backend (behaviour 9)."""

from collections.abc import Callable, Iterable, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.candidates import BackendView
from rgate.core.config import Backend
from rgate.core.containers import Container, State
from rgate.core.labels import FEW
from rgate.core.near_misses import MOST, MissingLabel, NearMiss
from rgate.core.reasons import LeftOut
from rgate.core.selection import views_of
from tests.unit.containers import seen
from tests.unit.work import Work, counted

ORDERS = {"app_name": "orders", "env": "production"}


def container(name: str, labels: Mapping[str, str], state: State = State.RUNNING) -> Container:
    return Container(name, name, labels, state, network_mode="host", exposed=(80,))


def backend(labels: Mapping[str, str], name: str = "b") -> Backend:
    return Backend(name, match_labels=tuple(labels.items()))


def views(backends: Iterable[Mapping[str, str]], containers: Iterable[Container]) -> list[BackendView]:
    named = [backend(labels, str(number)) for number, labels in enumerate(backends)]
    return list(views_of(named, seen(containers, HostView())).values())


def near(wanted: Mapping[str, str], *containers: Container) -> tuple[NearMiss, ...]:
    return views([wanted], containers)[0].near_misses


def names(misses: Iterable[NearMiss]) -> list[str]:
    return [miss.name for miss in misses]


def composed(service: str, **labels: str) -> dict[str, str]:
    """The labels that Compose gives a container, and *labels*."""
    return {"com.docker.compose.project": "shop", "com.docker.compose.service": service, **labels}


@pytest.mark.clause("9.explain.near")
@pytest.mark.parametrize(
    ("labels", "told", "missing"),
    [
        (
            {"app_name": "orders", "env": "prod"},
            "1 of 2 labels: env=prod, wanted env=production",
            [MissingLabel("env", "prod", "production")],
        ),
        (
            {"app_nme": "orders", "env": "production"},
            "1 of 2 labels: app_nme=orders, wanted app_name=orders",
            [MissingLabel("app_name", "app_nme=orders", "orders")],
        ),
        (
            {"app_name": "ordesr", "env": "production"},
            "1 of 2 labels: app_name=ordesr, wanted app_name=orders",
            [MissingLabel("app_name", "ordesr", "orders")],
        ),
        (
            {"App-Name": "Orders"},
            "0 of 2 labels: App-Name=Orders, wanted app_name=orders, "
            "and env is missing, wanted env=production",
            [MissingLabel("app_name", "App-Name=Orders", "orders"), MissingLabel("env", None, "production")],
        ),
        (
            {"app": "orders"},
            "0 of 2 labels: app=orders, wanted app_name=orders, and env is missing, wanted env=production",
            [MissingLabel("app_name", "app=orders", "orders"), MissingLabel("env", None, "production")],
        ),
        (
            {"app_name": "production", "env": "orders"},
            "0 of 2 labels: app_name=production, wanted app_name=orders, "
            "and env=orders, wanted env=production",
            [MissingLabel("app_name", "production", "orders"), MissingLabel("env", "orders", "production")],
        ),
        (
            {"app_name": "orders ", "env": "production"},
            '1 of 2 labels: app_name="orders ", wanted app_name=orders',
            [MissingLabel("app_name", "orders ", "orders")],
        ),
        (
            {"app_name": "", "env": "production"},
            '1 of 2 labels: app_name="", wanted app_name=orders',
            [MissingLabel("app_name", "", "orders")],
        ),
        (
            {"app_name": "orders", "env": "a\x1b[31m\nb"},
            "1 of 2 labels: env=a\ufffd[31m\ufffdb, wanted env=production",
            [MissingLabel("env", "a\x1b[31m\nb", "production")],
        ),
        (
            {"app_name": "orders", "env": "x" * 1000},
            f"1 of 2 labels: env={'x' * 80}…, wanted env=production",
            [MissingLabel("env", "x" * 1000, "production")],
        ),
    ],
)
def test_it_is_told_what_stands_in_place_of_what_is_missing(
    labels: dict[str, str], told: str, missing: list[MissingLabel]
) -> None:
    (miss,) = near(ORDERS, container("orders-1", labels))
    assert miss.detail == f"orders-1 has {told}"
    assert list(miss.missing) == missing
    assert (miss.has, miss.of) == (2 - len(missing), 2)


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [
        (ORDERS, {}),
        (ORDERS, {"app_name": "payment", "env": "staging"}),
        (ORDERS, {"stage": "production"}),
        ({"app_name": "orders2"}, {"app_name": "orders3"}),
        ({"replicas": "1"}, {"replicas": "2"}),
        ({"replicas": "1"}, {"com.docker.compose.container-number": "1"}),
        ({"debug": "true"}, {"debug": "false"}),
        ({"debug": "true"}, {"traefik.enable": "true"}),
        ({"env": "dev"}, {"env": "prod"}),
        ({"env": "prod"}, {"stage": "prod"}),
        ({"a": ""}, {"b": ""}),
    ],
)
def test_one_that_has_nothing_to_do_with_it_is_none(wanted: dict[str, str], labels: dict[str, str]) -> None:
    view = views([wanted], [container("other", labels)])[0]
    assert (view.near_misses, view.containers) == ((), ())
    assert "other" not in view.detail


def test_those_with_more_of_the_labels_come_first_then_the_nearer_then_the_rarer_then_those_that_run() -> (
    None
):
    wanted = {**ORDERS, "zone": "north"}
    found = near(
        wanted,
        container("1-two", {"app_name": "orders", "zone": "north", "env": "prod"}),
        container("a-slip", {"app_name": "ordres", "env": "production", "zone": "x"}),
        container("b-rare", {"app_name": "orders", "env": "prod", "zone": "y"}),
        container("b-off", {"app_name": "orders", "env": "prod", "zone": "y"}, State.EXITED),
        container("c-env", {"app_name": "cart", "env": "production", "zone": "x"}),
        container("c-one-more", {"app_name": "mail", "env": "production", "zone": "x"}),
    )
    assert names(found) == ["1-two", "a-slip", "b-rare", "b-off", "c-env"]
    assert found[3].detail.startswith(
        "b-off (exited) has 1 of 3 labels: env=prod, wanted env=production, and "
    )


def test_at_most_five_are_told_and_three_in_the_sentence_that_says_why() -> None:
    (view,) = views([ORDERS], [container(f"orders-{n}", {**ORDERS, "env": "prod"}) for n in range(9)])
    assert names(view.near_misses) == [f"orders-{n}" for n in range(MOST)]
    assert [one.name for one in view.containers] == names(view.near_misses)
    assert {one.left_out for one in view.containers} == {LeftOut.LABELS}
    assert [one.detail for one in view.containers] == [miss.detail for miss in view.near_misses]
    assert [f"orders-{n} has" in view.detail for n in range(5)] == [True, True, True, False, False]


def test_they_are_told_beside_candidates_too() -> None:
    (view,) = views([ORDERS], [container("good", ORDERS), container("bad", {**ORDERS, "env": "prod"})])
    assert [candidate.name for candidate in view.candidates] == ["good"]
    assert names(view.near_misses) == ["bad"]
    assert [(one.name, one.left_out) for one in view.containers] == [("good", None), ("bad", LeftOut.LABELS)]


def test_one_that_another_backend_finds_by_what_is_wrong_here_is_that_ones() -> None:
    payment = {"app_name": "payment", "env": "production"}
    orders = {"app_name": "orders", "env": "production"}
    orders_view, payments_view, _ = views(
        [orders, {**payment, "app_name": "payments"}, payment], [container("payment-1", payment)]
    )
    assert orders_view.near_misses == payments_view.near_misses == ()


def test_one_that_another_backend_finds_by_other_labels_may_be_a_near_miss_all_the_same() -> None:
    slip = container("orders-1", {"app_name": "order", "env": "production", "tier": "web"})
    found = views([ORDERS, {"env": "production"}, {"tier": "web"}], [slip])
    assert [names(view.near_misses) for view in found] == [["orders-1"], [], []]


def test_one_that_a_slip_keeps_from_another_backend_is_a_near_miss_of_that_one_alone() -> None:
    payment = {"app_name": "payment", "env": "production"}
    slip = container("orders-1", {"app_name": "order", "env": "production"})
    assert [names(view.near_misses) for view in views([payment, ORDERS], [slip])] == [[], ["orders-1"]]
    two_slips = container("orders-1", {"App": "Orders", "env": "Production"})
    wanted = [{"app": "payment", "env": "production"}, {"app": "orders", "env": "production"}]
    assert [names(view.near_misses) for view in views(wanted, [two_slips])] == [[], ["orders-1"]]


def test_one_that_is_nearly_right_for_two_backends_is_told_to_both() -> None:
    both = container("orders-1", {"app_name": "ordersx", "env": "production"})
    wanted = [ORDERS, {**ORDERS, "app_name": "ordersy"}]
    assert [names(view.near_misses) for view in views(wanted, [both])] == [["orders-1"], ["orders-1"]]


def test_the_only_near_one_does_not_drown_among_thirty_services_with_the_same_env() -> None:
    others = [container(f"s{n}", composed(f"s{n}", app_name=f"s{n}", env="production")) for n in range(30)]
    bare = [container(f"t{n}", composed(f"t{n}", env="production")) for n in range(30)]
    assert near(ORDERS, *others, *bare) == ()
    for labels in (
        {"app_name": "orders", "env": "prod"},
        {"app_nme": "orders", "env": "production"},
        {"app_name": "Orders", "env": "production"},
        {"svc": "orders", "env": "production"},
    ):
        found = near(ORDERS, *others, *bare, container("orders-1", composed("x", **labels)))
        assert names(found) == ["orders-1"]
    assert names(near(ORDERS, *others, container("x-1", composed("orders", env="production")))) == ["x-1"]


def test_where_a_slip_explains_it_those_without_a_label_are_not_told_besides() -> None:
    slip = container("orders-1", ORDERS | {"env": "prodution"})
    others = [container(name, {"env": "production", "is": name}) for name in ("a", "b")]
    assert names(near(ORDERS, *others, slip)) == ["orders-1"]
    assert names(near(ORDERS, *others)) == ["a", "b"]
    named = container("orders-2", {"app_name": "orders"})
    assert names(near(ORDERS, *others, named, slip)) == ["orders-1", "orders-2"]


def test_replicas_are_one_kind_however_many_they_are() -> None:
    scaled = [
        container(f"r{n}", composed("orders", number=str(n), app_name="orders", env="prod"))
        for n in range(3 * FEW)
    ]
    run = [container(f"r{n}", {"app_name": "orders", "env": "prod"}) for n in range(3 * FEW)]
    assert len(near(ORDERS, *scaled)) == len(near(ORDERS, *run)) == MOST


def test_what_a_whole_project_is_called_is_no_near_miss_of_each_of_its_containers() -> None:
    assert near({"app_name": "shop"}, *[container(f"s{n}", composed(f"s{n}")) for n in range(FEW + 1)]) == ()


@pytest.mark.clause("9.explain.services")
@pytest.mark.parametrize("more", [{}, {"com.docker.compose.oneoff": "False"}])
def test_another_service_of_the_same_project_is_another_thing_and_no_near_miss(more: dict[str, str]) -> None:
    stopped = container("shop-orders-1", composed("orders"), State.EXITED)
    other = container("shop-cache-1", composed("cache", **more))
    assert near(composed("orders"), stopped, other) == ()
    swarm = {"com.docker.swarm.service.name": "shop_db", "tier": "web-shop"}
    other = container("a", {**swarm, "com.docker.swarm.service.name": "shop_orders"})
    assert near(swarm, container("b", swarm), other) == ()


@pytest.mark.clause("9.explain.services")
def test_a_service_that_is_misspelt_in_the_configuration_is_told() -> None:
    for wrong, right in (("ordesr", "orders"), ("wbe", "web"), ("shop", "web")):
        (miss,) = near(composed(wrong), container("shop-web-1", composed(right)))
        assert miss.missing == (MissingLabel("com.docker.compose.service", right, wrong),)
    (miss,) = near(
        composed("orders"), container("x", {**composed("orders"), "com.docker.compose.project": "y"})
    )
    assert miss.missing == (MissingLabel("com.docker.compose.project", "y", "shop"),)


def test_a_slip_that_all_containers_have_is_told() -> None:
    wrong = [container(f"s{n}", composed(f"s{n}", env="Production")) for n in range(30)]
    assert len(near({"env": "production"}, *wrong)) == MOST


KEYS = st.sampled_from(["app_name", "app_nme", "App-Name", "env", "x"])
VALUES = st.sampled_from(["orders", "order", "Orders", "payment", "production", "prod", "1"])
LABELS = st.dictionaries(KEYS, VALUES, max_size=3)
SOME = st.lists(st.tuples(LABELS, st.sampled_from([State.RUNNING, State.EXITED])), max_size=8)
WANTED = st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), min_size=1, max_size=3)


@given(WANTED, SOME)
@example([{"app_name": "orders"}], [({"x": "orders"}, State.RUNNING)])
def test_what_is_told_of_a_near_miss_is_true(
    wanted: list[dict[str, str]], some: list[tuple[dict[str, str], State]]
) -> None:
    containers = {f"c{n}": container(f"c{n}", labels, state) for n, (labels, state) in enumerate(some)}
    for labels, view in zip(wanted, views(wanted, containers.values()), strict=True):
        assert len(view.near_misses) <= MOST
        assert names(view.near_misses) == [
            one.name for one in view.containers if one.left_out is LeftOut.LABELS
        ]
        counts = [miss.has for miss in view.near_misses]
        assert counts == sorted(counts, reverse=True)
        for miss in view.near_misses:
            has = containers[miss.name].labels
            lacks = {key: value for key, value in labels.items() if has.get(key) != value}
            assert lacks
            assert {one.key: one.wanted for one in miss.missing} == lacks
            assert (miss.has, miss.of) == (len(labels) - len(lacks), len(labels))
            for one in miss.missing:
                if one.key in has:
                    assert one.found == has[one.key]
                elif one.found is not None:
                    assert one.found in {f"{key}={value}" for key, value in has.items()}


@given(st.permutations([f"c{n}" for n in range(6)]), SOME)
def test_the_order_that_containers_come_in_does_not_matter(
    order: list[str], some: list[tuple[dict[str, str], State]]
) -> None:
    containers = {f"c{n}": container(f"c{n}", *one) for n, one in enumerate(some[:6])}
    shuffled = [containers[name] for name in order if name in containers]
    assert views([ORDERS], containers.values()) == views([ORDERS], shuffled)


FLEETS: Mapping[str, Callable[[int], dict[str, str]]] = {
    "all right": lambda n: composed(f"s{n}x", app_name=f"app-{n}x", env="production"),
    "a wrong value": lambda n: composed(f"s{n}x", app_name=f"app-{n}x", env="prod"),
    "a slip in all": lambda n: composed(f"s{n}x", app_name=f"app-{n}x", env="Production"),
    "one kind": lambda _: composed("s", env="production"),
    "a series": lambda n: composed(f"s{n}x", app_name="orders" + chr(0x4E00 + n), env="production"),
    "a series of keys": lambda n: composed(f"s{n}x", **{"app_nam" + chr(0x4E00 + n): f"app-{n}x"}),
}


@pytest.mark.parametrize("kind", FLEETS)
def test_twice_as_many_backends_and_containers_are_twice_the_work(kind: str) -> None:
    """A thousand of each once took seconds, at each change that Docker reported."""

    def work(size: int) -> Work:
        containers = [container(f"c{n}", FLEETS[kind](n)) for n in range(size)]
        backends = [backend({"app_name": f"app-{n}x", "env": "production"}, str(n)) for n in range(size)]
        with counted() as done:
            views_of(backends, seen(containers, HostView()))
            return done()

    little, much = work(100), work(200)
    assert much.calls < 2.5 * little.calls
