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


@clause("RFC 9110 15", "5.messages.status")
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


@clause("RFC 9110 5.3", "RFC 6265 3", "5.fields.cookies")
def test_several_set_cookie_stay_several_in_their_order(client: Wire, backend: Lane) -> None:
    cookies = [b"a=1; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT", b"b=2; Domain=x.example", b"a=3"]

    response = _forwarded(client, backend, *(b"Set-Cookie: " + cookie for cookie in cookies))

    assert response.values(b"set-cookie") == cookies


@clause("RFC 9110 5.3", "5.fields.unchanged")
def test_fields_keep_their_order_and_repeats(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"X-B: 1", b"X-A: 2", b"X-B: 3", b"Vary: a", b"X-A: 4", b"Vary: b")

    kept = [(name.lower(), value) for name, value in response.fields]
    assert [item for item in kept if item[0] in (b"x-a", b"x-b", b"vary")] == [
        (b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"), (b"vary", b"a"), (b"x-a", b"4"), (b"vary", b"b"),
    ]  # fmt: skip


@clause("5.fields.unchanged", own_choice="field names are case-insensitive; rgate keeps their spelling")
def test_field_names_keep_their_spelling(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"X-mIxEd: 1", b"ETAG: 2")

    assert {b"X-mIxEd", b"ETAG"} <= {name for name, _ in response.fields}


@clause("RFC 9110 5.5", "5.fields.unchanged")
@pytest.mark.parametrize(
    "value",
    [b"", b"a  b\tc", b"caf\xe9", b"\xe2\x82\xac", b"x" * 8000],
    ids=["empty", "blanks", "Latin-1", "UTF-8", "long"],
)
def test_a_value_reaches_the_client_byte_for_byte(client: Wire, backend: Lane, value: bytes) -> None:
    assert _forwarded(client, backend, b"X-Value: " + value).values(b"x-value") == [value]


@clause("RFC 9110 7.6.1", "5.hop.keep_alive", "5.hop.proxy_auth", "5.hop.upgrade")
@pytest.mark.parametrize(
    "line",
    [b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Proxy-Authenticate: Basic", b"Upgrade: h2c"],
)
def test_what_is_meant_for_one_hop_stays_there(client: Wire, backend: Lane, line: bytes) -> None:
    assert line.partition(b":")[0].lower() not in _forwarded(client, backend, line).names()


@clause("RFC 9110 7.6.1", "5.hop.connection")
def test_fields_that_connection_names_stay_there(client: Wire, backend: Lane) -> None:
    names = _forwarded(
        client, backend, b"Connection: X-One, x-two", b"X-One: 1", b"X-TWO: 2", b"X-Three: 3"
    ).names()

    assert not {b"x-one", b"x-two"} & set(names)
    assert b"x-three" in names


@clause("RFC 9110 7.6.1")
def test_connection_cannot_name_the_framing_away(client: Wire, backend: Lane) -> None:
    assert _forwarded(client, backend, b"Connection: Content-Length").content == b"ok"


@clause("RFC 9110 6.6.1", "RFC 9110 10.2.4", "5.fields.unchanged")
def test_the_backends_date_and_server_are_passed_on_once(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"Date: Tue, 15 Nov 1994 08:12:31 GMT", b"Server: mine/1")

    assert response.values(b"date") == [b"Tue, 15 Nov 1994 08:12:31 GMT"]
    assert response.values(b"server") == [b"mine/1"]


@clause("5.fields.unchanged", own_choice="where the backend says nothing, rgate adds no Date and no Server")
def test_nothing_else_is_added(client: Wire, backend: Lane) -> None:
    assert set(_forwarded(client, backend).names()) <= {b"content-length", b"via", b"x-request-id"}


@clause("5.messages.redirects")
def test_redirects_are_passed_on_unchanged(client: Wire, backend: Lane) -> None:
    location = b"http://127.0.0.1:%d/else?a#b" % backend.listeners[0].port
    seen = exchange(
        client, backend, get(backend.path), _response(b"Location: " + location, status=b"302 Found")
    )

    assert (seen.response.status, seen.response.values(b"location")) == (302, [location])


@clause("5.content.encoding")
def test_encoded_content_is_not_decoded(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, b"Content-Encoding: gzip", b"Content-Type: text/plain")

    assert response.values(b"content-encoding") == [b"gzip"]
    assert response.content == b"ok"  # which is no gzip: nobody looked


@clause("RFC 9110 11.6.1", "5.fields.unchanged")
def test_several_challenges_are_passed_on(client: Wire, backend: Lane) -> None:
    challenges = [b'Basic realm="a, b"', b"Negotiate"]

    response = _forwarded(client, backend, *(b"WWW-Authenticate: " + one for one in challenges))

    assert response.values(b"www-authenticate") == challenges


@clause("RFC 9110 7.6.3", "5.fields.via", own_choice="a gateway may leave Via out of responses")
def test_via_is_added_behind_what_was_there(client: Wire, backend: Lane) -> None:
    assert _forwarded(client, backend, b"Via: 1.0 first").items(b"via") == [b"1.0 first", b"1.1 rgate"]


@clause("RFC 9110 7.6.3", "5.fields.via", own_choice="a gateway may leave Via out of responses")
@pytest.mark.parametrize("asked", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("answered", [b"HTTP/1.1", b"HTTP/1.0"])
def test_via_says_in_which_version_the_response_came(
    client: Wire, backend: Lane, answered: bytes, asked: bytes
) -> None:
    sent = _response().replace(b"HTTP/1.1", answered)

    response = exchange(client, backend, get(backend.path, version=asked), sent).response

    assert response.version == b"HTTP/1.1"
    assert response.items(b"via") == [answered.removeprefix(b"HTTP/") + b" rgate"]


@clause("RFC 9110 5.5", "5.lenient.controls")
@pytest.mark.parametrize(
    "value",
    [b"a\x01b", b"\x0b\x0ca\x0c", b"\x1b[31m", b"a\x7f", b"a\x08\x1c\x1d\x1e\x1f", b"\x85\xa0a\x85"],
    ids=["SOH", "vertical tab and form feed", "escape", "DEL", "separators", "NEL"],
)
def test_control_characters_stay_in_a_value(client: Wire, backend: Lane, value: bytes) -> None:
    response = _forwarded(client, backend, b"X-Value: " + value, b"X-A: 1")

    assert response.values(b"x-value") == [value]
    assert response.values(b"x-a") == [b"1"]


@clause("5.fields.response_id", own_choice="the id is rgate's")
def test_the_backends_request_id_gives_way_to_the_requests(client: Wire, backend: Lane) -> None:
    seen = exchange(
        client, backend, get(backend.path, b"X-Request-ID: mine"), _response(b"X-Request-ID: theirs")
    )

    assert seen.response.values(b"x-request-id") == [b"mine"]


@clause("6.own.who", own_choice="the field is rgate's")
def test_a_backend_cannot_speak_as_the_gateway(client: Wire, backend: Lane) -> None:
    assert _forwarded(client, backend, b"X-Rgate-Reason: timeout").values(b"x-rgate-reason") == []


@clause("RFC 9110 14", "5.content.ranges")
def test_ranges_are_passed_on(client: Wire, backend: Lane) -> None:
    seen = exchange(
        client, backend, get(backend.path, b"Range: bytes=1-2"),
        _response(b"Content-Range: bytes 1-2/9", b"Accept-Ranges: bytes", status=b"206 Partial Content"),
    )  # fmt: skip

    assert seen.request.values(b"range") == [b"bytes=1-2"]
    assert seen.response.values(b"content-range") == [b"bytes 1-2/9"]


@clause("2.limits.header_fields")
def test_a_hundred_fields_are_accepted(client: Wire, backend: Lane) -> None:
    response = _forwarded(client, backend, *(b"X-%d: %d" % (number, number) for number in range(99)))

    assert [value for name, value in response.fields if name[2:].isdigit()] == [b"%d" % n for n in range(99)]
