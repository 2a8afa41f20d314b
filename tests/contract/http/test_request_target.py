"""Which route a request target takes, and what of it the backend sees."""

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import exchange, get, own_answer
from tests.contract.http.site import DEFAULT_BODY, DEFAULT_STATUS, Lane, first_of
from tests.contract.http.wire import Message, Wire


def _is_default(response: Message) -> bool:
    return (response.status, response.content) == (DEFAULT_STATUS, DEFAULT_BODY)


@clause("RFC 9110 7.6", "3.path.forwarded")
@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"", id="nothing after the prefix"),
        pytest.param(b"/", id="a slash at the end"),
        pytest.param(b"/a%2Fb%2fc", id="encoded slashes in either case"),
        pytest.param(b"/%7Euser/~user", id="unreserved characters encoded and plain"),
        pytest.param(b"//a///b//", id="repeated slashes"),
        pytest.param(b"/a;v=1,2;w", id="parameters of a segment"),
        pytest.param(b"/a:b@c!$&'()*+=", id="sub-delimiters"),
        pytest.param(b"/..a/...x/.well-known/a..", id="dots that are no dot segment"),
        pytest.param(b"/a..b", id="dots within a segment"),
        pytest.param(b"/...", id="three dots"),
        pytest.param(b"/%2e%2E%2e/a%2eb/%2ehidden/a%2e", id="encoded dots that are no dot segment"),
        pytest.param(b"/a%2F.b%5cc..%5C...", id="encoded separators beside other dots"),
        pytest.param(b"/a;..;./b;v=..", id="dots in a segment's parameters"),
        pytest.param(b"/%00%0d%0A%20", id="encoded control characters"),
        pytest.param(b"/x?", id="an empty query"),
        pytest.param(b"/x?a=1&a=2&b=%20+%2B?c=/d", id="a query with everything"),
        pytest.param(b"?a=../b/./c", id="dots in the query"),
        pytest.param(b"/x?/../%2e%2e/..\\%5c..%2f..;x", id="every form of dot segment in the query"),
    ],
)
def test_path_and_query_reach_the_backend_byte_for_byte(client: Wire, backend: Lane, rest: bytes) -> None:
    target = backend.path + rest

    assert exchange(client, backend, get(target)).request.target == target


@clause(
    "3.path.forwarded",
    own_choice="clients send bytes that the grammar of URIs leaves out; they are passed on",
)
@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"/caf\xc3\xa9?q=\xe2\x82\xac", id="UTF-8"),
        pytest.param(b"/\xe9", id="Latin-1"),
        pytest.param(b'/a|b^c{d}e"f<g>`', id="characters that should be encoded"),
        pytest.param(b"/a\\b", id="a backslash"),
        pytest.param(b"/a\\...\\.b\\c..", id="backslashes beside dots"),
        pytest.param(b"/%zz%", id="a percent sign that encodes nothing"),
    ],
)
def test_characters_outside_the_grammar_reach_the_backend_unchanged(
    client: Wire, backend: Lane, rest: bytes
) -> None:
    target = backend.path + rest

    assert exchange(client, backend, get(target)).request.target == target


@clause("RFC 9110 4.1")
def test_a_target_of_8000_bytes_is_forwarded(client: Wire, backend: Lane) -> None:
    target = (backend.path + b"/").ljust(8000, b"x")

    assert exchange(client, backend, get(target)).request.target == target


@clause("RFC 9110 9.1", "5.methods.all")
@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD"])
def test_every_method_is_forwarded(client: Wire, backend: Lane, method: bytes) -> None:
    sent = (
        get(backend.path, b"Content-Length: 0", method=method)
        if method in (b"POST", b"PUT", b"PATCH")
        else get(backend.path, method=method)
    )

    seen = exchange(client, backend, sent)

    assert seen.request.line == b"%b %b HTTP/1.1" % (method, backend.path)
    assert seen.response.status == 200


