"""Requests whose meaning is in doubt: refused, the connection closed, nothing of them forwarded."""

import pytest
from _pytest.mark import ParameterSet  # pytest has no public name for what pytest.param returns

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import check_nothing_reached, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Cut, Wire

SMUGGLED = b"GET %b/smuggled HTTP/1.1\r\nHost: example.org\r\n\r\n"
HOST = b"Host: example.org\r\n"

# Each is a request to PATH. What the clause forbids is its id.
FRAMING = {
    "Content-Length beside Transfer-Encoding": (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "Transfer-Encoding beside Content-Length": (
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    ),
    "two Content-Length that differ": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a list of Content-Length that differ": b"Content-Length: 0, 5\r\n\r\n",
    "a Content-Length with a plus sign": b"Content-Length: +0\r\n\r\n",
    "a Content-Length below zero": b"Content-Length: -1\r\n\r\n",
    "a hexadecimal Content-Length": b"Content-Length: 0x0\r\n\r\n",
    "a Content-Length with an underscore": b"Content-Length: 1_0\r\n\r\n0123456789",
    "a Content-Length with a blank inside": b"Content-Length: 1 0\r\n\r\n0123456789",
    "a Content-Length with a fraction": b"Content-Length: 0.0\r\n\r\n",
    "a Content-Length that is no number": b"Content-Length: none\r\n\r\n",
    "a Content-Length that overflows 64 bits": b"Content-Length: 18446744073709551616\r\n\r\n",
    "a Content-Length in other digits": b"Content-Length: \xd9\xa0\r\n\r\n",
    "a transfer coding that nobody knows": b"Transfer-Encoding: cow\r\n\r\n0\r\n\r\n",
    "a transfer coding behind chunked": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked, xchunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked in quotes": b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "an obfuscated chunked with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked with a form feed": b"Transfer-Encoding: chunked\x0c\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked with a NUL": b"Transfer-Encoding: chunked\x00\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked with a bare CR": b"Transfer-Encoding:\rchunked\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked with a semicolon": b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked with a high byte": b"Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "a folded Transfer-Encoding": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two Transfer-Encoding fields": (
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    ),
    "a blank before the colon of Transfer-Encoding": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a tab before the colon of Content-Length": b"Content-Length\t: 5\r\n\r\n",
    "an empty Transfer-Encoding": b"Transfer-Encoding:\r\nContent-Length: 0\r\n\r\n",
}
LINES = {
    "a folded line": b"X-A: 1\r\n folded\r\n\r\n",
    "a line folded with a tab": b"X-A: 1\r\n\tfolded\r\n\r\n",
    "a blank before a field's name": b" X-A: 1\r\n\r\n",
    "a bare LF between fields": b"X-A: 1\nX-B: 2\r\n\r\n",
    "a bare LF as the end of the head": b"X-A: 1\n\n",
    "a bare LF as the empty line": b"X-A: 1\r\n\n",
    "a bare CR between fields": b"X-A: 1\rX-B: 2\r\n\r\n",
    "a bare CR as the empty line": b"X-A: 1\r\n\r\r\n\r\n",
    "a doubled CR at a line's end": b"X-A: 1\r\r\nX-B: 2\r\n\r\n",
    "a NUL in a value": b"X-A: a\x00b\r\n\r\n",
    "a NUL in a name": b"X-\x00A: 1\r\n\r\n",
    "a control character in a value": b"X-A: a\x01b\r\n\r\n",
    "a DEL in a value": b"X-A: a\x7fb\r\n\r\n",
    "an escape character in a value": b"X-A: \x1b[31m\r\n\r\n",
    "a control character in a name": b"X-\x08A: 1\r\n\r\n",
    "a high byte in a name": b"X-\xe9: 1\r\n\r\n",
    "a blank in a name": b"X A: 1\r\n\r\n",
    "a blank before the colon": b"X-A : 1\r\n\r\n",
    "a line without a colon": b"X-A\r\n\r\n",
    "a name that is empty": b": 1\r\n\r\n",
    "a slash in a name": b"X/A: 1\r\n\r\n",
    "a bracket in a name": b"X(A): 1\r\n\r\n",
    "two Host fields": b"Host: other.example\r\n\r\n",
    "two Host fields that agree": b"Host: example.org\r\n\r\n",
}
WHOLE = {
    "no Host in HTTP/1.1": b"GET PATH HTTP/1.1\r\n\r\n",
    "a Host with a path": b"GET PATH HTTP/1.1\r\nHost: example.org/x\r\n\r\n",
    "a Host with a user": b"GET PATH HTTP/1.1\r\nHost: me@example.org\r\n\r\n",
    "a Host with a blank": b"GET PATH HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a Host with two names": b"GET PATH HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
    "a Host whose port is no number": b"GET PATH HTTP/1.1\r\nHost: example.org:8o\r\n\r\n",
    "no version": b"GET PATH\r\nHost: example.org\r\n\r\n",
    "a version in small letters": b"GET PATH http/1.1\r\nHost: example.org\r\n\r\n",
    "a version without a minor number": b"GET PATH HTTP/1\r\nHost: example.org\r\n\r\n",
    "a version of three digits": b"GET PATH HTTP/1.10\r\nHost: example.org\r\n\r\n",
    "a version with a plus sign": b"GET PATH HTTP/+1.1\r\nHost: example.org\r\n\r\n",
    "two blanks before the target": b"GET  PATH HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "two blanks before the version": b"GET PATH  HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a tab instead of a blank": b"GET\tPATH\tHTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a blank in the target": b"GET PATH/a b HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a blank after the version": b"GET PATH HTTP/1.1 \r\nHost: example.org\r\n\r\n",
    "a blank before the method": b" GET PATH HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a bare CR in the request line": b"GET PATH\rX HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a bare LF after the request line": b"GET PATH HTTP/1.1\nHost: example.org\r\n\r\n",
    "a NUL in the target": b"GET PATH/\x00 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a control character in the target": b"GET PATH/\x1f HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a fragment in the target": b"GET PATH#part HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a target without a slash": b"GET nothing HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "an authority as the target of GET": b"GET example.org:80 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "an asterisk as the target of GET": b"GET * HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a user in an absolute target": b"GET http://me@example.orgPATH HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "an absolute target without a host": b"GET http://PATH HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a separator in the method": b"G(E)T PATH HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a high byte in the method": b"G\xc9T PATH HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a folded first field": b"GET PATH HTTP/1.1\r\n Host: example.org\r\nHost: example.org\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
    "Transfer-Encoding in HTTP/1.0": b"POST PATH HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}
SHAPES = (
    {name: b"POST PATH HTTP/1.1\r\n" + HOST + rest for name, rest in FRAMING.items()}
    | {name: b"GET PATH HTTP/1.1\r\n" + HOST + rest for name, rest in LINES.items()}
    | WHOLE
)
CHUNKS = {
    "a chunk size with 0x": b"0x2\r\nab\r\n0\r\n\r\n",
    "a chunk size with a plus sign": b"+2\r\nab\r\n0\r\n\r\n",
    "a chunk size below zero": b"-2\r\nab\r\n0\r\n\r\n",
    "a chunk size that is empty": b"\r\nab\r\n0\r\n\r\n",
    "a chunk size that is no number": b"xyz\r\nab\r\n0\r\n\r\n",
    "a chunk size with an underscore": b"0_2\r\nab\r\n0\r\n\r\n",
    "a chunk size behind a blank": b" 2\r\nab\r\n0\r\n\r\n",
    "a chunk size before a blank": b"2 \r\nab\r\n0\r\n\r\n",
    "a chunk size before a tab": b"2\t\r\nab\r\n0\r\n\r\n",
    "a last chunk's size before a blank": b"2\r\nab\r\n0 \r\n\r\n",
    "a chunk extension before a blank": b"2;a=1 \r\nab\r\n0\r\n\r\n",
    "a chunk size that overflows 64 bits": b"10000000000000002\r\nab\r\n0\r\n\r\n",
    "a chunk size that overflows 128 bits": b"100000000000000000000000000000002\r\nab\r\n0\r\n\r\n",
    "a chunk size that ends with a bare LF": b"2\nab\r\n0\r\n\r\n",
    "a chunk size that ends with a bare CR": b"2\rab\r\n0\r\n\r\n",
    "a chunk size with a doubled CR": b"2\r\r\nab\r\n0\r\n\r\n",
    "a chunk that ends with a bare LF": b"2\r\nab\n0\r\n\r\n",
    "a chunk that ends with other bytes": b"2\r\nabXX0\r\n\r\n",
    "a chunk longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "a chunk without its end": b"2\r\nab0\r\n\r\n",
    "a bare LF in a chunk extension": b"2;a\nb\r\nab\r\n0\r\n\r\n",
    "a control character in a chunk extension": b"2;a=\x00\r\nab\r\n0\r\n\r\n",
    "a last chunk that ends with a bare LF": b"0\n\r\n",
    "a trailer section that ends with a bare LF": b"0\r\n\n",
    "a trailer that ends with a bare LF": b"0\r\nX-T: 1\n\r\n",
    "a trailer without a colon": b"0\r\nX-T\r\n\r\n",
    "a trailer that is folded": b"0\r\nX-T: 1\r\n 2\r\n\r\n",
    "a trailer with a blank before its colon": b"0\r\nX-T : 1\r\n\r\n",
}

# Where RFC 9112 lets a recipient be lenient; rgate is not, as the next one may read it otherwise.
A_BARE_LF = "a bare LF may be taken for a line's end (RFC 9112 2.2)"
A_FOLD = "folded lines may be unfolded (RFC 9112 5.2)"
BLANKS = "a request line may be split at any white space (RFC 9112 3)"
PADDING = "the grammar has no white space there (RFC 9112 7.1.1); some take it all the same"
LENIENT = {
    "a bare LF between fields": A_BARE_LF,
    "a bare LF as the end of the head": A_BARE_LF,
    "a bare LF as the empty line": A_BARE_LF,
    "a bare LF after the request line": A_BARE_LF,
    "a trailer section that ends with a bare LF": A_BARE_LF,
    "a trailer that ends with a bare LF": A_BARE_LF,
    "a chunk size before a blank": PADDING,
    "a chunk size before a tab": PADDING,
    "a last chunk's size before a blank": PADDING,
    "a chunk extension before a blank": PADDING,
    "a folded line": A_FOLD,
    "a line folded with a tab": A_FOLD,
    "a folded Transfer-Encoding": A_FOLD,
    "a trailer that is folded": A_FOLD,
    "two blanks before the target": BLANKS,
    "two blanks before the version": BLANKS,
    "a tab instead of a blank": BLANKS,
    "a blank after the version": BLANKS,
    "a bare CR in the request line": BLANKS,
}


def _cases(shapes: dict[str, bytes]) -> list[ParameterSet]:
    return [
        pytest.param(shape, id=name, marks=[clause(own_choice=LENIENT[name])] if name in LENIENT else [])
        for name, shape in shapes.items()
    ]


@clause("RFC 9112 2.2", "RFC 9112 3", "RFC 9112 5", "RFC 9112 6.3", "6.client.malformed", "6.client.closed")
@pytest.mark.parametrize("shape", _cases(SHAPES))
def test_refused_with_400_and_closed_and_nothing_reaches_a_backend(
    gateway: Gateway, client: Wire, backend: Lane, shape: bytes
) -> None:
    client.try_send(shape.replace(b"PATH", backend.path) + SMUGGLED % backend.path)

    gateway.check_answer(client.read_response(), 400, "bad_request")
    assert client.is_closed()
    check_nothing_reached(gateway, backend)


@clause("RFC 9112 7.1", "RFC 9112 8", "6.client.malformed", "6.client.closed")
@pytest.mark.parametrize("body", _cases(CHUNKS))
def test_a_body_is_refused_with_400_and_closed_and_no_backend_sees_a_whole_request(
    gateway: Gateway, client: Wire, backend: Lane, body: bytes
) -> None:
    head = get(backend.path, b"Transfer-Encoding: chunked", method=b"POST")
    client.try_send(head + body + SMUGGLED % backend.path)

    gateway.check_answer(client.read_response(), 400, "bad_request")
    assert client.is_closed()
    if not backend.is_unvisited():
        upstream = backend.accept()
        with pytest.raises(Cut):  # the head may have gone on before; its content must not come to an end
            upstream.read_request()
    check_nothing_reached(gateway, backend)


@clause("RFC 9112 9.6", "6.client.closed")
def test_what_follows_a_refused_request_is_neither_answered_nor_forwarded(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.try_send(b"GET / HTTP/1.1\r\nBad Name: 1\r\nHost: a\r\n\r\n" + get(backend.path) * 3)

    gateway.check_answer(client.read_response(), 400, "bad_request")
    assert client.is_closed()
    check_nothing_reached(gateway, backend)


@clause("RFC 9112 9.3.2", "5.messages.pipelined")
def test_a_good_request_before_a_bad_one_is_answered_first(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path) + b"GET / HTTP/1.1\r\nX : 1\r\n\r\n")
    upstream = backend.accept()
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    assert client.read_response().status == 200
    gateway.check_answer(client.read_response(), 400, "bad_request")
    assert client.is_closed()


@clause("RFC 9112 2.2", own_choice="refused as it comes, without waiting for the end of the head")
def test_a_bare_lf_is_refused_before_the_head_ends(gateway: Gateway, client: Wire, backend: Lane) -> None:
    client.send(b"GET %b HTTP/1.1\nHost: a\n" % backend.path)

    gateway.check_answer(client.read_response(), 400, "bad_request")
    assert client.is_closed()
    check_nothing_reached(gateway, backend)


@clause("RFC 9110 15.6.6", "6.client.version", "6.client.closed")
@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/9.9"])
def test_another_major_version_is_refused_with_505(
    gateway: Gateway, client: Wire, backend: Lane, version: bytes
) -> None:
    client.try_send(get(backend.path, version=version))

    gateway.check_answer(client.read_response(), 505, "version_not_supported")
    assert client.is_closed()
    check_nothing_reached(gateway, backend)


@clause(
    "RFC 9113 3.4",
    "6.client.version",
    own_choice="the preface of HTTP/2 is taken as a request of version 2.0",
)
def test_the_preface_of_http_2_is_refused_with_505(gateway: Gateway, client: Wire) -> None:
    client.try_send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

    gateway.check_answer(client.read_response(), 505, "version_not_supported")
    assert client.is_closed()


@clause("RFC 9110 8.6", own_choice="a length that stands twice may be accepted or refused")
@pytest.mark.parametrize(
    "lines",
    [[b"Content-Length: 2, 2"], [b"Content-Length: 2", b"Content-Length: 2"]],
    ids=["a list", "lines"],
)
def test_equal_content_lengths_are_refused(
    gateway: Gateway, client: Wire, backend: Lane, lines: list[bytes]
) -> None:
    client.try_send(get(backend.path, *lines, method=b"POST") + b"ab")

    gateway.check_answer(client.read_response(), 400, "bad_request")
    check_nothing_reached(gateway, backend)


@clause("RFC 9110 10.1.1")
def test_a_refusal_is_not_preceded_by_a_100(gateway: Gateway, client: Wire) -> None:
    client.send(
        get(b"/", b"Expect: 100-continue", b"Content-Length: 1", b"Content-Length: 2", method=b"POST")
    )

    response = client.read_response()

    gateway.check_answer(response, 400, "bad_request")
    assert not response.interim
