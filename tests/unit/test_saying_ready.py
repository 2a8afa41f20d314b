"""What is said once the gateway is ready holds nobody up, whoever reads it (behaviour 1)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rgate.cli.running import say_ready


@contextmanager
def unread_stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let standard output be a pipe, and give its other end."""
    theirs, ours = os.pipe()
    with open(ours, "w", encoding="ascii") as output, open(theirs, "rb") as read, monkeypatch.context() as of:
        of.setattr("sys.stdout", output)
        yield read.fileno()


def all_of(descriptor: int, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += os.read(descriptor, size)
    return received


@pytest.mark.clause("1.ready.said", "1.exit.signal")
def test_a_reader_that_stalls_does_not_keep_rgate_and_has_all_of_it_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rgate.cli.running._SAID_WITHIN_S", 0.0)
    table = "x" * 200_000  # more than a pipe holds
    with unread_stdout(monkeypatch) as stdout:
        say_ready(table)
        assert all_of(stdout, len(table) + 1).decode() == table + "\n"


@pytest.mark.clause("1.ready.said")
def test_a_name_that_standard_output_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    with unread_stdout(monkeypatch) as stdout:
        say_ready("支付")
        assert os.read(stdout, 100) == rb"\u652f\u4ed8" + b"\n"


@pytest.mark.clause("1.exit.signal")
def test_a_full_disk_under_standard_output_leaves_nothing_for_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open("/dev/full", "w") as full, monkeypatch.context() as of:
        of.setattr("sys.stdout", full)
        say_ready("ready")
        full.flush()  # as Python does at the end: what fails there is status 120
