"""What stands on the page: names that nobody foresaw, less without JavaScript, and less for visitors
(behaviour 10).
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Run
from tests.browser.gateways import NOBODY, ask_raw, lying_docker, stats_page, two_backends
from tests.browser.looking import Look
from tests.integration.backend import Backend
from tests.integration.containers import Containers, port, short_id
from tests.integration.gateway import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.browser]

HOSTILE_PATH = "/<img/src=x/onerror=document.title='taken'>"
HOSTILE_NAME = "<img src=x onerror=document.title='taken'>\"'&amp;"
LONG = "a-name-of-ninety-characters".ljust(90, "x")


@pytest.fixture
def hostile(backend: Backend, run: Run) -> Iterator[Gateway]:
    """A gateway whose container, label, backend and client are called by what would be markup."""
    config = {
        "routes": [
            {"path_prefix": "/api", "backend": HOSTILE_NAME},
            {"path_prefix": "/", "backend": "ghost"},
        ],
        "backends": [
            {"name": HOSTILE_NAME, "match_labels": [f"of={HOSTILE_NAME}"]},
            {"name": "ghost", "urls": [NOBODY]},
        ],
    }
    with lying_docker(HOSTILE_NAME, {"of": HOSTILE_NAME}, backend.port) as docker:
        gateway = run(config, environment=docker.environment)
        assert gateway.get("/api").status == 200
        yield gateway


def nothing_was_run(shown: Look) -> bool:
    return "taken" not in shown.page.title() and shown.at("img").count() == 0


def test_a_hostile_path_and_hostile_names_are_text(look: Open, hostile: Gateway) -> None:
    assert b"X-Rgate-Reason: connect_failed" in ask_raw(hostile, HOSTILE_PATH)
    shown = look(stats_page(hostile)).wait_until_live()
    expect(shown.at("#failures-list")).to_contain_text(HOSTILE_PATH)
    expect(shown.at("#backends-body .head").first).to_contain_text(HOSTILE_NAME)
    expect(shown.at("#backends-body tr:not(.head)").first).to_contain_text(HOSTILE_NAME)
    shown.at("#failures-list [data-do=story]").first.click()
    expect(shown.at("#story-body")).to_contain_text(HOSTILE_PATH)
    shown.page.keyboard.press("Escape")
    shown.at("#ex-target").fill(HOSTILE_PATH)
    shown.page.get_by_role("button", name="Explain", exact=True).click()
    expect(shown.at("#ex-out")).to_contain_text("connect_failed")
    assert nothing_was_run(shown)


def test_without_javascript_hostile_names_are_text_too(look: Open, hostile: Gateway) -> None:
    ask_raw(hostile, HOSTILE_PATH)
    shown = look(stats_page(hostile), javascript=False)
    expect(shown.at("#failures-list")).to_contain_text(HOSTILE_PATH)
    expect(shown.at("#backends-body")).to_contain_text(HOSTILE_NAME)
    assert shown.at("img").count() == 0


@pytest.mark.slow
def test_names_of_ninety_characters_make_nobody_scroll_sideways(
    look: Open, run: Run, backend: Backend
) -> None:
    config: dict[str, Any] = {
        "routes": [
            {"path_prefix": f"/{LONG}", "backend": LONG},
            {"path_prefix": f"/dead-{LONG}", "backend": "ghost"},
        ],
        "backends": [
            {"name": LONG, "match_labels": [f"{LONG}={LONG}"]},
            {"name": "ghost", "urls": [NOBODY]},
        ],
    }
    with lying_docker(LONG, {LONG: LONG}, backend.port) as docker:
        gateway = run(config, environment=docker.environment)
        gateway.get(f"/{LONG}/{LONG}")
        gateway.get(f"/dead-{LONG}/{LONG}")
        for javascript in (True, False):
            shown = look(stats_page(gateway), size=(390, 844), javascript=javascript)
            if javascript:
                shown.wait_until_live()
            expect(shown.at("#backends-body")).to_contain_text(LONG)
            expect(shown.at("#failures-list")).to_contain_text(LONG)
            assert wider_than_the_window(shown) == 0
        shown = look(stats_page(gateway), size=(390, 844)).wait_until_live()
        shown.at("#failures-list [data-do=story]").first.click()
        expect(shown.at("#story")).to_be_visible()
        assert wider_than_the_window(shown) == 0


def wider_than_the_window(shown: Look) -> int:
    """Return the pixels by which one could scroll sideways; read where no script of the page runs, too."""
    page = shown.page.locator(":root")
    return int(page.evaluate("root => root.scrollWidth - root.clientWidth"))


def test_without_javascript_verdict_figures_routes_and_backends_are_there(
    look: Open, troubled: Gateway
) -> None:
    shown = look(stats_page(troubled), javascript=False)
    expect(shown.at("#verdict-text h1")).to_contain_text("connect_failed")
    figures = shown.at("#figures-list b")
    expect(figures).to_have_count(4)
    assert all(re.match(r"[\d.,]+$", text) for text in figures.all_inner_texts())
    expect(shown.at("#routes-body")).to_contain_text("/api")
    expect(shown.at("#routes-body")).to_contain_text("/dead")
    expect(shown.at("#backends-body")).to_contain_text("shop")
    expect(shown.at("#backends-body")).to_contain_text("ghost")
    expect(shown.at("#failures-list")).to_contain_text("connect_failed")
    # What does nothing without JavaScript is not there to be tried.
    expect(shown.page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)
    shown.at("#failures-list a").first.click()
    expect(shown.at("main")).to_contain_text("connect_failed")


@pytest.mark.docker
def test_a_visitor_is_told_of_no_backend_container_label_or_failure(
    look: Open, run: Run, containers: Containers
) -> None:
    container = containers.start()
    config: dict[str, Any] = {
        "admin": {"allow": ["192.0.2.0/24"]},
        "routes": [{"path_prefix": "/api", "backend": "larder"}],
        "backends": [{"name": "larder", "match_labels": [containers.app, containers.env]}],
    }
    gateway = run(config)
    with gateway.client() as client:
        assert client.get("/api/1").status == 200
        assert client.request("POST", "/api/2?close=1").reason == "closed_early"
    shown = look(stats_page(gateway))
    expect(shown.at("#routes-body")).to_contain_text("/api")
    expect(shown.at("#figures-note")).to_contain_text("2 requests, 1 error")
    names = [container.name, short_id(container), containers.app, f":{port(container)}"]
    words = [*map(str, names), "larder", "closed_early"]
    sent = shown.page.request.get(stats_page(gateway), headers={"Accept": "text/html"}).text()
    assert [word for word in words if word in sent or word in shown.page.content()] == []
    told_why = shown.at("#verdict")
    expect(told_why).to_contain_text("127.0.0.1")
    expect(told_why).to_contain_text("admin.allow")
    shown_to_others = shown.at("#charts, #backends, #failures, #explain, #timeline")
    expect(shown_to_others.filter(visible=True)).to_have_count(0)
    # Nothing was asked for that would have been refused.
    paths = {urlsplit(url).path for url in shown.requests}
    assert {path for path in paths if not path.startswith("/_rgate/static/")} == {"/stats"}


@pytest.mark.slow
def test_a_window_is_kept_in_the_address_and_without_javascript_a_link(
    look: Open, run: Run, backend: Backend
) -> None:
    gateway = run(two_backends(backend.port))
    shown = look(stats_page(gateway, "6h"), javascript=False)
    expect(shown.at("#windows [aria-current]")).to_have_text("6 h")
    shown.page.get_by_role("link", name="24 h").click()
    expect(shown.at("#windows [aria-current]")).to_have_text("24 h")
    refresh = shown.at("noscript meta[http-equiv=refresh]")
    expect(refresh).to_have_attribute("content", "15")
    assert urlsplit(shown.page.url).query == "window=24h"
