"""How much of anything is taken, and what is said of more."""

import signal

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import OK, answer, check_nothing_reached, chunked, exchange, get, post
from tests.contract.http.site import ALLOWED, MOST_BODY_BYTES, MOST_CONNECTIONS, Lane
from tests.contract.http.wire import DEADLINE_S, Late, Wire

TOO_MUCH = 1 << 18


@clause(
    "RFC 6585 5",
    "2.limits.header_bytes",
    "6.client.fields",
    "6.client.closed",
    own_choice="431 may be used; others say 400",
)
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"X-%d: 1" % number for number in range(101)], id="a hundred and one fields"),
        pytest.param([b"X-A: " + b"x" * TOO_MUCH], id="one long field"),
        pytest.param([b"X-%d: " % number + b"x" * 4000 for number in range(60)], id="many bytes in all"),
        pytest.param([b"x" * TOO_MUCH + b": 1"], id="a long name"),
    ],
)
def test_too_large_a_head_is_431_and_closed(
    gateway: Gateway, client: Wire, backend: Lane, lines: list[bytes]
) -> None:
    client.try_send(get(backend.path, *lines))

    gateway.check_answer(client.read_response(), 431, "fields_too_large")
    check_nothing_reached(gateway, backend)


@clause("RFC 6585 5", "6.client.fields", own_choice="431 may be used; others say 400")
def test_a_head_without_end_is_431_before_it_ends(gateway: Gateway, client: Wire) -> None:
    client.try_send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 70000)

    gateway.check_answer(client.read_response(), 431, "fields_too_large")


@clause("2.limits.header_bytes")
def test_a_head_of_60000_bytes_is_forwarded(client: Wire, backend: Lane) -> None:
    lines = [b"X-%02d: " % number + b"x" * 6000 for number in range(10)]

    assert exchange(client, backend, get(backend.path, *lines)).request.values(b"x-09") == [b"x" * 6000]


@clause("RFC 9110 15.5.15", "6.client.target", "6.client.closed")
def test_too_long_a_target_is_414_and_closed(gateway: Gateway, client: Wire, backend: Lane) -> None:
    client.try_send(get(backend.path + b"/" + b"x" * TOO_MUCH))

    gateway.check_answer(client.read_response(), 414, "uri_too_long")
    check_nothing_reached(gateway, backend)


@clause("6.client.malformed")
def test_too_long_a_method_is_an_error(client: Wire) -> None:
    client.try_send(b"X" * TOO_MUCH)

    assert 400 <= client.read_response().status < 500


@clause("RFC 9110 15.5.14", "2.limits.body_bytes", "6.client.body")
def test_a_length_over_the_limit_is_413_before_the_content_comes(limited: Gateway) -> None:
    lane = limited.lane()
    with limited.client() as client:
        client.send(get(lane.path, b"Content-Length: %d" % (MOST_BODY_BYTES + 1), method=b"POST"))

        limited.check_answer(client.read_response(), 413, "body_too_large")
    check_nothing_reached(limited, lane)


@clause("RFC 9110 15.5.14", "RFC 9110 10.1.1", "6.client.body")
def test_a_length_over_the_limit_is_413_and_no_100(limited: Gateway) -> None:
    with limited.client() as client:
        client.send(
            get(limited.lane().path, b"Expect: 100-continue", b"Content-Length: 9999", method=b"POST")
        )
        response = client.read_response()

    limited.check_answer(response, 413, "body_too_large")
    assert response.interim == ()


@clause("RFC 9110 15.5.14", "6.client.body", "6.client.closed")
def test_chunks_over_the_limit_are_413_and_closed(limited: Gateway) -> None:
    lane = limited.lane()
    with limited.client() as client:
        head = get(lane.path, b"Transfer-Encoding: chunked", method=b"POST")
        client.try_send(head + chunked(*[b"x" * 100] * 11) + get(lane.path + b"/smuggled"))

        limited.check_answer(client.read_response(), 413, "body_too_large")
        assert client.is_closed()


