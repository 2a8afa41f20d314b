"""What a gateway makes of a connection and of a request, and how it is reloaded (behaviour 1, 3 and 8)."""

from ipaddress import ip_network

import pytest

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Admin, Backend, Config, DefaultResponse, Limits, Route, Stats
from rgate.core.exchange import Attempt
from rgate.core.fields import ClientConnection
from rgate.core.gateway import OWN, Gateway
from rgate.core.own import OwnPage
from rgate.core.problem import Problem, ToldProblem
from rgate.core.reasons import Reason
from tests.unit.messages import TUNNEL_LESS, request


@pytest.mark.parametrize(
    ("peer", "written"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("::ffff:abc", "::ffff:abc"),
        ("::ffff:0:10.0.0.1", "::ffff:0:10.0.0.1"),  # SIIT's: another address
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("", ""),
    ],
)
def test_an_ipv4_mapped_peer_is_written_as_ipv4(peer: str, written: str) -> None:
    gateway = Gateway(Config((), ()), dict[str, BackendView](), lambda: 0.0)
    assert gateway.client(peer, 8080).peer == written


def test_a_connection_is_trusted_as_the_configuration_in_force_has_it() -> None:
    trusting = Config((), (), trusted_proxies=(ip_network("10.0.0.0/8"),))
    gateway = Gateway(Config((), ()), {}, lambda: 0.0)
    client = gateway.client("10.0.0.1", 8080, 1234)
    assert gateway.judged(client) is client
    gateway.swap(trusting, {})
    trusted = gateway.judged(client)
    assert trusted == ClientConnection("10.0.0.1", 8080, trusted=True, peer_port=1234)
    assert gateway.judged(trusted) is trusted
    gateway.swap(Config((), ()), {})
    assert gateway.judged(trusted) == client


def test_an_ipv4_mapped_peer_is_trusted_as_ipv4() -> None:
    config = Config((), (), trusted_proxies=(ip_network("10.0.0.0/8"),))
    gateway = Gateway(config, dict[str, BackendView](), lambda: 0.0)
    assert gateway.client("::ffff:10.0.0.1", 8080).trusted
    assert not gateway.client("::ffff:11.0.0.1", 8080).trusted


ONE, OTHER = (Candidate(name, name, Address("127.0.0.1", 1)) for name in ("one", "other"))
CONFIG = Config((Route("/a", "b"), Route("/", "b")), (Backend("b", urls=("http://a",)),))
VIEW = BackendView("b", (ONE,))
LOCALHOST = (b"Host: localhost",)


def gateway(config: Config = CONFIG) -> Gateway:
    return Gateway(config, {"b": VIEW}, lambda: 0.0)


@pytest.mark.parametrize(
    ("first", "lines", "place"),
    [
        (b"TRACE /a HTTP/1.1", (), Problem(Reason.METHOD_NOT_ALLOWED, "TRACE is not forwarded.")),
        (b"CONNECT a:1 HTTP/1.1", (), Problem(Reason.METHOD_NOT_ALLOWED, "CONNECT is not forwarded.")),
        (
            b"GET /a/%2e/b HTTP/1.1",
            (),
            Problem(
                Reason.PATH_NOT_NORMALIZED,
                "The path has a `.` or `..` segment: clients remove those before they send.",
            ),
        ),
        (
            b"GET /a HTTP/1.1",
            (b"Connection: upgrade", b"Upgrade: x, WebSocket"),
            Problem(
                Reason.NOT_IMPLEMENTED,
                "This engine cannot switch to WebSocket: use another, with `--engine`.",
            ),
        ),
        (
            b"PUT /a HTTP/1.1",
            (b"Content-Length: 4",),
            Problem(Reason.BODY_TOO_LARGE, "The body is larger than `limits.body_bytes`, 3 bytes."),
        ),
        (b"PUT /_rgate/x HTTP/1.1", (b"Content-Length: 3",), OWN),
        (b"GET /_rgate?a HTTP/1.1", (), OWN),
        (b"GET /figures HTTP/1.1", (), OWN),
        (b"GET /figures/ HTTP/1.1", (), DefaultResponse()),
        (b"GET /_rgatex HTTP/1.1", (), DefaultResponse()),
        (b"OPTIONS * HTTP/1.1", (), DefaultResponse()),
        (b"GET /b HTTP/1.1", (b"Connection: upgrade", b"Upgrade: x"), DefaultResponse()),
    ],
)
def test_a_request_is_refused_or_answered_where_it_goes_to_no_backend(
    first: bytes, lines: tuple[bytes, ...], place: object
) -> None:
    config = Config(
        (Route("/a", "b"),), CONFIG.backends, limits=Limits(body_bytes=3), stats=Stats(path="/figures")
    )
    asked = request(first, *lines, reading=TUNNEL_LESS)
    assert gateway(config).snapshot.place(asked) == place


