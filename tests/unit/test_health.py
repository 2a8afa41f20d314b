"""When a gateway is ready for requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.health import Readiness, Status, readiness
from rgate.core.reasons import Reason

CANDIDATE = Candidate("c", "id", Address("127.0.0.1", 1))


def view(name: str, *, has_candidate: bool) -> BackendView:
    return BackendView(name, (CANDIDATE,)) if has_candidate else BackendView(name, (), Reason.NO_CONTAINER)


@given(st.dictionaries(st.sampled_from("abc"), st.booleans()), st.booleans())
def test_it_is_ready_once_every_backend_has_a_candidate_and_until_it_drains(
    has_candidate: dict[str, bool], draining: bool
) -> None:
    views = {name: view(name, has_candidate=has) for name, has in has_candidate.items()}
    told = readiness(views, draining=draining)
    assert set(told.backends_without_candidates) == {name for name, has in has_candidate.items() if not has}
    assert (told.status is Status.READY) == (not draining and all(has_candidate.values()))


@pytest.mark.parametrize("has_candidate", [True, False])
def test_one_that_drains_says_so_rather_than_what_it_lacks(has_candidate: bool) -> None:
    told = readiness({"a": view("a", has_candidate=has_candidate)}, draining=True)
    assert told == Readiness(Status.DRAINING, () if has_candidate else ("a",))
