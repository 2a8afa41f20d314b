"""What the page does where it is not told all that happens, one by one (behaviour 10)."""

import socket
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from rgate.telling.live import MOST_PAGES
from tests.browser.conftest import Open, Run
from tests.browser.gateways import stats_page, two_backends
from tests.integration.backend import Backend
from tests.integration.gateway import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.browser]

ASKS_AGAIN_MS = 12_000
"""It asks each 5 s, and the machine may be busy."""


def fails(gateway: Gateway, times: int) -> None:
    with gateway.client() as client:
        for number in range(times):
            assert client.get(f"/dead/{number}").reason == "connect_failed"


@pytest.mark.clause("10.live.failure")
def test_of_more_failures_than_are_told_one_by_one_all_are_shown(
    look: Open, run: Run, backend: Backend
) -> None:
    gateway = run(two_backends(backend.port))
    shown = look(stats_page(gateway)).wait_until_live()
    fails(gateway, 200)
    expect(shown.at("#failures-groups")).to_contain_text("All 200", timeout=ASKS_AGAIN_MS)
    expect(shown.at("#failures-list")).not_to_contain_text("undefined")


@pytest.mark.slow
@pytest.mark.clause("10.live.full")
def test_a_page_too_many_says_that_it_asks_by_itself_and_does(look: Open, run: Run, backend: Backend) -> None:
    gateway = run(two_backends(backend.port))
    with ExitStack() as others:
        for _ in range(MOST_PAGES):
            page = others.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            page.sendall(b"GET /_rgate/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert page.recv(12) == b"HTTP/1.1 200"
        shown = look(stats_page(gateway))
        expect(shown.at("#fresh")).to_contain_text("asked for each 5 s")
        fails(gateway, 1)
        expect(shown.at("#failures-groups")).to_contain_text("All 1", timeout=ASKS_AGAIN_MS)
        expect(shown.at("#verdict-text h1")).not_to_contain_text("No contact")
