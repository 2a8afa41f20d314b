"""What rgate says itself: problem documents, pages, and who said it (RFC 9457)."""

import json
import re

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import exchange, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Message, Wire

OWN = "the form of a gateway's own errors is its own choice"


def _failed(client: Wire, lane: Lane, *lines: bytes, method: bytes = b"GET") -> Message:
    client.send(get(lane.path, *lines, method=method))
    return client.read_response(to=method)


@clause("RFC 9457 3", "behaviour 6", own_choice=OWN)
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


@clause("behaviour 6", own_choice=OWN)
def test_the_reason_stands_in_a_field(client: Wire, alone: Lane) -> None:
    assert _failed(client, alone).values(b"x-rgate-reason") == [b"connect_failed"]


@clause("RFC 9110 10.2.3", "behaviour 6", own_choice=OWN)
def test_503_says_when_to_try_again(client: Wire, alone: Lane) -> None:
    assert _failed(client, alone).values(b"retry-after") == [b"1"]


@clause("behaviour 5", own_choice=OWN)
def test_an_error_carries_the_requests_id(client: Wire, alone: Lane) -> None:
    response = _failed(client, alone)

    assert [json.loads(response.content)["request_id"].encode()] == response.values(b"x-request-id")


@clause("RFC 9110 12.5.1", "behaviour 6", own_choice=OWN)
@pytest.mark.parametrize("accept", [b"text/html,application/xhtml+xml,*/*;q=0.8", b"text/html"])
def test_a_browser_gets_a_page(client: Wire, alone: Lane, accept: bytes) -> None:
    response = _failed(client, alone, b"Accept: " + accept)

    assert response.status == 503
    assert response.values(b"content-type")[0].startswith(b"text/html")
    assert response.values(b"x-rgate-reason") == [b"connect_failed"]
    assert b"connect_failed" in response.content


@clause("RFC 9110 12.5.1", own_choice=OWN)
@pytest.mark.parametrize("accept", [b"*/*", b"application/json", b"application/json, text/html;q=0.5"])
def test_others_get_the_document(client: Wire, alone: Lane, accept: bytes) -> None:
    assert _failed(client, alone, b"Accept: " + accept).values(b"content-type") == [
        b"application/problem+json"
    ]


@clause("behaviour 6")
def test_what_the_client_sent_cannot_become_part_of_the_page(client: Wire) -> None:
    evil = b"<script>alert(1)</script>"
    client.try_send(get(b"/_rgate/" + evil, b"Accept: text/html", b"X-Request-ID: " + evil))

    assert evil not in client.read_response().content


@clause("RFC 9110 9.3.2")
def test_an_error_has_no_content_for_head(client: Wire, alone: Lane, backend: Lane) -> None:
    response = _failed(client, alone, method=b"HEAD")

    assert response.status in (502, 503)
    assert exchange(client, backend, get(backend.path)).response.content == b"ok"


@clause("RFC 9112 9.6")
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


@clause("RFC 9110 15.5.6", own_choice=OWN)
def test_405_names_the_methods_that_are_allowed(client: Wire, backend: Lane) -> None:
    response = _failed(client, backend, method=b"TRACE")

    assert response.items(b"allow") == [b"get", b"head", b"post", b"put", b"patch", b"delete", b"options"]


@clause("behaviour 6", own_choice=OWN)
def test_what_is_not_below_rgates_own_path_is_404(gateway: Gateway, client: Wire) -> None:
    client.send(get(b"/_rgate/nothing"))

    gateway.check_answer(client.read_response(), 404, "not_found")


@clause("behaviour 6")
@pytest.mark.parametrize("status", [400, 404, 500, 502, 503, 504])
def test_a_backends_own_errors_are_passed_on_untouched(client: Wire, backend: Lane, status: int) -> None:
    sent = b"HTTP/1.1 %d Mine\r\nContent-Type: text/x-mine\r\nContent-Length: 4\r\n\r\nmine" % status

    response = exchange(client, backend, get(backend.path), sent).response

    assert (response.status, response.content) == (status, b"mine")
    assert response.values(b"content-type") == [b"text/x-mine"]
    assert response.values(b"x-rgate-reason") == []


@clause("behaviour 3", own_choice=OWN)
def test_the_default_response_is_no_error_document(client: Wire) -> None:
    client.send(get(b"/nowhere", b"Accept: text/html"))

    response = client.read_response()

    assert response.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert response.values(b"x-rgate-reason") == []


@clause("behaviour 6", own_choice=OWN)
def test_the_detail_is_a_sentence_for_people(client: Wire, alone: Lane) -> None:
    detail = json.loads(_failed(client, alone).content)["detail"]

    assert re.fullmatch(r"[A-Z].*\.", detail)


@clause("RFC 9110 15.6", "behaviour 6")
def test_an_error_does_not_name_the_backends_address_to_strangers_in_fields(
    client: Wire, alone: Lane
) -> None:
    response = _failed(client, alone)

    port = b"%d" % alone.listeners[0].port
    assert not any(port in value for _, value in response.fields)
