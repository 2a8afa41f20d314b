"""Which of a response's fields the client sees, and which ones the gateway makes."""

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.script import exchange, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Message, Wire


def _response(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"Content-Length: 2", b"", b"ok"])


def _forwarded(client: Wire, backend: Lane, *lines: bytes) -> Message:
    return exchange(client, backend, get(backend.path), _response(*lines)).response


@clause("RFC 9110 15", "behaviour 5")
@pytest.mark.parametrize(
    "status", [200, 201, 203, 206, 207, 299, 301, 302, 307, 400, 401, 404, 418, 429, 500, 503, 599]
)
def test_a_status_is_passed_on(client: Wire, backend: Lane, status: int) -> None:
    seen = exchange(client, backend, get(backend.path), _response(status=b"%d X" % status))

    assert (seen.response.status, seen.response.content) == (status, b"ok")


@clause("RFC 9112 4", own_choice="reason phrases may be discarded; rgate keeps them")
@pytest.mark.parametrize("phrase", [b"Fine By Me", b"", b"caf\xe9 (1)"])
def test_a_reason_phrase_is_passed_on(client: Wire, backend: Lane, phrase: bytes) -> None:
    seen = exchange(client, backend, get(backend.path), _response(status=b"200 " + phrase))

    assert seen.response.phrase == phrase


@clause("RFC 9110 5.3", "RFC 6265 3", "behaviour 5")
def test_several_set_cookie_stay_several_in_their_order(client: Wire, backend: Lane) -> None:
    cookies = [b"a=1; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT", b"b=2; Domain=x.example", b"a=3"]

    response = _forwarded(client, backend, *(b"Set-Cookie: " + cookie for cookie in cookies))

    assert response.values(b"set-cookie") == cookies


@clause("RFC 9110 5.3", "behaviour 5")
def test_fields_keep_their_order_and_repeats(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"X-B: 1", b"X-A: 2", b"X-B: 3", b"Vary: a", b"X-A: 4", b"Vary: b")

    kept = [(name.lower(), value) for name, value in response.fields]
    assert [item for item in kept if item[0] in (b"x-a", b"x-b", b"vary")] == [
        (b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"), (b"vary", b"a"), (b"x-a", b"4"), (b"vary", b"b"),
    ]  # fmt: skip


@clause("behaviour 5", own_choice="field names are case-insensitive; rgate keeps their spelling")
def test_field_names_keep_their_spelling(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"X-mIxEd: 1", b"ETAG: 2")

    assert {b"X-mIxEd", b"ETAG"} <= {name for name, _ in response.fields}


@clause("RFC 9110 5.5", "behaviour 5")
@pytest.mark.parametrize(
    "value",
    [b"", b"a  b\tc", b"caf\xe9", b"\xe2\x82\xac", b"x" * 8000],
    ids=["empty", "blanks", "Latin-1", "UTF-8", "long"],
)
def test_a_value_reaches_the_client_byte_for_byte(client: Wire, backend: Lane, value: bytes) -> None:
    assert _forwarded(client, backend, b"X-Value: " + value).values(b"x-value") == [value]


@clause("RFC 9110 7.6.1", "behaviour 5")
@pytest.mark.parametrize(
    "line",
    [b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Proxy-Authenticate: Basic", b"Upgrade: h2c"],
)
def test_what_is_meant_for_one_hop_stays_there(client: Wire, backend: Lane, line: bytes) -> None:
    assert line.partition(b":")[0].lower() not in _forwarded(client, backend, line).names()


@clause("RFC 9110 7.6.1")
def test_fields_that_connection_names_stay_there(client: Wire, backend: Lane) -> None:
    names = _forwarded(
        client, backend, b"Connection: X-One, x-two", b"X-One: 1", b"X-TWO: 2", b"X-Three: 3"
    ).names()

    assert not {b"x-one", b"x-two"} & set(names)
    assert b"x-three" in names


@clause("RFC 9110 7.6.1")
def test_connection_cannot_name_the_framing_away(client: Wire, backend: Lane) -> None:
    assert _forwarded(client, backend, b"Connection: Content-Length").content == b"ok"


@clause("RFC 9110 6.6.1", "RFC 9110 10.2.4", "behaviour 5")
def test_the_backends_date_and_server_are_passed_on_once(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"Date: Tue, 15 Nov 1994 08:12:31 GMT", b"Server: mine/1")

    assert response.values(b"date") == [b"Tue, 15 Nov 1994 08:12:31 GMT"]
    assert response.values(b"server") == [b"mine/1"]


@clause("behaviour 5", own_choice="where the backend says nothing, rgate adds no Date and no Server")
def test_nothing_else_is_added(client: Wire, backend: Lane) -> None:
    assert set(_forwarded(client, backend).names()) <= {b"content-length", b"via", b"x-request-id"}


@clause("behaviour 5")
def test_redirects_are_passed_on_unchanged(client: Wire, backend: Lane) -> None:
    location = b"http://127.0.0.1:%d/else?a#b" % backend.listeners[0].port
    seen = exchange(
        client, backend, get(backend.path), _response(b"Location: " + location, status=b"302 Found")
    )

    assert (seen.response.status, seen.response.values(b"location")) == (302, [location])


@clause("behaviour 5")
def test_encoded_content_is_not_decoded(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"Content-Encoding: gzip", b"Content-Type: text/plain")

    assert response.values(b"content-encoding") == [b"gzip"]
    assert response.content == b"ok"  # which is no gzip: nobody looked


@clause("RFC 9110 11.6.1", "behaviour 5")
def test_several_challenges_are_passed_on(client: Wire, backend: Lane) -> None:
    challenges = [b'Basic realm="a, b"', b"Negotiate"]

    response = _forwarded(client, backend, *(b"WWW-Authenticate: " + one for one in challenges))

    assert response.values(b"www-authenticate") == challenges


@clause("RFC 9110 7.6.3", own_choice="a gateway may leave Via out of responses")
def test_via_is_added_behind_what_was_there(client: Wire, backend: Lane) -> None:
    assert _forwarded(client, backend, b"Via: 1.0 first").items(b"via") == [b"1.0 first", b"1.1 rgate"]


@clause("behaviour 5", own_choice="the id is rgate's")
def test_the_backends_request_id_gives_way_to_the_requests(client: Wire, backend: Lane) -> None:
    seen = exchange(
        client, backend, get(backend.path, b"X-Request-ID: mine"), _response(b"X-Request-ID: theirs")
    )

    assert seen.response.values(b"x-request-id") == [b"mine"]


@clause("behaviour 6", own_choice="the field is rgate's")
def test_a_backend_cannot_speak_as_the_gateway(client: Wire, backend: Lane) -> None:
    assert _forwarded(client, backend, b"X-Rgate-Reason: timeout").values(b"x-rgate-reason") == []


@clause("RFC 9110 14", "behaviour 5")
def test_ranges_are_passed_on(client: Wire, backend: Lane) -> None:
    seen = exchange(
        client, backend, get(backend.path, b"Range: bytes=1-2"),
        _response(b"Content-Range: bytes 1-2/9", b"Accept-Ranges: bytes", status=b"206 Partial Content"),
    )  # fmt: skip

    assert seen.request.values(b"range") == [b"bytes=1-2"]
    assert seen.response.values(b"content-range") == [b"bytes 1-2/9"]


@clause("behaviour 2")
def test_a_hundred_fields_are_accepted(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, *(b"X-%d: %d" % (number, number) for number in range(99)))

    assert [value for name, value in response.fields if name[2:].isdigit()] == [b"%d" % n for n in range(99)]
