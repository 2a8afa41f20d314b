"""Routes for some hosts only: which of them a request takes, and what its host is."""

from collections.abc import Iterator

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import answer, exchange, get
from tests.contract.http.site import DEFAULT_BODY, DEFAULT_STATUS, HOST_KINDS, Lane, first_of
from tests.contract.http.wire import DEADLINE_S, Wire

SHARING = [kind for kind in HOST_KINDS if kind.startswith("hosts")]

Lanes = dict[str, Lane]


@pytest.fixture
def guest(hosting: Gateway) -> Wire:
    """Return a connection to the gateway whose routes are for some hosts."""
    return hosting.client()


@pytest.fixture
def lanes(hosting: Gateway) -> Iterator[Lanes]:
    """Return lanes of one prefix, or one and `/deep`, by their kinds."""
    taken = {kind: hosting.lane(kind) for kind in SHARING}
    yield taken
    for lane in taken.values():
        lane.close()


def _taken_by(client: Wire, lanes: Lanes, request: bytes) -> str:
    """Send *request*; return the kind of the lane that gets it."""
    client.send(request)
    assert first_of(client, *lanes.values()), "nobody heard of it"
    (kind,) = (kind for kind, lane in lanes.items() if not lane.is_unvisited())
    assert answer(client, lanes[kind].accept(), request).response.content == b"ok"
    return kind


def _is_default(client: Wire) -> bool:
    response = client.read_response()
    return (response.status, response.content) == (DEFAULT_STATUS, DEFAULT_BODY)


@clause("2.host.order", "3.route.host")
@pytest.mark.parametrize(
    ("host", "kind"),
    [
        (b"shop.example", "hosts_exact"),
        (b"a.shop.example", "hosts_longer_wildcard"),
        (b"a.b.shop.example", "hosts_longer_wildcard"),
        (b"other.example", "hosts_wildcard"),
        (b"a.other.example", "hosts_wildcard"),
        (b"example", "hosts"),
        (b"shop.example.org", "hosts"),
        (b"notshop.example", "hosts_wildcard"),
        (b"xexample", "hosts"),
        (b"[::1]", "hosts"),
        (b"192.0.2.1", "hosts"),
    ],
)
def test_the_most_certain_host_takes_the_request_to(
    guest: Wire, lanes: Lanes, host: bytes, kind: str
) -> None:
    assert _taken_by(guest, lanes, get(lanes["hosts"].path + b"/x", host=host)) == kind


@clause("RFC 9110 4.2.3", "2.host.compared")
@pytest.mark.parametrize(
    ("host", "kind"),
    [
        (b"Shop.EXAMPLE", "hosts_exact"),
        (b"shop.example:8080", "hosts_exact"),
        (b"shop.example:", "hosts_exact"),
        (b"shop.example.", "hosts_exact"),
        (b"SHOP.example.:80", "hosts_exact"),
        (b"A.Shop.Example.:1", "hosts_longer_wildcard"),
        (b"OTHER.example:65535", "hosts_wildcard"),
    ],
)
def test_case_port_and_one_dot_at_the_end_do_not_count_in(
    guest: Wire, lanes: Lanes, host: bytes, kind: str
) -> None:
    assert _taken_by(guest, lanes, get(lanes["hosts"].path, host=host)) == kind


@clause("2.host.order")
@pytest.mark.parametrize(
    ("host", "kind"),
    [
        (b"shop.example", "hosts_exact"),  # however much longer the others' prefixes are
        (b"other.example", "hosts_wildcard/deep"),
        (b"other.test", "hosts/deep"),
        (b"deep.shop.example", "hosts_deep_only"),
    ],
)
def test_the_host_is_looked_at_before_the_length_of_the_prefix(
    guest: Wire, lanes: Lanes, host: bytes, kind: str
) -> None:
    assert _taken_by(guest, lanes, get(lanes["hosts"].path + b"/deep/x", host=host)) == kind


@clause("2.host.falls_through")
def test_a_path_that_the_host_has_no_prefix_for_falls_through(guest: Wire, lanes: Lanes) -> None:
    sent = get(lanes["hosts"].path + b"/else", host=b"deep.shop.example")

    assert _taken_by(guest, lanes, sent) == "hosts_longer_wildcard"