@clause("RFC 9110 9.1", "5.methods.all")
@pytest.mark.parametrize("method", [b"PROPFIND", b"BREW", b"M-SEARCH", b"x!#$%&'*+-.^_`|~9"])
def test_a_method_that_nobody_knows_is_forwarded(client: Wire, backend: Lane, method: bytes) -> None:
    seen = exchange(client, backend, get(backend.path, method=method))

    assert seen.request.method == method


@clause("RFC 9110 9.1", "5.methods.all")
def test_the_method_is_case_sensitive(client: Wire, backend: Lane) -> None:
    assert exchange(client, backend, get(backend.path, method=b"get")).request.method == b"get"


@clause("3.path.longest")
def test_the_longest_prefix_wins_whatever_the_order_in_the_file(gateway: Gateway, client: Wire) -> None:
    for _ in range(3):
        shallow, deep = gateway.lane("nested"), gateway.lane("nested/deep")
        assert deep.path == shallow.path + b"/deep"

        assert exchange(client, deep, get(deep.path + b"/x")).response.status == 200
        assert exchange(client, shallow, get(shallow.path + b"/de")).response.status == 200


@clause("2.match.prefix")
def test_a_prefix_is_compared_as_a_literal_start(client: Wire, backend: Lane) -> None:
    target = backend.path + b"andmore"

    assert exchange(client, backend, get(target)).request.target == target


@clause("2.match.segment")
def test_a_segment_route_takes_the_prefix_and_what_lies_below(client: Wire, segmented: Lane) -> None:
    seen = exchange(client, segmented, get(segmented.path + b"?q"))

    client.send(get(segmented.path + b"/x"))

    assert seen.request.target == segmented.path + b"?q"
    assert seen.upstream.read_request().target == segmented.path + b"/x"


@clause("2.match.segment")
def test_a_segment_route_does_not_take_a_longer_segment(client: Wire, segmented: Lane) -> None:
    client.send(get(segmented.path + b"andmore"))

    assert _is_default(client.read_response())


@clause("RFC 3986 6.2.2.1", "3.path.case")
def test_paths_are_case_sensitive(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path.upper()))

    assert _is_default(client.read_response())


@clause("3.path.undecoded", own_choice="nothing is decoded before routes are compared")
def test_an_encoded_prefix_is_another_path(client: Wire, backend: Lane) -> None:
    client.send(get(b"/%73" + backend.path[2:]))

    assert _is_default(client.read_response())


@clause("3.path.slashes")
def test_repeated_slashes_are_not_merged_before_routes_are_compared(client: Wire, backend: Lane) -> None:
    client.send(get(b"/" + backend.path))

    assert _is_default(client.read_response())


@clause("3.path.query")
def test_the_query_has_no_part_in_routing(client: Wire, backend: Lane) -> None:
    client.send(get(b"/nowhere?" + backend.path))

    assert _is_default(client.read_response())


@clause(
    "3.dots.refused",
    "3.dots.bounded",
    "3.dots.parameters",
    own_choice="others resolve dot segments, each in its own way",
)
@pytest.mark.parametrize(
    "rest",
    [
        b"/../x",
        b"/./x",
        b"/..",
        b"/.",
        b"/%2e%2e/x",
        b"/.%2E/x",
        b"/%2e./x",
        b"/%2E",
        b"/a/b/../../c",
        b"/..?q",
        b"/.%2e?q",
        b"/..\\x",
        b"/a\\..\\b",
        b"\\..",
        b"/..%5cx",
        b"/..%5Cx",
        b"/a%5c%2E%5Cb",
        b"/..%2fx",
        b"/a%2F..%2fb",
        b"/a%2f%2e%2e",
        b"%2F..",
        b"/..;x/y",
        b"/..;/y",
        b"/..;a=b;c",
        b"/.;x",
        b"/%2e%2E;x/y",
        b"/a%2f..;x%5cb",
    ],
)
def test_a_path_with_a_dot_segment_is_refused(
    gateway: Gateway, client: Wire, backend: Lane, rest: bytes
) -> None:
    client.send(get(backend.path + rest))

    gateway.check_answer(own_answer(client, backend), 400, "path_not_normalized")


