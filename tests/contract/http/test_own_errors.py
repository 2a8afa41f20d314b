"""What rgate says itself: problem documents, pages, and who said it (RFC 9457)."""

import json
import re

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import exchange, get, post
from tests.contract.http.site import ALLOWED, DEFAULT_STATUS, STRANGER, TRUSTED, Lane
from tests.contract.http.wire import Message, Wire

OWN = "the form of a gateway's own errors is its own choice"


def _failed(client: Wire, lane: Lane, *lines: bytes, method: bytes = b"GET") -> Message:
    client.send(get(lane.path, *lines, method=method, host=b"localhost"))
    return client.read_response(to=method)


@clause("RFC 9457 3", "6.own.document", own_choice=OWN)
def test_an_error_is_a_problem_document(client: Wire, alone: Lane) -> None:
    response = _failed(client, alone, b"X-Request-ID: abc")

    document = json.loads(response.content)
    assert response.values(b"content-type") == [b"application/problem+json"]
    assert set(document) == {"type", "title", "status", "detail", "reason", "backend", "request_id"}
    assert document["status"] == response.status == 503
    assert document["reason"] == "connect_failed"
    assert document["backend"] == alone.name
    assert document["request_id"] == "abc"
    assert document["title"]
    assert document["detail"]


@clause("6.own.field", own_choice=OWN)
def test_the_reason_stands_in_a_field(client: Wire, alone: Lane) -> None:
    assert _failed(client, alone).values(b"x-rgate-reason") == [b"connect_failed"]


@clause("RFC 9110 10.2.3", "6.own.retry", own_choice=OWN)
def test_503_says_when_to_try_again(client: Wire, alone: Lane) -> None:
    assert _failed(client, alone).values(b"retry-after") == [b"1"]


@clause("5.fields.response_id", "6.own.document", own_choice=OWN)
def test_an_error_carries_the_requests_id(client: Wire, alone: Lane) -> None:
    response = _failed(client, alone)

    assert [json.loads(response.content)["request_id"].encode()] == response.values(b"x-request-id")


@clause("RFC 9110 12.5.1", "6.own.page", own_choice=OWN)
@pytest.mark.parametrize("accept", [b"text/html,application/xhtml+xml,*/*;q=0.8", b"text/html"])
def test_a_browser_gets_a_page(client: Wire, alone: Lane, accept: bytes) -> None:
    response = _failed(client, alone, b"Accept: " + accept)

    assert response.status == 503
    assert response.values(b"content-type")[0].startswith(b"text/html")
    assert response.values(b"x-rgate-reason") == [b"connect_failed"]
    assert b"connect_failed" in response.content


@clause("RFC 9110 12.5.1", "6.own.page", own_choice=OWN)
@pytest.mark.parametrize("accept", [b"*/*", b"application/json", b"application/json, text/html;q=0.5"])
def test_others_get_the_document(client: Wire, alone: Lane, accept: bytes) -> None:
    assert _failed(client, alone, b"Accept: " + accept).values(b"content-type") == [
        b"application/problem+json"
    ]


@clause("6.own.page")
def test_what_the_client_sent_cannot_become_part_of_the_page(client: Wire) -> None:
    evil = b"<script>alert(1)</script>"
    client.try_send(
        get(b"/_rgate/" + evil, b"Accept: text/html", b"X-Request-ID: " + evil, host=b"localhost")
    )

    assert evil not in client.read_response().content


@clause("RFC 9110 9.3.2")
def test_an_error_has_no_content_for_head(client: Wire, alone: Lane, backend: Lane) -> None:
    response = _failed(client, alone, method=b"HEAD")

    assert response.status in (502, 503)
    assert exchange(client, backend, get(backend.path)).response.content == b"ok"


@clause("RFC 9112 9.6", "6.client.closed")
def test_a_refusal_says_that_it_closes(client: Wire) -> None:
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n")
    response = client.read_response()

    assert b"close" in response.items(b"connection")
    assert response.framing == "length"
    assert client.is_closed()


@clause("RFC 9112 9.6")
def test_a_refusal_reaches_a_client_that_is_still_sending(gateway: Gateway, client: Wire) -> None:
    client.try_send(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + bytes(1 << 20)
    )

    gateway.check_answer(client.read_response(), 400, "bad_request")


