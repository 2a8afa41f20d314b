"""A container that is to be started or relabelled, among those that are known (behaviour 9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.config import AddressKind, Backend
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.planned import PlannedContainer, assumed, with_planned
from rgate.core.selection import views_of
from tests.unit.containers import seen

LABELS = {"app": "a"}
BACKEND = Backend("a", match_labels=(("app", "a"),))
KNOWN = Container(
    "id-1", "a-1", {"app": "old", "x": "y"}, State.RUNNING, Health.UNHEALTHY, stopping=True,
    published=(PublishedPort(8000, "127.0.0.1", 32768),), exposed=(8000,),
    attachments=(Attachment("front", "n1", "172.18.0.2"),), revision=3,
)  # fmt: skip
OTHER = Container("id-2", "b-1", {"app": "b"}, State.EXITED)


@pytest.mark.clause("9.plan.labels")
def test_a_container_that_is_there_gets_other_labels_and_keeps_its_ports() -> None:
    found = with_planned([KNOWN, OTHER], PlannedContainer("a-1", LABELS), [BACKEND])
    relabelled = Container(
        "id-1", "a-1", LABELS, State.RUNNING, Health.HEALTHY,
        published=KNOWN.published, exposed=(8000,), attachments=KNOWN.attachments, revision=3,
    )  # fmt: skip
    assert found == (relabelled, OTHER)
    assert "with the ports that it has" in assumed([KNOWN], PlannedContainer("a-1", LABELS))


@pytest.mark.parametrize(
    "host",
    [HostView(), HostView("far.example"), HostView("", frozenset({"n1"}))],
    ids=["here", "far", "in a container"],
)
@pytest.mark.parametrize("address", AddressKind)
@pytest.mark.parametrize(
    ("port", "labels"),
    [(None, {}), (8000, {}), (None, {"rgate.port": "9000"}), (None, {"rgate.port": "none"}),
     (None, {"rgate.port": "0"}), (None, {"rgate.port": "9" * 99}), (None, {"rgate.port": "000001234567"})],
)  # fmt: skip
@pytest.mark.parametrize("containers", [(), (Container("id", "new", {}, State.EXITED),)], ids=["new", "down"])
def test_one_that_is_not_up_is_taken_to_run_with_an_address(
    containers: tuple[Container, ...],
    port: int | None,
    labels: dict[str, str],
    address: AddressKind,
    host: HostView,
) -> None:
    backend = Backend("a", match_labels=(("app", "a"),), port=port, address=address)
    planned = PlannedContainer("new", LABELS | labels)
    view = views_of([backend], seen(with_planned(containers, planned, [OTHERS, backend]), host))["a"]
    assert [candidate.name for candidate in view.candidates] == ["new"]
    assert all(0 < candidate.address.port < 65536 for candidate in view.candidates)
    assert "one port" in assumed(containers, planned)


OTHERS = Backend("b", match_labels=(("app", "b"),), port=1)


def test_the_port_that_is_assumed_is_that_of_a_backend_that_asks_for_its_labels() -> None:
    fixed = Backend("fixed", urls=("http://h",), port=2)
    backend = Backend("a", match_labels=(("app", "a"),), port=3)
    (found,) = with_planned([], PlannedContainer("new", LABELS), [OTHERS, fixed, backend])
    assert [port.container_port for port in found.published] == [3]


NAMES = st.sampled_from(["a-1", "b-1", "c-1"])


@given(known=st.lists(NAMES, unique=True), name=NAMES)
def test_all_others_stay_as_they_are(known: list[str], name: str) -> None:
    containers = [Container(one, one, {"app": one}, State.RUNNING) for one in known]
    found = with_planned(containers, PlannedContainer(name, LABELS), [])
    assert [one for one in found if one.name != name] == [one for one in containers if one.name != name]
    assert [one.labels for one in found if one.name == name] == [LABELS]
