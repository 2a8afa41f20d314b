"""Nothing moves by itself, and what did not change is not made anew (behaviour 10)."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.gateways import busy, stats_page
from tests.integration.gateway import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.browser]

# A figure that takes a digit more moves its unit, which counts for some hundred-thousandths; a row that moves
# by its height counts for a thousandth.
A_DIGIT_MORE = 0.0005

ROWS = "document.querySelectorAll('#routes-body tr, #backends-body tr')"


@pytest.mark.parametrize(
    ("watched_s", "size"),
    [
        (5, (1280, 900)),
        pytest.param(12, (1280, 900), marks=pytest.mark.slow),
        pytest.param(12, (390, 844), marks=pytest.mark.slow),
        pytest.param(12, (1920, 1080), marks=pytest.mark.slow),
    ],
)
def test_nothing_moves_after_the_first_second_while_figures_and_failures_come(
    look: Open, troubled: Gateway, watched_s: int, size: tuple[int, int]
) -> None:
    with busy(troubled, "/api/a", "/api/b", "/api/c", "/dead/a"):
        shown = look(stats_page(troubled), size=size).wait_until_live()
        shown.wait_until(f"performance.now() > {watched_s * 1000}", within_s=watched_s + 5)
    # On a busy machine the first second may be over before the page has got anything.
    settled_ms = max(1000, shown.seen("liveAt"))
    later = [shift for shift in shown.seen("shifts") if shift["at"] > settled_ms]
    assert [shift for shift in later if shift["by"] > A_DIGIT_MORE] == []


def test_rows_stay_the_same_nodes_through_updates(look: Open, troubled: Gateway) -> None:
    with busy(troubled, "/api/a", "/dead/a"):
        shown = look(stats_page(troubled)).wait_until_live()
        expect(shown.at("#routes-body tr")).not_to_have_count(0)
        expect(shown.at("#backends-body tr")).not_to_have_count(0)
        before = shown.page.evaluate(f"[...{ROWS}].map(row => {{ row.kept = true; return row.innerText; }})")
        shown.wait_until("seen.heard.tick >= 7 && seen.heard.routes >= 2 && seen.heard.backends >= 2", 15)
        assert shown.page.evaluate(f"[...{ROWS}].map(row => row.kept)") == [True] * len(before)
        # They were updated meanwhile.
        assert shown.page.evaluate(f"[...{ROWS}].map(row => row.innerText)") != before


def test_paused_nothing_changes_until_it_goes_on(look: Open, troubled: Gateway) -> None:
    shown = look(stats_page(troubled)).wait_until_live()
    pause = shown.page.get_by_role("button", name="Pause", exact=True)
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    expect(shown.at("#fresh")).to_contain_text("paused")
    figures = shown.at("#figures-note").inner_text()
    heard = shown.seen("heard.tick")
    troubled.get("/api/paused")
    shown.wait_until(f"seen.heard.tick >= {heard + 2}")
    assert shown.at("#figures-note").inner_text() == figures
    pause.click()
    expect(shown.at("#figures-note")).not_to_have_text(figures)
