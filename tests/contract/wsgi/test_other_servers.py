"""`rgate.create_app` on WSGI servers of somebody else's (PEP 3333)."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import WSGIApplication

import pytest
from werkzeug.serving import BaseWSGIServer
from werkzeug.serving import WSGIRequestHandler as WerkzeugRequestHandler
from werkzeug.serving import make_server as make_werkzeug_server

from rgate import create_app
from tests.contract.http.script import OK, get, serving
from tests.contract.http.site import KINDS, Lane
from tests.contract.http.wire import Message, connect

CONFIG = """
routes:
  - {{path_prefix: /there, backend: there}}
  - {{path_prefix: /dead, backend: dead}}
backends:
  - {{name: there, urls: ["http://127.0.0.1:{there}"]}}
  - {{name: dead, urls: ["http://127.0.0.1:{dead}"]}}
stats: {{database: "sqlite:///{directory}/rgate.db"}}
"""

pytestmark = pytest.mark.slow


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


class _SilentWerkzeug(WerkzeugRequestHandler):
    def log(self, *_: object) -> None: ...


Ask = Callable[[bytes], Message]
CLOSE = b"Connection: close"


@pytest.fixture(params=["wsgiref", "werkzeug"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Return the port of the application on a server that serves one connection at a time."""
    lane = Lane("there", "/there", KINDS["half"])
    dead, there = (listener.port for listener in lane.listeners)
    (tmp_path / "config.yml").write_text(CONFIG.format(there=there, dead=dead, directory=tmp_path))
    app: WSGIApplication = create_app(str(tmp_path / "config.yml"))
    server: BaseWSGIServer | WSGIServer
    if request.param == "wsgiref":
        server = make_server("127.0.0.1", 0, app, handler_class=_Silent)
    else:
        server = make_werkzeug_server("127.0.0.1", 0, app, request_handler=_SilentWerkzeug)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    with serving(lane, OK):
        yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()
    lane.close()


@pytest.fixture
def ask(port: int) -> Ask:
    """Return a way to send a request, and to get its response."""

    def ask(request: bytes) -> Message:
        with connect(port) as client:
            client.send(request)
            return client.read_response(to=request.partition(b" ")[0])

    return ask


@pytest.mark.parametrize("path", [b"/nowhere", b"/dead", b"/there/../x", b"/stats", b"/_rgate/healthz"])
def test_an_answer_of_its_own_has_one_date(ask: Ask, path: bytes) -> None:
    response = ask(get(path, CLOSE))

    assert len(response.values(b"date")) == 1
    assert len(response.values(b"content-length")) == 1


@pytest.mark.clause("8.pages.allowed")
@pytest.mark.parametrize(
    ("host", "status"), [(b"Host: localhost\r\n", 200), (b"Host: evil.example\r\n", 403), (b"", 403)]
)
def test_who_asks_by_no_name_of_ours_is_a_stranger(ask: Ask, host: bytes, status: int) -> None:
    assert ask(b"GET /_rgate/backends HTTP/1.0\r\n" + host + b"\r\n").status == status


def test_a_request_is_forwarded(ask: Ask) -> None:
    response = ask(get(b"/there/x", CLOSE))

    assert (response.status, response.content) == (200, b"ok")


@pytest.mark.clause("10.live.format", "10.live.nobody")
def test_a_page_is_told_what_happens_until_it_leaves(port: int, ask: Ask) -> None:
    with connect(port) as page:
        page.send(get(b"/_rgate/live", host=b"localhost", version=b"HTTP/1.0"))
        assert page.read_head().values(b"content-type") == [b"text/event-stream"]
        assert page.read_until(b"\n\n").endswith(b"retry: 2000\n\n")
        assert b"event: tick\ndata: {" in page.read_until(b"}\n\n")
        page.read_until(b"event: tick\n")
    assert ask(get(b"/_rgate/live", CLOSE, host=b"localhost", method=b"HEAD")).status == 200