@clause("2.limits.body_bytes")
@pytest.mark.parametrize("framing", ["a known length", "chunks"])
def test_content_of_just_the_limit_is_forwarded_with(limited: Gateway, framing: str) -> None:
    lane = limited.lane()
    content = b"x" * MOST_BODY_BYTES
    as_chunks = get(lane.path, b"Transfer-Encoding: chunked", method=b"POST") + chunked(content)
    with limited.client() as client:
        sent = as_chunks if framing == "chunks" else post(lane.path, content)

        assert exchange(client, lane, sent).request.content == content


@clause("2.limits.body_bytes")
def test_the_limit_is_not_for_responses(limited: Gateway) -> None:
    lane = limited.lane()
    content = b"x" * MOST_BODY_BYTES * 9
    with limited.client() as client:
        sent = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content

        assert exchange(client, lane, get(lane.path), sent).response.content == content


def _all_asking(gateway: Gateway) -> tuple[list[Wire], list[Wire]]:
    """Return as many connections as there may be, each with a request under way, and those to its backend.

    Each asks at once: as long as those of the case before are there, one that is idle would make way.
    """
    clients, upstreams = list[Wire](), list[Wire]()
    for _ in range(MOST_CONNECTIONS):
        client, lane = gateway.client(), gateway.lane()
        client.send(get(lane.path))
        clients.append(client)
        upstreams.append(lane.accept())
    return clients, upstreams


@clause("2.limits.connections", own_choice="others refuse or close connections over the limit")
@pytest.mark.parametrize("then", ["one closes", "one has its answer"])
def test_while_all_have_a_request_under_way_no_connection_is_accepted(limited: Gateway, then: str) -> None:
    clients, upstreams = _all_asking(limited)
    late, lane = limited.client(), limited.lane()
    late.send(get(lane.path))
    with pytest.raises(Late):
        late.read_head(within_s=0.3)

    if then == "one closes":
        clients[0].close()
    else:
        answer(clients[0], upstreams[0], b"GET")

    assert answer(late, lane.accept(), b"GET").response.content == b"ok"


@clause("2.limits.idle", own_choice="others refuse or close connections over the limit")
def test_who_is_being_answered_makes_way_for_nobody(limited: Gateway) -> None:
    # Its answer lay ready, and its connection was closed as an idle one, in the turn in which another came.
    clients, upstreams = _all_asking(limited)
    upstreams[0].read_request()
    limited.signal(signal.SIGSTOP)
    upstreams[0].send(OK)
    late, lane = limited.client(), limited.lane()
    late.send(get(lane.path))
    limited.signal(signal.SIGCONT)

    assert clients[0].read_response().content == b"ok"
    assert answer(late, lane.accept(), b"GET").response.content == b"ok"


def _all_clients(gateway: Gateway) -> tuple[list[Wire], Wire]:
    """Return as many connections as there may be, the oldest first, and apart the one that saw that all of
    them were accepted, and that those of earlier cases are gone.
    """
    if not gateway.gives_reasons:
        pytest.skip(f"{gateway.name} does not tell of its connections")
    asking = gateway.client(ALLOWED)

    def wait_for(number: int) -> None:
        wait_until(lambda: _clients_told(asking) == number, DEADLINE_S, f"{number} connections")

    wait_for(1)
    clients = [gateway.client() for _ in range(MOST_CONNECTIONS - 1)]
    wait_for(MOST_CONNECTIONS)
    return clients, asking


