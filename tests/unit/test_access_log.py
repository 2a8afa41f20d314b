"""The access log: a line a request, whatever clients sent (behaviour 1)."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.record import Record
from rgate.telling.access_log import AccessLog, json_line, text_line

NAMES = ["time", "client", "method", "target", "status", "bytes", "seconds", "route", "container", "attempts"]
NAMES += ["reason", "request_id"]


def record(target: str = "/x", method: str = "GET") -> Record:
    return Record(0.0015, "1.2.3.4", method, target, 200, 5, 2_000_000, "/", "b", "", 1, "", "id")


@pytest.mark.clause("1.log.line")
def test_a_line_tells_all_in_a_fixed_order() -> None:
    assert text_line(record()) == "1970-01-01T00:00:00.001Z 1.2.3.4 GET /x 200 5 0.002 / - 1 - id"
    assert list(json.loads(json_line(record()))) == NAMES


@pytest.mark.clause("1.log.cut", "1.log.stopped")
@pytest.mark.parametrize(
    ("reason", "cut", "shown"), [("", False, ""), ("", True, "cut"), ("stopped", True, "stopped")]
)
def test_a_response_that_broke_off_does_not_look_as_if_all_went_well(
    reason: str, cut: bool, shown: str
) -> None:
    broken = record()._replace(reason=reason, cut=cut)
    assert text_line(broken).split(" ")[-2] == (shown or "-")
    assert json.loads(json_line(broken))["reason"] == shown


@pytest.mark.clause("1.log.escaped")
@given(text=st.text(max_size=20))
@example(text='\x1b[2J\n"GET / 200')
@example(text="\u202e\x85\u2028")
@example(text="\x7f")
@example(text="-")
def test_what_clients_sent_cannot_break_a_line_or_steer_a_terminal(text: str) -> None:
    line = text_line(record(text, text))
    assert line.isascii()
    assert line.isprintable()
    words = line.split(" ")
    assert len(words) == len(NAMES)
    shown = words[3]
    assert text == ("" if shown == "-" else shown.encode().decode("unicode_escape"))
    line = json_line(record(text, text))
    assert line.isascii()
    assert line.isprintable()
    assert (json.loads(line)["target"], json.loads(line)["method"]) == (text, text)


@pytest.mark.clause("1.options.access_log")
def test_lines_are_written_and_a_rotated_file_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(str(path), text_line)
    log.add(record("/one"))
    log.close()
    again = AccessLog(str(path), text_line)
    path.rename(tmp_path / "old.log")
    again.reopen()
    again.add(record("/two"))
    again.close()
    assert "/one" in (tmp_path / "old.log").read_text()
    assert "/two" in path.read_text()