@clause("RFC 9110 15.5.6", "6.client.method", own_choice=OWN)
def test_405_names_the_methods_that_are_allowed(client: Wire, backend: Lane) -> None:
    response = _failed(client, backend, method=b"TRACE")

    assert response.items(b"allow") == [b"get", b"head", b"post", b"put", b"patch", b"delete", b"options"]


@clause("6.client.not_found", own_choice=OWN)
def test_what_is_not_below_rgates_own_path_is_404(gateway: Gateway, client: Wire) -> None:
    client.send(get(b"/_rgate/nothing", host=b"localhost"))

    gateway.check_answer(client.read_response(), 404, "not_found")


@clause("6.own.backends")
@pytest.mark.parametrize("status", [400, 404, 500, 502, 503, 504])
def test_a_backends_own_errors_are_passed_on_untouched(client: Wire, backend: Lane, status: int) -> None:
    sent = b"HTTP/1.1 %d Mine\r\nContent-Type: text/x-mine\r\nContent-Length: 4\r\n\r\nmine" % status

    response = exchange(client, backend, get(backend.path), sent).response

    assert (response.status, response.content) == (status, b"mine")
    assert response.values(b"content-type") == [b"text/x-mine"]
    assert response.values(b"x-rgate-reason") == []


@clause("3.route.none", own_choice=OWN)
def test_the_default_response_is_no_error_document(client: Wire) -> None:
    client.send(get(b"/nowhere", b"Accept: text/html"))

    response = client.read_response()

    assert response.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert response.values(b"x-rgate-reason") == []


@clause("6.detail.sentence", own_choice=OWN)
def test_the_detail_is_a_sentence_for_people(client: Wire, alone: Lane) -> None:
    detail = json.loads(_failed(client, alone).content)["detail"]

    assert re.fullmatch(r"[A-Z].*\.", detail)


@clause("RFC 9110 15.6", "6.detail.strangers")
def test_an_error_does_not_name_the_backends_address_to_strangers_in_fields(
    client: Wire, alone: Lane
) -> None:
    response = _failed(client, alone)

    port = b"%d" % alone.listeners[0].port
    assert not any(port in value for _, value in response.fields)


FORWARDING = [
    b"Via: 1.1 somebody",
    b"Forwarded: for=192.0.2.1",
    b"X-Forwarded-For: 192.0.2.1",
    b"X-Forwarded-Proto: https",
    b"x-forwarded-anything: x",
    b"X-Real-IP: 192.0.2.1",
]
CONTAINERS = "who may read of containers is rgate's own choice"


def _failed_for(limited: Gateway, peer: str, *lines: bytes) -> tuple[Lane, Message]:
    lane = limited.lane("alone")
    with limited.client(peer) as client:
        return lane, _failed(client, lane, *lines)


def _names_the_container(lane: Lane, response: Message) -> bool:
    return b":%d" % lane.listeners[0].port in response.content or b"127.0.0." in response.content


@clause("6.detail.allowed", own_choice=CONTAINERS)
@pytest.mark.parametrize("accept", [b"*/*", b"text/html"])
def test_the_detail_names_the_container_to_those_who_are_allowed(limited: Gateway, accept: bytes) -> None:
    lane, response = _failed_for(limited, ALLOWED, b"Accept: " + accept)

    assert b"127.0.0.1:%d" % lane.listeners[0].port in response.content


@clause("6.detail.strangers", "8.pages.peer", own_choice=CONTAINERS)
@pytest.mark.parametrize("accept", [b"*/*", b"text/html"])
def test_the_detail_names_no_container_to_others(limited: Gateway, accept: bytes) -> None:
    lane, response = _failed_for(limited, STRANGER, b"Accept: " + accept)

    limited.check_answer(response, 503, "connect_failed")
    assert not _names_the_container(lane, response)


@clause("6.detail.strangers", "8.pages.forwarded", own_choice=CONTAINERS)
@pytest.mark.parametrize("line", FORWARDING)
def test_the_detail_names_no_container_to_who_was_forwarded(limited: Gateway, line: bytes) -> None:
    lane, response = _failed_for(limited, ALLOWED, line)

    assert not _names_the_container(lane, response)


