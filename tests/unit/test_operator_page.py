"""What the page at `stats.path` is made of: the same that the other pages tell."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config, Route
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.message import parse_request_head
from rgate.core.record import Record
from rgate.stats import MemoryStats
from rgate.stats.figures import Counted
from rgate.telling.rings import Rings
from rgate.telling.siblings import Alone
from rgate.web.app import create_web
from tests.html_pages import Page, parsed, words

INSIDER, STRANGER = ClientConnection("127.0.0.1", 80), ClientConnection("192.0.2.7", 80)
CONFIG = Config(
    (Route("/asked", "larder"), Route("/never", "larder")),
    (Backend("larder", urls=("http://192.0.2.9:81",)),),
)
VIEW = BackendView("larder", (Candidate("192.0.2.9:81", "", Address("192.0.2.9", 81)),))
KNOWN = (Knowledge(docker=Connection.CONNECTED, events=Events.LIVE, last_list_s=4.0, version="27"),)
HTML = "text/html,*/*;q=0.8"


class SilentStats(MemoryStats):
    """Figures of a database that has not answered for some time."""

    def counted(self, window_minutes: int | None = None) -> Counted:
        return replace(super().counted(window_minutes), silent_s=3.2)


def client_of(stats: MemoryStats) -> FlaskClient:
    gateway = Gateway(CONFIG, {"larder": VIEW}, lambda: 0.0)
    stories = Rings(lambda: KNOWN)
    for number in range(3):
        record = Record(
            time.time(), "192.0.2.1", "GET", f"/asked/{number}", 503 if number else 200, 3, 5_000_000,
            "/asked", "larder", "192.0.2.9:81", 1, "connect_failed" if number else "", f"id-{number}",
        )  # fmt: skip
        stats.add(record)
        stories.add(record)
    web = create_web(gateway, stats, lambda: KNOWN, stories=stories, siblings=Alone())
    return web.test_client()


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    """A client of a gateway that answered three requests, two of them with an error."""
    with client_of(MemoryStats()) as client:
        yield client


def ask(
    client: FlaskClient, path: str, *, accept: str = HTML, peer: ClientConnection = INSIDER
) -> TestResponse:
    overrides = {
        "REMOTE_ADDR": peer.peer,
        "rgate.client": peer,
        "rgate.head": parse_request_head(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode()
        ),
        "rgate.path": path.partition("?")[0],
        "rgate.request_id": "abc",
    }
    return client.open(path, headers={"Accept": accept}, environ_overrides=overrides)


def page_of(answer: TestResponse) -> Page:
    assert answer.status_code == 200
    return parsed(answer.data)


@pytest.mark.clause("10.page.same", "10.page.html")
def test_an_insider_reads_what_the_documents_tell(client: FlaskClient) -> None:
    page = page_of(ask(client, "/stats"))
    verdict = json.loads(ask(client, "/_rgate/verdict").data)
    assert verdict["headline"].replace("`", "") in words(page.one("h1").text)
    assert words(page.one("tr", data_key="/asked").text) == "/asked → larder <0.01 67 % ▲ 2 5.0 ms"
    assert words(page.one("tr", data_key="/never").text) == "/never → larder – – –"
    assert words(page.one("tr", data_key="larder/192.0.2.9:81").text).endswith("100 % 0 ▲ 2 5.0 ms")
    links = [e.attributes["href"] for e in page.all("a", data_do="story")]
    assert links == ["/_rgate/requests/id-2", "/_rgate/requests/id-1"]
    assert "3 requests, 2 errors in the last 1 h" in words(page.one(id="figures-note").text)


@pytest.mark.clause("10.page.stranger")
def test_a_stranger_reads_the_figures_of_what_was_asked_alone(client: FlaskClient) -> None:
    answer = ask(client, "/stats?window=7d", peer=STRANGER)
    page = page_of(answer)
    assert words(page.one("tr", data_key="/asked").text) == "/asked <0.01 67 % 2 5.0 ms"
    assert page.all("tr", data_key="/never") == []
    assert "3 requests, 2 errors in the last 7 d" in words(page.one(id="figures-note").text)
    for secret in (b"larder", b"192.0.2.9", b"id-1", b"connect_failed", b"/never"):
        assert secret not in answer.data


@pytest.mark.clause("10.page.html")
@pytest.mark.parametrize(
    ("path", "accept"), [("/stats", "*/*"), ("/stats", "application/json"), ("/stats?by=route", HTML)]
)
def test_json_is_as_it_always_was(client: FlaskClient, path: str, accept: str) -> None:
    answer = ask(client, path, accept=accept)
    figures = {
        "requests_count": {"success": 1, "error": 2},
        "latency_ms": {"average": 5, "p95": pytest.approx(5, 0.01), "p99": pytest.approx(5, 0.01)},
    }
    assert json.loads(answer.data) == ({"/asked": figures} if "by" in path else figures)


def test_a_page_says_that_the_database_does_not_answer() -> None:
    with client_of(SilentStats()) as client:
        for peer in (INSIDER, STRANGER):
            answer = ask(client, "/stats", peer=peer)
            assert answer.headers["X-Rgate-Stale"] == "4"
            assert "the figures of before are 3 s old" in words(page_of(answer).one(id="figures").text)
