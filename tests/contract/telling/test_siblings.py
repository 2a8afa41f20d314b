"""What every `Siblings` holds: of a process alone, and of one of several workers."""

import json
import os
import queue
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from rgate.telling.siblings import (
    LONGEST_FRAME,
    LONGEST_QUESTION,
    Alone,
    Answers,
    Function,
    Siblings,
    Worker,
    meeting_places,
)

LONG_S = 30.0
"""More than any answer takes: where a test ends sooner, nobody waited for who does not answer."""


class Several:
    """Workers in one process, who do not know it."""

    def __init__(self, number: int, opened: ExitStack) -> None:
        self.places = opened.enter_context(meeting_places(number))
        self.paths = [place.getsockname() for place in self.places]
        self.workers = [
            Worker(place, [path for path in self.paths if path != place.getsockname()])
            for place in self.places
        ]

    def serve(self, *numbers: int) -> None:
        for number in numbers:
            self.workers[number].serve()

    def end(self, number: int) -> None:
        self.places[number].shutdown(socket.SHUT_RDWR)


@pytest.fixture
def three() -> Iterator[Several]:
    with ExitStack() as opened:
        several = Several(3, opened)
        yield several
        for number in range(3):
            several.end(number)


@pytest.fixture(params=["alone", "one of three"])
def siblings(request: pytest.FixtureRequest) -> Siblings:
    if request.param == "alone":
        return Alone()
    three: Several = request.getfixturevalue("three")
    three.serve(0, 1, 2)
    return three.workers[0]


def test_the_own_answer_is_the_first_and_is_given_directly(siblings: Siblings) -> None:
    asked_in: list[threading.Thread] = []

    def own(arguments: Any) -> Any:
        asked_in.append(threading.current_thread())
        return [arguments["n"] + 1]

    siblings.answer("next", own)
    assert siblings.ask("next", {"n": 1}).values == [[2]]
    assert asked_in == [threading.current_thread()]


def test_a_question_that_nobody_answers_is_an_error(siblings: Siblings) -> None:
    with pytest.raises(KeyError):
        siblings.ask("who?", {})


def test_what_the_own_function_raises_is_raised(siblings: Siblings) -> None:
    def fails(_arguments: Any) -> Any:
        raise LookupError("of our own")

    siblings.answer("fails", fails)
    with pytest.raises(LookupError, match="of our own"):
        siblings.ask("fails", {})


def test_alone_nobody_is_missing() -> None:
    alone = Alone()
    alone.answer("q", lambda _: 1)
    assert alone.ask("q", {}) == Answers([1], 0)


def test_all_workers_answer_whoever_asks(three: Several) -> None:
    three.serve(0, 1, 2)

    def says(number: int) -> Function:
        return lambda arguments: {"number": number, **arguments}

    for number, worker in enumerate(three.workers):
        worker.answer("who", says(number))
    for number, worker in enumerate(three.workers):
        answers = worker.ask("who", {"text": "\udcff é\0"}, LONG_S)
        assert answers.values[0]["number"] == number
        assert sorted(value["number"] for value in answers.values) == [0, 1, 2]
        assert {value["text"] for value in answers.values} == {"\udcff é\0"}
        assert answers.missing == 0


def test_answers_of_megabytes_come_whole(three: Several) -> None:
    three.serve(1, 2)
    for worker in three.workers:
        worker.answer("much", lambda arguments: ["x" * arguments["bytes"]])
    answers = three.workers[0].ask("much", {"bytes": LONGEST_FRAME - 1000}, LONG_S)
    assert [len(value[0]) for value in answers.values] == [LONGEST_FRAME - 1000] * 3


def test_who_has_too_much_to_say_or_fails_is_missing_at_once(
    three: Several, caplog: pytest.LogCaptureFixture
) -> None:
    three.serve(1, 2)

    def fails(_arguments: Any) -> Any:
        raise LookupError

    three.workers[0].answer("q", lambda _: "own")
    three.workers[1].answer("q", lambda _: "x" * (LONGEST_FRAME + 1))
    three.workers[2].answer("q", fails)
    with caplog.at_level("ERROR", "rgate"):
        assert three.workers[0].ask("q", {}, LONG_S) == Answers(["own"], 2)
    assert len(caplog.records) == 2


def test_who_does_not_know_the_question_yet_is_missing_at_once(three: Several) -> None:
    three.serve(1, 2)
    for worker in three.workers[:2]:
        worker.answer("q", lambda _: 1)
    assert three.workers[0].ask("q", {}, LONG_S) == Answers([1, 1], 1)


def test_one_that_hangs_costs_the_time_and_no_answer_of_another(three: Several) -> None:
    three.serve(2)  # 1 is as a process that was stopped: the kernel accepts for it
    for worker in three.workers:
        worker.answer("q", lambda _: 1)
    assert three.workers[0].ask("q", {}, 0.2) == Answers([1, 1], 1)


