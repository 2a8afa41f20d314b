"""The ledger of several workers, as a file in a directory that they share."""

import fcntl
import logging
import shutil
from pathlib import Path

import pytest

from rgate.core.counters import Counters
from rgate.core.ledger import Figures
from rgate.telling.shared_ledger import SharedLedger

SEVEN: Counters = {"a": {("x",): (7,)}}
EIGHT: Counters = {"a": {("x",): (8,)}}


def told(ledger: SharedLedger, counters: Counters | None) -> Counters:
    """Tell *counters* by *ledger*, and return what is told then."""
    figures = None if counters is None else Figures(1, counters)
    known = ledger.update(lambda before: before.with_figures(figures)).figures
    return {} if known is None else known.counters


@pytest.mark.clause("10.metrics.never_less", "10.metrics.workers")
def test_what_one_told_another_tells_and_one_that_comes_later(tmp_path: Path) -> None:
    one, other = SharedLedger(tmp_path), SharedLedger(tmp_path)
    assert told(one, EIGHT) == EIGHT
    assert told(other, SEVEN) == EIGHT
    assert told(SharedLedger(tmp_path), None) == EIGHT


def test_the_only_one_needs_no_file() -> None:
    alone = SharedLedger(None)
    assert told(alone, EIGHT) == told(alone, SEVEN) == EIGHT


@pytest.mark.parametrize(
    "garbage", [b"", b"\0", b"[]", b"{}", b'{"workers": 1, "gone": {}, "figures": null}']
)
def test_a_file_that_cannot_be_read_is_told_of_and_made_anew(
    tmp_path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    one = SharedLedger(tmp_path)
    told(one, EIGHT)
    (tmp_path / "ledger").write_bytes(garbage)
    with caplog.at_level(logging.ERROR):
        assert told(one, SEVEN) == EIGHT
    assert "metrics_ledger_unreadable" in caplog.text
    assert told(SharedLedger(tmp_path), None) == EIGHT


def test_where_nothing_can_be_written_each_goes_on_by_what_it_knows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = SharedLedger(tmp_path / "there")
    (tmp_path / "there").mkdir()
    told(one, EIGHT)
    shutil.rmtree(tmp_path / "there")
    assert told(one, SEVEN) == EIGHT
    assert "metrics_not_shared" in caplog.text


def test_who_has_the_file_and_hangs_is_not_waited_for_long(tmp_path: Path) -> None:
    one = SharedLedger(tmp_path, wait_s=0)
    told(one, SEVEN)
    with (tmp_path / "ledger.lock").open() as hanging:
        fcntl.flock(hanging, fcntl.LOCK_EX)
        assert told(one, EIGHT) == EIGHT
