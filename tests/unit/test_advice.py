"""What a request's ending means, and what to do about it (behaviour 9)."""

import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.advice import advice, advice_on
from rgate.core.reasons import Reason
from rgate.core.record import Record, Try

NAME = "orders-2"


def ended(reason: str = "", *, status: int = 503, name: str = NAME, address: str = "127.0.0.1:1") -> Record:
    tries = (Try(name, address, reused=False, began_ns=1, connected_ns=2, answered_ns=0, ended_ns=3,
                 outcome=reason or "response"),)  # fmt: skip
    return Record(1.0, "192.0.2.7", "GET", "/a", status, 0, 10, "/a", "b", name, 1, reason, "id", tries=tries)


@pytest.mark.clause("9.why.story")
@pytest.mark.parametrize("reason", Reason)
def test_each_reason_says_what_happened_and_what_to_do(reason: Reason) -> None:
    found = advice(ended(reason.value))
    for sentence in (found.told, found.do):
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence.startswith("rgate")
    assert "{}" not in found.command
    assert "\n" not in found.command


@pytest.mark.clause("9.why.story")
@pytest.mark.parametrize(
    ("record", "told", "command"),
    [
        (ended("closed_early"), "without one byte", "docker logs --since 15m orders-2"),
        (ended(status=500), "`orders-2` itself answered 500", "docker logs --since 15m orders-2"),
        (ended(status=200), "`orders-2` answered 200", ""),
        (ended(status=200)._replace(cut=True), "broke off", "docker logs --since 15m orders-2"),
        (ended(status=404)._replace(tries=()), "No route matched", ""),
        (ended("timeout", name="h:1", address="h:1"), "in time", "curl --verbose http://h:1/"),
    ],
)  # fmt: skip
def test_what_a_container_did_is_told_with_its_log(record: Record, told: str, command: str) -> None:
    found = advice(record)
    assert told in found.told
    assert found.command == command


@pytest.mark.clause("12.names.remedies")
def test_a_command_calls_a_container_as_docker_does_and_its_docker_is_told() -> None:
    for found in (
        advice(ended("closed_early", name="far/orders-2")),
        advice(ended(status=500, name="far/orders-2")),
        advice_on(Reason.TIMEOUT, "far/orders-2"),
    ):
        assert found.command == "docker logs --since 15m orders-2"
        assert found.do.endswith(" It is on the Docker `far`.")
    assert "`far/orders-2` itself answered 500" in advice(ended(status=500, name="far/orders-2")).told
    assert "Docker" not in advice(ended("closed_early")).do


@pytest.mark.clause("12.names.remedies")
def test_what_to_do_about_a_docker_that_does_not_answer_is_right_for_each_of_several() -> None:
    found = advice_on(Reason.DOCKER_UNAVAILABLE, "")
    assert "`sources`" in found.do
    assert found.command == "rgate doctor"


def test_why_no_other_was_asked_is_told_where_the_method_may_have_had_an_effect() -> None:
    record = ended("closed_early")
    assert "another" not in advice(record).told
    assert "a POST may have had an effect" in advice(record._replace(method="POST")).told


@given(name=st.text(alphabet="a-'\"\\ $`;|&é{}*~!", min_size=1, max_size=8))
@example(name="it's")
@example(name="-f")
@example(name="{}")
def test_a_container_of_any_name_is_one_word_of_the_command_and_no_option(name: str) -> None:
    words = shlex.split(advice(ended("timeout", name=name)).command)
    assert words[:4] == ["docker", "logs", "--since", "15m"]
    assert words[4:] == (["--", name] if name.startswith("-") else [name])


def test_what_cannot_stand_in_one_line_is_no_command() -> None:
    assert advice(ended("timeout", name="a\nrm -rf /")).command == ""
    assert advice(ended("timeout", name="a\x1b[2J")).command == ""
