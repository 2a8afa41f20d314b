"""What services, tasks and nodes of a Swarm come to: containers, events, and when to look (behaviour 12)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.candidates import BackendView
from rgate.core.config import AddressKind, Backend
from rgate.core.containers import Attachment, Container, Details, Event, Health, Listed, State
from rgate.core.known import Known
from rgate.core.reasons import LeftOut
from rgate.core.selection import view_of
from rgate.core.swarm import (
    FIRST_PAUSE_S,
    SETTLED_PAUSE_S,
    UNSETTLED_PAUSE_S,
    Looking,
    Node,
    Port,
    Service,
    Swarm,
    Task,
    changes,
    containers_of,
)
from tests.unit.containers import seen

SHOP = Attachment("shop", "k7z11w9dpowd7dcnp9t02vz6a", "10.0.1.3")
INGRESS, HOST = Port(8000, 8080, is_host=False), Port(8000, 0, is_host=True)
WEB = Service("web", "shop_web", {"app": "web"}, {}, replicas=1)
NEAR, FAR = Node("near", "192.0.2.1", is_ready=True), Node("far", "192.0.2.2", is_ready=True)
ONE = Task("t1", "web", "far", 1, "running", "running", "c1", {"env": "live"}, attachments=(SHOP,))
AT_32768 = replace(ONE, ports=(Port(8000, 32768, is_host=True),))
BACKEND = Backend("b", match_labels=(("app", "web"), ("env", "live")))
APP = Backend("b", match_labels=(("app", "web"),))
LABELS = ("com.docker.swarm.service.name", "com.docker.swarm.task.name", "com.docker.swarm.node.id")


def swarm_of(
    *tasks: Task, service: Service = WEB, nodes: Iterable[Node] = (NEAR, FAR), inside: bool = False
) -> Swarm:
    return Swarm({service.id: service}, tasks, {node.id: node for node in nodes}, "near", inside)


def container_of(*tasks: Task, service: Service = WEB, nodes: Iterable[Node] = (NEAR, FAR)) -> Container:
    (details,) = containers_of(swarm_of(*tasks, service=service, nodes=nodes))
    return details.container


def view(
    swarm: Swarm, backend: Backend = APP, own_networks: Iterable[str] | None = None, published_host: str = ""
) -> BackendView:
    containers = [details.container for details in containers_of(swarm)]
    networks = None if own_networks is None else frozenset(own_networks)
    return view_of(backend, seen(containers, HostView(published_host, networks)))


def addresses(
    swarm: Swarm, backend: Backend = APP, own_networks: Iterable[str] | None = None, published_host: str = ""
) -> list[str]:
    """Return name and address of each candidate."""
    found = view(swarm, backend, own_networks, published_host).candidates
    return [f"{one.name} {one.address}" for one in found]


@pytest.mark.clause("12.swarm.labels")
def test_labels_are_those_of_service_and_container_together_and_the_containers_count() -> None:
    service = replace(WEB, labels={"app": "web", "env": "service", "both": "service"})
    found = container_of(replace(AT_32768, labels={"env": "live"}), service=service)
    assert (found.labels["app"], found.labels["env"], found.labels["both"]) == ("web", "live", "service")
    assert addresses(swarm_of(AT_32768, service=service), BACKEND) == ["shop_web.1 192.0.2.2:32768"]


@pytest.mark.clause("12.swarm.labels")
def test_a_task_has_the_labels_that_docker_gives_its_container() -> None:
    found = container_of(replace(ONE, labels={LABELS[0]: "mine"}))
    assert [found.labels[key] for key in LABELS] == ["shop_web", "shop_web.1.t1", "far"]


@pytest.mark.clause("12.swarm.name")
def test_a_task_is_called_by_its_slot_or_its_node_and_known_by_its_container() -> None:
    assert (container_of(ONE).name, container_of(ONE).id) == ("shop_web.1", "c1")
    assert container_of(replace(ONE, slot=0)).name == "shop_web.far"


@pytest.mark.clause("12.swarm.running")
@pytest.mark.parametrize("desired", ["shutdown", "remove"])
def test_a_task_that_is_to_end_is_out_while_its_container_still_runs(desired: str) -> None:
    found = view(swarm_of(replace(AT_32768, desired=desired)))
    assert [one.left_out for one in found.containers] == [LeftOut.STOPPING]
    (details,) = containers_of(swarm_of(replace(AT_32768, desired=desired)))
    assert details.container.state is State.RUNNING


@pytest.mark.clause("12.swarm.running")
def test_a_task_of_a_service_that_is_gone_is_gone() -> None:
    assert containers_of(Swarm({}, (AT_32768,), {"far": FAR})) == ()


@pytest.mark.clause("12.swarm.running")
@pytest.mark.parametrize("nodes", [(NEAR,), (NEAR, replace(FAR, is_ready=False))])
def test_a_task_whose_node_is_down_is_out(nodes: tuple[Node, ...]) -> None:
    found = view(swarm_of(AT_32768, nodes=nodes))
    assert [one.left_out for one in found.containers] == [LeftOut.NOT_RUNNING]
    assert "`docker service ps shop_web` shows why" in found.detail


@pytest.mark.clause("12.swarm.running")
def test_of_the_tasks_that_ended_only_the_last_is_told_of_and_only_where_none_is_in_its_place() -> None:
    ended = [
        replace(ONE, id=f"t{made}", container_id=f"c{made}", state="failed", desired="shutdown", made=made)
        for made in ("2026-11-27T03:12:26.73", "2026-11-27T03:12:26.730424")
    ]
    assert container_of(*ended).id == f"c{ended[1].made}"
    assert container_of(*ended).state is State.EXITED
    waiting = replace(ONE, id="t3", container_id="", state="pending")
    assert containers_of(swarm_of(*ended, waiting)) == ()
    elsewhere = replace(ended[0], slot=2)
    assert {one.container.id for one in containers_of(swarm_of(elsewhere, ONE))} == {
        "c1",
        elsewhere.container_id,
    }


@pytest.mark.clause("12.swarm.starting")
def test_a_task_that_starts_is_used_where_nothing_better_is_there() -> None:
    starting = replace(ONE, state="starting")
    assert container_of(starting).health is Health.STARTING
    service = replace(WEB, ports=(Port(8000, 0, is_host=False),))
    there = (SHOP.network_id,)
    assert addresses(swarm_of(starting, service=service), own_networks=there) == ["shop_web.1 10.0.1.3:8000"]
    other = replace(AT_32768, id="t2", container_id="c2", slot=2)
    (candidate,) = addresses(swarm_of(starting, other, service=service), own_networks=there)
    assert candidate.startswith("shop_web.2 ")


@pytest.mark.clause("12.swarm.starting")
def test_one_that_starts_and_has_no_port_on_its_node_yet_is_to_be_waited_for() -> None:
    found = view(swarm_of(replace(ONE, state="starting"), service=replace(WEB, ports=(HOST,))))
    assert [one.left_out for one in found.containers] == [LeftOut.NOT_RUNNING]


@pytest.mark.clause("12.swarm.starting")
@pytest.mark.parametrize(
    ("state", "has_check", "health"),
    [
        ("running", True, Health.HEALTHY),
        ("running", False, Health.NONE),
        ("starting", False, Health.STARTING),
    ],
)
def test_health_is_what_the_tasks_state_says(state: str, has_check: bool, health: Health) -> None:
    assert container_of(replace(ONE, state=state, has_check=has_check)).health is health


@pytest.mark.clause("12.swarm.overlay")
def test_on_an_overlay_that_rgate_is_on_it_is_the_tasks_address() -> None:
    service = replace(WEB, ports=(HOST, replace(INGRESS, target=9000)))
    swarm = swarm_of(AT_32768, service=service)
    of_8000 = replace(APP, port=8000)
    assert addresses(swarm, of_8000, [SHOP.network_id]) == ["shop_web.1 10.0.1.3:8000"]
    assert addresses(swarm, of_8000, ["another"]) == ["shop_web.1 192.0.2.2:32768"]
    published = replace(of_8000, address=AddressKind.PUBLISHED)
    assert addresses(swarm, published, [SHOP.network_id]) == ["shop_web.1 192.0.2.2:32768"]


@pytest.mark.clause("12.swarm.host")
@pytest.mark.parametrize(
    ("node", "inside", "published_host", "host"),
    [
        ("far", False, "", "192.0.2.2"),
        ("far", False, "198.51.100.1", "192.0.2.2"),  # of another node than the one that is asked
        ("near", False, "", "127.0.0.1"),
        ("near", False, "198.51.100.1", "198.51.100.1"),  # where the one that is asked is
        ("near", True, "", "192.0.2.1"),  # a container's loopback is no machine's
    ],
)
def test_a_port_in_host_mode_is_at_its_node(node: str, inside: bool, published_host: str, host: str) -> None:
    swarm = swarm_of(replace(AT_32768, node_id=node), inside=inside)
    assert addresses(swarm, published_host=published_host) == [f"shop_web.1 {host}:32768"]


@pytest.mark.clause("12.swarm.host")
@pytest.mark.parametrize("address", ["", "0.0.0.0", "127.0.0.1", "::1", "::"])
def test_a_node_at_no_address_of_a_machine_is_where_the_one_that_is_asked_is(address: str) -> None:
    swarm = swarm_of(AT_32768, nodes=(Node("far", address, is_ready=True),))
    assert addresses(swarm, published_host="198.51.100.1") == ["shop_web.1 198.51.100.1:32768"]


@pytest.mark.clause("12.swarm.host")
def test_on_its_nodes_own_network_the_port_is_there_as_it_is() -> None:
    task = replace(ONE, is_on_hosts_network=True, attachments=())
    assert addresses(swarm_of(task), replace(APP, port=80)) == ["shop_web.1 192.0.2.2:80"]


@pytest.mark.clause("12.swarm.ingress", "12.swarm.balances")
def test_else_the_services_published_port_on_a_ready_node_is_one_candidate() -> None:
    other = replace(ONE, id="t2", container_id="c2", slot=2)
    swarm = swarm_of(ONE, other, service=replace(WEB, ports=(INGRESS,)))
    assert addresses(swarm) == ["shop_web 127.0.0.1:8080"]
    found = view(swarm)
    assert [one.name for one in found.containers] == ["shop_web"]
    assert "Swarm picks the task" in found.containers[0].detail
    down = replace(swarm, nodes={"near": replace(NEAR, is_ready=False), "far": FAR})
    assert addresses(down) == ["shop_web 192.0.2.2:8080"]


@pytest.mark.clause("12.swarm.ingress")
@pytest.mark.parametrize(
    "task", [replace(ONE, desired="shutdown"), replace(ONE, state="starting"), replace(ONE, node_id="none")]
)
def test_a_service_is_none_where_no_task_serves(task: Task) -> None:
    assert addresses(swarm_of(task, service=replace(WEB, ports=(INGRESS,)))) == []


@pytest.mark.clause("12.swarm.ingress", "12.swarm.host")
def test_each_port_of_a_service_is_reached_as_it_is_published() -> None:
    service = replace(WEB, ports=(HOST, Port(80, 8080, is_host=False)))
    swarm = swarm_of(AT_32768, service=service)
    assert addresses(swarm, replace(APP, port=80)) == ["shop_web 127.0.0.1:8080"]
    assert addresses(swarm, replace(APP, port=8000)) == ["shop_web.1 192.0.2.2:32768"]
    assert addresses(swarm) == []
    assert "it has the ports 80, 8000: set `port`" in view(swarm).detail


@pytest.mark.clause("12.swarm.never")
@pytest.mark.parametrize("kind", AddressKind)
def test_an_overlay_that_rgate_is_not_on_is_no_way_to_a_task(kind: AddressKind) -> None:
    found = view(swarm_of(replace(ONE, node_id="near")), replace(APP, port=8000, address=kind))
    assert found.candidates == ()
    assert "rgate is on none of its Swarm's networks (shop)" in found.detail


# Small Swarms that collide: two services, two nodes, two slots.

STATES = ["new", "pending", "ready", "starting", "running", "complete", "shutdown", "failed", "rejected"]
TASKS = st.builds(
    Task,
    id=st.just(""),
    service_id=st.sampled_from(["web", "web", "api", "gone"]),
    node_id=st.sampled_from(["near", "far", "away"]),
    slot=st.sampled_from([0, 1, 2]),
    state=st.sampled_from(["running", "running", *STATES]),
    desired=st.sampled_from(["running", "running", "ready", "shutdown", "remove"]),
    container_id=st.sampled_from(["c", "c", "c", ""]),
    labels=st.just({}),
    ports=st.sampled_from([(), (), (Port(8000, 32768, is_host=True),)]),
    attachments=st.sampled_from([(), (SHOP,)]),
    made=st.sampled_from(["1", "2"]),
)
PORTS = st.sampled_from([(), (INGRESS,), (HOST,), (HOST, Port(80, 8081, is_host=False))])
SERVICES = st.builds(
    Service,
    id=st.sampled_from(["web", "api"]),
    name=st.just("shop"),
    labels=st.just({"app": "web"}),
    container_labels=st.just({}),
    ports=PORTS,
    replicas=st.sampled_from([None, 0, 1, 2]),
    is_updating=st.sampled_from([False, False, True]),
)


@st.composite
def swarms(draw: st.DrawFn) -> Swarm:
    tasks = [
        replace(task, id=f"t{number}", container_id=task.container_id and f"c{number}")
        for number, task in enumerate(draw(st.lists(TASKS, max_size=6)))
    ]
    services = {one.id: one for one in draw(st.lists(SERVICES, max_size=2))}
    nodes = {one.id: one for one in (NEAR, FAR) if draw(st.booleans())}
    nodes |= {"away": Node("away", "192.0.2.3", is_ready=False)}
    own = draw(st.sampled_from(["near", ""]))
    return Swarm(services, tuple(tasks), nodes, own, draw(st.booleans()))


@given(swarms())
@example(swarm_of(replace(ONE, container_id=""), service=replace(WEB, ports=(INGRESS,))))
def test_what_runs_is_what_runs_on_a_ready_node_for_a_service_that_is_there(swarm: Swarm) -> None:
    found = [one.container for one in containers_of(swarm)]
    assert max(Counter(one.id for one in found).values(), default=1) == 1
    by_id = {task.container_id: task for task in swarm.tasks}
    for one in found:
        if one.is_service:
            assert any(by_id[other.id].state == "running" for other in found if other.id in by_id)
        elif one.state is State.RUNNING:
            task = by_id[one.id]
            assert task.state in ("starting", "running")
            assert task.node_id in swarm.nodes
            assert swarm.nodes[task.node_id].is_ready
    served = {
        task.container_id
        for task in swarm.tasks
        if (task.state, task.desired) == ("running", "running")
        and task.container_id
        and task.service_id in swarm.services
        and task.node_id in ("near", "far")
        and task.node_id in swarm.nodes
    }
    ready = {
        one.id for one in found if one.state is State.RUNNING and not one.stopping and not one.is_service
    }
    assert served <= ready


@given(swarms(), st.sampled_from([None, [], [SHOP.network_id]]), st.sampled_from([None, 80, 8000]))
def test_a_service_is_asked_as_its_tasks_or_as_one_and_never_where_nobody_gets(
    swarm: Swarm, own: list[str] | None, port: int | None
) -> None:
    found = view(swarm, replace(APP, port=port), own)
    containers = {one.container.id: one.container for one in containers_of(swarm)}
    used = [containers[one.container_id] for one in found.candidates]
    as_one = {one.id for one in used if one.is_service}
    assert not as_one & {one.service for one in used if not one.is_service}
    for candidate in found.candidates:
        if candidate.address.host == SHOP.ip:
            assert own == [SHOP.network_id]


@given(swarms(), swarms())
@example(  # once nothing took back that the source itself says it is being stopped
    swarm_of(replace(AT_32768, desired="shutdown")), swarm_of(AT_32768)
)
def test_who_follows_the_changes_knows_what_there_is(before: Swarm, after: Swarm) -> None:
    old, new = containers_of(before), containers_of(after)
    known = Known(wants=lambda _: True)
    known.listed([Listed(one.container.id, one.container, one) for one in old], asked_s=0.0, now_s=0.0)
    assert list(known.due(0.0, most=99, of_lists=99, that_failed=99)) == []  # the list told it all
    for event in changes(old, new):
        known.event(event, 1.0)
    for now_s in (2.0, 3.0):
        for identity in known.due(now_s, most=99, of_lists=99, that_failed=99):
            known.inspected(identity, by_id(new).get(identity), now_s)
    assert {one.id: one for one in known.containers} == {one.container.id: one.container for one in new}


def test_what_a_list_tells_whole_needs_no_inspect_and_who_is_being_stopped_is_known_by_its_signal() -> None:
    known = Known(wants=lambda _: True)
    (one,) = containers_of(swarm_of(replace(AT_32768, stop_signal=3)))
    known.listed([Listed(one.container.id, one.container, one)], asked_s=0.0, now_s=0.0)
    known.look_again()
    assert list(known.due(0.0, most=9, of_lists=9, that_failed=9)) == []
    for signal, is_stopping in ((15, False), (3, True)):
        known.event(Event("c1", "kill", signal), 1.0)
        assert known.containers[0].stopping is is_stopping


def by_id(found: Iterable[Details]) -> dict[str, Details]:
    return {one.container.id: one for one in found}


@pytest.mark.clause("12.swarm.events")
@pytest.mark.parametrize(
    ("tasks", "service", "is_settled"),
    [
        ((ONE,), WEB, True),
        ((ONE, replace(ONE, id="t2", state="failed", desired="shutdown")), WEB, True),
        ((), replace(WEB, replicas=0), True),
        ((ONE,), replace(WEB, replicas=None), True),
        ((), WEB, False),
        ((ONE,), replace(WEB, replicas=2), False),
        ((ONE,), replace(WEB, is_updating=True), False),
        ((ONE, replace(ONE, id="t2", desired="remove")), WEB, False),
        ((ONE, replace(ONE, id="t2", state="pending")), WEB, False),
    ],
)
def test_it_is_settled_where_as_many_run_as_are_to_and_nothing_is_on_its_way(
    tasks: tuple[Task, ...],
    service: Service,
    is_settled: bool,
) -> None:
    assert swarm_of(*tasks, service=service).is_settled is is_settled


@pytest.mark.clause("12.swarm.events")
def test_tasks_are_asked_for_at_once_after_an_event_then_less_and_less_often() -> None:
    looking = Looking(100.0)
    looking.looked(100.0, is_settled=True)
    looking.heard(100.05)
    assert looking.next_s == 100.0 + FIRST_PAUSE_S
    pauses, now_s = [], looking.next_s
    for settled in (False, False, True, True, False, True):
        looking.looked(now_s, is_settled=settled)
        pauses.append(round(looking.next_s - now_s, 3))
        now_s = looking.next_s
    assert pauses == [0.1, 0.2, 0.4, 0.8, UNSETTLED_PAUSE_S, SETTLED_PAUSE_S]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.5, 3.0]), st.sampled_from(["heard", "yes", "no"]))))
def test_an_event_is_looked_into_soon_and_no_look_follows_at_once(steps: list[tuple[float, str]]) -> None:
    looking, now_s, looked_s = Looking(0.0), 0.0, 0.0
    looking.looked(0.0, is_settled=True)
    for pause_s, what in steps:
        now_s += pause_s
        if what == "heard":
            looking.heard(now_s)
            assert looking.next_s <= max(now_s, looked_s + FIRST_PAUSE_S)
        elif now_s >= looking.next_s:
            looking.looked(now_s, is_settled=what == "yes")
            looked_s = now_s
        assert looked_s + FIRST_PAUSE_S <= looking.next_s <= looked_s + SETTLED_PAUSE_S
