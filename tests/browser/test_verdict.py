"""The first line of the page: is it well, if not, why, and what is to be done (behaviour 10)."""

import re
import shlex
import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open, Run
from tests.browser.gateways import stats_page, two_backends
from tests.browser.looking import GONE, Look
from tests.integration.backend import Backend
from tests.integration.containers import Containers
from tests.integration.daemon import Daemon
from tests.integration.gateway import backend_config

pytestmark = [pytest.mark.integration, pytest.mark.browser]

# After 5 s without a word; a page that only asks gives it 15 s.
LOST_WITHIN_S = 12
# The page asks again each 5 s.
BACK_WITHIN_S = 12


@pytest.mark.docker
def test_it_names_the_container_that_closes_early_and_a_command_that_shows_its_log(
    look: Open, run: Run, containers: Containers
) -> None:
    container = containers.start()
    gateway = run(backend_config(containers.app, containers.env))
    shown = look(stats_page(gateway)).wait_until_live()
    with gateway.client() as client:
        assert client.get("/api/answered").status == 200
        for _ in range(6):
            assert client.request("POST", "/api/orders?close=1").reason == "closed_early"
    expect(shown.at("#verdict")).to_have_attribute("data-level", "degraded")
    headline = shown.at("#verdict-text h1")
    expect(headline).to_contain_text("Degraded.")
    expect(headline).to_contain_text("all 6 are closed_early")
    expect(headline).to_contain_text(str(container.name))
    finding = shown.at("#verdict .findings li").first
    expect(finding).to_contain_text(str(container.name))
    command = shlex.split(finding.locator(".cmd code").inner_text())
    assert command[:2] == ["docker", "logs"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert "GET /api/answered" in told.stdout + told.stderr


@pytest.mark.docker
def test_while_docker_is_away_the_band_is_hatched_and_what_is_known_grows_old(
    look: Open, run: Run, daemon: Daemon, containers: Containers
) -> None:
    containers.start()
    daemon.start()
    config = backend_config(containers.app, containers.env)
    gateway = run(config, environment=daemon.environment)
    shown = look(stats_page(gateway)).wait_until_live()
    expect(shown.at("#verdict")).to_have_attribute("data-level", "waiting")
    assert "gradient" not in background(shown)
    daemon.kill()
    expect(shown.at("#verdict")).to_have_attribute("data-level", "stale")
    expect(shown.at("#verdict-text h1")).to_contain_text("Stale. Docker does not answer since ")
    assert "repeating-linear-gradient" in background(shown)
    expect(shown.at("#fresh")).to_contain_text("away for")
    away, known = age_s(shown, "Docker"), age_s(shown, "Full list")
    shown.wait_until(f"seen.heard.tick > {shown.seen('heard.tick') + 2}")
    assert age_s(shown, "Docker") > away
    assert age_s(shown, "Full list") > known


def background(shown: Look) -> str:
    return str(shown.at("#verdict").evaluate("band => getComputedStyle(band).backgroundImage"))


def age_s(shown: Look, fact: str) -> int:
    """Return the seconds that the page tells of *fact* beside the verdict."""
    told = shown.at("#fresh > div").filter(has=shown.page.get_by_text(fact, exact=True)).inner_text()
    found = re.search(r"(\d+)\s?s\b", told)
    assert found, told
    return int(found[1])


def test_a_gateway_that_is_killed_is_missed_and_found_again(look: Open, run: Run, backend: Backend) -> None:
    config = two_backends(backend.port)
    gateway = run(config)
    shown = look(stats_page(gateway), expected_error=GONE).wait_until_live()
    headline = shown.at("#verdict-text h1")
    expect(headline).not_to_contain_text("No contact")
    gateway.process.kill()
    expect(headline).to_contain_text("No contact", timeout=LOST_WITHIN_S * 1000)
    expect(shown.at("#verdict")).to_have_attribute("data-level", "lost")
    # What it said of Docker and the configuration is not known any more.
    expect(shown.at("#fresh")).to_contain_text("unknown")
    assert "No contact" in shown.page.title()
    expect(shown.at("#verdict .cmd code")).to_have_text(
        f"python rgate.py doctor --config config.yml --port {gateway.port}"
    )
    gateway.exit_status()
    run(config, "--port", str(gateway.port))
    expect(headline).not_to_contain_text("No contact", timeout=BACK_WITHIN_S * 1000)
    expect(shown.at("#fresh")).to_contain_text("live")
