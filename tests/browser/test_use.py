"""What people do with the page, by mouse and by keys (behaviour 10)."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Run
from tests.browser.gateways import many_routes, stats_page, two_backends
from tests.browser.looking import Look
from tests.integration.backend import Backend
from tests.integration.gateway import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.browser]

ROUTES = 60


@pytest.fixture
def shown(look: Open, troubled: Gateway) -> Look:
    """The page of a gateway whose failures are of this minute, and whose chart shows 15."""
    shown = look(stats_page(troubled)).wait_until_live()
    expect(shown.at("#failures-list li")).not_to_have_count(0)
    expect(shown.at("#chart-errors .u-over")).to_be_visible()
    return shown


def drag(shown: Look, begin: float, end: float) -> None:
    """Choose the stretch between two parts of the chart's width, over the errors."""
    box = shown.at("#chart-errors .u-over").bounding_box()
    assert box is not None
    shown.at("#chart-errors").scroll_into_view_if_needed()
    y = box["y"] + box["height"] / 2
    shown.page.mouse.move(box["x"] + box["width"] * begin, y)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + box["width"] * (begin + end) / 2, y)
    shown.page.mouse.move(box["x"] + box["width"] * end, y)
    shown.page.mouse.up()


def expect_all(shown: Look) -> None:
    expect(shown.at("#unzoom")).to_be_hidden()
    expect(shown.at("#failures-list li")).not_to_have_count(0)
    expect(shown.at("#timeline-list li")).not_to_have_count(0)


def expect_none_in_the_stretch(shown: Look) -> None:
    expect(shown.at("#unzoom")).to_be_visible()
    expect(shown.at("#failures-list li")).to_have_count(0)
    expect(shown.at("#timeline-list")).to_contain_text("Nothing in this stretch")


def test_dragging_over_the_errors_shows_those_of_that_stretch_and_escape_shows_all(shown: Look) -> None:
    drag(shown, 0.1, 0.6)  # long before there was anything
    expect_none_in_the_stretch(shown)
    shown.page.keyboard.press("Escape")
    expect_all(shown)
    drag(shown, 0.8, 1.01)
    expect(shown.at("#unzoom")).to_be_visible()
    expect(shown.at("#failures-list li")).not_to_have_count(0)
    shown.page.get_by_role("button", name="Show all again").click()
    expect_all(shown)


def test_arrows_choose_a_stretch_enter_shows_it_and_escape_shows_all(shown: Look) -> None:
    shown.at("#plots").focus()
    for _ in range(8):
        shown.page.keyboard.press("ArrowLeft")
    expect(shown.at("#reading")).to_contain_text("requests/s")
    for _ in range(3):
        shown.page.keyboard.press("Shift+ArrowLeft")
    shown.page.keyboard.press("Enter")
    expect_none_in_the_stretch(shown)
    shown.page.keyboard.press("Escape")
    expect_all(shown)


def test_a_story_opens_by_enter_and_closes_by_escape_and_the_focus_is_back_on_its_row(shown: Look) -> None:
    row = shown.at("#failures-list [data-do=story]").nth(2)
    row.focus()
    shown.page.keyboard.press("Enter")
    story = shown.at("dialog#story")
    expect(story).to_be_visible()
    expect(story).to_contain_text("connect_failed")
    assert shown.page.evaluate("document.activeElement.closest('dialog')?.id") == "story"
    shown.page.keyboard.press("Escape")
    expect(story).to_be_hidden()
    expect(row).to_be_focused()


def test_a_story_leads_to_the_older_and_the_newer_one(shown: Look) -> None:
    first, second = (shown.at("#failures-list .what").nth(n).inner_text() for n in (0, 1))
    shown.at("#failures-list [data-do=story]").first.click()
    story = shown.at("#story-body")
    expect(story).to_contain_text(first)
    shown.page.get_by_role("button", name="Older", exact=True).click()
    expect(story).to_contain_text(second)
    shown.page.get_by_role("button", name="Newer", exact=True).click()
    expect(story).to_contain_text(first)
    shown.page.get_by_role("button", name="Close", exact=True).click()
    expect(story).to_be_hidden()


def test_failures_that_share_the_id_their_client_gave_are_all_there(
    look: Open, run: Run, backend: Backend
) -> None:
    gateway = run(two_backends(backend.port))
    ids = ["first", "again", "again", "again", "last"]
    with gateway.client() as client:
        for n, given in enumerate(ids):
            fields = {"X-Request-ID": given}
            assert client.request("GET", f"/dead/{n}", fields=fields).reason == "connect_failed"
    shown = look(stats_page(gateway)).wait_until_live()
    rows = shown.at("#failures-list li")
    expect(rows).to_have_count(len(ids))
    assert [int(text[-1]) for text in shown.at("#failures-list .what").all_inner_texts()] == [4, 3, 2, 1, 0]
    rows.nth(2).locator("a").click()
    shown.page.get_by_role("button", name="Older", exact=True).click()
    expect(shown.at("#story-body")).to_contain_text("/dead/0")
    shown.page.get_by_role("button", name="Newer", exact=True).click()
    expect(shown.at("#story-body")).to_contain_text("/dead/3")  # the newest of them


def test_a_request_is_explained_where_one_asks(shown: Look) -> None:
    shown.at("#ex-target").fill("/dead/7")
    shown.page.get_by_role("button", name="Explain", exact=True).click()
    expect(shown.at("#ex-out")).to_contain_text("ghost")


@pytest.mark.slow
def test_of_sixty_routes_twelve_are_shown_all_on_demand_and_each_is_found_by_name(
    look: Open, run: Run, backend: Backend
) -> None:
    gateway = run(many_routes(backend.port, ROUTES))
    with gateway.client() as client:
        for n in range(ROUTES):
            assert client.get(f"/v1/name-{n:02}/x").status == 200
        client.get("/elsewhere")
    shown = look(stats_page(gateway)).wait_until_live()
    rows = shown.at("#routes-body tr")
    expect(rows).to_have_count(12)
    shown.page.get_by_role("button", name=f"Show all {ROUTES + 1}").click()
    expect(rows).to_have_count(ROUTES + 1)
    shown.at("#routes-find").fill("name-57")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("/v1/name-57")
    shown.at("#routes-find").fill("")
    expect(rows).to_have_count(ROUTES + 1)
