"""A Docker whose answers, or messages, have no end: no more of them is kept than any has."""

import itertools
import json
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rgate.discovery.deadlines import BoundedSocket, EndlessAnswer
from rgate.discovery.docker_client import LONGEST_MESSAGE, Messages
from rgate.discovery.docker_errors import sentence_for

EVENT = json.dumps({"Action": "start", "a": "x" * 1000}).encode() + b"\n"


def messages(pieces: Iterator[bytes]) -> Messages:
    """Return what is made of *pieces* of an answer."""
    client: Any = SimpleNamespace(api=SimpleNamespace(events=lambda **_: pieces))
    return Messages(client, None, None, {})


@pytest.mark.clause("4.docker.bounded")
def test_events_may_go_on_for_ever_however_they_are_cut_into_pieces() -> None:
    number = 3 * LONGEST_MESSAGE // len(EVENT)
    halves = itertools.chain.from_iterable((EVENT[:300], EVENT[300:]) for _ in range(number))
    assert sum(message["Action"] == "start" for message in messages(halves)) == number


@pytest.mark.clause("4.docker.bounded")
@pytest.mark.parametrize("piece", [b"x" * 65536, b" " * 65536], ids=["garbage", "nothing"])
def test_an_event_without_an_end_is_kept_up_to_a_bound(piece: bytes) -> None:
    most = LONGEST_MESSAGE // len(piece) + 2
    endless = itertools.chain([EVENT, b'{"a":"'], itertools.repeat(piece, most))
    with pytest.raises(EndlessAnswer) as error:
        list(messages(endless))
    assert sentence_for(error.value, "unix:///d.sock", 5).startswith("an answer of unix:///d.sock had no end")


@pytest.mark.clause("4.docker.bounded")
def test_an_answer_without_an_end_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgate.discovery.deadlines.LONGEST_ANSWER", 100)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bounded = BoundedSocket(ours)
        for _ in range(3):  # each call has as much
            bounded.settimeout(5)
            theirs.sendall(b"x" * 100)
            assert len(bounded.read(1000)) == 100
        bounded.settimeout(None)
        theirs.sendall(b"x" * 200)
        assert len(bounded.read(1000)) == 200, "events may go on for ever"
        bounded.settimeout(5)
        theirs.sendall(b"x" * 200)
        with pytest.raises(EndlessAnswer):
            bounded.read(1000)
