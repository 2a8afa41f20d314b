"""A defect of rgate's own is an answer that says so, is counted, and ends one connection at most."""

import asyncio
import json
from typing import Any, NoReturn, cast

import pytest
from flask import Flask

from rgate.core.candidates import BackendView
from rgate.core.config import Config
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway, Snapshot
from rgate.core.onward import Request
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.engine import Acceptor
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.flask_engine import create_flask_app
from rgate.web.pages import Web
from tests.kept_records import KeptRecords


class BrokenSnapshot(Snapshot):
    def place(self, _: Request) -> NoReturn:
        raise RuntimeError("a defect")


class Transport:
    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
def broken() -> Gateway:
    gateway = Gateway(Config((), ()), dict[str, BackendView](), lambda: 0.0)
    sound = gateway.snapshot
    gateway.snapshot = BrokenSnapshot(
        sound.config, sound.router, sound.reading, sound.views, gateway.balancer
    )
    return gateway


def check(status: int, body: bytes, log: KeptRecords, caplog: pytest.LogCaptureFixture) -> None:
    assert status == 500
    assert json.loads(body)["reason"] == "internal_error"
    assert [(record.status, record.reason) for record in log] == [(500, "internal_error")]
    assert "a defect" in caplog.text


def test_the_flask_engine_answers_500(broken: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    log = KeptRecords()
    with create_flask_app(broken, Web(broken, Flask("web"), tuple), log).test_client() as client:
        answer = client.get("/a")
        check(answer.status_code, answer.data, log, caplog)


def test_the_asyncio_engine_answers_500(broken: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    log, loop, transport = KeptRecords(), asyncio.new_event_loop(), Transport()
    shared = Shared(loop, broken, Web(broken, Flask("web"), tuple), log)
    client = Client(shared, Acceptor(shared))
    client.transport, client.is_open = cast(Any, transport), True
    client.connection = ClientConnection("192.0.2.7", 80)
    client.data_received(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
    loop.close()
    head, _, body = transport.written.partition(b"\r\n\r\n")
    check(int(head[9:12]), body, log, caplog)