@clause("3.dots.refused", own_choice="others resolve dot segments, each in its own way")
@pytest.mark.parametrize(
    "target", [b"/nowhere/../x", b"/nowhere/..%5cx", b"/_rgate/..;/x", b"/..", b"/\\..\\"]
)
def test_a_dot_segment_is_refused_where_no_route_matches_too(
    gateway: Gateway, client: Wire, target: bytes
) -> None:
    client.send(get(target))

    gateway.check_answer(client.read_response(), 400, "path_not_normalized")


@clause("3.dots.refused", "3.path.absolute", own_choice="others resolve dot segments, each in its own way")
@pytest.mark.parametrize("rest", [b"/../x", b"/..%2fx", b"/%2e%2e;x"])
def test_a_dot_segment_of_an_absolute_form_target_is_refused(
    gateway: Gateway, client: Wire, backend: Lane, rest: bytes
) -> None:
    client.send(get(b"http://example.org" + backend.path + rest))

    gateway.check_answer(own_answer(client, backend), 400, "path_not_normalized")


@clause("RFC 9110 4.2.3", "3.dots.route")
@pytest.mark.parametrize("rest", [b"/../", b"/%2e%2e/", b"/x/../../", b"/..%2f", b"/..;x/"])
def test_a_dot_segment_does_not_reach_a_route_under_another_routes_name(
    gateway: Gateway, client: Wire, backend: Lane, rest: bytes
) -> None:
    other = gateway.lane()

    client.send(get(other.path + rest + backend.path[1:] + b"/secret"))

    assert first_of(client, other, backend), "nobody heard of it"
    assert backend.is_unvisited()


@clause("2.strip.removed")
@pytest.mark.parametrize(
    ("rest", "forwarded"),
    [(b"", b"/"), (b"/x", b"/x"), (b"?q=1", b"/?q=1"), (b"/a%2Fb?c=%2F", b"/a%2Fb?c=%2F")],
    ids=["nothing is left", "a path is left", "only a query is left", "encoded bytes are left"],
)
def test_strip_prefix_removes_the_prefix_and_nothing_else(
    client: Wire, stripping: Lane, rest: bytes, forwarded: bytes
) -> None:
    assert exchange(client, stripping, get(stripping.path + rest)).request.target == forwarded


@clause("2.strip.removed", own_choice="two slashes stay two slashes")
def test_strip_prefix_leaves_a_second_slash(client: Wire, stripping: Lane) -> None:
    assert exchange(client, stripping, get(stripping.path + b"//x")).request.target == b"//x"


@clause("2.strip.slash")
def test_what_strip_prefix_leaves_begins_with_a_slash(client: Wire, stripping: Lane) -> None:
    assert exchange(client, stripping, get(stripping.path + b"x")).request.target == b"/x"


@clause("2.strip.dots", own_choice="others forward it, or resolve it in their own way")
@pytest.mark.parametrize(
    "rest",
    [
        b"../secret",
        b"..",
        b".",
        b"./x",
        b"..?q",
        b"%2e%2e/x",
        b".%2E",
        b"..\\x",
        b"..%5cx",
        b"..%2fx",
        b"..;x/y",
        b".;x",
    ],
)
def test_what_strip_prefix_leaves_is_refused_where_it_is_a_dot_segment(
    gateway: Gateway, client: Wire, stripping: Lane, rest: bytes
) -> None:
    client.send(get(stripping.path + rest))

    gateway.check_answer(own_answer(client, stripping), 400, "path_not_normalized")


@clause("2.strip.dots")
@pytest.mark.parametrize("rest", [b"..a", b"...", b".well-known/x", b"a/..b", b"%2ehidden", b";..", b"?../x"])
def test_what_strip_prefix_leaves_is_forwarded_where_it_only_looks_like_a_dot_segment(
    client: Wire, stripping: Lane, rest: bytes
) -> None:
    assert exchange(client, stripping, get(stripping.path + rest)).request.target == b"/" + rest


@clause("2.strip.slash")
def test_strip_prefix_leaves_the_slash_that_ends_the_prefix(client: Wire, slashed: Lane) -> None:
    assert exchange(client, slashed, get(slashed.path + b"x/y")).request.target == b"/x/y"


