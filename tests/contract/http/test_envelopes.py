"""`response_format: envelope`: the backend's content as a JSON value beside its status; all else raw."""

import json
import re

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import Pouring, answer, chunked, exchange, get
from tests.contract.http.site import DEFAULT_BODY, Lane
from tests.contract.http.wire import DEADLINE_S, Cut, Message, Wire, readable

MOST = 1 << 20
ENVELOPES = "envelopes are rgate's own"


def _response(content: bytes, media_type: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    fields = [b"Content-Type: " + media_type] if media_type else []
    return b"\r\n".join(
        [b"HTTP/1.1 " + status, *fields, *lines, b"Content-Length: %d" % len(content), b"", content]
    )


def _answered(client: Wire, lane: Lane, response: bytes, method: bytes = b"GET") -> Message:
    return exchange(client, lane, get(lane.path, method=method), response).response


def _embedded(response: Message) -> object:
    """Return the body within the envelope that *response* is."""
    document = json.loads(response.content)
    assert list(document) == ["status_code", "body"], document
    assert document["status_code"] == response.status
    assert response.values(b"content-type") == [b"application/json"]
    assert response.values(b"content-length") == [b"%d" % len(response.content)]
    body: object = document["body"]
    return body


def _is_raw(response: Message, content: bytes, media_type: bytes) -> bool:
    wanted = [media_type] if media_type else []
    return (response.content, response.values(b"content-type")) == (content, wanted)


@clause("2.envelope.form", "2.envelope.json", own_choice=ENVELOPES)
@pytest.mark.parametrize("status", [b"200 OK", b"201 Made", b"404 No", b"500 Broken", b"599 X"])
def test_a_json_body_is_embedded_beside_its_status(client: Wire, enveloped: Lane, status: bytes) -> None:
    response = _answered(
        client, enveloped, _response(b'{"a": [1, null]}', b"application/json", status=status)
    )

    assert response.line == b"HTTP/1.1 " + status
    assert _embedded(response) == {"a": [1, None]}


@clause("RFC 8259 2", "2.envelope.json", own_choice=ENVELOPES)
@pytest.mark.parametrize(
    "content",
    [
        b"1.10",
        b"-0",
        b"1e999",
        b"12345678901234567890123",
        b"0.1000000000000000055511151231257827",
        b"1" * 5000,
        b'"\\u00fc \xc3\xbc \\/"',
        b'{"a": 1, "a": 2}',
        b"\t[ 1 ,\r\n2 ]\n",
        b"null",
    ],
    ids=lambda content: content.decode()[:30],
)
def test_json_is_embedded_as_it_was_written(client: Wire, enveloped: Lane, content: bytes) -> None:
    response = _answered(client, enveloped, _response(content, b"application/json"))

    around = rb'\{\s*"status_code":\s*200,\s*"body":\s*%b\s*\}' % re.escape(content.strip())
    assert re.fullmatch(around, response.content)


@clause("RFC 6839 3.1", "2.envelope.json", own_choice=ENVELOPES)
@pytest.mark.parametrize(
    "media_type",
    [b"application/problem+json", b"Application/JSON; charset=utf-8", b"application/x.y+json;v=1"],
)
def test_every_json_type_is_embedded_as_json(client: Wire, enveloped: Lane, media_type: bytes) -> None:
    assert _embedded(_answered(client, enveloped, _response(b"[1]", media_type))) == [1]


@clause("RFC 2046 4.1.2", "2.envelope.text", own_choice=ENVELOPES)
@pytest.mark.parametrize(
    ("media_type", "content", "text"),
    [
        (b"text/plain", b'say "hi"\n\\', 'say "hi"\n\\'),
        (b"text/plain", b"", ""),
        (b"text/plain; charset=utf-8", "ü€😀".encode(), "ü€😀"),
        (b"text/html;charset=UTF-8", b"<p>\xc3\xbc\x00</p>", "<p>ü\0</p>"),
        (b'TEXT/plain ; Charset="Utf-8"', b"\xc3\xbc", "ü"),
        (b"text/plain; charset=US-ASCII", b"abc", "abc"),
        (b"text/plain; charset=ISO-8859-1", b"caf\xe9", "café"),
        (b"text/plain; charset=iso-8859-1", bytes(range(1, 256)), bytes(range(1, 256)).decode("latin-1")),
        (b"text/csv; charset=windows-1252; header=present", b"\x80\xfc", "€ü"),
        (b"text/plain; charset=UTF-16", "ü€😀".encode("utf-16"), "ü€😀"),
        (b"text/plain; charset=utf-16", b"\xfe\xff\x00a\x20\xac", "a€"),
        (b"text/plain", "\u2028\u2029\ufeffx\ufffe".encode(), "\u2028\u2029\ufeffx\ufffe"),
    ],
)
def test_text_is_embedded_as_a_string(
    client: Wire, enveloped: Lane, media_type: bytes, content: bytes, text: str
) -> None:
    assert _embedded(_answered(client, enveloped, _response(content, media_type))) == text


# What is neither JSON nor text of a charset on the list.
RAW = {
    "an image": (b"image/png", b"\x89PNG"),
    "a form": (b"application/x-www-form-urlencoded", b"a=1"),
    "no type": (b"", b"abc"),
    "an event stream": (b"text/event-stream", b"data: 1\n\n"),
    "bytes that are not of the charset, UTF-8": (b"text/plain; charset=utf-8", b"\xff\xfe"),
    "bytes that are not of the charset, ASCII": (b"text/plain; charset=us-ascii", b"caf\xe9"),
    "bytes that are not of the charset, windows-1252": (b"text/plain; charset=windows-1252", b"\x81"),
    "half a character": (b"text/plain; charset=utf-16", b"\xff\xfea"),
    "a lone surrogate in UTF-8": (b"text/plain; charset=utf-8", b"\xed\xa0\x80"),
    "a lone surrogate in UTF-16": (b"text/plain; charset=utf-16", b"\xff\xfe\x00\xd8"),
    "a lone surrogate in UTF-8, as JSON": (b"application/json", b'"\xed\xa0\x80"'),
    "punycode": (b"text/plain; charset=punycode", b"abc-"),
    "idna": (b"text/plain; charset=idna", b"abc"),
    "undefined": (b"text/plain; charset=undefined", b"abc"),
    "utf-7": (b"text/plain; charset=utf-7", b"+2AA-"),
    "unicode_escape": (b"text/plain; charset=unicode_escape", b"\\ud800"),
    "raw_unicode_escape": (b"text/plain; charset=raw_unicode_escape", b"\\ud800"),
    "a charset that is none": (b"text/plain; charset=no-such", b"abc"),
    "a codec that makes no text": (b"text/plain; charset=base64", b"YWJj"),
    "a charset with a NUL": (b"text/plain; charset=a%00b", b"abc"),
    "a charset with high bytes": (b"text/plain; charset=\xfc", b"abc"),
    "an empty charset": (b'text/plain; charset=""', b"\xff"),
    "a charset that is a path": (b"text/plain; charset=../encodings/utf_8", b"abc"),
    "a long charset": (b"text/plain; charset=" + b"x" * 5000, b"abc"),
    "mbcs": (b"text/plain; charset=mbcs", b"abc"),
}


@clause("2.envelope.else", own_choice=ENVELOPES)
@pytest.mark.parametrize(("media_type", "content"), RAW.values(), ids=RAW)
def test_anything_else_is_passed_raw(
    client: Wire, enveloped: Lane, media_type: bytes, content: bytes
) -> None:
    response = _answered(client, enveloped, _response(content, media_type, b'ETag: "x"'))

    assert _is_raw(response, content, media_type)
    assert response.values(b"etag") == [b'"x"']
    assert response.values(b"content-length") == [b"%d" % len(content)]


@clause("2.envelope.else", "5.content.encoding", own_choice=ENVELOPES)
def test_encoded_content_is_passed_raw(client: Wire, enveloped: Lane) -> None:
    sent = _response(b"\x1f\x8b", b"application/json", b"Content-Encoding: gzip", b'ETag: "x"')

    response = _answered(client, enveloped, sent)

    assert _is_raw(response, b"\x1f\x8b", b"application/json")
    assert response.values(b"content-encoding") == [b"gzip"]


@clause("RFC 9110 15.3.7", "2.envelope.else", own_choice=ENVELOPES)
def test_a_part_of_the_content_is_passed_raw(client: Wire, enveloped: Lane) -> None:
    sent = _response(b"bc", b"text/plain", b"Content-Range: bytes 1-2/9", status=b"206 Partial Content")

    assert _is_raw(_answered(client, enveloped, sent), b"bc", b"text/plain")


@clause("RFC 9110 15.3.5", "RFC 9110 15.4.5", "2.envelope.else", own_choice=ENVELOPES)
@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_response_without_content_stays_one(client: Wire, enveloped: Lane, status: bytes) -> None:
    response = _answered(client, enveloped, b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\n\r\n" % status)

    assert response.line == b"HTTP/1.1 " + status
    client.send(get(b"/nowhere"))
    assert client.read_response().content == DEFAULT_BODY


@clause("RFC 9110 9.3.2", "2.envelope.else", own_choice=ENVELOPES)
def test_a_response_to_head_tells_nothing_of_what_an_envelope_would_replace(
    client: Wire, enveloped: Lane
) -> None:
    sent = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\nETag: "x"\r\nX-A: 1\r\n\r\n'

    response = _answered(client, enveloped, sent, method=b"HEAD")

    assert not {b"content-length", b"etag", b"transfer-encoding"} & set(response.names())
    assert response.values(b"x-a") == [b"1"]
    client.send(get(b"/nowhere"))
    assert client.read_response().content == DEFAULT_BODY


@clause("RFC 9110 8.8.3", "RFC 9530 3", "2.envelope.form", own_choice=ENVELOPES)
def test_what_speaks_of_the_backends_bytes_does_not_stay_on_an_envelope(
    client: Wire, enveloped: Lane
) -> None:
    spoken = [
        b'ETag: "x"', b"Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==", b"Content-Digest: sha-256=:x:",
        b"Repr-Digest: sha-256=:x:", b"Digest: sha-256=x", b"Trailer: X-T", b"Accept-Ranges: bytes",
    ]  # fmt: skip
    kept = [
        b"Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT", b"Cache-Control: max-age=60", b"Vary: Cookie",
        b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Content-Language: de", b"Location: /x", b"X-A: 1",
    ]  # fmt: skip

    response = _answered(client, enveloped, _response(b"abc", b"text/plain", *spoken, *kept))

    assert _embedded(response) == "abc"
    names = {line.partition(b":")[0].lower() for line in spoken}
    assert not names & set(response.names())
    assert [b"%b: %b" % field for field in response.fields if b"%b: %b" % field in kept] == kept


@clause("2.envelope.form", own_choice=ENVELOPES)
@pytest.mark.parametrize("framing", ["chunks", "a trailer", "the end of the connection"])
def test_content_is_embedded_however_it_is_framed(client: Wire, enveloped: Lane, framing: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
    body = chunked(b"ab", b"c")
    sent = {
        "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n" + body,
        "a trailer": head + b"Transfer-Encoding: chunked\r\n\r\n" + body[:-2] + b"X-T: 1\r\n\r\n",
        "the end of the connection": head + b"\r\nabc",
    }[framing]
    client.send(get(enveloped.path))
    with enveloped.accept_for(client) as upstream:
        upstream.read_request()
        upstream.send(sent)
        if framing == "the end of the connection":
            upstream.close()

        assert _embedded(client.read_response()) == "abc"


@clause("2.envelope.form", "5.messages.http_1_0", own_choice=ENVELOPES)
def test_an_http_1_0_client_gets_an_envelope_of_known_length(client: Wire, enveloped: Lane) -> None:
    sent = get(enveloped.path, version=b"HTTP/1.0")

    assert _embedded(exchange(client, enveloped, sent, _response(b"abc", b"text/plain")).response) == "abc"
    assert client.is_closed()


@clause("2.envelope.else", own_choice=ENVELOPES)
@pytest.mark.parametrize("framing", ["a known length", "chunks"])
@pytest.mark.parametrize("size", [MOST, MOST + 1], ids=["a MiB", "a byte more"])
def test_content_is_embedded_up_to_a_mebibyte(client: Wire, enveloped: Lane, size: int, framing: str) -> None:
    content = b"x" * size
    sent = _response(content, b"text/plain", b'ETag: "x"')
    if framing == "chunks":
        sent = sent[: -size - 4].replace(b"Content-Length: %d" % size, b"Transfer-Encoding: chunked")
        sent += b"\r\n\r\n" + chunked(*(content[at : at + 65536] for at in range(0, size, 65536)))
    client.send(get(enveloped.path))
    upstream = enveloped.accept_for(client)
    upstream.read_request()
    with Pouring(upstream, [sent]) as sending:
        response = client.read_response()
        assert sending.wait()

    if size <= MOST:
        assert _embedded(response) == content.decode()
    else:
        assert _is_raw(response, content, b"text/plain")
        assert response.values(b"etag") == [b'"x"']


@clause("2.envelope.else", "5.content.streamed", own_choice=ENVELOPES)
def test_a_stream_of_text_is_passed_on_once_it_is_too_large_for_an_envelope(
    client: Wire, enveloped: Lane
) -> None:
    client.send(get(enveloped.path))
    upstream = enveloped.accept_for(client)
    upstream.read_request()
    piece = b"x" * 65536
    pieces = b"10000\r\n%b\r\n" % piece
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Pouring(upstream, [head, *[pieces] * 17]) as sending:
        assert client.read_head().status == 200  # while the backend has more to say
        read = 0
        while read < 17 * len(piece):
            read += len(client.read_chunk())
        assert sending.wait()
    upstream.send(b"4\r\nlate\r\n0\r\n\r\n")
    assert client.read_chunk() == b"late"


BROKEN = {
    "a known length": (b"Content-Length: 70\r\n\r\nabcdefg", "a FIN"),
    "a known length, by a reset": (b"Content-Length: 70\r\n\r\nabcdefg", "a RST"),
    "a known length, and nothing of it": (b"Content-Length: 70\r\n\r\n", "a FIN"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "a FIN"),
    "chunks, within one": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe", "a RST"),
    "chunks, of which one is malformed": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", ""),
    "trailers": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n", "a FIN"),
    "trailers that are malformed": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T\r\n\r\n", ""),
    "the end of the connection, by a reset": (b"\r\nhello", "a RST"),
}


def _broken(client: Wire, lane: Lane, rest: bytes, how: str) -> None:
    """Ask, and answer with text that breaks off behind *rest*."""
    client.send(get(lane.path))
    upstream = lane.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + rest)
    if how:
        upstream.close() if how == "a FIN" else upstream.reset()


@clause("6.broken.envelope", own_choice=ENVELOPES)
@pytest.mark.parametrize(("rest", "how"), BROKEN.values(), ids=BROKEN)
def test_a_response_that_breaks_off_is_502_bad_response(counted: Gateway, rest: bytes, how: str) -> None:
    client, enveloped = counted.client(), counted.lane("enveloped")
    _broken(client, enveloped, rest, how)

    response = client.read_response()
    counted.check_answer(response, 502, "bad_response")
    assert response.values(b"content-type") == [b"application/problem+json"]
    # The connection goes on, and the request is counted once, as what the client saw.
    assert _embedded(_answered(client, enveloped, _response(b"abc", b"text/plain"))) == "abc"
    route = enveloped.path.decode()
    wait_until(lambda: counted.figures("route")[route]["success"] == 1, DEADLINE_S, "the second request")
    assert counted.figures("route")[route] == {"success": 1, "error": 1}


@clause("6.client.malformed", "6.client.closed", own_choice=ENVELOPES)
def test_content_that_is_malformed_while_an_envelope_is_made_is_told_of_as_such(
    gateway: Gateway, client: Wire, enveloped: Lane
) -> None:
    client.send(get(enveloped.path, b"Transfer-Encoding: chunked", method=b"POST") + b"1\r\na\r\n")
    upstream = enveloped.accept_for(client)
    upstream.read_head()
    upstream.send(_response(b"text", b"text/plain")[:-1])
    assert not readable([client.sock], 0.1)
    client.send(b"no size\r\n")

    gateway.check_answer(client.read_response(), 400, "bad_request")
    assert client.is_closed()


@clause("2.timeouts.idle", "6.broken.envelope", own_choice=ENVELOPES)
def test_a_response_that_stalls_is_502_bad_response(
    gateway: Gateway, client: Wire, hasty_enveloped: Lane
) -> None:
    _broken(client, hasty_enveloped, b"Content-Length: 70\r\n\r\nabcdefg", "")

    gateway.check_answer(client.read_response(), 502, "bad_response")


@pytest.mark.slow
@clause("2.timeouts.idle", "6.broken.cut", own_choice=ENVELOPES)
def test_one_that_is_too_large_for_an_envelope_and_stalls_is_cut(client: Wire, hasty_enveloped: Lane) -> None:
    content = chunked(b"x" * MOST, b"x").removesuffix(b"0\r\n\r\n")
    _broken(client, hasty_enveloped, b"Transfer-Encoding: chunked\r\n\r\n" + content, "")

    with pytest.raises(Cut):
        client.read_response()


@clause("1.log.line", "6.broken.envelope", own_choice=ENVELOPES)
def test_the_log_tells_what_the_client_saw_of_a_response_that_broke_off(limited: Gateway) -> None:
    lane = limited.lane("enveloped")
    with limited.client() as client:
        _broken(client, lane, b"Content-Length: 70\r\n\r\nabcdefg", "a FIN")
        client.read_response()

    told = limited.logged(lane.path)
    assert (told["status"], told["reason"]) == (502, "bad_response")


@clause("2.backend.policy", "6.broken.envelope", own_choice=ENVELOPES)
def test_a_request_whose_response_broke_off_counts_as_ended(client: Wire, least_pair: Lane) -> None:
    asked = dict.fromkeys((listener.port for listener in least_pair.listeners), 0)
    for _ in range(3):
        _broken(client, least_pair, b"Content-Length: 70\r\n\r\nabcdefg", "a FIN")
        assert client.read_response().status == 502
    present: set[Wire] = set()
    for _ in range(40):  # which would go to one alone, were the other thought to be busy
        client.send(get(least_pair.path))
        upstream = least_pair.accept_or(*present)
        present.add(upstream)
        answer(client, upstream, b"GET", _response(b"abc", b"text/plain"))
        asked[upstream.address[1]] += 1

    assert all(asked.values()), asked


@clause("6.own.document", own_choice=ENVELOPES)
def test_the_gateways_own_errors_go_into_no_envelope(gateway: Gateway, client: Wire, enveloped: Lane) -> None:
    client.send(get(enveloped.path))
    upstream = enveloped.accept_for(client)
    upstream.read_request()
    upstream.close()

    response = client.read_response()
    gateway.check_answer(response, 503, "closed_early")
    assert "status_code" not in json.loads(response.content)


@clause("RFC 8259 9", "2.envelope.json", own_choice=ENVELOPES)
@pytest.mark.parametrize(
    "content", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'"\\ud800"']
)
def test_json_that_is_hard_to_read_arrives_one_way_or_the_other(
    client: Wire, enveloped: Lane, content: bytes
) -> None:
    response = _answered(client, enveloped, _response(content, b"application/json"))

    assert response.status == 200
    assert content == response.content or content + b"}" in response.content
