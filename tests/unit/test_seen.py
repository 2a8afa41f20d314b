"""Several sources are one: whose containers a backend may use, at which address, and who is told of as away
(behaviour 12).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.candidates import BackendView
from rgate.core.config import Backend
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.knowledge import stale_since
from rgate.core.reasons import LeftOut, Reason
from rgate.core.seen import Seen, called_by_docker, union
from rgate.core.selection import view_of, views_of
from tests.unit.containers import HOSTS, backends, containers

ORDERS: Final = Backend("orders", match_labels=(("app", "orders"),))
SINCE: Final = 1764165792.0


def orders(number: int, port: int = 40001, ip: str = "0.0.0.0") -> Container:
    return Container(
        f"{number}" * 64,
        f"orders-{number}",
        {"app": "orders"},
        State.RUNNING,
        published=(PublishedPort(8000, ip, port),),
    )


def here(*found: Container) -> Seen:
    return Seen(found, source="here")


def far(*found: Container, since: float | None = None) -> Seen:
    return Seen(found, HostView("10.0.0.5"), "far", "refused" if since else "", since)


NEVER: Final = Seen(None, HostView("10.0.0.5"), "far", "nobody listens at x: start Docker")


def asked(view: BackendView) -> dict[str, str]:
    return {one.name: str(one.address) for one in view.candidates}


def left_out(view: BackendView) -> dict[str, LeftOut | None]:
    return {one.name: one.left_out for one in view.containers}


@pytest.mark.clause("12.sources.all", "12.sources.names", "12.address.machine")
def test_candidates_are_those_of_all_sources_each_by_its_name_on_its_machine() -> None:
    view = view_of(ORDERS, [here(orders(1)), far(orders(2))])
    assert asked(view) == {"here/orders-1": "127.0.0.1:40001", "far/orders-2": "10.0.0.5:40001"}
    assert (view.reason, view.stale) == (None, "")


@pytest.mark.clause("12.sources.names")
def test_two_of_one_name_are_two_and_a_source_alone_is_not_named() -> None:
    two = view_of(ORDERS, [here(orders(1)), far(replace(orders(2), name="orders-1"))])
    assert [*asked(two)] == ["far/orders-1", "here/orders-1"]
    assert [*asked(view_of(ORDERS, [far(orders(2))]))] == ["orders-2"]


@pytest.mark.clause("12.sources.some")
def test_a_backend_may_ask_some_of_them_only() -> None:
    only = replace(ORDERS, sources=("far",))
    sources = [here(orders(1)), far(orders(2))]
    views = views_of([ORDERS, replace(only, name="only")], sources)
    assert [*asked(views["only"])] == ["far/orders-2"]
    assert len(views["orders"].candidates) == 2
    elsewhere = view_of(only, [here(orders(1)), far()])
    assert elsewhere.detail == (
        "No running container has the labels app=orders. here/orders-1 has them, and is of a source that "
        "`sources` of this backend leaves out."
    )
    nobody = view_of(only, [here(orders(1))])
    assert nobody.reason is Reason.DOCKER_UNAVAILABLE


@pytest.mark.clause("12.sources.one_by_id")
def test_the_first_that_gives_it_an_address_wins() -> None:
    bound = orders(1, ip="127.0.0.1")
    assert asked(view_of(ORDERS, [here(bound), far(bound)])) == {"here/orders-1": "127.0.0.1:40001"}
    assert asked(view_of(ORDERS, [far(bound), here(bound)])) == {"here/orders-1": "127.0.0.1:40001"}
    assert asked(view_of(ORDERS, [far(orders(1)), here(orders(1))])) == {"far/orders-1": "10.0.0.5:40001"}
    apart = replace(ORDERS, sources=("far",))
    assert view_of(apart, [here(bound), far(bound)]).reason is Reason.NO_ADDRESS


@pytest.mark.clause("12.sources.one_by_id")
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    "now",
    [
        replace(orders(1), state=State.EXITED),
        replace(orders(1), stopping=True),
        replace(orders(1), health=Health.UNHEALTHY),
    ],
)
def test_it_is_out_as_soon_as_one_of_them_says_so(now: Container, is_first: bool) -> None:
    sources = [here(now), far(orders(1))] if is_first else [far(orders(1)), here(now)]
    view = view_of(ORDERS, sources)
    assert asked(view) == {}
    assert [*left_out(view)] == ["here/orders-1"]


@pytest.mark.clause("12.sources.one_by_id", "12.away.keeps")
def test_who_does_not_answer_says_nothing_of_what_another_knows() -> None:
    stopped = replace(orders(1), state=State.EXITED)
    old, new = far(orders(1), since=SINCE), here(stopped)
    assert asked(view_of(ORDERS, [old, new])) == {}
    back = view_of(ORDERS, [far(stopped, since=SINCE), here(orders(1))])
    assert asked(back) == {"here/orders-1": "127.0.0.1:40001"}
    assert asked(view_of(ORDERS, [old, here()])) == {"far/orders-1": "10.0.0.5:40001"}


@pytest.mark.clause("12.sources.one_by_id")
def test_labels_are_looked_for_in_what_all_say_of_it() -> None:
    backend = Backend("b", match_labels=(("app", "orders"), ("tier", "web")))
    service = replace(orders(1), labels={"tier": "web", "app": "other"})
    view = view_of(backend, [here(orders(1)), far(service)])
    assert asked(view) == {"here/orders-1": "127.0.0.1:40001"}
    assert view.near_misses == ()


def test_networks_are_those_of_its_own_source() -> None:
    owner = orders(1, port=9)
    sharing = replace(orders(2), published=(), exposed=(8000,), network_mode=f"container:{owner.id}")
    view = view_of(ORDERS, [here(), far(owner, sharing)])
    assert asked(view)["far/orders-2"] == "10.0.0.5:9"
    shared = next(one for one in view.containers if one.name == "far/orders-2")
    assert shared.address_from.endswith("of far/orders-1, whose network it shares")
    assert asked(view_of(ORDERS, [here(owner), far(sharing)])) == {"here/orders-1": "127.0.0.1:9"}


@pytest.mark.clause("12.away.unknown")
def test_a_backend_without_candidate_rests_on_who_has_never_answered() -> None:
    view = view_of(ORDERS, [here(), NEVER])
    assert view.reason is Reason.DOCKER_UNAVAILABLE
    assert view.detail == (
        "Docker far has not answered since rgate started: nobody listens at x: start Docker; rgate keeps "
        "trying. No running container has the labels app=orders."
    )
    elsewhere = view_of(replace(ORDERS, sources=("here",)), [here(), NEVER])
    assert (elsewhere.reason, elsewhere.stale) == (Reason.NO_CONTAINER, "")


@pytest.mark.clause("12.away.untouched", "12.away.told")
def test_a_source_that_is_away_touches_no_candidate_of_another_and_is_named() -> None:
    with_never = view_of(ORDERS, [here(orders(1)), NEVER])
    assert asked(with_never) == {"here/orders-1": "127.0.0.1:40001"}
    assert with_never.stale == "Docker far has not answered since rgate started."
    away = view_of(ORDERS, [here(orders(1)), far(orders(2), since=SINCE)])
    assert len(away.candidates) == 2
    assert away.stale == stale_since(SINCE, "Docker far")
    assert view_of(replace(ORDERS, sources=("here",)), [here(orders(1)), NEVER]).stale == ""


@pytest.mark.clause("12.names.remedies")
@pytest.mark.parametrize(
    ("container", "told"),
    [
        (
            replace(orders(1), health=Health.UNHEALTHY),
            "far/orders-1 is unhealthy: `docker inspect orders-1` on far shows its last checks",
        ),
        (
            replace(orders(1), state=State.RESTARTING),
            "far/orders-1 is restarting: it ends again and again, and `docker logs orders-1` on far shows "
            "why",
        ),
    ],
)
def test_remedies_call_a_container_as_docker_does_and_say_on_which(container: Container, told: str) -> None:
    (view,) = view_of(ORDERS, [here(), far(container)]).containers
    assert view.detail == told


@pytest.mark.parametrize(
    ("name", "found"),
    [("orders-1", ("orders-1", "")), ("far/orders-1", ("orders-1", "far")), ("[::1]:80", ("[::1]:80", ""))],
)
def test_a_name_tells_what_docker_calls_it(name: str, found: tuple[str, str]) -> None:
    assert called_by_docker(name) == found


# Properties.

SOURCES: Final = st.lists(
    st.builds(
        lambda found, host, away: Seen(
            None if found is None else tuple(found), host, "", "", away if found is not None else None
        ),
        st.none() | containers(most=2),
        HOSTS,
        st.sampled_from([None, None, SINCE]),
    ),
    min_size=1,
    max_size=3,
).map(lambda some: tuple(replace(one, source="abc"[number]) for number, one in enumerate(some)))


@pytest.mark.clause("12.sources.one_by_id")
@given(SOURCES)
def test_each_container_is_there_once_and_none_is_lost(sources: Sequence[Seen]) -> None:
    shown = {one.id for seen in sources for one in seen.containers or ()}
    found = union(sources)
    assert sorted(one.container.id for one in found) == sorted(shown)
    for one in found:
        fresh = [
            seen
            for seen in sources
            if seen.away_since is None and any(c.id == one.container.id for c in seen.containers or ())
        ]
        assert len(one.sights) == len(fresh) or not fresh


@pytest.mark.clause("12.sources.all", "12.sources.one_by_id")
@given(SOURCES, backends())
@example((Seen((orders(1),), source="a"), Seen((orders(1),), source="b")), (ORDERS,))
def test_no_container_is_told_twice_and_each_candidate_is_one_of_some_source_alone(
    sources: Sequence[Seen], some: tuple[Backend, ...]
) -> None:
    backend = some[0]
    view = view_of(backend, sources)
    ids = [one.container_id for one in view.containers]
    assert len(ids) == len({*ids})
    assert (view.reason is None) == bool(view.candidates)
    for candidate in view.candidates:
        labels = {
            label
            for seen in sources
            for one in seen.containers or ()
            if one.id == candidate.container_id
            for label in one.labels.items()
        }
        assert labels >= {*backend.match_labels}
        told = [
            one
            for seen in sources
            if seen.away_since is None
            for one in seen.containers or ()
            if one.id == candidate.container_id
        ]
        assert all(one.state is State.RUNNING and not one.stopping for one in told)
        assert all(one.health is not Health.UNHEALTHY for one in told)


@pytest.mark.clause("12.away.untouched")
@given(SOURCES, backends(), st.data())
def test_what_other_sources_show_of_others_changes_no_candidate(
    sources: Sequence[Seen], some: tuple[Backend, ...], data: st.DataObject
) -> None:
    """A further source takes no candidate away, unless it knows that container too, or one that is better."""
    backend = some[0]
    before = view_of(backend, (*sources, Seen((), source="z")))
    gone = data.draw(
        st.sampled_from([Seen(None, source="z", error="x"), Seen((), source="z", away_since=SINCE)])
    )
    after = view_of(backend, (*sources, gone))
    assert after.candidates == before.candidates
    assert [(one.name, one.left_out) for one in after.containers] == [
        (one.name, one.left_out) for one in before.containers
    ]


@given(containers(), HOSTS, backends())
def test_one_source_alone_is_as_if_there_were_no_others(
    found: list[Container], host: HostView, some: tuple[Backend, ...]
) -> None:
    """But for the names."""
    alone = view_of(some[0], (Seen(tuple(found), host),))
    beside = view_of(some[0], (Seen(tuple(found), host, "a"), Seen((), source="b")))
    assert [f"a/{one.name}" for one in alone.candidates] == [one.name for one in beside.candidates]
    assert [one.address for one in alone.candidates] == [one.address for one in beside.candidates]
    assert alone.reason is beside.reason
