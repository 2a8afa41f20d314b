"""Routing cases: where what is told of a request is not what was expected (behaviour 9)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.case_values import AtLeast
from rgate.core.cases import Expected, ExpectedForward, Told, differences
from rgate.core.explain import Ending
from rgate.core.reasons import Reason

FORWARDED = Told(
    Ending.FORWARD,
    route="/api",
    backend="payment",
    containers=("payment-1", "payment-2"),
    target="/42",
    fields=(
        ("Host", "a.example"),
        ("X-Forwarded-Prefix", "/api"),
        ("Accept", "a"),
        ("accept", "b"),
        ("E", ""),
    ),
)
LACKING = Told(Ending.PROBLEM, 503, Reason.NO_CONTAINER, "/api", "orders")
DEFAULT = Told(Ending.DEFAULT_RESPONSE, 404)
OWN = Told(Ending.OWN)


def fields(**named: str | None) -> Expected:
    return Expected(
        forwarded=ExpectedForward(fields=tuple((name.replace("_", "-"), named[name]) for name in named))
    )


@pytest.mark.clause("9.test.cases")
@pytest.mark.parametrize(
    ("expected", "told"),
    [
        (Expected(Ending.FORWARD, "/api", "payment"), FORWARDED),
        (Expected(containers=("payment-2", "payment-1")), FORWARDED),
        (Expected(containers=AtLeast(2)), FORWARDED),
        (Expected(containers=()), LACKING),
        (Expected(Ending.PROBLEM, status=503, reason=Reason.NO_CONTAINER), LACKING),
        (Expected(Ending.DEFAULT_RESPONSE, status=404), DEFAULT),
        (Expected(Ending.OWN), OWN),
        (Expected(forwarded=ExpectedForward("/42")), FORWARDED),
        (fields(x_forwarded_prefix="/api", Upgrade=None, E=""), FORWARDED),
        (fields(Accept="a, b"), FORWARDED),
    ],
)
def test_nothing_differs_where_all_is_as_expected(expected: Expected, told: Told) -> None:
    assert differences(expected, told) == ()


@pytest.mark.clause("9.test.cases")
@pytest.mark.parametrize(
    ("expected", "told", "difference"),
    [
        (Expected(Ending.FORWARD), LACKING, "outcome: expected forward, got problem 503 no_container"),
        (Expected(Ending.OWN), FORWARDED, "outcome: expected own, got forward"),
        (Expected(route="/api/orders"), FORWARDED, "route: expected /api/orders, got /api"),
        (Expected(route="/api"), DEFAULT, "route: expected /api, got none (default_response 404)"),
        (Expected(backend="orders"), FORWARDED, "backend: expected orders, got payment (route /api)"),
        (Expected(backend="orders"), OWN, "backend: expected orders, got none (own)"),
        (Expected(containers=("payment-1",)), FORWARDED,
         "containers: expected payment-1, got payment-1, payment-2"),
        (Expected(containers=("a", "b")), LACKING, "containers: expected a, b, got none"),
        (Expected(containers=()), FORWARDED, "containers: expected none, got payment-1, payment-2"),
        (Expected(containers=AtLeast(3)), FORWARDED,
         "containers: expected at least 3, got 2 (payment-1, payment-2)"),
        (Expected(containers=AtLeast(1)), LACKING, "containers: expected at least 1, got 0 (none)"),
        (Expected(status=404), LACKING, "status: expected 404, got 503"),
        (Expected(status=200), FORWARDED, "status: expected 200, got none (it is the container's)"),
        (Expected(status=200), OWN, "status: expected 200, got none (it is that of a page of rgate's own)"),
        (Expected(reason=Reason.UNHEALTHY), LACKING, "reason: expected unhealthy, got no_container"),
        (Expected(reason=Reason.UNHEALTHY), FORWARDED, "reason: expected unhealthy, got none (forward)"),
        (Expected(forwarded=ExpectedForward("/1")), FORWARDED, "forwarded.target: expected /1, got /42"),
        (Expected(forwarded=ExpectedForward("/1")), DEFAULT,
         "forwarded: expected to a container, got default_response 404"),
        (fields(X_Forwarded_Prefix="/a"), FORWARDED,
         "forwarded.fields.X-Forwarded-Prefix: expected /a, got /api"),
        (fields(Accept="a"), FORWARDED, "forwarded.fields.Accept: expected a, got a, b"),
        (fields(Host=None), FORWARDED, "forwarded.fields.Host: expected none, got a.example"),
        (fields(E=None), FORWARDED, "forwarded.fields.E: expected none, got an empty one"),
        (fields(Upgrade=""), FORWARDED, "forwarded.fields.Upgrade: expected an empty one, got none"),
        (fields(Upgrade=None), DEFAULT, "forwarded: expected to a container, got default_response 404"),
    ],
)  # fmt: skip
def test_a_difference_says_what_was_expected_and_what_is(
    expected: Expected, told: Told, difference: str
) -> None:
    assert differences(expected, told) == (difference,)


def test_all_differences_are_told() -> None:
    expected = Expected(Ending.OWN, "/b", "b", ("b-1",), 500, Reason.TIMEOUT, ExpectedForward("/b"))
    assert [text.partition(":")[0] for text in differences(expected, FORWARDED)] == [
        "outcome", "route", "backend", "containers", "status", "reason", "forwarded.target",
    ]  # fmt: skip


NAMES = st.sampled_from(["a", "b", "/a", "/b"])
TOLD = st.builds(
    Told,
    st.sampled_from(Ending),
    st.sampled_from([None, 404, 503]),
    st.sampled_from([None, Reason.NO_CONTAINER, Reason.UNHEALTHY]),
    st.none() | NAMES,
    st.none() | NAMES,
    st.lists(NAMES, unique=True, max_size=2).map(tuple),
    st.none() | NAMES,
    st.lists(st.tuples(st.sampled_from(["A", "a", "B"]), NAMES), max_size=3).map(tuple),
)


def just_as_told(told: Told) -> Expected:
    """All that can be expected of *told*."""
    by_name: dict[str, list[str]] = {"a": [], "b": []}
    for name, value in told.fields:
        by_name[name.lower()].append(value)
    fields = tuple((name, ", ".join(values) if values else None) for name, values in by_name.items())
    return Expected(
        told.outcome, told.route, told.backend, told.containers, told.status,
        told.reason,
        ExpectedForward(told.target, fields) if told.target else None,
    )  # fmt: skip


@given(told=TOLD, other=TOLD)
@example(told=LACKING, other=Told(Ending.PROBLEM, 503, Reason.UNHEALTHY, "/api", "orders"))
def test_what_is_expected_of_one_answer_holds_of_it_and_of_no_other_that_differs_there(
    told: Told, other: Told
) -> None:
    expected, of_other = just_as_told(told), just_as_told(other)
    assert differences(expected, told) == ()
    parts = ("outcome", "route", "backend", "status", "reason")
    asked = [part for part in parts if getattr(expected, part) is not None]
    same = all(getattr(expected, part) == getattr(of_other, part) for part in asked)
    same &= set(told.containers) == set(other.containers)
    same &= expected.forwarded in (None, of_other.forwarded)
    assert (differences(expected, other) == ()) is same