@clause("6.detail.strangers", "8.pages.forwarded", own_choice=CONTAINERS)
def test_the_detail_names_no_container_to_a_trusted_proxy(limited: Gateway) -> None:
    lane, response = _failed_for(limited, TRUSTED)

    assert not _names_the_container(lane, response)


@clause("6.detail.sentence", "6.detail.strangers", own_choice=CONTAINERS)
@pytest.mark.parametrize("peer", [ALLOWED, STRANGER])
@pytest.mark.parametrize(
    ("kind", "sent", "reason"),
    [
        ("alone", b"", "connect_failed"),
        ("single", b"", "closed_early"),
        ("single", b"nonsense\r\n\r\n", "bad_response"),
        ("hasty", b"HTTP/1.1 200", "timeout"),
    ],
)
def test_the_detail_is_a_sentence_for_strangers_and_others_of(
    limited: Gateway, kind: str, sent: bytes, reason: str, peer: str
) -> None:
    lane = limited.lane(kind)
    with limited.client(peer) as client:
        client.send(post(lane.path, b"abc", host=b"localhost"))
        if kind != "alone":
            upstream = lane.accept_for(client)
            upstream.read_request()
            upstream.send(sent)
            if kind != "hasty":
                upstream.close()
        document = json.loads(client.read_response().content)

    assert document["reason"] == reason
    assert document["detail"].endswith(".")
    assert ("127.0.0.1:" in document["detail"]) == (peer == ALLOWED)


@clause("6.client.forbidden", "8.pages.allowed", "8.pages.forwarded", own_choice="the page is rgate's")
@pytest.mark.parametrize(
    ("peer", "lines", "status"),
    [
        (ALLOWED, [], 200),
        (STRANGER, [], 403),
        (TRUSTED, [], 403),
        *((ALLOWED, [line], 403) for line in FORWARDING),
    ],
)
def test_the_page_of_containers_is_for_those_who_are_allowed_and_were_not_forwarded(
    limited: Gateway, peer: str, lines: list[bytes], status: int
) -> None:
    with limited.client(peer) as client:
        client.send(get(b"/_rgate/backends", *lines, host=b"localhost"))

        assert client.read_response().status == status


# Each is answered by the gateway itself. A client may end its side behind it, as netcat does.
OWN_REQUESTS = {
    "a path without a route": (get(b"/nowhere"), DEFAULT_STATUS),
    "a path without a route, with content": (post(b"/nowhere", b"abc"), DEFAULT_STATUS),
    "the figures": (get(b"/stats", host=b"localhost"), 200),
    "a page of its own": (get(b"/_rgate/healthz", host=b"localhost"), 200),
    "a dot segment": (get(b"/a/../b"), 400),
    "a method that is not allowed": (get(b"/nowhere", method=b"TRACE"), 405),
    "a malformed line": (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n", 400),
}


@clause("RFC 9112 9.6", "6.gone.own", own_choice="a FIN counts as going away, but the answer is there")
@pytest.mark.parametrize(("request_", "status"), OWN_REQUESTS.values(), ids=OWN_REQUESTS)
def test_an_answer_of_its_own_reaches_a_client_that_has_ended_its_side_behind(
    client: Wire, request_: bytes, status: int
) -> None:
    client.send(request_)
    client.end_writing()

    assert client.read_response().status == status
    assert client.is_closed()


@clause("RFC 9110 12.5.1", "6.own.page", own_choice="how long a list is looked at is its own choice")
@pytest.mark.parametrize(
    "accept",
    [
        b"text/html;q=0.5," * 3700,
        b"text/html;" + b"q=1;" * 14000,
        b"," * 60000,
        b"a/b;q=" + b"1" * 60000,
        b'text/html;x="' + b"\\" * 60000,
        b" " * 60000 + b"text/html",
    ],
    ids=["many types", "many parameters", "commas", "a long weight", "an open quote", "blanks"],
)
def test_an_accept_of_60000_bytes_gets_its_answer(
    gateway: Gateway, client: Wire, alone: Lane, accept: bytes
) -> None:
    gateway.check_answer(_failed(client, alone, b"Accept: " + accept), 503, "connect_failed")
