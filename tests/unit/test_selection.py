"""Which containers are candidates, at which address, and why the others are not (behaviour 4)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.address import HostView, NoAddress, address_of
from rgate.core.candidates import Address
from rgate.core.config import AddressKind, Backend
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.reasons import LeftOut, Reason
from rgate.core.selection import unavailable_view, view_of

HERE = HostView()
BACKEND = Backend("orders", match_labels=(("app", "orders"), ("env", "production")))
UP = Container(
    id="1" * 64,
    name="orders-1",
    labels={"app": "orders", "env": "production", "more": "x"},
    state=State.RUNNING,
    published=(PublishedPort(8000, "0.0.0.0", 32768),),
    exposed=(8000,),
    attachments=(Attachment("shop", "n1", "172.18.0.2"),),
)


@pytest.mark.parametrize("health", [Health.NONE, Health.HEALTHY])
def test_a_running_container_with_all_labels_is_a_candidate(health: Health) -> None:
    view = view_of(BACKEND, [replace(UP, health=health)], HERE)
    assert [(c.name, c.address) for c in view.candidates] == [("orders-1", Address("127.0.0.1", 32768))]
    assert view.reason is None


def test_one_of_two_labels_is_not_enough_and_the_reason_says_what_it_lacks() -> None:
    view = view_of(BACKEND, [replace(UP, labels={"app": "orders", "env": "prod"})], HERE)
    assert view.reason is Reason.NO_CONTAINER
    assert "orders-1 has 1 of 2 labels: env=prod, wanted env=production" in view.detail


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_a_container_that_does_not_run_is_out(state: State) -> None:
    view = view_of(BACKEND, [replace(UP, state=state)], HERE)
    assert view.reason is Reason.NO_CONTAINER
    assert f"orders-1 is {state.value}" in view.detail
    assert view.containers[0].left_out is LeftOut.NOT_RUNNING


def test_unhealthy_is_out_and_is_the_reason_where_all_are() -> None:
    view = view_of(BACKEND, [replace(UP, health=Health.UNHEALTHY)], HERE)
    assert (view.candidates, view.reason) == ((), Reason.UNHEALTHY)


def test_starting_is_used_only_when_nothing_better_is_there() -> None:
    starting = replace(UP, id="2" * 64, name="orders-2", health=Health.STARTING)
    assert [c.name for c in view_of(BACKEND, [UP, starting], HERE).candidates] == ["orders-1"]
    assert [c.name for c in view_of(BACKEND, [starting], HERE).candidates] == ["orders-2"]


def test_a_container_that_is_being_stopped_is_out() -> None:
    assert view_of(BACKEND, [replace(UP, stopping=True)], HERE).reason is Reason.NO_CONTAINER


def test_fixed_urls_need_no_container_and_no_docker() -> None:
    backend = Backend("fixed", urls=("http://127.0.0.1:81", "http://[::1]:82", "http://localhost"))
    for view in (view_of(backend, [], HERE), unavailable_view(backend, "no socket")):
        assert [c.name for c in view.candidates] == ["127.0.0.1:81", "[::1]:82", "localhost:80"]


def test_docker_that_has_not_answered_is_the_reason() -> None:
    view = unavailable_view(BACKEND, "no such socket")
    assert view.reason is Reason.DOCKER_UNAVAILABLE
    assert "no such socket" in view.detail


@pytest.mark.parametrize(
    ("container", "backend", "expected"),
    [
        (UP, BACKEND, Address("127.0.0.1", 32768)),
        (replace(UP, published=(PublishedPort(8000, "::", 9),)), BACKEND, Address("::1", 9)),
        (replace(UP, published=(PublishedPort(8000, "10.1.2.3", 9),)), BACKEND, Address("10.1.2.3", 9)),
        (replace(UP, published=()), BACKEND, Address("172.18.0.2", 8000)),
        (UP, replace(BACKEND, address=AddressKind.CONTAINER), Address("172.18.0.2", 8000)),
        (replace(UP, network_mode="host", published=()), BACKEND, Address("127.0.0.1", 8000)),
        (replace(UP, exposed=(1, 8000)), replace(BACKEND, port=8000), Address("127.0.0.1", 32768)),
        (
            replace(UP, exposed=(1, 2), published=(), labels={**UP.labels, "rgate.port": "2"}),
            BACKEND,
            Address("172.18.0.2", 2),
        ),
    ],
)
def test_the_address_is_the_published_port_or_else_the_containers_own(
    container: Container, backend: Backend, expected: Address
) -> None:
    assert address_of(container, backend, HERE) == expected


def test_a_remote_docker_publishes_on_its_own_host() -> None:
    assert address_of(UP, BACKEND, HostView("10.9.8.7")) == Address("10.9.8.7", 32768)


def test_inside_a_container_the_address_is_on_a_network_that_both_are_on() -> None:
    both = replace(UP, attachments=(Attachment("a", "n0", "172.17.0.2"), *UP.attachments))
    assert address_of(both, BACKEND, HostView(own_networks=frozenset({"n1"}))) == Address("172.18.0.2", 8000)


def test_several_ports_and_no_choice_is_no_address_and_lists_them() -> None:
    several = replace(UP, published=(), exposed=(80, 443))
    assert isinstance(found := address_of(several, BACKEND, HERE), NoAddress)
    assert "80, 443" in found.detail
    assert view_of(BACKEND, [several], HERE).reason is Reason.NO_ADDRESS


LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))


@given(wanted=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), min_size=1), has=LABELS)
def test_candidates_have_all_labels_and_near_misses_some(wanted: dict[str, str], has: dict[str, str]) -> None:
    backend = Backend("b", match_labels=tuple(wanted.items()))
    view = view_of(backend, [replace(UP, labels=has)], HERE)
    common = sum(has.get(key) == value for key, value in wanted.items())
    assert bool(view.candidates) == (common == len(wanted))
    assert bool(view.containers) == (common > 0)
    assert (view.reason is None) == bool(view.candidates)
