"""What is told of a request that has been: on the way of nearly all, and on each other one."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, answer, exchange, get, post, serving
from tests.contract.http.site import ALLOWED, DEFAULT_STATUS, STRANGER, Lane
from tests.contract.http.wire import Wire

OWN = "what a gateway tells of its requests is its own choice"
SECRET = b"s3cret-5f1c0a7e"
Story = dict[str, Any]


@pytest.fixture
def identity() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


def id_line(identity: str) -> bytes:
    return b"X-Request-ID: " + identity.encode()


def told_of(gateway: Gateway, identity: str) -> Story:
    story = gateway.story(identity)
    assert story["id"] == identity
    return story


def ends(story: Story) -> list[str]:
    return [attempt["end"] for attempt in story["attempts"]]


# Responses of a container.


@clause("9.http.requests", "9.http.story", "9.why.story", own_choice=OWN)
def test_a_response_over_a_new_connection_and_one_over_a_pooled_one_are_told(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    first = exchange(client, backend, get(backend.path, id_line(identity)))
    story = told_of(gateway, identity)
    name = f"127.0.0.1:{backend.listeners[0].port}"
    assert (story["method"], story["target"], story["host"]) == ("GET", backend.path.decode(), "example.org")
    assert (story["status"], story["reason"], story["by"]) == (200, None, "container")
    assert (story["route"], story["backend"]) == (backend.path.decode(), backend.name)
    assert (story["container"], story["tries"], story["bytes"]) == (name, 1, 2)
    assert story["client"].startswith("127.0.0.1:")
    assert story["generation"] >= 1
    (attempt,) = story["attempts"]
    assert (attempt["end"], attempt["reused"], attempt["address"]) == ("response", False, name)
    assert [phase for phase, _ in attempt["phases"]] == ["connect", "wait", "receive"]
    assert all(ms >= 0 for _, ms in attempt["phases"])
    assert story["candidates"] == [
        {"name": name, "address": name, "in": True, "picked": 1, "why": "a fixed address"}
    ]

    request = get(backend.path + b"?x=1", id_line(f"{identity}-2"))
    client.send(request)
    answer(client, first.upstream, request)
    story = told_of(gateway, f"{identity}-2")
    assert story["target"] == backend.path.decode() + "?x=1"
    (attempt,) = story["attempts"]
    assert (attempt["end"], attempt["reused"]) == ("response", True)
    assert [phase for phase, _ in attempt["phases"]] == ["wait", "receive"]
    assert sum(ms for _, ms in attempt["phases"]) <= story["ms"]


@clause("9.http.requests", own_choice=OWN)
def test_requests_that_came_at_once_are_told_newest_first(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    requests = [get(backend.path + b"/%d" % number, id_line(identity)) for number in range(3)]
    client.send(b"".join(requests))
    upstream = backend.accept_for(client)
    for request in requests:
        answer(client, upstream, request)

    told = gateway.requests(f"id={identity}")
    assert [one["target"].rpartition("/")[2] for one in told] == ["2", "1", "0"]
    assert gateway.story(identity)["target"] == told[0]["target"], "the newest of that id"
    assert len(gateway.requests(f"id={identity}&limit=2")) == 2


@clause("9.http.stories", own_choice=OWN)
def test_requests_of_one_id_are_told_whole_each_with_its_own_story(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    first = exchange(client, backend, get(backend.path + b"/0", id_line(identity)))
    for number in (1, 2):
        request = get(backend.path + b"/%d" % number, id_line(identity))
        client.send(request)
        answer(client, first.upstream, request)

    whole, lines = (gateway.requests(f"id={identity}{more}") for more in ("&stories=1", ""))
    assert [one["attempts"][0]["reused"] for one in whole] == [True, True, False]
    assert [one["target"] for one in whole] == [one["target"] for one in lines]
    newest = gateway.story(identity)
    for one in (whole[0], newest):
        del one["at"]  # made by the clock when it is told
    assert whole[0] == newest


@clause("9.http.requests", own_choice=OWN)
@pytest.mark.parametrize("kind", ["stripping", "enveloped", "single"])
def test_a_request_is_told_as_it_came_whatever_its_route_makes_of_it(
    gateway: Gateway, client: Wire, identity: str, kind: str
) -> None:
    lane = gateway.lane(kind)
    sent = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    exchange(client, lane, get(lane.path + b"/x", id_line(identity)), sent + b"1\r\n1\r\n0\r\n\r\n")
    story = told_of(gateway, identity)
    assert story["target"] == lane.path.decode() + "/x"
    assert (story["status"], ends(story)) == (200, ["response"])
    lane.close()


@clause("9.http.requests", own_choice=OWN)
def test_a_request_with_content_and_one_without_a_response_to_it_are_told(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    exchange(client, backend, post(backend.path, b"abc", id_line(identity)))
    story = told_of(gateway, identity)
    assert (story["method"], story["status"], ends(story)) == ("POST", 200, ["response"])


@clause("9.http.failed", "9.why.story", own_choice=OWN)
@pytest.mark.parametrize(("status", "has_failed"), [(404, False), (499, True), (500, True), (503, True)])
def test_a_containers_own_error_is_its_own(
    gateway: Gateway, client: Wire, backend: Lane, identity: str, status: int, has_failed: bool
) -> None:
    exchange(client, backend, get(backend.path, id_line(identity)), OK.replace(b"200", b"%d" % status))
    story = told_of(gateway, identity)
    assert (story["status"], story["by"], story["reason"]) == (status, "container", None)
    assert bool(gateway.requests(f"failed=1&id={identity}")) == has_failed


# Failures.


@clause("9.http.failed", "9.why.story", own_choice=OWN)
def test_who_refused_and_who_answered_in_its_place_are_told(gateway: Gateway, identity: str) -> None:
    lane = gateway.lane("half")
    with serving(lane):
        for number in range(40):  # until the one that refuses is picked first
            with gateway.client() as client:
                client.send(get(lane.path, id_line(f"{identity}-{number}")))
                assert client.read_response().status == 200
            story = told_of(gateway, f"{identity}-{number}")
            if len(story["attempts"]) == 2:
                break
    assert ends(story) == ["refused", "response"]
    refused, answered = story["attempts"]
    assert "refused" in refused["text"].lower()
    assert [phase for phase, _ in refused["phases"]] == ["connect"]
    assert answered["address"] == f"127.0.0.1:{lane.listeners[1].port}" == story["container"]
    assert {one["name"]: one["picked"] for one in story["candidates"]} == {
        refused["address"]: 1,
        answered["address"]: 2,
    }
    assert (story["status"], story["tries"]) == (200, 2)
    lane.close()


@clause("9.http.failed", "9.why.story", own_choice=OWN)
def test_all_that_refused_are_told_with_what_to_do(
    gateway: Gateway, client: Wire, dead: Lane, identity: str
) -> None:
    client.send(get(dead.path, id_line(identity)))
    gateway.check_answer(client.read_response(), 503, "connect_failed")
    story = told_of(gateway, identity)
    assert (story["reason"], story["by"], ends(story)) == ("connect_failed", "rgate", ["refused"] * 2)
    assert story["told"]
    assert story["do"]
    assert story["command"].startswith("curl ")
    answer_fact = next(fact for fact in story["facts"] if fact["is"] == "Answer")
    assert str(dead.listeners[0].port) in answer_fact["text"]
    assert gateway.requests(f"failed=1&reason=connect_failed&backend={dead.name}")[0]["id"] == identity


def _closes_early(upstream: Wire) -> None:
    upstream.close()


def _sends_nonsense(upstream: Wire) -> None:
    upstream.send(b"nonsense\r\n\r\n")


def _says_nothing(upstream: Wire) -> None:
    del upstream


@clause("9.http.failed", "9.why.story", own_choice=OWN)
@pytest.mark.parametrize(
    ("kind", "does", "status", "reason"),
    [
        ("single", _closes_early, 503, "closed_early"),
        ("single", _sends_nonsense, 502, "bad_response"),
        ("hasty", _says_nothing, 504, "timeout"),
    ],
)
def test_what_a_container_did_wrong_is_told(
    gateway: Gateway, client: Wire, identity: str, kind: str, does: Any, status: int, reason: str
) -> None:
    lane = gateway.lane(kind)
    client.send(post(lane.path, b"abc", id_line(identity)))
    upstream = lane.accept_for(client)
    upstream.read_request()
    does(upstream)
    gateway.check_answer(client.read_response(), status, reason)
    story = told_of(gateway, identity)
    assert (story["status"], story["reason"], story["by"]) == (status, reason, "rgate")
    assert ends(story) == [reason]
    assert story["attempts"][0]["text"]
    assert [phase for phase, _ in story["attempts"][0]["phases"]] == ["connect", "wait"]
    lane.close()


@clause("9.why.story", own_choice=OWN)
def test_a_pooled_connection_that_turned_out_closed_is_an_attempt_of_its_own(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    first = exchange(client, backend, get(backend.path)).upstream
    client.send(get(backend.path, id_line(identity)))
    first.read_request()
    first.reset()
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(OK)
    assert client.read_response().status == 200
    story = told_of(gateway, identity)
    assert ends(story) == ["stale", "response"]
    assert [attempt["reused"] for attempt in story["attempts"]] == [True, False]


@clause("9.http.failed", "9.why.story", own_choice=OWN)
def test_a_response_that_broke_off_is_told_as_cut(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    client.send(get(backend.path, id_line(identity)))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    assert client.read_until(b"abc")
    upstream.close()
    client.outlast()
    story = told_of(gateway, identity)
    assert (story["status"], story["reason"], story["by"], story["bytes"]) == (200, "cut", "container", 3)
    assert ends(story) == ["cut"]
    assert gateway.requests(f"failed=1&reason=cut&id={identity}")


@clause("9.http.failed", "9.why.story", own_choice=OWN)
def test_a_client_that_went_away_is_told_as_499(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    client.send(get(backend.path, id_line(identity)))
    upstream = backend.accept_for(client)
    upstream.read_request()
    client.close()
    story = told_of(gateway, identity)
    assert (story["status"], story["reason"], story["by"]) == (499, "client_closed", "client")
    assert ends(story) == ["client_closed"]
    assert gateway.requests(f"failed=1&status=499&id={identity}")


@clause("9.why.story", own_choice=OWN)
def test_content_that_is_refused_ends_the_attempt_too(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    client.send(get(backend.path, b"Transfer-Encoding: chunked", id_line(identity), method=b"POST"))
    backend.accept_for(client).read_head()
    client.send(b"nonsense\r\n")
    gateway.check_answer(client.read_response(), 400, "bad_request")
    story = told_of(gateway, identity)
    assert (story["reason"], story["by"], ends(story)) == ("bad_request", "rgate", ["bad_request"])


@clause("9.http.requests", own_choice=OWN, needs=Capability.UPGRADES)
def test_a_connection_that_switched_protocols_is_told(
    gateway: Gateway, client: Wire, backend: Lane, identity: str
) -> None:
    client.send(get(backend.path, b"Connection: upgrade", b"Upgrade: websocket", id_line(identity)))
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert client.read_head().status == 101
    story = told_of(gateway, identity)
    assert (story["status"], story["by"], ends(story)) == (101, "container", ["response"])


# What came to no container.


@clause("9.http.requests", "9.why.story", own_choice=OWN)
@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (b"GET /nowhere HTTP/1.1", DEFAULT_STATUS, None),
        (b"GET /a/../b HTTP/1.1", 400, "path_not_normalized"),
        (b"TRACE /nowhere HTTP/1.1", 405, "method_not_allowed"),
    ],
)
def test_what_is_answered_by_rgate_itself_is_told_without_an_attempt(
    gateway: Gateway, client: Wire, identity: str, request_: bytes, status: int, reason: str | None
) -> None:
    client.send(b"\r\n".join([request_, b"Host: a", id_line(identity), b"", b""]))
    assert client.read_response().status == status
    story = told_of(gateway, identity)
    assert (story["status"], story["reason"], story["by"]) == (status, reason, "rgate")
    assert (story["route"], story["backend"], story["attempts"], story["candidates"]) == ("", "", [], [])
    assert identity in [one["id"] for one in gateway.requests(f"route=&id={identity}")]


@clause("9.http.requests", own_choice=OWN)
@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nA B: %b\r\n\r\n" % SECRET, 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (b"a" * 70_000), 431, "fields_too_large"),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * 70_000), 414, "uri_too_long"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_not_supported"),
    ],
)
def test_what_never_was_a_request_is_told_without_method_and_target(
    gateway: Gateway, client: Wire, sent: bytes, status: int, reason: str
) -> None:
    client.try_send(sent)
    response = client.read_response()
    assert response.status == status
    (identity,) = response.values(b"x-request-id")
    story = told_of(gateway, identity.decode())
    assert (story["method"], story["target"], story["host"]) == ("", "", "")
    assert (story["status"], story["reason"], story["by"]) == (status, reason, "rgate")
    assert SECRET.decode() not in json.dumps(story)


# What is not kept.


@clause("9.http.own", own_choice=OWN)
@pytest.mark.parametrize("path", [b"/stats", b"/_rgate/healthz", b"/_rgate/requests", b"/_rgate/nothing"])
def test_rgates_own_pages_are_no_stories(gateway: Gateway, client: Wire, identity: str, path: bytes) -> None:
    client.send(get(path, id_line(identity), host=b"localhost"))
    assert client.read_response()
    assert gateway.requests(f"id={identity}") == []


SECRET_LINES = (
    b"Authorization: Bearer " + SECRET,
    b"Cookie: session=" + SECRET,
    b"X-Api-Key: " + SECRET,
    b"Referer: http://example.org/?token=" + SECRET,
)


@clause("9.http.fields", own_choice=OWN)
@pytest.mark.parametrize("kind", ["single", "alone", "enveloped"])
@pytest.mark.parametrize("lines", [SECRET_LINES, (*SECRET_LINES, b"X: " + b"a" * 6000)])
def test_no_fields_value_and_no_content_is_told(
    gateway: Gateway, client: Wire, identity: str, kind: str, lines: tuple[bytes, ...]
) -> None:
    lane = gateway.lane(kind)
    request = post(lane.path, SECRET, *lines, id_line(identity))
    if kind == "alone":
        client.send(request)
        assert client.read_response().status == 503
    else:
        response = b"HTTP/1.1 500 No\r\nSet-Cookie: %b\r\nContent-Length: %d\r\n\r\n%b"
        exchange(client, lane, request, response % (SECRET, len(SECRET), SECRET))
    told = [told_of(gateway, identity), *gateway.requests(f"id={identity}&failed=1")]
    assert len(told) == 2
    assert SECRET.decode() not in json.dumps(told)
    lane.close()


@clause("9.cost.target", own_choice=OWN)
@pytest.mark.parametrize(("length", "is_cut"), [(2048, False), (2049, True), (30_000, True)])
@pytest.mark.parametrize("refuses", [False, True])
def test_a_target_of_more_than_2048_bytes_is_cut_and_said_to_be(
    gateway: Gateway, client: Wire, identity: str, length: int, is_cut: bool, refuses: bool
) -> None:
    lane = gateway.lane("alone" if refuses else "single")
    target = (lane.path + b"/").ljust(length, b"a")
    if refuses:
        client.send(get(target, id_line(identity)))
        client.read_response()
    else:
        exchange(client, lane, get(target, id_line(identity)))
    story = told_of(gateway, identity)
    assert (story["target"], story["target_cut"]) == (target[:2048].decode(), is_cut)
    lane.close()


# The page.


@clause("9.http.story", own_choice=OWN)
def test_an_id_is_decoded_and_one_that_is_not_known_is_404_with_how_many_are_kept(
    gateway: Gateway, client: Wire, identity: str
) -> None:
    odd = f"{identity}/?%2e&é".encode("ascii", "ignore").decode()
    client.send(get(b"/nowhere", id_line(odd)))
    client.read_response()
    encoded = odd.replace("%", "%25").replace("/", "%2F").replace("?", "%3F")
    client.send(get(f"/_rgate/requests/{encoded}".encode(), host=b"localhost"))
    assert json.loads(client.read_response().content)["id"] == odd
    client.send(get(f"/_rgate/requests/{identity}".encode(), host=b"localhost"))
    unknown = client.read_response()
    gateway.check_answer(unknown, 404, "not_found")
    assert "Kept are the last 1000" in json.loads(unknown.content)["detail"]


@clause("9.http.filters", own_choice=OWN)
@pytest.mark.parametrize(
    "target",
    [b"/_rgate/requests?faild=1", b"/_rgate/requests?limit=0", b"/_rgate/requests/x?limit=1"],
)
def test_another_query_is_a_bad_one(gateway: Gateway, client: Wire, target: bytes) -> None:
    client.send(get(target, host=b"localhost"))
    gateway.check_answer(client.read_response(), 400, "bad_query")


@pytest.fixture
def refused_one(limited: Gateway, identity: str) -> Iterator[Lane]:
    lane = limited.lane("alone")
    with limited.client() as client:
        client.send(get(lane.path, id_line(identity)))
        client.read_response()
    yield lane
    lane.close()


@clause("8.pages.allowed", own_choice=OWN)
@pytest.mark.parametrize("page", ["/_rgate/requests", "/_rgate/requests/{}"])
@pytest.mark.parametrize(("peer", "status"), [(ALLOWED, 200), (STRANGER, 403)])
def test_stories_are_for_those_who_are_allowed_with_an_access_log_too(
    limited: Gateway, refused_one: Lane, identity: str, page: str, peer: str, status: int
) -> None:
    with limited.client(peer) as client:
        client.send(get(page.format(identity).encode(), host=b"localhost"))
        response = client.read_response()
    assert response.status == status
    assert (refused_one.name.encode() in response.content) == (status == 200)


@clause("9.http.requests", own_choice=OWN)
def test_a_story_is_the_same_where_each_request_is_logged(limited: Gateway, identity: str) -> None:
    lane = limited.lane()
    with limited.client() as client:
        upstream = exchange(client, lane, get(lane.path, id_line(f"{identity}-1"))).upstream
        request = get(lane.path, id_line(identity))
        client.send(request)
        answer(client, upstream, request)
    with limited.client(ALLOWED) as client:
        client.send(get(f"/_rgate/requests/{identity}".encode(), host=b"localhost"))
        story = json.loads(client.read_response().content)
    (attempt,) = story["attempts"]
    assert (attempt["end"], attempt["reused"], story["host"]) == ("response", True, "example.org")
    lane.close()
