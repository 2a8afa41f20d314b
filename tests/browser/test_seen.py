"""That nobody is kept out of the page, in any state of it, and pictures of all of them for people to look at.

The pictures are in screenshots/.
"""

from typing import Final, Literal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Open, Run
from tests.browser.gateways import lying_docker, many_routes, stats_page
from tests.browser.looking import GONE, Look
from tests.integration.backend import Backend
from tests.integration.containers import Containers
from tests.integration.daemon import Daemon
from tests.integration.gateway import Gateway, backend_config

pytestmark = [pytest.mark.integration, pytest.mark.browser]

SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SIZES: Final = ((1280, 900), (390, 844), (1920, 1080))


OF_DARK: Final = """(canvas => new Uint32Array(
  canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer
).filter(dot => dot === 0xffafa8a3).length)(document.querySelector('#chart-requests canvas'))"""
"""How many dots of the chart have the colour of its axes in the dark, which one cannot read on white."""


def barriers(shown: Look, state: str) -> list[str]:
    """Return what keeps people out, light and dark, each with where; keep a picture of both."""
    found = []
    for scheme in SCHEMES:
        shown.page.emulate_media(color_scheme=scheme)
        shown.page.screenshot(path=PICTURES / f"{state}-{scheme}.png")
        found += [f"{state}, {scheme}: {barrier}" for barrier in shown.barriers()]
    return found


def expect_level(shown: Look, level: str) -> None:
    # The page says that contact is lost when it was told nothing for 5 s.
    expect(shown.at("#verdict")).to_have_attribute("data-level", level, timeout=15_000)


@pytest.mark.slow
@pytest.mark.docker
def test_nobody_is_kept_out_whatever_the_verdict_is_and_with_a_story_open(
    look: Open, run: Run, daemon: Daemon, containers: Containers
) -> None:
    containers.start()
    containers.start(containers.app, "env=tset")
    daemon.start()
    config = backend_config(containers.app, containers.env)
    gateway = run(config, environment=daemon.environment)
    with gateway.client() as client:
        shown = look(stats_page(gateway), expected_error=GONE).wait_until_live()
        expect_level(shown, "waiting")
        found = barriers(shown, "waiting")
        for n in range(20):
            assert client.get(f"/api/{n}").status == 200
        expect_level(shown, "well")
        found += barriers(shown, "well")
        for n in range(6):
            assert client.request("POST", f"/api/{n}?close=1").reason == "closed_early"
        expect_level(shown, "degraded")
        found += barriers(shown, "degraded")
        shown.at("#failures-list [data-do=story]").first.click()
        expect(shown.at("#story")).to_be_visible()
        found += barriers(shown, "story")
        shown.page.keyboard.press("Escape")
        daemon.kill()
        expect_level(shown, "stale")
        found += barriers(shown, "stale")
        gateway.process.kill()
        expect_level(shown, "lost")
        found += barriers(shown, "lost")
    assert found == []


@pytest.mark.slow
@pytest.mark.docker
def test_nobody_is_kept_out_while_no_backend_has_a_container(
    look: Open, run: Run, containers: Containers
) -> None:
    containers.start(containers.app, "env=tset", wait=False)
    gateway = run(backend_config(containers.app, containers.env))
    assert gateway.get("/api").reason == "no_container"
    shown = look(stats_page(gateway)).wait_until_live()
    expect_level(shown, "down")
    assert barriers(shown, "down") == []


def test_no_visitor_is_kept_out(look: Open, run: Run, backend: Backend) -> None:
    gateway = run({**many_routes(backend.port, 3), "admin": {"allow": []}})
    gateway.get("/v1/name-00")
    shown = look(stats_page(gateway))
    expect(shown.at("#routes-body")).to_contain_text("/v1/name-00")
    assert barriers(shown, "visitor") == []


@pytest.mark.slow
@pytest.mark.parametrize(("state", "count", "letters"), [("many-routes", 60, 6), ("long-names", 1, 90)])
def test_nobody_is_kept_out_by_many_routes_or_long_names(
    look: Open, run: Run, backend: Backend, state: str, count: int, letters: int
) -> None:
    name = "shop".ljust(letters, "-")
    config = {
        "routes": [{"path_prefix": f"/v1/{n:02}{name}", "backend": name} for n in range(count)],
        "backends": [{"name": name, "match_labels": [f"{name}={name}"]}],
    }
    with lying_docker(name, {name: name}, backend.port) as docker:
        gateway = run(config, environment=docker.environment)
        for n in range(count):
            assert gateway.get(f"/v1/{n:02}{name}").status == 200
        shown = look(stats_page(gateway), size=(390, 844)).wait_until_live()
        expect(shown.at("#routes-body tr")).not_to_have_count(0)
        assert barriers(shown, state) == []


@pytest.mark.slow
def test_nobody_is_kept_out_of_a_problem_a_story_or_an_explanation(look: Open, troubled: Gateway) -> None:
    base = f"http://127.0.0.1:{troubled.port}"
    (failed, *_) = troubled.get("/_rgate/requests?failed=1").json()["requests"]
    found = []
    for name, path in {
        "page-problem": "/dead/1",
        "page-story": f"/_rgate/requests/{failed['id']}",
        "page-explanation": "/_rgate/explain?target=/api/1",
    }.items():
        shown = look(base + path, expected_error="status of 503" if name == "page-problem" else None)
        expect(shown.at("h1, h2").first).to_be_visible()
        found += barriers(shown, name)
    assert found == []


def test_on_paper_it_is_light_whatever_was_chosen(look: Open, troubled: Gateway) -> None:
    shown = look(stats_page(troubled)).wait_until_live()
    shown.page.emulate_media(color_scheme="dark")
    shown.page.get_by_role("button", name="Dark / light").click()
    shown.page.get_by_role("button", name="Dark / light").click()
    ink = "getComputedStyle(document.body).color"
    assert shown.page.evaluate(ink) == "rgb(233, 232, 229)"
    shown.wait_until(f"{OF_DARK} > 0")
    shown.page.emulate_media(media="print")
    assert shown.page.evaluate(ink) == "rgb(28, 30, 32)"
    shown.wait_until(f"{OF_DARK} === 0")
    expect(shown.page.get_by_role("button", name="Copy")).to_have_count(0)


@pytest.mark.slow
def test_pictures_are_kept_at_three_sizes_dark_and_light(look: Open, troubled: Gateway) -> None:
    shown = look(stats_page(troubled)).wait_until_live()
    expect(shown.at("#failures-list li")).not_to_have_count(0)
    for width, height in SIZES:
        for scheme in SCHEMES:
            shown.page.set_viewport_size({"width": width, "height": height})
            shown.page.emulate_media(color_scheme=scheme)
            kept = shown.page.screenshot(path=PICTURES / f"page-{width}-{scheme}.png", full_page=True)
            assert len(kept) > 20_000  # there is something on it
