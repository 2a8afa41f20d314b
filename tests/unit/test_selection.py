"""Which containers are candidates, at which address, and why the others are not (behaviour 4)."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.address import HostView, NoAddress, address_of
from rgate.core.candidates import Address
from rgate.core.config import AddressKind, Backend
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.knowledge import stale_since
from rgate.core.reasons import LeftOut, Reason
from rgate.core.seen import Seen
from rgate.core.selection import view_of, views_of
from tests.unit.containers import seen, unseen

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


def where(
    container: Container, backend: Backend, host: HostView, others: Mapping[str, Container] | None = None
) -> Address | NoAddress:
    found = address_of(container, backend, host, others)
    return found if isinstance(found, NoAddress) else found.address


@pytest.mark.clause("4.candidates.healthy")
@pytest.mark.parametrize("health", [Health.NONE, Health.HEALTHY])
def test_a_running_container_with_all_labels_is_a_candidate(health: Health) -> None:
    view = view_of(BACKEND, seen([replace(UP, health=health)], HERE))
    assert [(c.name, c.address) for c in view.candidates] == [("orders-1", Address("127.0.0.1", 32768))]
    assert view.reason is None


@pytest.mark.clause("6.answers.no_container", "6.detail.sentence")
def test_one_of_two_labels_is_not_enough_and_the_reason_says_what_it_lacks() -> None:
    view = view_of(BACKEND, seen([replace(UP, labels={"app": "orders", "env": "prod"})], HERE))
    assert view.reason is Reason.NO_CONTAINER
    assert "orders-1 has 1 of 2 labels: env=prod, wanted env=production" in view.detail


@pytest.mark.clause("4.candidates.states")
@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_a_container_that_does_not_run_is_out(state: State) -> None:
    view = view_of(BACKEND, seen([replace(UP, state=state)], HERE))
    assert view.reason is Reason.NO_CONTAINER
    assert f"orders-1 is {state.value}" in view.detail
    assert view.containers[0].left_out is LeftOut.NOT_RUNNING


@pytest.mark.clause("4.candidates.unhealthy", "6.answers.unhealthy")
def test_unhealthy_is_out_and_is_the_reason_where_all_are() -> None:
    view = view_of(BACKEND, seen([replace(UP, health=Health.UNHEALTHY)], HERE))
    assert (view.candidates, view.reason) == ((), Reason.UNHEALTHY)


@pytest.mark.clause("4.candidates.starting")
def test_starting_is_used_only_when_nothing_better_is_there() -> None:
    starting = replace(UP, id="2" * 64, name="orders-2", health=Health.STARTING)
    assert [c.name for c in view_of(BACKEND, seen([UP, starting], HERE)).candidates] == ["orders-1"]
    assert [c.name for c in view_of(BACKEND, seen([starting], HERE)).candidates] == ["orders-2"]


def test_a_container_that_is_being_stopped_is_out() -> None:
    assert view_of(BACKEND, seen([replace(UP, stopping=True)], HERE)).reason is Reason.NO_CONTAINER


@pytest.mark.clause("2.backend.urls")
def test_fixed_urls_need_no_container_and_no_docker() -> None:
    backend = Backend("fixed", urls=("http://127.0.0.1:81", "http://[::1]:82", "http://localhost"))
    for view in (view_of(backend, seen([], HERE)), view_of(backend, unseen("no socket"))):
        assert [c.name for c in view.candidates] == ["127.0.0.1:81", "[::1]:82", "localhost:80"]


@pytest.mark.clause("6.answers.docker")
def test_docker_that_has_not_answered_is_the_reason() -> None:
    view = view_of(BACKEND, unseen("there is no socket: start Docker"))
    assert view.reason is Reason.DOCKER_UNAVAILABLE
    assert view.detail == (
        "Docker has not answered since rgate started: there is no socket: start Docker; rgate keeps trying."
    )
    assert view_of(BACKEND, unseen("")).detail == (
        "Docker has not answered since rgate started; rgate keeps trying."
    )


def test_what_may_not_be_so_any_more_is_said_of_containers_and_not_of_fixed_urls() -> None:
    fixed = Backend("fixed", urls=("http://127.0.0.1:81",))
    views = views_of([BACKEND, fixed], [Seen((UP,), away_since=1764165792.9)])
    stale = stale_since(1764165792.9)
    assert {name: view.stale for name, view in views.items()} == {"orders": stale, "fixed": ""}


@pytest.mark.clause(
    "2.backend.port",
    "2.backend.address",
    "4.address.published",
    "4.address.own",
    "4.address.port",
    "4.address.host_network",
)
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
    assert where(container, backend, HERE) == expected


@pytest.mark.clause("4.address.remote")
def test_a_remote_docker_publishes_on_its_own_host() -> None:
    assert where(UP, BACKEND, HostView("10.9.8.7")) == Address("10.9.8.7", 32768)


@pytest.mark.clause("4.address.inside")
def test_inside_a_container_the_address_is_on_a_network_that_both_are_on() -> None:
    both = replace(UP, attachments=(Attachment("a", "n0", "172.17.0.2"), *UP.attachments))
    assert where(both, BACKEND, HostView(own_networks=frozenset({"n1"}))) == Address("172.18.0.2", 8000)


INSIDE = HostView(own_networks=frozenset({"n1"}))
REMOTE = HostView("10.9.8.7")
ON_HOST = replace(UP, network_mode="host", published=())
SHARING = replace(
    UP, id="4" * 64, name="side", network_mode=f"container:{UP.id}", published=(), attachments=()
)


@pytest.mark.parametrize(
    ("container", "host", "told"),
    [
        (UP, HERE, "published port 32768 of 8000"),
        (UP, REMOTE, "published port 32768 of 8000 on Docker's machine"),
        (replace(UP, published=()), HERE, "its address on the network shop"),
        (UP, INSIDE, "its address on the network shop, which rgate is on too"),
        (ON_HOST, HERE, "this machine, as it uses the host's network"),
        (ON_HOST, REMOTE, "Docker's machine, as it uses the host's network"),
        (SHARING, HERE, "published port 32768 of 8000 of orders-1, whose network it shares"),
    ],
)
def test_how_an_address_was_chosen_is_told(container: Container, host: HostView, told: str) -> None:
    found = view_of(BACKEND, seen([UP, container], host)).containers
    assert told in [one.address_from for one in found if one.container_id == container.id]


def test_without_an_address_there_is_nothing_to_tell_of_it() -> None:
    starting = replace(UP, id="2" * 64, health=Health.STARTING)
    off = replace(UP, id="3" * 64, state=State.EXITED)
    found = {one.container_id[0]: one for one in view_of(BACKEND, seen([UP, starting, off], HERE)).containers}
    assert [bool(found[identity].address_from) for identity in "123"] == [True, True, False]


@pytest.mark.clause("4.address.no_port", "6.answers.no_address")
def test_several_ports_and_no_choice_is_no_address_and_lists_them() -> None:
    several = replace(UP, published=(), exposed=(80, 443))
    assert isinstance(found := where(several, BACKEND, HERE), NoAddress)
    assert "80, 443" in found.detail
    assert view_of(BACKEND, seen([several], HERE)).reason is Reason.NO_ADDRESS


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ((PublishedPort(8000, "0.0.0.0", 0),), Address("172.18.0.2", 8000)),  # exposed, and not published yet
        ((PublishedPort(8000, "0.0.0.0", 0), PublishedPort(8000, "0.0.0.0", 9)), Address("127.0.0.1", 9)),
        ((PublishedPort(8001, "0.0.0.0", 9),), Address("172.18.0.2", 8000)),
        ((PublishedPort(8000, "::", 8), PublishedPort(8000, "0.0.0.0", 9)), Address("127.0.0.1", 9)),
        ((PublishedPort(8000, "10.1.2.3", 8), PublishedPort(8000, "::1", 9)), Address("::1", 9)),
        ((PublishedPort(8000, "fe80::1", 8), PublishedPort(8000, "10.1.2.3", 9)), Address("10.1.2.3", 9)),
        ((PublishedPort(8000, "a name", 8), PublishedPort(8000, "fe80::1", 9)), Address("fe80::1", 9)),
        ((PublishedPort(8000, "", 9),), Address("127.0.0.1", 9)),
    ],
)
def test_of_several_published_ports_this_machines_comes_first_and_ipv4_before_ipv6(
    published: tuple[PublishedPort, ...], expected: Address
) -> None:
    assert where(replace(UP, published=published), replace(BACKEND, port=8000), HERE) == expected


def test_a_container_that_shares_the_network_of_another_has_its_address() -> None:
    owner = replace(UP, id="3" * 64, published=(PublishedPort(8000, "0.0.0.0", 9),))
    sharing = replace(UP, network_mode=f"container:{owner.id}", published=(), attachments=(), exposed=(8000,))
    assert where(sharing, BACKEND, HERE, {owner.id: owner}) == Address("127.0.0.1", 9)
    assert [c.address.port for c in view_of(BACKEND, seen([sharing, owner], HERE)).candidates] == [9, 9]
    gone = where(sharing, BACKEND, HERE, {})
    assert gone == NoAddress(f"it shares the network of the container {owner.id[:12]}, which is not there")


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("0", "its label rgate.port=0 is no port number"),
        ("65536", "its label rgate.port=65536 is no port number"),
        ("80a", "its label rgate.port=80a is no port number"),
        ("1" * 5000, f"its label rgate.port={'1' * 80}… is no port number"),
        ("\u0663", "its label rgate.port=\u0663 is no port number"),
    ],
)
def test_a_label_that_is_no_port_is_told(label: str, found: str) -> None:
    several = replace(UP, published=(), exposed=(1, 2), labels={**UP.labels, "rgate.port": label})
    assert where(several, BACKEND, HERE) == NoAddress(found)


@pytest.mark.parametrize("port", [1, 65535])
def test_a_label_names_any_port_there_can_be(port: int) -> None:
    several = replace(UP, published=(), exposed=(2, 3), labels={**UP.labels, "rgate.port": str(port)})
    assert where(several, BACKEND, HERE) == Address("172.18.0.2", port)


def test_the_only_published_port_is_meant_where_others_are_only_exposed() -> None:
    assert where(replace(UP, exposed=(1, 8000, 9000)), BACKEND, HERE) == Address("127.0.0.1", 32768)


def test_one_that_is_starting_is_shown_as_used_only_where_it_is() -> None:
    starting = replace(UP, id="2" * 64, name="orders-2", health=Health.STARTING)
    alone, beside = view_of(BACKEND, seen([starting], HERE)), view_of(BACKEND, seen([UP, starting], HERE))
    assert [(one.name, one.left_out, one.detail) for one in alone.containers] == [("orders-2", None, "")]
    assert alone.containers[0].address == Address("127.0.0.1", 32768)
    assert [one.left_out for one in beside.containers] == [None, LeftOut.STARTING]
    assert beside.containers[1].detail == "orders-2 is starting, and others are healthy"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (State.PAUSED, "orders-1 is paused: unpause it"),
        (State.EXITED, "orders-1 is exited: start it"),
        (
            State.RESTARTING,
            "orders-1 is restarting: it ends again and again, and `docker logs orders-1` shows why",
        ),
        (State.DEAD, "orders-1 is dead: remove it, and start another"),
    ],
)
def test_what_brings_one_back_is_told(state: State, told: str) -> None:
    assert view_of(BACKEND, seen([replace(UP, state=state)], HERE)).containers[0].detail == told


def test_the_three_nearest_misses_are_told_and_of_those_that_run() -> None:
    wanted = Backend("b", match_labels=(("a", "1"), ("b", "1"), ("c", "1")))
    near = [replace(UP, id=str(n), name=f"near-{n}", labels={"a": "1"}) for n in range(4)]
    nearer = replace(UP, id="9", name="nearer", labels={"a": "1", "b": "1"})
    stopped = replace(UP, id="8", name="off", labels={"a": "1", "b": "1"}, state=State.EXITED)
    detail = view_of(wanted, seen([*near, nearer, stopped], HERE)).detail
    assert detail.startswith(
        "No running container has the labels a=1, b=1, c=1: nearer has 2 of 3 labels: c is missing"
    )
    assert [f"near-{n}" in detail for n in range(4)] == [True, True, False, False]
    assert "off" not in detail
    assert view_of(wanted, seen([], HERE)).detail == "No running container has the labels a=1, b=1, c=1."


def test_each_way_to_have_no_address_is_told() -> None:
    bare = replace(UP, published=(), exposed=(), attachments=())
    assert where(bare, BACKEND, HERE) == NoAddress(
        "it has no port: publish or expose one, or set `port` or the label rgate.port"
    )
    lonely = replace(UP, published=(PublishedPort(1, "0.0.0.0", 9),), attachments=())
    backend = replace(BACKEND, port=8000)
    assert where(lonely, backend, HERE) == NoAddress(
        "it has no address on any network, and its port 8000 is not published (published: 1 at 0.0.0.0:9)"
    )
    only_published = replace(backend, address=AddressKind.PUBLISHED)
    assert where(replace(UP, published=()), only_published, HERE) == NoAddress(
        "its port 8000 is not published on the host (published: none)"
    )


def test_a_published_port_is_asked_rather_than_an_address_on_a_network_that_only_the_container_is_on() -> (
    None
):
    assert where(UP, BACKEND, HostView(own_networks=frozenset({"other"}))) == Address("127.0.0.1", 32768)
    only_container = replace(BACKEND, address=AddressKind.CONTAINER)
    assert where(UP, only_container, HostView(own_networks=frozenset({"other"}))) == Address(
        "172.18.0.2", 8000
    )


def test_one_without_an_address_is_told_of_before_one_that_is_unhealthy() -> None:
    unhealthy = replace(UP, health=Health.UNHEALTHY)
    bare = replace(UP, id="2" * 64, name="orders-2", published=(), attachments=())
    view = view_of(BACKEND, seen([unhealthy, bare], HERE))
    assert view.reason is Reason.NO_ADDRESS
    assert view.detail.startswith("orders-2 runs, but it has no address")


LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"))


@pytest.mark.clause("2.backend.all", "4.candidates.labels")
@given(wanted=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), min_size=1), has=LABELS)
def test_candidates_have_all_labels_and_near_misses_some(wanted: dict[str, str], has: dict[str, str]) -> None:
    backend = Backend("b", match_labels=tuple(wanted.items()))
    view = view_of(backend, seen([replace(UP, labels=has)], HERE))
    common = sum(has.get(key) == value for key, value in wanted.items())
    assert bool(view.candidates) == (common == len(wanted))
    assert bool(view.containers) == (common > 0)
    assert (view.reason is None) == bool(view.candidates)


@pytest.mark.clause("4.address.elsewhere")
def test_on_another_machine_only_what_is_published_for_others_serves() -> None:
    far = HostView("10.9.8.7")
    for published in ((), (PublishedPort(8000, "127.0.0.1", 32768),), (PublishedPort(8000, "::1", 32768),)):
        found = where(replace(UP, published=published), BACKEND, far)
        assert isinstance(found, NoAddress)
        assert (
            "it is on 10.9.8.7, and its port 8000 is not published there for other machines" in found.detail
        )
    both = replace(UP, published=(PublishedPort(8000, "127.0.0.1", 1), PublishedPort(8000, "0.0.0.0", 2)))
    assert where(both, BACKEND, far) == Address("10.9.8.7", 2)
    routed = replace(BACKEND, address=AddressKind.CONTAINER)
    assert where(replace(UP, published=()), routed, far) == Address("172.18.0.2", 8000)


@pytest.mark.clause("4.address.ingress")
def test_swarms_ingress_is_no_network_to_reach_a_container_by() -> None:
    ingress = Attachment("ingress", "i1", "10.0.0.5")
    task = replace(UP, published=(), attachments=(ingress, Attachment("shop", "s1", "10.0.1.7")))
    for host in (HostView(), HostView(own_networks=frozenset({"i1", "s1"}))):
        assert where(task, BACKEND, host) == Address("10.0.1.7", 8000)
    view = view_of(
        BACKEND, seen([replace(task, attachments=(ingress,))], HostView(own_networks=frozenset({"i1"})))
    )
    assert view.reason is Reason.NO_ADDRESS


@pytest.mark.clause("4.docker.not_inspected")
def test_one_that_cannot_be_inspected_is_left_out_and_one_that_could_is_kept() -> None:
    hung = replace(UP, not_inspected="it hangs", was_inspected=False)
    view = view_of(BACKEND, seen([hung], HostView()))
    assert [one.left_out for one in view.containers] == [LeftOut.NOT_INSPECTED]
    assert (view.reason, view.detail) == (
        Reason.NO_CONTAINER,
        "No container with the labels app=orders, env=production can be used: "
        "orders-1 cannot be inspected: it hangs.",
    )
    kept = view_of(BACKEND, seen([replace(hung, was_inspected=True)], HostView()))
    assert kept.candidates
    assert kept.containers[0].detail.endswith("as it cannot be inspected: it hangs")
