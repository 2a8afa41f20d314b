"""What is told of the step from one moment's views to the next (behaviour 10)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.candidates import BackendView
from rgate.core.config import Backend
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.reasons import LeftOut
from rgate.core.selection import view_of, views_of
from rgate.core.timeline import TimelineEvent
from rgate.core.view_changes import Change, Pasts, Views, changes, every_change, with_past
from tests.unit.containers import seen, unseen

ORDERS = Backend("orders", match_labels=(("app", "orders"), ("env", "production")))
CARTS = Backend("carts", match_labels=(("app", "orders"),))
FIXED = Backend("fixed", urls=("http://127.0.0.1:9",))
LABELS = {"app": "orders", "env": "production"}


def container(number: int, *, port: int | None = None, **more: object) -> Container:
    made = Container(
        f"{number:064x}",
        f"orders-{number}",
        LABELS,
        State.RUNNING,
        published=(PublishedPort(80, "127.0.0.1", port or 40000 + number),),
    )
    return replace(made, **more)  # type: ignore[arg-type]  # as the test names them


ONE, TWO = container(1), container(2)


def views(*containers: Container, backends: Iterable[Backend] = (ORDERS,)) -> dict[str, BackendView]:
    return views_of(backends, seen(containers, HostView()))


NOTHING_YET = {"orders": view_of(ORDERS, unseen("refused"))}

Row = tuple[str, str, str, str]


def told(before: Views, after: Views, past: Pasts | None = None) -> list[Row]:
    return [
        (event.kind.value, event.level.value, event.text, event.told_why)
        for event in changes(before, after, 1.0, past or {})
    ]


@pytest.mark.clause("10.timeline.containers")
@pytest.mark.parametrize(
    ("was", "becomes", "row"),
    [
        (None, ONE, ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "")),
        (
            replace(ONE, state=State.PAUSED),
            ONE,
            ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "unpaused"),
        ),
        (
            replace(ONE, state=State.EXITED),
            ONE,
            ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "started"),
        ),
        (
            replace(ONE, health=Health.UNHEALTHY),
            replace(ONE, health=Health.HEALTHY),
            ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "its health check succeeds again"),
        ),
        (
            replace(ONE, health=Health.STARTING),
            replace(ONE, health=Health.HEALTHY),
            ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "its health check succeeds"),
        ),
        (
            replace(ONE, published=()),
            ONE,
            ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "it has an address now"),
        ),
        (
            replace(ONE, stopping=True),
            ONE,
            ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "it was not stopped after all"),
        ),
        (ONE, None, ("out", "info", "`orders-1` out: removed", "")),
        (ONE, replace(ONE, stopping=True), ("out", "info", "`orders-1` out: being stopped", "")),
        (ONE, replace(ONE, state=State.EXITED), ("out", "warn", "`orders-1` out: exited", "")),
        (ONE, replace(ONE, state=State.PAUSED), ("out", "warn", "`orders-1` out: paused", "")),
        (
            ONE,
            replace(ONE, health=Health.UNHEALTHY),
            ("out", "warn", "`orders-1` out: unhealthy", "its health check fails"),
        ),
        (
            ONE,
            replace(ONE, health=Health.STARTING),
            ("out", "info", "`orders-1` out: starting", "others are healthy"),
        ),
        (
            None,
            replace(ONE, health=Health.STARTING),
            ("out", "info", "`orders-1` out: starting", "others are healthy"),
        ),
        (
            replace(ONE, health=Health.UNHEALTHY),
            replace(ONE, state=State.EXITED),
            ("out", "warn", "`orders-1` out: exited", ""),
        ),
        (
            ONE,
            replace(ONE, published=()),
            (
                "out",
                "warn",
                "`orders-1` out: no address",
                "runs, but it has no port: publish or expose one, or set `port` or the label rgate.port",
            ),
        ),
        (
            None,
            replace(ONE, labels={**LABELS, "env": "prod"}),
            (
                "near",
                "info",
                "`orders-1` is no candidate: it has 1 of 2 labels: env=prod, wanted env=production",
                "",
            ),
        ),
    ],
)
def test_who_comes_goes_or_nearly_comes_is_told_with_why(
    was: Container | None, becomes: Container | None, row: Row
) -> None:
    before, after = [(TWO, one) if one is not None else (TWO,) for one in (was, becomes)]
    assert told(views(*before), views(*after)) == [row]


@pytest.mark.clause("10.timeline.containers")
@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (ONE, replace(ONE, revision=1)),
        (None, replace(ONE, state=State.CREATED)),  # it starts next
        (replace(ONE, stopping=True), replace(ONE, state=State.EXITED)),
        (replace(ONE, state=State.EXITED), replace(ONE, state=State.REMOVING)),
        (replace(ONE, state=State.EXITED), None),
        (None, replace(ONE, state=State.EXITED, labels={**LABELS, "env": "prod"})),
    ],
)
def test_what_follows_from_what_was_told_is_no_news(was: Container | None, becomes: Container | None) -> None:
    before, after = [(TWO, one) if one is not None else (TWO,) for one in (was, becomes)]
    assert told(views(*before), views(*after)) == []


@pytest.mark.clause("10.timeline.containers")
def test_with_the_last_container_it_is_said_that_the_backend_has_none() -> None:
    assert told(views(ONE), views(replace(ONE, stopping=True))) == [
        ("out", "bad", "`orders-1` out: being stopped", "`orders` has no container")
    ]
    near = replace(TWO, labels={"app": "orders", "env": "prod"})
    assert [row[0:2] + row[3:] for row in told(views(), views(near))] == [
        ("near", "warn", "`orders` has no container")
    ]


@pytest.mark.clause("10.timeline.recreated")
def test_one_that_comes_back_is_said_to_be_recreated_and_where_it_is_now() -> None:
    again = replace(ONE, id="a" * 64, published=(PublishedPort(80, "127.0.0.1", 40009),))
    steps = [views(ONE), views(replace(ONE, stopping=True)), views(), views(again)]
    past: Pasts = {}
    for before, after in pairwise(steps[:-1]):
        past = with_past(past, before, after)
    assert told(steps[-2], steps[-1], past) == [
        ("in", "ok", "`orders-1` in at 127.0.0.1:40009", "recreated; new published port")
    ]
    in_one_step = told(views(ONE, TWO), views(again, TWO))
    assert in_one_step[0][3] == "recreated; new published port"
    assert told(views(ONE), views(container(1, port=40009))) == [
        ("in", "ok", "`orders-1` in at 127.0.0.1:40009", "new published port")
    ]
    elsewhere = replace(ONE, published=(PublishedPort(80, "127.0.0.2", 40001),))
    assert told(views(ONE), views(elsewhere))[0][3] == "new address"


@pytest.mark.clause("10.timeline.recreated")
def test_one_that_comes_back_without_a_label_is_said_to_have_been_a_candidate() -> None:
    past = with_past({}, views(ONE), views())
    other = replace(ONE, id="a" * 64, labels={"app": "orders", "env": "prod"})
    assert told(views(TWO), views(TWO, other), past)[0][3] == "one of that name was, before it was recreated"


def test_what_a_label_holds_is_never_shown_as_code_of_ours() -> None:
    hostile = replace(ONE, labels={"app": "orders", "env": "a`<b>`"})
    (row,) = told(views(TWO), views(TWO, hostile))
    assert row[2].count("`") == 2  # of the name


@pytest.mark.clause("10.timeline.once")
def test_a_container_of_several_backends_is_told_once() -> None:
    both = (ORDERS, CARTS)
    before, after = views(TWO, backends=both), views(ONE, TWO, backends=both)
    assert told(before, after) == [
        ("in", "ok", "`orders-1` in at 127.0.0.1:40001, for `orders`, `carts`", "")
    ]
    assert [event.backend for event in changes(before, after, 1.0)] == [""]


@pytest.mark.clause("10.timeline.few")
def test_at_the_first_look_there_is_a_line_for_each_backend() -> None:
    near = replace(container(9), labels={"app": "orders", "env": "prod"})
    found = [container(number) for number in range(1, 6)]
    assert told(NOTHING_YET, views(*found, near)) == [
        (
            "in",
            "ok",
            "`orders`: 5 containers in: `orders-1`, `orders-2`, `orders-3` and 2 more",
            "first look",
        ),
        (
            "near",
            "info",
            "`orders-9` is no candidate: it has 1 of 2 labels: env=prod, wanted env=production",
            "first look",
        ),
    ]
    assert told(NOTHING_YET, views()) == [
        (
            "out",
            "bad",
            "`orders` has no container",
            "No running container has the labels app=orders, env=production.",
        )
    ]
    assert told(NOTHING_YET, {"orders": view_of(ORDERS, unseen("other"))}) == []


@pytest.mark.clause("10.timeline.few")
def test_where_very_much_changes_at_once_it_is_told_in_few_lines() -> None:
    found = [container(number) for number in range(1000)]
    assert told(views(), views(*found)) == [
        ("in", "ok", "`orders`: 1,000 containers in: `orders-0`, `orders-1`, `orders-10` and 997 more", "")
    ]
    many = [Backend(f"b{number}", match_labels=(("app", f"{number}"),)) for number in range(1000)]
    each = [container(number, labels={"app": f"{number}"}) for number in range(0, 1000, 2)]
    before = {one.name: view_of(one, unseen("")) for one in many}
    rows = told(before, views(*each, backends=many))
    assert [row[:3] for row in rows] == [
        (
            "in",
            "ok",
            "500 containers in, of 500 backends: `orders-0`, `orders-2`, `orders-4` and 497 more",
        ),
        ("out", "bad", "`b1`, `b3`, `b5` and 497 more have no container"),
    ]


@pytest.mark.clause("10.timeline.config")
def test_a_configuration_that_changed_is_seen_in_its_containers() -> None:
    before = views(ONE, backends=(ORDERS,))
    after = views(ONE, backends=(CARTS, FIXED))
    assert told(before, after) == [
        ("in", "ok", "`orders-1` in at 127.0.0.1:40001", "new in the configuration"),
        ("in", "ok", "`127.0.0.1:9` in", "new in the configuration"),
        ("out", "info", "`orders` is no backend any more", "the configuration changed"),
    ]
    other = replace(ORDERS, match_labels=(("app", "orders"), ("env", "test")))
    assert told(views(ONE), views(ONE, backends=(other,))) == [
        (
            "out",
            "bad",
            "`orders-1` out: other labels are wanted",
            "has 1 of 2 labels: env=production, wanted env=test; `orders` has no container",
        )
    ]
    moved = replace(FIXED, urls=("http://127.0.0.1:10",))
    assert told(views(backends=(FIXED,)), views(backends=(moved,))) == [
        ("in", "ok", "`127.0.0.1:10` in", ""),
        ("out", "info", "`127.0.0.1:9` out: not configured any more", ""),
    ]


# Whatever happens, each change is told once.

STATES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"state": State.PAUSED},
        {"state": State.EXITED},
        {"stopping": True},
        {"health": Health.UNHEALTHY},
        {"health": Health.STARTING},
        {"published": ()},
        {"published": (PublishedPort(80, "127.0.0.1", 9),)},
        {"labels": {"app": "orders", "env": "prod"}},
        {"labels": {}},
    ]
)
MOMENTS = st.lists(
    st.tuples(st.integers(1, 3), st.booleans(), STATES), max_size=4, unique_by=lambda made: made[0]
).map(
    lambda made: [container(number, id=f"{number + 10 * other:064x}", **how) for number, other, how in made]
)
BACKENDS = st.sampled_from([(ORDERS, CARTS), (ORDERS,), (CARTS, FIXED)])


def members(view: BackendView) -> dict[str, str]:
    """The candidates' addresses, by their ids, or by what is said instead of one."""
    return {one.container_id or one.name: str(one.address) for one in view.candidates}