@clause("3.dots.refused", own_choice="others resolve dot segments, each in its own way")
def test_a_dot_segment_behind_a_prefix_that_ends_with_a_slash_is_refused(
    gateway: Gateway, client: Wire, slashed: Lane
) -> None:
    client.send(get(slashed.path + b"../x"))

    gateway.check_answer(own_answer(client, slashed), 400, "path_not_normalized")


@clause("3.route.none")
@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"BREW"])
def test_without_a_route_the_default_response_is_given_exactly(client: Wire, method: bytes) -> None:
    client.send(get(b"/nowhere", method=method))

    response = client.read_response()

    assert _is_default(response)
    assert response.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert response.framing == "length"


@clause("RFC 9112 9.3", "3.route.none")
def test_without_a_route_content_is_not_taken_for_the_next_request(client: Wire) -> None:
    client.send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd" + get(b"/elsewhere"))

    first = client.read_response()

    assert _is_default(first)
    if b"close" in first.items(b"connection"):  # instead of reading what nobody wants
        assert client.is_closed()
    else:
        assert _is_default(client.read_response())


@clause("RFC 9110 9.3.2", "3.route.none_head")
def test_without_a_route_head_gets_no_content(client: Wire) -> None:
    client.send(get(b"/nowhere", method=b"HEAD") + get(b"/nowhere"))

    response = client.read_response(to=b"HEAD")

    assert response.status == DEFAULT_STATUS
    assert response.values(b"content-length") == [b"%d" % len(DEFAULT_BODY)]
    assert _is_default(client.read_response())


@clause("RFC 9112 3.2.4", "3.route.none", own_choice="no route's prefix begins with `*`")
def test_options_of_the_whole_server_gets_the_default_response(client: Wire) -> None:
    client.send(get(b"*", method=b"OPTIONS"))

    assert _is_default(client.read_response())


@clause("RFC 9112 3.2.2", "3.path.absolute")
def test_an_absolute_form_target_is_forwarded_in_origin_form(client: Wire, backend: Lane) -> None:
    sent = get(b"http://example.org" + backend.path + b"/a%2F?b=//c")

    assert exchange(client, backend, sent).request.target == backend.path + b"/a%2F?b=//c"


@clause("RFC 9112 3.2.2", "3.route.authority")
def test_an_absolute_form_targets_authority_replaces_host(client: Wire, backend: Lane) -> None:
    sent = b"GET http://other.example:8080%b HTTP/1.1\r\nHost: example.org\r\n\r\n" % backend.path

    assert exchange(client, backend, sent).request.values(b"host") == [b"other.example:8080"]


@clause("RFC 9112 3.2.2", "RFC 9110 4.2.3")
def test_the_scheme_of_an_absolute_form_target_may_be_in_capitals(client: Wire, backend: Lane) -> None:
    sent = get(b"HTTP://example.org" + backend.path)

    assert exchange(client, backend, sent).request.target == backend.path


@clause("RFC 9112 3.2.2")
def test_an_absolute_form_target_without_a_path_means_the_root(client: Wire) -> None:
    client.send(get(b"http://example.org"))

    assert _is_default(client.read_response())


@clause("RFC 9110 9.3.6", "5.methods.connect", own_choice="others refuse it as malformed, with 400")
def test_connect_is_not_allowed(gateway: Gateway, client: Wire) -> None:
    client.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")

    response = client.read_response()

    gateway.check_answer(response, 405, "method_not_allowed")


@clause(
    "RFC 9110 15.5.6", "5.methods.trace", own_choice="TRACE shows what gateways add to others; many refuse it"
)
def test_trace_is_not_allowed_and_the_answer_names_what_is(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path, method=b"TRACE"))

    response = client.read_response()

    gateway.check_answer(response, 405, "method_not_allowed")
    assert b"get" in response.items(b"allow")
    assert not {b"trace", b"connect"} & set(response.items(b"allow"))
    assert backend.is_unvisited()
