"""Pages for people, on the wire: who gets one, which fields it has, and what a stranger finds in it."""

import uuid
from urllib.parse import quote

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.conftest import Launch
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import exchange, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Message, Wire
from tests.html_pages import POLICY, Page, parsed, words

OWN = "which pages there are for people is rgate's own choice"
HTML = b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
EVIL = b"evil.example"
PAGE_JS = b"/_rgate/static/page.js"


@pytest.fixture(autouse=True)
def _of_rgate(gateway: Gateway) -> None:
    if not gateway.gives_reasons:
        pytest.skip(f"{gateway.name} has no such pages")


def asked(gateway: Gateway, path: bytes, *lines: bytes, host: bytes = b"localhost") -> Message:
    with gateway.client() as client:
        client.send(get(path, *lines, host=host))
        return client.read_response()


def page(answer: Message, status: int = 200) -> Page:
    """The page that *answer* is."""
    assert answer.status == status, answer.content[:400]
    assert answer.values(b"content-type") == [b"text/html; charset=utf-8"]
    assert answer.values(b"content-security-policy") == [POLICY.encode()]
    assert answer.values(b"x-content-type-options") == [b"nosniff"]
    assert answer.values(b"cross-origin-resource-policy") == [b"same-origin"]
    assert answer.values(b"vary") == [b"Accept"]
    assert answer.values(b"cache-control") == [b"no-store"]
    return parsed(answer.content)


# The page at stats.path.


@clause("10.page.html", "10.page.policy", "10.page.script", own_choice=OWN)
def test_figures_are_a_page_for_a_browser(launch: Launch) -> None:
    gateway = launch(single=1)  # one of its own: of very many routes the page shows some
    backend = gateway.lane("single")
    with gateway.client() as client:
        exchange(client, backend, get(backend.path)).upstream.close()

    shown = page(asked(gateway, b"/stats", HTML))

    assert shown.one("html").attributes["data-admin"] == "yes"
    routes = [
        e.attributes["data-key"] for e in shown.all("tr") if e.attributes.get("data-key", "").startswith("/")
    ]
    assert backend.path.decode() in routes
    assert f"127.0.0.1:{backend.listeners[0].port}" in shown.one(id="backends").text


@clause("10.page.html", own_choice=OWN)
@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (b"/stats", ()),
        (b"/stats", (b"Accept: application/json",)),
        (b"/stats?by=route", (HTML,)),
        (b"/stats?by=status&window=1h", (HTML,)),
    ],
)
def test_all_else_is_json(gateway: Gateway, path: bytes, lines: tuple[bytes, ...]) -> None:
    answer = asked(gateway, path, *lines)

    assert answer.values(b"content-type") == [b"application/json"]
    assert answer.values(b"vary") == [b"Accept"]


@clause("10.page.window", own_choice=OWN)
def test_a_window_is_one_of_five(gateway: Gateway) -> None:
    shown = page(asked(gateway, b"/stats?window=7d", HTML))
    assert "in the last 7 d" in words(shown.one(id="figures-note").text)

    refused = asked(gateway, b"/stats?window=2h", HTML)
    gateway.check_answer(refused, 400, "bad_query")
    assert "15m, 1h, 6h, 24h, 7d" in words(page(refused, 400).one("main").text)


@clause("10.page.stranger", own_choice=OWN)
@pytest.mark.parametrize(
    ("host", "lines"),
    [(EVIL, ()), (b"localhost", (b"Via: 1.1 a",))],
)
def test_a_stranger_gets_figures_and_routes_and_no_byte_of_containers(
    launch: Launch, host: bytes, lines: tuple[bytes, ...]
) -> None:
    gateway = launch(single=1)
    backend = gateway.lane("single")
    with gateway.client() as client:
        exchange(client, backend, get(backend.path)).upstream.close()

    answer = asked(gateway, b"/stats", HTML, *lines, host=host)

    shown = page(answer)
    assert shown.one("html").attributes["data-admin"] == "no"
    assert backend.path in answer.content.replace(b"<wbr>", b"")
    assert b":%d" % backend.listeners[0].port not in answer.content
    assert b">%b<" % backend.name.encode() not in answer.content
    assert b"_rgate/" not in answer.content.replace(b"/_rgate/static/", b"")


@clause("10.page.escaped", own_choice=OWN)
def test_a_target_is_text_in_the_list_of_failures(gateway: Gateway, client: Wire, alone: Lane) -> None:
    evil = b"/<script>alert(1)</script>\"onclick='x'"
    client.send(get(alone.path + evil))
    assert client.read_response().status in (400, 503)

    answer = asked(gateway, b"/stats", HTML)

    page(answer)
    assert b"<script>alert" not in answer.content


