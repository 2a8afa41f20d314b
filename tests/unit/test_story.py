"""The story of a request as sentences and figures (behaviour 9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.candidates import Address, BackendView, Candidate, ContainerView
from rgate.core.facts import Level
from rgate.core.reasons import Failure, LeftOut, Reason
from rgate.core.record import Record, Try
from rgate.core.story import (
    LONGEST_WHY,
    By,
    Then,
    ToldCandidate,
    by_whom,
    candidates_of,
    client_of,
    story_of,
)

MS = 10**6
BEGAN = 1000 * MS


def tried(
    outcome: str,
    *,
    began: float,
    connected: float = 0,
    answered: float = 0,
    ended: float,
    reused: bool = False,
    name: str = "c",
    text: str = "",
) -> Try:
    """An attempt, with its times in ms since the request began; 0: it did not come to that."""
    at = [BEGAN + int(ms * MS) if ms else 0 for ms in (began, connected, answered, ended)]
    return Try(name, "127.0.0.1:1", reused, at[0], at[1], at[2], at[3], outcome, text)


def ended(*tries: Try, status: int = 200, reason: str = "", after_ms: int = 100) -> Record:
    return Record(
        1000.0, "192.0.2.7", "GET", "/a", status, 3, after_ms * MS, "/a", "b", "c", 1, reason, "id",
        ended_ns=BEGAN + after_ms * MS, tries=tries, generation=1,
    )  # fmt: skip


@pytest.mark.clause("9.why.story")
@pytest.mark.parametrize(
    ("attempt", "start_ms", "phases"),
    [
        (
            tried("response", began=1, connected=3, answered=10, ended=14),
            1,
            (("connect", 2), ("wait", 7), ("receive", 4)),
        ),
        (
            tried("response", began=1, answered=10, ended=14, reused=True),
            1,
            (("wait", 9), ("receive", 4)),
        ),
        (tried("refused", began=1, ended=4), 1, (("connect", 3),)),
        (tried("timeout", began=2, connected=3, ended=50), 2, (("connect", 1), ("wait", 47))),
        (tried("stale", began=1, ended=2, reused=True), 1, (("wait", 1),)),
        (tried("client_closed", began=1, ended=2), 1, (("connect", 1),)),
    ],
)
def test_an_attempt_is_told_with_how_long_each_of_its_parts_took(
    attempt: Try, start_ms: float, phases: tuple[tuple[str, float], ...]
) -> None:
    (told,) = story_of(ended(attempt), (), None).attempts
    assert (told.start_ms, told.phases) == (start_ms, phases)


@given(
    steps=st.lists(st.integers(0, 50), min_size=3, max_size=3), begins=st.integers(1, 9), reused=st.booleans()
)
def test_the_parts_of_an_attempt_are_all_of_it(steps: list[int], begins: int, reused: bool) -> None:
    connected, answered, over = (begins + sum(steps[: n + 1]) for n in range(3))
    attempt = tried(
        "response",
        began=begins,
        connected=0 if reused else connected,
        answered=answered,
        ended=over,
        reused=reused,
    )
    (told,) = story_of(ended(attempt), (), None).attempts
    assert sum(ms for _, ms in told.phases) == pytest.approx(over - begins)


@pytest.mark.clause("9.why.story")
@pytest.mark.parametrize("outcome", [*(one.value for one in Failure), "response", "cut", "stopped", "odd"])
def test_each_outcome_has_its_sentence_and_the_networks_words_behind_it(outcome: str) -> None:
    plain = tried(outcome, began=1, connected=2, ended=3)
    with_words = plain._replace(text="Connection refused")
    texts = [story_of(ended(one), (), None).attempts[0].text for one in (plain, with_words)]
    assert texts[0]
    assert texts[1] == f"{texts[0]}: Connection refused"


@pytest.mark.clause("9.why.story")
@pytest.mark.parametrize(
    ("record", "by"),
    [
        (ended(tried("response", began=1, ended=2)), By.CONTAINER),
        (ended(tried("cut", began=1, ended=2)), By.CONTAINER),
        (ended(tried("refused", began=1, ended=2), status=503, reason="connect_failed"), By.RGATE),
        (ended(tried("client_closed", began=1, ended=2), status=499, reason="client_closed"), By.CLIENT),
        (ended(tried("stopped", began=1, ended=2), status=200, reason="stopped"), By.RGATE),
        (ended(status=404), By.RGATE),
        (ended(status=400, reason="bad_request"), By.RGATE),
    ],
)
def test_who_made_the_answer_is_told(record: Record, by: By) -> None:
    assert by_whom(record) is by


CONTAINERS = (
    ContainerView("in", "1", "running", "healthy", Address("h", 1), None, ""),
    ContainerView("plain", "2", "running", "none", Address("h", 2), None, ""),
    ContainerView("out", "3", "exited", "none", None, LeftOut.NOT_RUNNING, "out is exited: start it"),
)


@pytest.mark.clause("9.why.story")
def test_who_was_a_candidate_is_told_and_why_others_were_not() -> None:
    view = BackendView("b", (Candidate("in", "1", Address("h", 1)),), containers=CONTAINERS)
    then = candidates_of(view)
    assert then == (
        Then("in", "h:1", is_in=True, why="has all labels, healthy"),
        Then("plain", "h:2", is_in=True, why="has all labels, no health check"),
        Then("out", "", is_in=False, why="out is exited: start it"),
    )
    tries = [tried("refused", began=1, ended=2, name=name) for name in ("plain", "in", "plain")]
    picked = [one.picked for one in story_of(ended(*tries), then, None).candidates]
    assert picked == [2, 1, None], "the number of the first attempt at each"


def test_fixed_addresses_are_candidates_too() -> None:
    view = BackendView("b", (Candidate("h:1", "", Address("h", 1)),))
    assert candidates_of(view) == (Then("h:1", "h:1", is_in=True, why="a fixed address"),)


def test_of_many_containers_and_long_sentences_some_is_told_and_how_much_is_not() -> None:
    long = ContainerView("c", "1", "exited", "none", None, LeftOut.NOT_RUNNING, "x" * 10_000)
    then = candidates_of(BackendView("b", (), Reason.NO_CONTAINER, "", (long,) * 1000))
    assert len(then) == 65
    assert then[-1].name == "and 936 more"
    assert {len(one.why) for one in then[:-1]} == {LONGEST_WHY}


def test_what_is_not_known_any_more_is_said_and_not_guessed() -> None:
    story = story_of(ended(tried("response", began=1, ended=2)), None, None)
    assert story.candidates == ()
    assert [fact.about for fact in story.facts] == ["Route", "Backend", "Candidates", "Answer", "Client"]


@pytest.mark.parametrize(
    ("status", "level"), [(200, Level.OK), (404, Level.WARN), (499, Level.BAD), (503, Level.BAD)]
)
def test_how_good_the_answer_was_is_its_level(status: int, level: Level) -> None:
    story = story_of(ended(status=status)._replace(detail="Because."), (), None)
    answer = story.facts[-2]
    assert (answer.about, answer.level) == ("Answer", level)
    assert answer.text.endswith("Because.")


@pytest.mark.parametrize(
    ("peer", "port", "shown"),
    [("192.0.2.7", 1, "192.0.2.7:1"), ("::1", 1, "[::1]:1"), ("192.0.2.7", 0, "192.0.2.7")],
)
def test_the_client_is_told_with_its_port_where_that_is_known(peer: str, port: int, shown: str) -> None:
    assert client_of(ended()._replace(client=peer, client_port=port)) == shown


def test_a_candidate_that_was_not_asked_has_no_number() -> None:
    then = (Then("other", "", is_in=False, why=""),)
    assert story_of(ended(), then, None).candidates == (ToldCandidate(then[0], None),)
