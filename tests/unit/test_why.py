"""How a story reads on a terminal (behaviour 9)."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.cli.main import parse
from rgate.cli.text import Style
from rgate.cli.why import text_of
from rgate.core.record import Record, Try
from rgate.core.story import Then, story_of
from rgate.web.documents import StoryDocument

MS = 10**6
TRIES = (
    Try("orders-1", "127.0.0.1:32773", False, 1 * MS, 0, 0, 2 * MS, "refused", "Connection refused"),
    Try("orders-2", "127.0.0.1:32774", False, 2 * MS, 3 * MS, 0, 31 * MS, "closed_early"),
)
RECORD = Record(
    1764168312.4, "127.0.0.1", "GET", "/api/orders/7", 503, 231, 32 * MS, "/api/orders", "orders", "orders-2",
    2, "closed_early", "3f2a", host="shop.example", client_port=51884, ended_ns=32 * MS, generation=41,
    tries=TRIES, detail="It closed.",
)  # fmt: skip
THEN = (
    Then("orders-1", "127.0.0.1:32773", is_in=True, why="has all labels, healthy"),
    Then("orders-2", "127.0.0.1:32774", is_in=True, why="has all labels, healthy"),
    Then("orders-3", "", is_in=False, why="orders-3 is exited: start it"),
)
READS = """\
503 closed_early  GET /api/orders/7
WHEN, from 127.0.0.1:51884 for shop.example, id 3f2a

The container accepted the connection, and closed it without one byte of a response.
Read its log; a program that is still starting does this behind a published port.
    docker logs --since 15m orders-2

     0.0 ms  the request's first byte came
             Route: `/api/orders`
             Backend: `orders`
             Known then: generation 41, Docker's last list 4.1 s old
               in   orders-1  127.0.0.1:32773  has all labels, healthy; asked as number 1
               in   orders-2  127.0.0.1:32774  has all labels, healthy; asked as number 2
               out  orders-3                   orders-3 is exited: start it
     1.0 ms  1. orders-1 (127.0.0.1:32773) is asked, over a new connection
     2.0 ms     refused: nothing accepted a connection: Connection refused
     2.0 ms  2. orders-2 (127.0.0.1:32774) is asked, over a new connection
     3.0 ms     connected, after 1.0 ms
    31.0 ms     closed_early: closed after 28.0 ms, without one byte
    32.0 ms  503 `closed_early`, made by rgate, 231 bytes. It closed."""


def document(record: Record = RECORD, then: tuple[Then, ...] = THEN) -> StoryDocument:
    return StoryDocument.of_story(story_of(record, then, 4.1))


def lines(told: StoryDocument, *, colour: bool = False) -> list[str]:
    return [*text_of(told, Style(colour))]


@pytest.mark.clause("9.why.story")
def test_a_story_reads_as_a_log_that_somebody_annotated() -> None:
    read = lines(document())
    when, _, rest = read[1].partition(", from ")
    assert datetime.fromisoformat(when).timestamp() == RECORD.began_at_s == 1764168312.368
    assert [read[0], f"WHEN, from {rest}", *read[2:]] == READS.splitlines()


def test_it_reads_the_same_from_what_a_gateway_sent() -> None:
    sent: Any = document().as_json()
    assert lines(StoryDocument.model_validate(sent)) == lines(document())
    assert {"n", "phases", "end"} <= sent["attempts"][0].keys()
    assert {"in", "picked", "why"} <= sent["candidates"][0].keys()
    assert {"level", "is", "text", "at"} == sent["facts"][0].keys()


texts = st.text(alphabet="a\x1b[31m\n\r\u202e\x9b`é", max_size=6)


@given(text=texts, colour=st.booleans())
def test_nothing_that_others_said_reaches_a_terminal_as_a_command(text: str, colour: bool) -> None:
    record = RECORD._replace(
        target="/" + text, host=text, request_id=text, detail=text, container=text, route=text, client=text,
        tries=(TRIES[0]._replace(container=text, text=text, address=text), TRIES[1]),
    )  # fmt: skip
    read = lines(document(record, (Then(text, text, is_in=False, why=text),)), colour=colour)
    plain = "".join(read)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[36m"):
        plain = plain.replace(code, "") if colour else plain
    assert plain.isprintable()


def test_what_was_no_request_is_told_as_such() -> None:
    record = Record(1.0, "::1", "", "", 400, 9, MS, reason="bad_request", request_id="x", ended_ns=MS)
    read = lines(document(record, ()))
    assert read[0] == "400 bad_request  no request that could be read"
    assert len(read) == 8


@pytest.mark.parametrize(
    "words", [["why"], ["why", "a", "--last"], ["why", "--last", "--failed"], ["why", "a", "b"]]
)
def test_one_request_is_asked_for(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