# Files.


@clause("10.page.static", "9.hosts.not_asked", own_choice=OWN)
def test_files_are_for_everyone_and_not_sent_twice(gateway: Gateway) -> None:
    with gateway.client() as client:
        client.send(get(PAGE_JS, host=EVIL))
        first = client.read_response()
        (tag,) = first.values(b"etag")
        client.send(get(PAGE_JS, b"If-None-Match: " + tag, host=EVIL))
        second = client.read_response()
        client.send(get(PAGE_JS, method=b"HEAD"))
        head = client.read_response(to=b"HEAD")

    assert (first.status, second.status, head.status) == (200, 304, 200)
    assert first.values(b"content-type") == [b"text/javascript; charset=utf-8"]
    assert first.values(b"cache-control") == second.values(b"cache-control") == [b"no-cache"]
    assert first.values(b"x-content-type-options") == [b"nosniff"]
    assert len(first.content) > 1000
    assert second.content == head.content == b""
    assert second.values(b"etag") == head.values(b"etag") == [tag]
    assert head.values(b"content-length") == [b"%d" % len(first.content)]


@clause("10.page.static", own_choice=OWN)
@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/_rgate/static/", 404),
        (b"/_rgate/static/README.md", 404),
        (b"/_rgate/static/page%2Ejs", 404),
        (b"/_rgate/static/..%2Fpage.py", 400),
        (b"/_rgate/static/%2Fetc%2Fpasswd", 404),
        (b"/_rgate/static/../static/page.js", 400),
        (b"/_rgate/static//page.js", 404),
        (b"/_rgate/static/page.js/", 404),
        (b"/_rgate/static/page.js?v=1", 200),
    ],
)
def test_no_other_path_is_a_file(gateway: Gateway, path: bytes, status: int) -> None:
    assert asked(gateway, path).status == status


# Problems, stories, explanations.


@clause("10.page.problem", "6.own.page", "10.page.policy", "8.pages.policy", own_choice=OWN)
def test_a_browser_is_told_what_happened_and_one_of_us_the_attempts_too(
    gateway: Gateway, alone: Lane
) -> None:
    address = f"127.0.0.1:{alone.listeners[0].port}"
    inside = page(asked(gateway, alone.path, HTML), 503)
    outside = page(asked(gateway, alone.path, HTML, host=EVIL), 503)

    told = words(inside.one("main").text)
    assert words(inside.one("h1").text).endswith("503. No container accepted a connection")
    assert f"1. {address}" in told
    assert "then refused" in told
    assert f"{address} in, asked as number 1" in told
    assert f"curl --verbose http://{address}/" in told
    told = words(outside.one("main").text)
    assert words(outside.one("h1").text).endswith("503. No container accepted a connection")
    assert "Try again in a moment." in told
    assert address not in told
    assert "curl" not in told
    assert outside.all("a") == []


@clause("10.page.story", own_choice=OWN)
def test_a_story_is_a_page_for_a_browser(gateway: Gateway, alone: Lane, client: Wire) -> None:
    identity = f"<{uuid.uuid4().hex}>"
    client.send(get(alone.path, b"X-Request-ID: " + identity.encode()))
    sent = client.read_response().values(b"x-request-id")[0].decode()

    shown = page(asked(gateway, b"/_rgate/requests/" + quote(sent, safe="").encode(), HTML))

    told = words(shown.one("main").text)
    assert told.startswith(f"503 connect_failed GET {alone.path.decode()}")
    assert f", id {sent}" in told
    assert page(asked(gateway, b"/_rgate/requests/none", HTML), 404).one("h1")
    page(asked(gateway, b"/_rgate/requests/none", HTML, host=EVIL), 403)


@clause("10.page.explain", own_choice=OWN)
def test_an_explanation_is_a_page_for_a_browser(gateway: Gateway, alone: Lane) -> None:
    target = alone.path + b"/%3Cb%3E"
    shown = page(asked(gateway, b"/_rgate/explain?method=POST&target=" + quote(target).encode(), HTML))

    abouts = [e.text for e in shown.all("dt")]
    assert abouts[0] == "Route"
    assert abouts[-1] == "Answer"
    assert shown.one("input", name="target").attributes["value"] == target.decode()
    assert [e.text for e in shown.all("option") if "selected" in e.attributes] == ["POST"]
    page(asked(gateway, b"/_rgate/explain", HTML), 400)
    page(asked(gateway, b"/_rgate/explain?target=/", HTML, host=EVIL), 403)