def test_a_request_has_the_route_of_its_path_and_the_exchange_of_its_backend() -> None:
    snapshot = gateway().snapshot
    place = snapshot.place(request(b"PUT /a/b HTTP/1.1", b"Transfer-Encoding: chunked"))
    assert isinstance(place, int)
    route = snapshot.route(place)
    assert route.path_prefix == "/a"
    first = snapshot.exchange(route).first(0.0)
    assert isinstance(first, Attempt)
    assert first.candidate == ONE


def test_views_are_put_in_force_and_what_is_known_of_others_is_forgotten() -> None:
    swapped = gateway()
    for candidate in (ONE, OTHER):
        swapped.balancer.refused(candidate, 0.0)
    view = BackendView("b", (OTHER,))
    swapped.swap_views({"b": view})
    assert swapped.views == {"b": view}
    assert swapped.config is CONFIG
    assert [swapped.balancer.is_left_out(one, 0.5) for one in (ONE, OTHER)] == [False, True]


@pytest.mark.parametrize("views", [{}, {"c": VIEW}, {"b": VIEW, "c": VIEW}])
def test_views_of_another_configuration_are_left(views: dict[str, BackendView]) -> None:
    swapped = gateway()
    before = swapped.snapshot
    swapped.swap_views(views)
    assert swapped.snapshot is before


def test_a_configuration_and_its_views_are_swapped_at_once() -> None:
    swapped = gateway()
    swapped.balancer.refused(ONE, 0.0)
    config, views = (
        Config((Route("/c", "c"),), (Backend("c", urls=("x",)),)),
        {"c": BackendView("c", (OTHER,))},
    )
    swapped.swap(config, views)
    assert (swapped.config, swapped.views) == (config, views)
    assert isinstance(swapped.snapshot.place(request(b"GET /c HTTP/1.1")), int)
    assert isinstance(swapped.snapshot.place(request(b"GET /a HTTP/1.1")), DefaultResponse)
    assert not swapped.balancer.is_left_out(ONE, 0.5)


@pytest.mark.parametrize(
    ("client", "lines", "inside"),
    [
        (ClientConnection("127.0.0.1", 1), (), True),
        (ClientConnection("127.0.0.1", 1), (b"X-Real-IP: 127.0.0.1",), False),
        (ClientConnection("127.0.0.1", 1, trusted=True), (), False),
        (ClientConnection("192.0.2.7", 1), (), False),
    ],
)
def test_a_strangers_request_is_one_that_came_from_elsewhere_or_was_forwarded(
    client: ClientConnection, lines: tuple[bytes, ...], inside: bool
) -> None:
    head = request(b"GET / HTTP/1.1", *lines, host=LOCALHOST).head()
    assert gateway().is_insider(head, client) is inside


ASIDE = b"Sec-Fetch-Site: cross-site"
FIGURES = Config((), (), stats=Stats(path="/figures"))


