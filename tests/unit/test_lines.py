"""Lines are written, or lost and counted, and nobody waits for them (behaviour 10)."""

import os
import queue
import stat
from pathlib import Path

import pytest

from rgate.telling.lines import MOST_WAITING, Destination, LineWriter, destination_of

WITHIN_S = 10


class Plain:
    def lines(self, item: str) -> list[str]:
        return [item]

    def due(self, *, ended: bool) -> list[str]:
        return ["the end"] if ended else []


class Told:
    """What was told of lost lines, as it comes."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()

    def __call__(self, why: str, lost: int) -> None:
        self.said.put((why, lost))


@pytest.mark.clause("10.logs.mode")
@pytest.mark.parametrize(("umask", "mode"), [(0, 0o640), (0o077, 0o600)])
def test_a_file_is_made_for_its_owner_and_group_at_most(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        writer = LineWriter(destination_of(str(tmp_path / "x.log")), Plain(), Told())
    finally:
        os.umask(before)
    writer.put("one")
    writer.close()
    assert stat.S_IMODE((tmp_path / "x.log").stat().st_mode) == mode
    assert (tmp_path / "x.log").read_text() == "one\nthe end\n"


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LineWriter(destination_of(str(tmp_path / "no" / "x.log")), Plain(), Told())


@pytest.mark.clause("10.logs.lost")
def test_a_full_disk_loses_lines_which_are_counted_and_told_of(tmp_path: Path) -> None:
    told = Told()
    path = tmp_path / "x.log"
    path.symlink_to("/dev/full")
    writer = LineWriter(destination_of(str(path)), Plain(), told)
    writer.put("one")
    assert told.said.get(timeout=WITHIN_S) == ("No space left on device", 0)
    writer.put("two")
    path.unlink()
    writer.reopen()  # as after a rotation
    while not (path.exists() and path.read_text().endswith("more\n")):
        writer.put("more")
    why, lost = told.said.get(timeout=WITHIN_S)
    assert (why, lost) == ("", writer.lost)
    assert lost >= 1
    writer.close()


@pytest.mark.clause("10.logs.lost")
def test_a_fifo_that_nobody_reads_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = LineWriter(destination_of(str(path)), Plain(), Told())
    extra = 600
    for number in range(MOST_WAITING + extra):
        writer.put(str(number))
    assert 0 < writer.lost <= extra
    with path.open() as reader:
        assert reader.readline() == "0\n"
        for _ in range(MOST_WAITING - 1):
            reader.readline()
    writer.close(WITHIN_S)


def test_a_line_that_was_cut_is_not_taken_for_the_beginning_of_the_next() -> None:
    reader, out = os.pipe()
    os.set_blocking(out, False)
    destination = Destination(descriptor=out)
    with pytest.raises(BlockingIOError):
        destination.write(b"x" * (1 << 20) + b"\n")
    received = b""
    while len(received) < 65536:
        received += os.read(reader, 65536)
    destination.write(b"next\n")
    assert os.read(reader, 65536) == b"\nnext\n"
    os.close(reader)
    os.close(out)