def test_what_others_said_counts_however_long_the_own_answer_took(three: Several) -> None:
    three.serve(1, 2)
    answering = queue.SimpleQueue[threading.Thread]()

    def other(_arguments: Any) -> int:
        answering.put(threading.current_thread())
        return 1

    def own(_arguments: Any) -> int:
        for _ in range(2):
            answering.get(timeout=LONG_S).join()
        return 0

    three.workers[0].answer("q", own)
    for worker in three.workers[1:]:
        worker.answer("q", other)
    assert three.workers[0].ask("q", {}, within_s=0) == Answers([0, 1, 1], 0)


def test_a_queue_that_is_full_of_the_forgotten_is_not_waited_for(three: Several) -> None:
    three.serve(2)
    three.places[1].listen(0)
    for worker in three.workers:
        worker.answer("q", lambda _: 1)
    with closing(socket.socket(socket.AF_UNIX)) as first:
        first.connect(three.paths[1])
        assert three.workers[0].ask("q", {}, LONG_S) == Answers([1, 1], 1)


def test_one_whose_socket_is_gone_is_missing_at_once(three: Several) -> None:
    three.serve(2)
    three.end(1)
    for worker in three.workers:
        worker.answer("q", lambda _: 1)
    assert three.workers[0].ask("q", {}, LONG_S) == Answers([1, 1], 1)


def test_one_that_takes_the_place_of_another_answers_at_the_same_path(three: Several) -> None:
    three.serve(2)
    for worker in three.workers:
        worker.answer("q", lambda _: 1)
    assert three.workers[0].ask("q", {}, 0.1).missing == 1
    successor = Worker(three.places[1], [])
    successor.answer("q", lambda _: 2)
    successor.serve()
    assert sorted(three.workers[0].ask("q", {}, LONG_S).values) == [1, 1, 2]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0\0", id="half a length"),
        pytest.param(struct.pack(">I", LONGEST_FRAME + 1), id="too long"),
        pytest.param(struct.pack(">I", 9) + b"not JSON!", id="no JSON"),
        pytest.param(struct.pack(">I", 2) + b"[]", id="no question"),
        pytest.param(struct.pack(">I", 2) + b"{}", id="an empty one"),
    ],
)
def test_who_says_something_else_hinders_nobody(three: Several, sent: bytes) -> None:
    three.serve(1, 2)
    for worker in three.workers:
        worker.answer("q", lambda _: 1)
    with closing(socket.socket(socket.AF_UNIX)) as stranger:
        stranger.connect(three.paths[1])
        stranger.sendall(sent)
        assert three.workers[0].ask("q", {}, LONG_S) == Answers([1, 1, 1], 0)


@pytest.mark.parametrize("text", [b"not JSON!", b"[]", b"{}", b"7"])
def test_an_answer_that_is_none_is_missing(three: Several, text: bytes) -> None:
    three.workers[0].answer("q", lambda _: 1)

    def lie() -> None:
        connection, _ = three.places[1].accept()
        with connection:
            connection.recv(65536)
            connection.sendall(struct.pack(">I", len(text)) + text)

    lying = threading.Thread(target=lie)
    lying.start()
    three.end(2)
    assert three.workers[0].ask("q", {}, LONG_S) == Answers([1], 2)
    lying.join()


def test_another_user_is_neither_answered_nor_asked(three: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    three.serve(1, 2)
    for worker in three.workers:
        worker.answer("q", lambda _: "secret")
    question = json.dumps({"question": "q", "arguments": {}}).encode()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with closing(socket.socket(socket.AF_UNIX)) as stranger:
        stranger.connect(three.paths[1])
        stranger.settimeout(LONG_S)
        with suppress(ConnectionResetError, BrokenPipeError):  # it may have been let go already
            stranger.sendall(struct.pack(">I", len(question)) + question)
            assert stranger.recv(65536) == b""
    assert three.workers[0].ask("q", {}, LONG_S) == Answers(["secret"], 2)


def test_the_longest_question_that_a_query_comes_to_goes_out_at_once(three: Several) -> None:
    three.serve(1, 2)
    for worker in three.workers:
        worker.answer("q", lambda arguments: sum(map(len, arguments.values())))
    # A client's request has 64 KiB at most, and each of these values 4,096 characters.
    longest = dict.fromkeys(("route", "backend", "container", "id"), "\xe9" * 2979 + "\U0001f600" * 1117)
    answers = three.workers[0].ask("q", longest, LONG_S)
    assert answers == Answers([4 * 4096] * 3, 0)


def test_a_question_that_is_too_long_is_an_error(three: Several) -> None:
    three.workers[0].answer("q", lambda _: 1)
    with pytest.raises(ValueError, match="are more than workers tell each other"):
        three.workers[0].ask("q", {"text": "x" * LONGEST_QUESTION})


def test_the_places_are_for_one_user_and_are_removed() -> None:
    with meeting_places(2) as places:
        paths = [Path(place.getsockname()) for place in places]
        directory = paths[0].parent
        assert directory.stat().st_mode & 0o777 == 0o700
        assert len(set(paths)) == 2
    assert not directory.exists()