@pytest.mark.clause("9.hosts.rebinding", "9.hosts.not_asked", "9.hosts.stats", "9.hosts.cross_site")
@pytest.mark.parametrize(
    ("path", "lines", "place"),
    [
        ("/_rgate/backends", (b"Host: 127.0.0.1:8080",), OwnPage.BACKENDS),
        ("/_rgate/backends", (b"Host: evil.example",), Reason.FORBIDDEN),
        ("/_rgate/backends", (b"Host: localhost", ASIDE), Reason.FORBIDDEN),
        ("/_rgate/requests/x", (b"Host: evil.example",), Reason.FORBIDDEN),
        ("/_rgate/nothing", (b"Host: localhost",), Reason.NOT_FOUND),
        ("/_rgate/nothing", (b"Host: evil.example",), Reason.FORBIDDEN),
        ("/_rgate/nothing", (b"Host: localhost", ASIDE), Reason.FORBIDDEN),
        ("/_rgate/healthz", (b"Host: evil.example",), OwnPage.HEALTHZ),
        ("/_rgate/readyz", (b"Host: evil.example",), OwnPage.READYZ),
        ("/_rgate/healthz", (b"Host: localhost", ASIDE), Reason.FORBIDDEN),
        ("/_rgate/readyz", (b"Host: localhost", ASIDE), Reason.FORBIDDEN),
        ("/figures", (b"Host: evil.example",), OwnPage.STATS),
        ("/figures", (b"Host: evil.example", ASIDE), OwnPage.STATS),
    ],
)
def test_a_page_is_for_who_asks_by_a_name_of_ours_and_for_no_other_sites_page(
    path: str, lines: tuple[bytes, ...], place: OwnPage | Reason
) -> None:
    head = request(b"GET %b HTTP/1.1" % path.encode(), *lines).head()
    found = gateway(FIGURES).own_page(head, ClientConnection("127.0.0.1", 1))
    assert (found.reason if isinstance(found, Problem) else found) is place
    if place is Reason.FORBIDDEN:
        assert isinstance(found, Problem)
        assert "admin.hosts" in found.detail or "Sec-Fetch-Site" in found.detail


@pytest.mark.clause("9.hosts.rebinding", "2.admin.hosts")
def test_further_names_are_those_of_the_configuration_and_the_machines() -> None:
    named = Gateway(
        Config((), (), admin=Admin(hosts=("rgate.example",))), {}, lambda: 0.0, machine_name="box.example"
    )
    asked = [
        request(b"GET / HTTP/1.1", b"Host: " + host).head()
        for host in (b"rgate.example:8080", b"box.example", b"box", b"evil.example")
    ]
    client = ClientConnection("127.0.0.1", 1)
    assert [named.is_insider(head, client) for head in asked] == [True, True, True, False]
    named.swap(Config((), ()), {})
    assert [named.is_insider(head, client) for head in asked] == [False, True, True, False]


@pytest.mark.parametrize(
    ("peer", "host", "accept", "told"),
    [
        ("127.0.0.1", b"localhost", (), b'"detail": "at 10.0.0.1"'),
        ("192.0.2.7", b"localhost", (), b'"detail": "No container of this backend accepted a connection."'),
        ("127.0.0.1", b"evil.example", (), b'"No container of this backend accepted a connection."'),
        ("127.0.0.1", b"[::1]", (b"Accept: a/b", b"accept: text/html"), b"a page for one of us: at 10.0.0.1"),
        ("127.0.0.1", b"a.example", (b"Accept: text/html",), b"a page for a stranger: No container of this"),
    ],
)
def test_a_problem_is_told_as_far_as_its_client_may_know_and_as_it_reads(
    peer: str, host: bytes, accept: tuple[bytes, ...], told: bytes
) -> None:
    def page(told: ToldProblem) -> bytes:
        return f"a page for {'one of us' if told.insider else 'a stranger'}: {told.detail}".encode()

    asked = request(b"GET /a HTTP/1.1", *accept, host=(b"Host: " + host,))
    own = gateway().own_response(
        Problem(Reason.CONNECT_FAILED, "at 10.0.0.1", "b"), asked, ClientConnection(peer, 1), page
    )
    assert told in own.body
    assert (b"X-Request-ID", b"id0") in own.fields


def test_the_default_response_goes_to_anybody() -> None:
    own = gateway().own_response(
        DefaultResponse(), request(b"GET /a HTTP/1.1"), ClientConnection("192.0.2.7", 1)
    )
    assert (own.status, own.body) == (404, DefaultResponse().body.content)
    assert (b"X-Request-ID", b"id0") in own.fields


@pytest.mark.parametrize(("workers", "most"), [(1, 10), (2, 5), (3, 4), (20, 1)])
def test_workers_share_the_limit_on_connections_and_each_may_have_one(workers: int, most: int) -> None:
    config = Config((), (), limits=Limits(connections=10))
    gateway = Gateway(config, {}, lambda: 0.0, workers=workers)
    assert gateway.most_connections == most
    assert gateway.config == config
