"""Who is picked (behaviour 4): `picker`, for requests that were tried nowhere, picks as `pick` does."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.balance import Balancer
from rgate.core.candidates import Address, Candidate
from rgate.core.config import Policy

THREE = tuple(Candidate(name, "", Address("127.0.0.1", port)) for port, name in enumerate("abc", 1))


def balancer(numbers: list[float], busy: list[int]) -> Balancer:
    left = iter(numbers)
    made = Balancer(lambda: next(left))
    for index in busy:
        made.started(THREE[index])
    return made


@given(
    policy=st.sampled_from(Policy),
    numbers=st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6),
    busy=st.lists(st.integers(0, 2), max_size=4),
)
def test_a_picker_picks_as_pick_does(policy: Policy, numbers: list[float], busy: list[int]) -> None:
    one, other = balancer(numbers, busy), balancer(numbers, busy)
    picker = one.picker("b", policy, THREE)
    assert [THREE[picker()] for _ in numbers] == [other.pick("b", policy, THREE, [], 0.0) for _ in numbers]


@given(policy=st.sampled_from(Policy), refused=st.integers(0, 2))
def test_a_picker_leaves_it_to_pick_where_the_one_picked_is_left_out(policy: Policy, refused: int) -> None:
    made = balancer([0.1, 0.4, 0.7], [])
    made.refused(THREE[refused], 0.0)
    picker: Callable[[], int] = made.picker("b", policy, THREE)
    picked = [picker() for _ in THREE]
    if policy is Policy.ROUND_ROBIN:  # who counts turns counts them all
        assert picked == [-1, -1, -1]
    else:
        assert sorted(picked) == sorted([-1, *({0, 1, 2} - {refused})])


FOUR = (*THREE, Candidate("d", "", Address("127.0.0.1", 4)))


@pytest.mark.parametrize(
    ("candidates", "refused", "spread"),
    [
        pytest.param(THREE, [0], {"b": 30, "c": 30}, id="one of three"),
        pytest.param(FOUR, [1, 3], {"a": 30, "c": 30}, id="the second and the fourth of four"),
    ],
)
def test_round_robin_stays_fair_while_some_are_left_out(
    candidates: tuple[Candidate, ...], refused: list[int], spread: dict[str, int]
) -> None:
    made = balancer([], [])
    for index in refused:
        made.refused(candidates[index], 0.0)
    picker = made.picker("b", Policy.ROUND_ROBIN, candidates)
    picked: Counter[str] = Counter()
    for _ in range(60):
        index = picker()
        one = candidates[index] if index >= 0 else made.pick("b", Policy.ROUND_ROBIN, candidates, [], 0.5)
        assert one is not None
        picked[one.name] += 1
    assert picked == spread
