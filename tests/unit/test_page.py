"""The page at `stats.path`: what is amiss first, all of it text, and nothing of containers for strangers."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgate.core.admission import Stranger, Why
from rgate.stats import Figures
from rgate.web.page import MOST_ROWS, WINDOWS, Inside, Window, stats_page
from tests.html_pages import Page, parsed, words
from tests.page_states import NOW, STATES, data, hostile

INSIDE = [state for state in STATES if state != "stranger"]


def page_of(state: str, window: str = "1h") -> Page:
    return parsed(stats_page(data(state, window)))


def inside(state: str) -> Inside:
    whose = data(state).whose
    assert isinstance(whose, Inside)
    return whose


@pytest.mark.clause("10.page.order", "10.page.script")
@pytest.mark.parametrize("state", INSIDE)
def test_the_verdict_comes_first_and_all_else_in_its_order(state: str) -> None:
    page = page_of(state)
    sections = [e.attributes["id"] for e in page.elements if e.name == "section"]
    assert sections == [
        *("verdict", "figures", "charts", "routes", "backends", "failures", "explain", "timeline"),
    ]
    verdict = inside(state).verdict
    assert words(page.one("h1").text).endswith(f"{verdict.word}. {verdict.headline.replace('`', '')}")
    assert page.one(id="verdict").attributes["data-level"] == verdict.level.value
    assert page.one("form", action="/_rgate/explain").attributes.get("method", "get") == "get"


@pytest.mark.clause("10.page.same")
def test_the_findings_say_what_to_do_and_a_command_to_copy() -> None:
    page = page_of("trouble")
    told = words(page.one(class_="findings").text)
    verdict = inside("trouble").verdict
    for one in verdict.findings:
        assert words(f"{one.text} {one.do}".replace("`", "")) in told
    assert "docker logs --since 15m orders-2" in told
    assert "docker inspect" not in told  # a command for what is only good to know takes up room


@pytest.mark.clause("10.page.same")
def test_no_more_than_three_findings_are_told_and_how_many_there_are() -> None:
    page = page_of("stale")
    assert len([e for e in page.all("li") if "ul" in e.inside]) == 3
    assert "1 more under Backends" in words(page.one(id="verdict-text").text)


@pytest.mark.clause("10.page.same")
def test_ages_are_as_of_the_page() -> None:
    fresh = words(page_of("trouble").one(id="fresh").text)
    assert "not live: as of 14:45:12 UTC, again every 15 s" in fresh
    assert "Full list 12 s ago" in fresh
    assert "Config loaded 52 min ago, gen 41" in fresh


@pytest.mark.clause("10.page.same")
def test_figures_stand_beside_those_of_the_window_before() -> None:
    told = words(page_of("trouble").one(id="figures").text)
    for said in (
        "Requests a second 12 up from 12",
        "Error share 0.09 % up from 0.01 %",
        "95 % answered within 12 ms",
        "99 % answered within 42 ms",
        "43,730 requests, 41 errors in the last 1 h",
    ):
        assert said in told


def test_a_figure_that_is_much_worse_is_marked() -> None:
    whole = data("down")
    marked = words(parsed(stats_page(whole)).one(id="figures").text)
    assert "▲ up from" in marked


@pytest.mark.clause("10.page.same")
def test_routes_are_told_worst_first_with_their_backend() -> None:
    page = page_of("trouble")
    rows = [
        words(e.text)
        for e in page.all("tr")
        if "tbody" in e.inside and e.attributes["data-key"].startswith("/api")
    ]
    assert rows[0] == "/api/orders → orders 4.7 0.24 % ▲ 41 12 ms"
    (no_route,) = (words(e.text) for e in page.all("tr", data_key="-"))
    assert no_route.startswith("no route the default response 0.91")


@pytest.mark.clause("10.page.same")
def test_backends_without_a_container_are_told_first_and_why_each_container_is_out() -> None:
    page = page_of("none")
    heads = [words(e.text) for e in page.all("tr", class_="head")]
    assert heads[0].startswith("■ orders 0 in app_name=orders env=production least_inflight 503 no_container")
    (out,) = (words(e.text) for e in page.all("tr", data_key="orders/orders-1"))
    assert out == "○ orders-1 near miss has 1 of 2 labels: env=prod, wanted env=production – – – –"
    (used,) = (words(e.text) for e in page.all("tr", data_key="catalog/catalog-1"))
    assert used == "● catalog-1 in, healthy 127.0.0.1:32776 33 % 1 0 11 ms"


@pytest.mark.clause("10.page.same")
def test_fixed_addresses_are_told_as_containers_are() -> None:
    whole = data("well")
    world = inside("well").backends
    address = {
        "address": "192.0.2.9:80",
        "level": "ok",
        "says": "a fixed address",
        "resting_until": None,
        "in_flight": 2,
        "requests": 10,
        "errors": 0,
        "p95": 3.0,
    }
    one = world.backends["payment"].model_copy(
        update={"containers": [], "match_labels": [], "urls": ["192.0.2.9:80"]}
    )
    fixed = type(one).model_validate(one.model_dump(by_alias=True) | {"addresses": [address]})
    backends = world.model_copy(update={"backends": {"payment": fixed}})
    page = parsed(stats_page(replace(whole, whose=replace(inside("well"), backends=backends))))
    (row,) = (words(e.text) for e in page.all("tr", data_key="payment/192.0.2.9:80"))
    assert row == "● 192.0.2.9:80 a fixed address 100 % 2 0 3.0 ms"


@pytest.mark.clause("10.page.same")
@pytest.mark.parametrize(
    ("found", "told"),
    [
        (None, "env missing, wanted env=production"),
        ("prod", "env=prod, wanted env=production"),
        ("ENV=production", "ENV=production, wanted env=production"),
    ],
)
def test_of_a_near_miss_the_part_that_differs_is_struck_through(found: str | None, told: str) -> None:
    whole = data("trouble")
    world = inside("trouble").backends.model_dump(by_alias=True)
    (near,) = (c for c in world["backends"]["orders"]["containers"] if c["left_out"])
    near["labels"]["missing"][0]["found"] = found
    backends = type(inside("trouble").backends).model_validate(world)
    page = parsed(stats_page(replace(whole, whose=replace(inside("trouble"), backends=backends))))
    (row,) = page.all("tr", data_key="orders/orders-3")
    assert told in words(row.text)
    struck = words(page.one("del").text)
    assert struck in ("missing", "=prod", "ENV=production")


@pytest.mark.clause("10.page.order")
def test_failures_are_links_to_their_stories() -> None:
    page = page_of("trouble")
    links = page.all("a", data_do="story")
    assert [e.attributes["href"] for e in links] == [f"/_rgate/requests/a8k-{n}" for n in range(40)]
    assert words(links[0].text) == "14:45:04 503 closed_early POST /api/orders/4711 orders-2 31 ms"


@pytest.mark.clause("10.page.same")
def test_what_discovery_did_is_told_newest_first() -> None:
    page = page_of("trouble")
    told = [words(e.text) for e in page.all("li") if e.inside[-1] == "ol" and "section" in e.inside][-6:]
    assert told[0] == "14:44:41 ● full list: nothing had been missed 7 containers, 4 ms"
    assert told[-1] == "11-23 10:45 ● rgate 0.1.0 started, 2 workers, on 127.0.0.1:8080"


@pytest.mark.clause("10.page.dash")
def test_what_was_not_counted_is_a_dash() -> None:
    page = page_of("first")
    figures = words(page.one(id="figures").text)
    assert "Requests a second –" in figures
    assert "99 % answered within –" in figures
    assert "Nothing counted in the last 1 h" in figures
    for row in page.all("tr", data_key="/api/orders"):
        assert words(row.text) == "/api/orders → orders – – –"
    (container,) = page.all("tr", data_key="payment/payment-1")
    assert words(container.text).endswith("– 1 – –")


@pytest.mark.clause("10.page.window", "10.page.script")
@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.key)
def test_the_windows_are_links_and_a_reload_keeps_the_one_that_is_chosen(window: Window) -> None:
    page = page_of("trouble", window.key)
    links = page.all("a", data_do="window")
    assert [(e.attributes["href"], e.text) for e in links] == [
        ("?window=15m", "15 min"),
        ("?window=1h", "1 h"),
        ("?window=6h", "6 h"),
        ("?window=24h", "24 h"),
        ("?window=7d", "7 d"),
    ]
    assert [e.text for e in links if "aria-current" in e.attributes] == [window.label]
    assert f"in the last {window.label}" in words(page.one(id="figures-note").text)
    refresh = page.one("meta", http_equiv="refresh")
    assert refresh.attributes["content"] == "15"  # of the same URL, with its query
    assert refresh.inside[-1] == "noscript"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("window", ["15m", "7d"])
def test_a_page_is_well_formed_and_has_nothing_inline_in_any_state(state: str, window: str) -> None:
    content = stats_page(data(state, window))
    parsed(content)
    assert b"\\u202f" not in content  # the narrow spaces of our own amounts are no one else's marks


def test_long_lists_end_and_say_so() -> None:
    whole = data("well")
    routes = {f"/r{number}": Figures(success=1) for number in range(MOST_ROWS + 50)}
    page = parsed(stats_page(replace(whole, routes=routes)))
    rows = [e for e in page.all("tr") if e.attributes.get("data-key", "").startswith("/r")]
    assert len(rows) == MOST_ROWS
    assert words(page.one(id="routes-more").text) == "50 more, which ?by=route tells"


def test_with_javascript_a_list_begins_with_twelve_rows() -> None:
    page = page_of("many")
    at_first = page.all("tbody", id="routes-body")
    assert len(at_first) == 1
    assert len(page.all("tbody", class_="no-js")) == 1
    assert (
        at_first[0].text.count("/v2/part-")
        + at_first[0].text.count("/api/")
        + at_first[0].text.count("no route")
        == 12
    )


def test_it_is_said_that_the_database_does_not_answer() -> None:
    told = words(parsed(stats_page(replace(data("well"), silent_s=34.0))).one(id="figures").text)
    assert "The database does not answer: the figures of before are 34 s old." in told


# Strangers.

SECRETS = re.compile(
    rb"orders-1|orders-2|orders-3|catalog-|payment-|payment|least_inflight|127\.0\.0\.1:3|env=|app_name|closed_early|"
    rb"docker|generation|unhealthy|near miss|a8k|asyncio|0\.1\.0|_rgate/(?!static)|Degraded",
    re.IGNORECASE,
)


@pytest.mark.clause("10.page.stranger")
def test_the_whole_page_of_a_stranger_names_nothing_but_figures_and_routes() -> None:
    content = stats_page(data("stranger"))
    assert SECRETS.findall(content.replace(b"<wbr>", b"").replace(b"/api/payment", b"")) == []
    assert SECRETS.findall(stats_page(data("trouble"))), "else this proves nothing"
    page = parsed(content)
    assert page.one("html").attributes["data-admin"] == "no"
    told = words(page.one("main").text)
    assert "192.0.2.7 is not in admin.allow: ask from an address that is, or add it." in told
    assert "/api/orders" in told
    assert "43,730 requests" in told
    ids = {e.attributes.get("id") for e in page.elements}
    assert not ids & {"backends", "failures", "explain", "timeline", "charts", "fresh", "story"}


@pytest.mark.clause("10.page.stranger")
@pytest.mark.parametrize("why", Why)
def test_a_stranger_is_told_how_to_see_the_rest(why: Why) -> None:
    stranger = Stranger(why, "<b>")
    told = words(parsed(stats_page(replace(data("well"), whose=stranger))).one("main").text)
    assert words(stranger.detail.replace("`", "")) in told


# Names of others.

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"\' onclick=alert(1) x="',
    "</tbody></table></main>",
    "\x1b[2J\x1b]0;x\x07",
    "\u202egpj.exe",
    "`</code><b>`",
    "{{ 7 * 7 }}{% include 'x' %}",
    "\ud800",
    "javascript:alert(1)",
)


@pytest.mark.clause("10.page.escaped")
@settings(max_examples=30)
@given(st.text(st.sampled_from("<>&\"'`/=ab \x1b\u202e\ud800\x00%{}"), min_size=1, max_size=6))
@example(HOSTILE[0])
@example(HOSTILE[1])
@example(HOSTILE[2])
@example(HOSTILE[3])
@example(HOSTILE[4])
@example(HOSTILE[5])
@example(HOSTILE[6])
@example(HOSTILE[7])
@example(HOSTILE[8])
@example(HOSTILE[9])
def test_no_name_of_others_is_markup_in_the_page(name: str) -> None:
    content = stats_page(hostile(name))
    page, harmless = parsed(content), parsed(stats_page(hostile("x")))
    shown = ("code", "wbr")  # what backticks and slashes become
    assert [e.name for e in page.elements if e.name not in shown] == [
        e.name for e in harmless.elements if e.name not in shown
    ]
    assert not set("\x1b\u202e\x00\x07") & set(content.decode())


def test_the_time_is_that_of_the_machine_where_no_zone_is_given() -> None:
    assert replace(data("well"), zone=None).time(NOW).count(":") == 2
