"""Whether what becomes of requests rests on a label that a snapshot leaves out (behaviour 9)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.config import Backend
from rgate.core.containers import Attachment, Container, Health, PublishedPort, State
from rgate.core.left_out import LeftOutLabel, doubts
from rgate.core.seen import Seen
from rgate.core.selection import view_of
from tests.unit.containers import HOSTS, backends, containers, seen

HERE = HostView()
AUTH = frozenset({"auth"})
PORT = frozenset({"rgate.port"})
BACKEND = Backend("b", match_labels=(("app", "x"), ("auth", "y")))
ONE = Container(
    id="a" * 64,
    name="one",
    labels={"app": "x", "auth": "<left out>"},
    state=State.RUNNING,
    published=(PublishedPort(8000, "0.0.0.0", 9),),
    exposed=(8000,),
)
CERTAIN = replace(ONE, id="b" * 64, name="two", labels={"app": "x", "auth": "y"})


def doubt(
    backend: Backend, *found: Container, left_out: Mapping[str, frozenset[str]] | None = None
) -> LeftOutLabel | None:
    keys = {ONE.id: AUTH} if left_out is None else left_out
    return doubts([backend], seen(found, HERE), {"docker": keys}).get(backend.name)


@pytest.mark.clause("9.snapshot.rests")
def test_a_container_that_may_be_a_candidate_is_named_with_its_label() -> None:
    found = doubt(BACKEND, CERTAIN, ONE)
    assert found is not None
    assert (found.backend, found.container, found.keys) == ("b", "one", ("auth",))
    assert str(found) == (
        "what becomes of requests to the backend b rests on a label of one that was left out of the "
        "snapshot: record it again with `--keep-labels auth`"
    )


@pytest.mark.clause("9.snapshot.rests")
@pytest.mark.parametrize(
    ("rests", "backend", "container"),
    [
        (True, BACKEND, ONE),
        (False, BACKEND, replace(ONE, labels={"auth": "<left out>"})),  # it lacks another label
        (False, BACKEND, replace(ONE, labels={"app": "y", "auth": "<left out>"})),
        (False, Backend("b", match_labels=(("app", "x"),)), ONE),  # not asked for
        (False, Backend("b", urls=("http://127.0.0.1:1",)), ONE),
        (False, BACKEND, replace(ONE, state=State.EXITED)),  # out, whatever its labels
        (False, BACKEND, replace(ONE, stopping=True)),
        (True, BACKEND, replace(ONE, health=Health.UNHEALTHY)),  # the reason of the 503
        (True, BACKEND, replace(ONE, health=Health.STARTING)),
        (True, BACKEND, replace(ONE, published=(), exposed=())),
    ],
)
def test_what_becomes_of_requests_rests_on_it_where_it_makes_a_difference(
    rests: bool, backend: Backend, container: Container
) -> None:
    assert (doubt(backend, container) is not None) == rests


@pytest.mark.parametrize("health", [Health.STARTING, Health.UNHEALTHY])
def test_one_that_is_not_used_beside_a_healthy_one_makes_no_difference(health: Health) -> None:
    assert doubt(BACKEND, CERTAIN, replace(ONE, health=health)) is None


SEVERAL = replace(
    ONE,
    labels={"app": "x", "auth": "y", "rgate.port": "<left out>"},
    published=(PublishedPort(8000, "0.0.0.0", 9), PublishedPort(8001, "0.0.0.0", 10)),
    exposed=(8000, 8001),
)


@pytest.mark.clause("9.snapshot.rests")
@pytest.mark.parametrize(
    ("rests", "backend", "container"),
    [
        (True, BACKEND, SEVERAL),
        (False, replace(BACKEND, port=8000), SEVERAL),
        (False, BACKEND, replace(SEVERAL, published=(), exposed=(8000,))),  # the only port there is
        (False, BACKEND, replace(SEVERAL, published=(), exposed=(1, 2))),  # without a network none serves
        (
            True,
            BACKEND,
            replace(SEVERAL, published=(), exposed=(1, 2), attachments=(Attachment("n", "n", "172.18.0.2"),)),
        ),
        (
            True,
            BACKEND,
            replace(SEVERAL, published=(), exposed=(), attachments=(Attachment("n", "n", "172.18.0.2"),)),
        ),
        (False, BACKEND, replace(SEVERAL, labels={"app": "y", "rgate.port": "<left out>"})),
    ],
)
def test_the_label_of_the_port_counts_where_the_port_rests_on_it(
    rests: bool, backend: Backend, container: Container
) -> None:
    found = doubt(backend, container, left_out={ONE.id: PORT})
    assert (found.keys if found is not None else ()) == (("rgate.port",) if rests else ())


def test_both_are_named_where_both_count() -> None:
    both = replace(SEVERAL, labels={"app": "x"})
    found = doubt(BACKEND, both, left_out={ONE.id: AUTH | PORT})
    assert found is not None
    assert found.keys == ("auth", "rgate.port")
    fixed = doubt(replace(BACKEND, port=8001), both, left_out={ONE.id: AUTH | PORT})
    assert fixed is not None
    assert fixed.keys == ("auth",)


def test_each_backend_is_told_of_by_itself() -> None:
    other = Backend("other", match_labels=(("app", "x"),))
    assert [*doubts([other, BACKEND], seen([ONE], HERE), {"docker": {ONE.id: AUTH}})] == ["b"]
    assert doubts([other, BACKEND], seen([], HERE), {"docker": {}}) == {}


def test_what_names_hold_does_not_break_the_line() -> None:
    found = doubt(BACKEND, replace(ONE, name="a\n\x1b[2J"))
    assert "a\\n\\x1b[2J" in str(found)


# The port of one, at an address of the other.
SHARING = replace(ONE, labels={"app": "x"}, published=(), exposed=(), network_mode=f"container:{CERTAIN.id}")
OWNER = replace(CERTAIN, labels={}, published=(PublishedPort(80, "0.0.0.0", 9),), exposed=())

KEYS = ("app", "env", "rgate.port")
LEFT_OUT = st.fixed_dictionaries({}, optional={one: st.frozensets(st.sampled_from(KEYS)) for one in "abc"})


def worlds(
    found: list[Container], left_out: Mapping[str, frozenset[str]], backend: Backend
) -> Iterator[list[Container]]:
    """Yield the containers with each combination of values, of those left out, that could matter."""
    wanted = dict(backend.match_labels)
    places = [(one.id, key) for one in found for key in sorted(left_out.get(one.id, ()))]
    values = [
        [
            wanted.get(key, "-"),
            *(["", "80", "443", "8000", "77", "no port"] if key == "rgate.port" else ["-"]),
        ]
        for _, key in places
    ]
    for chosen in product(*values):
        tried = dict(zip(places, chosen, strict=True))
        yield [
            replace(
                one, labels={**one.labels, **{key: v for (id_, key), v in tried.items() if id_ == one.id}}
            )
            for one in found
        ]


@pytest.mark.clause("9.snapshot.rests")
@given(
    found=containers(KEYS, ("x", "80"), most=2),
    backend=backends(KEYS, ("x", "80")).map(lambda some: some[0]),
    host=HOSTS,
    keys=LEFT_OUT,
)
@example([SHARING, OWNER], Backend("b", match_labels=(("app", "x"),)), HERE, {"a": PORT})
@example([SEVERAL], Backend("b", match_labels=(("rgate.port", "80"),)), HERE, {"a": PORT})
def test_it_is_in_doubt_exactly_where_some_values_would_give_another_outcome(
    found: list[Container], backend: Backend, host: HostView, keys: Mapping[str, frozenset[str]]
) -> None:
    left_out = {one.id: keys.get(one.id[0], frozenset()) for one in found}
    views = [view_of(backend, seen(world, host)) for world in worlds(found, left_out, backend)]
    outcomes = {(view.reason, view.candidates) for view in views}

    doubt = doubts([backend], seen(found, host), {"docker": left_out}).get(backend.name)

    assert (doubt is not None) == (len(outcomes) > 1)
    if doubt is not None:
        assert any(one.name == doubt.container and set(doubt.keys) <= left_out[one.id] for one in found)
        assert doubt.keys


@pytest.mark.clause("9.snapshot.rests")
@given(
    found=containers(KEYS, ("x", "80"), most=2),
    others=containers(KEYS, ("x", "80"), most=2),
    backend=backends(KEYS, ("x", "80")).map(lambda some: some[0]),
    host=HOSTS,
    keys=LEFT_OUT,
)
def test_of_several_sources_it_is_too(
    found: list[Container],
    others: list[Container],
    backend: Backend,
    host: HostView,
    keys: Mapping[str, frozenset[str]],
) -> None:
    left_out = {one.id: keys.get(one.id[0], frozenset()) for one in (*found, *others)}
    hidden = {"a": left_out, "b": left_out}

    def sources(world: list[Container]) -> tuple[Seen, Seen]:
        return Seen(tuple(world[: len(found)]), host, "a"), Seen(tuple(world[len(found) :]), HERE, "b")

    doubt = doubts([backend], sources([*found, *others]), hidden).get(backend.name)

    if {one.id for one in found}.isdisjoint(one.id for one in others):
        views = [view_of(backend, sources(world)) for world in worlds([*found, *others], left_out, backend)]
        assert (doubt is not None) == (len({(view.reason, view.candidates) for view in views}) > 1)
    if doubt is not None:
        assert doubt.container.startswith(("a/", "b/"))
        assert doubt.keys