def flips(before: Views, after: Views, kind: str) -> list[tuple[str, str]]:
    """Which container came in to which backend, or went out of it."""
    found = []
    for name, view in after.items():
        old, new = members(before[name]) if name in before else {}, members(view)
        some, others = (new, old) if kind == "in" else (old, new)
        found += [
            (name, identity)
            for identity, address in some.items()
            if identity not in others or (kind == "in" and others[identity] != address)
        ]
    return sorted(found)


def of_kind(single: Sequence[Change], kind: str) -> list[tuple[str, str]]:
    return sorted((one.backend, one.container_id) for one in single if one.kind.value == kind)


@given(MOMENTS, MOMENTS, BACKENDS, BACKENDS)
@example([ONE], [replace(ONE, labels={"app": "orders", "env": "prod"})], (ORDERS,), (ORDERS,))
def test_whoever_comes_in_or_goes_out_is_told_once(
    was: list[Container], becomes: list[Container], old: tuple[Backend, ...], new: tuple[Backend, ...]
) -> None:
    before, after = views(*was, backends=old), views(*becomes, backends=new)
    single = list(every_change(before, after, {}))
    assert of_kind(single, "in") == flips(before, after, "in")
    went = flips(before, after, "out")
    out = of_kind(single, "out")
    assert len(out) == len(set(out))
    assert set(went) <= set(out)
    # The others are out, as before, for another reason.
    for name, identity in set(out) - set(went):
        one = next(c for c in after[name].containers if c.container_id == identity)
        assert one.left_out not in (None, LeftOut.LABELS)
    assert list(every_change(after, after, {})) == []


@given(MOMENTS, MOMENTS, BACKENDS)
def test_every_single_change_is_in_one_of_the_events(
    was: list[Container], becomes: list[Container], backends: tuple[Backend, ...]
) -> None:
    before, after = views(*was, backends=backends), views(*becomes, backends=backends)
    events = changes(before, after, 1.0)
    for one in every_change(before, after, {}):
        telling = [event for event in events if event.text.startswith(one.text)]
        assert [event for event in telling if is_of(event, one.backend)] != []
    assert len(events) <= len(list(every_change(before, after, {})))


def is_of(event: TimelineEvent, backend: str) -> bool:
    return event.backend == backend or (event.backend == "" and f"`{backend}`" in event.text)


@given(st.lists(MOMENTS, max_size=4))
def test_what_went_is_remembered_by_name_with_where_it_was(moments: list[list[Container]]) -> None:
    steps = [views(*moment) for moment in moments]
    past: Pasts = {}
    for before, after in pairwise(steps):
        past = with_past(past, before, after)
        for one in before["orders"].candidates:
            if one.container_id not in {c.container_id for c in after["orders"].candidates}:
                assert past[("orders", one.name)].address == one.address