@clause("2.host.falls_through")
def test_a_path_that_only_another_host_has_gets_the_default_response(hosting: Gateway, guest: Wire) -> None:
    lane = hosting.lane("one_host")
    guest.send(get(lane.path, host=b"other.example"))

    assert _is_default(guest)
    assert exchange(guest, lane, get(lane.path, host=b"only.example")).response.content == b"ok"


@clause("RFC 9112 3.2", "2.host.none")
@pytest.mark.parametrize(
    "lines",
    [b"GET %b HTTP/1.0\r\n\r\n", b"GET %b HTTP/1.1\r\nHost:\r\n\r\n"],
    ids=["no Host", "an empty one"],
)
def test_a_request_takes_a_route_without_host_with(guest: Wire, lanes: Lanes, lines: bytes) -> None:
    assert _taken_by(guest, lanes, lines % lanes["hosts"].path) == "hosts"


@clause("RFC 9112 3.2", "2.host.none")
def test_a_request_without_host_does_not_take_the_route_of_a_host(hosting: Gateway, guest: Wire) -> None:
    guest.send(b"GET %b HTTP/1.0\r\n\r\n" % hosting.lane("one_host").path)

    assert _is_default(guest)


@clause("RFC 9112 3.2.2", "3.route.authority")
def test_the_authority_of_an_absolute_form_target_takes_the_place_of_host(
    hosting: Gateway, guest: Wire
) -> None:
    lane = hosting.lane("one_host")

    request = exchange(guest, lane, get(b"http://Only.Example:81" + lane.path + b"/x")).request

    assert request.target == lane.path + b"/x"
    assert request.values(b"host") == [b"Only.Example:81"]


@clause("RFC 9112 3.2.2", "3.route.authority")
def test_host_does_not_count_beside_an_absolute_form_target(hosting: Gateway, guest: Wire) -> None:
    lane = hosting.lane("one_host")
    guest.send(get(b"http://other.example" + lane.path, host=b"only.example"))

    assert _is_default(guest)


@clause("3.route.host")
@pytest.mark.parametrize("line", [b"X-Forwarded-Host: only.example", b"Forwarded: host=only.example"])
def test_a_forwarded_host_takes_no_route(hosting: Gateway, guest: Wire, line: bytes) -> None:
    guest.send(get(hosting.lane("one_host").path, line))

    assert _is_default(guest)


@clause("RFC 9112 9.3", "3.route.host")
def test_each_request_of_a_connection_takes_the_route_of_its_own_host(guest: Wire, lanes: Lanes) -> None:
    path = lanes["hosts"].path
    hosts = {b"shop.example": "hosts_exact", b"other.example": "hosts_wildcard", b"other.test": "hosts"}
    upstreams: dict[str, Wire] = {}
    for host in [*hosts, *reversed(hosts)] * 2:
        guest.send(get(path, host=host))
        lane, present = lanes[hosts[host]], upstreams.get(hosts[host])
        upstream = lane.accept_or(present) if present else lane.accept_for(guest)
        assert answer(guest, upstream, b"GET").request.values(b"host") == [host]
        upstreams[hosts[host]] = upstream


@clause("2.strip.removed")
def test_strip_prefix_leaves_the_path_as_it_is_where_the_hosts_prefix_is_the_root(
    hosting: Gateway, guest: Wire
) -> None:
    lane = hosting.lane("root")

    request = exchange(guest, lane, get(b"/x?q", host=lane.host.encode())).request

    assert request.target == b"/x?q"
    assert request.values(b"x-forwarded-prefix") == []


@clause("2.host.called")
def test_the_figures_call_a_route_by_its_host_and_prefix(hosting: Gateway, guest: Wire) -> None:
    lane = hosting.lane("one_host")
    exchange(guest, lane, get(lane.path + b"/x", host=b"ONLY.example"))

    name = "only.example" + lane.path.decode()
    figures = wait_until(lambda: hosting.figures("route").get(name), DEADLINE_S, "the request in the figures")
    assert figures == {"success": 1, "error": 0}
