"""Files that commands write are whole, or not there."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from rgate.cli.writing import write_new, write_whole
from rgate.core.cannot_tell import CannotTell


@contextlib.contextmanager
def disk_full_after(most_bytes: int) -> Iterator[None]:
    """A file may grow to so many bytes, and no further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_of_a_new_file_that_cannot_be_finished_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(CannotTell, match=r"new cannot be written: File too large"), disk_full_after(3):
        write_new(str(tmp_path / "new"), b"12345")
    assert os.listdir(tmp_path) == []


def test_what_was_there_stays_where_it_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with pytest.raises(CannotTell, match=r"old cannot be written: File too large"), disk_full_after(3):
        write_whole(str(tmp_path / "old"), b"12345")
    assert (os.listdir(tmp_path), (tmp_path / "old").read_bytes()) == (["old"], b"old")


def test_a_link_that_leads_nowhere_is_not_written_through_as_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CannotTell, match="is there already"):
        write_new(str(tmp_path / "link"), b"new")
    write_whole(str(tmp_path / "link"), b"whole")
    assert (tmp_path / "nowhere").read_bytes() == b"whole"
