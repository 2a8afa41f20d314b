"""What the environment holds for rgate is taken out of it, and nobody is harmed by who does not listen."""

import os

import pytest

from rgate.cli.starter import Starter
from rgate.cli.stop import Stop

FOR_RGATE = {"LISTEN_FDS": "0", "LISTEN_FDNAMES": "http", "NOTIFY_SOCKET": "/nowhere/notify"}


@pytest.fixture
def for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**FOR_RGATE, "LISTEN_PID": str(os.getpid())}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.clause("8.restart.inherited")
@pytest.mark.usefixtures("for_us")
@pytest.mark.parametrize("pid", ["own", "another's"])
def test_it_is_taken_out_of_the_environment_whosever_it_is(monkeypatch: pytest.MonkeyPatch, pid: str) -> None:
    if pid != "own":
        monkeypatch.setenv("LISTEN_PID", "1")
        monkeypatch.setenv("LISTEN_FDS", "3")
    assert Starter().listeners == []
    assert {*FOR_RGATE, "LISTEN_PID"} & set(os.environ) == set()


@pytest.mark.usefixtures("for_us")
def test_a_closed_descriptor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgate.cli.starter.FIRST", 1 << 20)
    monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(
        Stop, match=r"descriptor 1048576 \('http'\) was passed on by LISTEN_FDS, and is no socket"
    ):
        Starter()


@pytest.mark.usefixtures("for_us")
@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody", "/" + 200 * "x", "vsock:2:1234", "/a\0b"])
def test_nobody_needs_to_listen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    if "\0" in address:
        monkeypatch.setattr(os, "environ", {"NOTIFY_SOCKET": address})
    else:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    Starter().tell("READY=1")
    assert ["takes nothing" in record.message for record in caplog.records] == [True] * (address[0] in "/@")
