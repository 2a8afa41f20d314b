"""What rgate tells on standard error: one event a line, folded where it repeats (behaviour 10)."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.escape import in_one_line
from rgate.telling.log import Event, Folding, LogHandler, event_of, json_line, tell_on_stderr, text_line

log = logging.getLogger("rgate.test")


def recorded(message: str, *values: object) -> Event:
    return event_of(logging.LogRecord("rgate.test", logging.WARNING, "", 0, message, values, None))


@pytest.mark.clause("10.logs.line")
def test_an_event_has_its_fields_as_json_and_reads_as_a_sentence() -> None:
    event = recorded("%s was lost error=%r port=%d", "it", "no\nluck", 80)
    assert text_line(event) == "rgate: it was lost error='no\\nluck' port=80"
    told = json.loads(json_line(event))
    assert {name: told[name] for name in told if name != "time"} == {
        "level": "warning",
        "logger": "rgate.test",
        "message": "it was lost",
        "error": "no\nluck",
        "port": 80,
    }


def test_a_percent_sign_and_a_place_with_a_width_are_no_fields() -> None:
    assert json.loads(json_line(recorded("%5.1f %% of %s x=%s", 12.34, "all", "y")))["message"] == (
        " 12.3 % of all".strip()
    )


@pytest.mark.clause("10.logs.line")
def test_a_defect_is_one_line_with_where_it_was() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("rgate", logging.ERROR, "", 0, "request failed", (), sys.exc_info())
    line = text_line(event_of(record))
    assert line.isprintable()
    assert line.startswith("rgate: request failed | Traceback")
    assert line.endswith("| ValueError: two | lines")
    assert "two\nlines" in json.loads(json_line(event_of(record)))["exception"]


@pytest.mark.clause("10.logs.escaped")
@given(text=st.text(max_size=20))
@example(text="\x1b]0;x\x07\r\n")
@example(text="\u202e\u2066\u2028\x85\ud800")
def test_no_text_breaks_a_line_or_steers_a_terminal(text: str) -> None:
    for line in (text_line(recorded("%s x=%s", text, text)), json_line(recorded("%s x=%s", text, text))):
        assert line.isprintable()
    assert in_one_line(text).isprintable()
    assert in_one_line(text) == text or not text.isprintable()


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.clause("10.logs.folded")
def test_an_event_that_repeats_is_told_once_and_then_how_often() -> None:
    clock = Clock()
    folding = Folding(clock)
    event = recorded("accept failed error=%r", "x")
    assert list(folding.take(event)) == [event]
    for _ in range(41):
        assert list(folding.take(event)) == []
    assert folding.due(ended=False) == []
    clock.now_s += 10
    (folded,) = folding.due(ended=False)
    assert text_line(folded) == "rgate: accept failed error='x' … 41 times in 10 s"
    assert json.loads(json_line(folded))["times"] == 41
    assert list(folding.take(event)) == []  # it goes on
    clock.now_s += 10
    assert [folded.times for folded in folding.due(ended=False)] == [1]
    clock.now_s += 10
    assert folding.due(ended=False) == []  # it is over: the next one is news again
    assert list(folding.take(event)) == [event]


@pytest.mark.clause("10.logs.folded")
@given(st.lists(st.sampled_from(["a", "b", "tick"]), max_size=60))
def test_each_event_is_told_or_counted_once(said: list[str]) -> None:
    clock = Clock()
    folding = Folding(clock)
    told: list[Event] = []
    for one in said:
        if one == "tick":
            clock.now_s += 4
            told += folding.due(ended=False)
        else:
            told += folding.take(recorded(one))
    told += folding.due(ended=True)
    for text in "ab":
        assert sum(event.times for event in told if event.text == text) == said.count(text)
    assert folding.due(ended=True) == []


def test_other_events_are_not_folded_with_it() -> None:
    folding = Folding(Clock())
    for values in (("x",), ("y",)):
        assert len(list(folding.take(recorded("accept failed error=%r", *values)))) == 1


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe in the place of standard error."""
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        os.close(descriptor)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The logger of all of rgate, which is left as it was."""
    logger = logging.getLogger("rgate")
    level, propagate = logger.level, logger.propagate
    hook = threading.excepthook
    yield logger
    threading.excepthook = hook
    for one in (logger, logging.getLogger()):
        for handler in [handler for handler in one.handlers if isinstance(handler, LogHandler)]:
            one.removeHandler(handler)
    logger.setLevel(level)
    logger.propagate = propagate


@pytest.mark.clause("10.logs.level")
@pytest.mark.parametrize("threads", [True, False])
def test_what_is_below_the_level_is_not_told(
    pipe: tuple[int, int], logger: logging.Logger, threads: bool
) -> None:
    handler = tell_on_stderr("warning", "text", threads=threads, descriptor=pipe[1])
    logger.info("not told")
    logger.warning("told")
    logger.warning("%d things", "wrongly meant")
    handler.close()
    assert os.read(pipe[0], 4096) == b"rgate: told\nrgate: %d things\n"


@pytest.mark.clause("10.logs.line")
@pytest.mark.usefixtures("logger")
def test_what_libraries_and_threads_say_is_an_event_too(pipe: tuple[int, int]) -> None:
    handler = tell_on_stderr("warning", "json", threads=True, descriptor=pipe[1])
    logging.getLogger("asyncio").warning("one\ntwo")
    logging.getLogger("asyncio").info("not told")
    failing = threading.Thread(target=divmod, args=(1, 0), name="t")
    failing.start()
    failing.join()
    handler.close()
    library, thread = map(json.loads, os.read(pipe[0], 65536).splitlines())
    assert (library["logger"], library["level"], library["message"]) == ("asyncio", "warning", "one\ntwo")
    assert (thread["message"], thread["thread"]) == ("a thread failed", "t")
    assert thread["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


@pytest.mark.clause("10.logs.lost")
def test_a_process_that_forks_loses_what_nobody_reads_and_waits_for_nobody(
    pipe: tuple[int, int], logger: logging.Logger
) -> None:
    handler = tell_on_stderr("info", "text", threads=False, descriptor=pipe[1])
    for number in range(3000):
        logger.info("%s number=%d", "x" * 100, number)
    assert 0 < handler.lost < 3000
    told = 0
    while told + handler.lost < 3000:
        told += os.read(pipe[0], 65536).count(b"\n")
    assert told + handler.lost == 3000