def _clients_told(asking: Wire) -> float:
    asking.send(b"GET /_rgate/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    lines = asking.read_response().content.splitlines()
    clients = [one for one in lines if one.startswith(b"rgate_connections{") and b'side="client"' in one]
    return sum(float(line.split()[-1]) for line in clients)


@clause("2.limits.idle", own_choice="others refuse or close connections over the limit")
@pytest.mark.parametrize("sent", ["nothing", "half a head", "a request"])
def test_at_the_limit_the_connections_idle_longest_are_closed_for_new_ones(
    limited: Gateway, sent: str
) -> None:
    clients, used_last = _all_clients(limited)
    everyone = [*clients, used_last]
    for client in clients:
        client.send({"nothing": b"", "half a head": b"GET / HT", "a request": get(b"/nowhere")}[sent])
        if sent == "a request":
            client.read_response()
    used_last.send(get(b"/nowhere"))
    used_last.read_response()
    for _ in range(3):
        late = limited.client()
        late.send(get(b"/nowhere"))
        assert late.read_response(within_s=DEADLINE_S).content
        everyone.append(late)
    closed = [client for client in everyone if client.is_readable()]
    assert [client.outlast() for client in closed] == ["a FIN"] * 3
    # Threads give back what they answered in nearly the order of that, and take half a head when they can.
    in_threads = {"half a head": everyone, "a request": clients[:6]} if limited.name == "flask" else {}
    oldest = in_threads.get(sent, clients[:3])
    assert [client for client in closed if client not in oldest] == []


@clause("2.limits.idle", own_choice="others refuse or close connections over the limit")
def test_a_connection_that_was_busy_last_outlives_those_that_were_not(limited: Gateway) -> None:
    clients, another = _all_clients(limited)
    for client in (another, *clients, another, clients[0]):  # the oldest one is used last
        client.send(get(b"/nowhere"))
        client.read_response()
    late = limited.client()
    late.send(get(b"/nowhere"))
    assert late.read_response().content
    [closed] = [client for client in (another, *clients) if client.is_readable()]
    assert closed in clients[1:4]  # threads give connections back in nearly the order of their answers
    assert closed.outlast() == "a FIN"


@clause("2.limits.header_bytes", "6.answers.bad_response")
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([b"X-%d: 1" % number for number in range(101)], id="a hundred and one fields"),
        pytest.param([b"X-A: " + b"x" * TOO_MUCH], id="one long field"),
        pytest.param([b"X-%d: " % number + b"x" * 4000 for number in range(60)], id="many bytes in all"),
    ],
)
def test_too_large_a_response_head_is_502(
    gateway: Gateway, client: Wire, backend: Lane, lines: list[bytes]
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.try_send(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 0", b"", b""]))

    gateway.check_answer(client.read_response(), 502, "bad_response")


@clause("RFC 9112 7.1.1")
@pytest.mark.parametrize(
    "flood", [b"1;" + b"x" * TOO_MUCH, b"0" * TOO_MUCH], ids=["an extension", "leading zeros"]
)
def test_a_chunks_size_line_without_end_is_refused(client: Wire, backend: Lane, flood: bytes) -> None:
    client.try_send(get(backend.path, b"Transfer-Encoding: chunked", method=b"POST") + flood)

    assert 400 <= client.read_response().status < 500


@clause("RFC 9112 7.1.2")
def test_trailers_without_end_are_refused(client: Wire, backend: Lane) -> None:
    head = get(backend.path, b"Transfer-Encoding: chunked", method=b"POST")
    client.try_send(head + b"0\r\n" + b"X-T: 1\r\n" * (TOO_MUCH // 8))

    assert 400 <= client.read_response().status < 500


@pytest.mark.slow
@clause("RFC 9110 15.5.9", "6.client.head_late")
def test_a_head_that_does_not_end_within_ten_seconds_is_408(gateway: Gateway, client: Wire) -> None:
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")

    gateway.check_answer(client.read_response(within_s=14), 408, "request_timeout")
    assert client.is_closed()


@clause("2.limits.body_bytes", "5.content.streamed")
def test_a_body_of_any_size_passes_where_no_limit_is_set(client: Wire, backend: Lane) -> None:
    content = bytes(3 << 20)
    client.send(get(backend.path, b"Content-Length: %d" % len(content), method=b"POST"), content[: 1 << 16])
    upstream = backend.accept_for(client)
    upstream.read_head()
    for at in range(1 << 16, len(content), 1 << 16):
        client.send(content[at : at + (1 << 16)])
        upstream.read(1 << 16)
    upstream.read(1 << 16)
    upstream.send(OK)

    assert client.read_response().content == b"ok"
