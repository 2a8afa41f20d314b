"""Small worlds by hypothesis: configurations, containers and requests over alphabets that collide.

They leave out what an explanation knows nothing of: content that turns out malformed or too large, containers
that are slow or speak no HTTP, and clients that go away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from hypothesis import strategies as st

from rgate.core.address import HostView
from rgate.core.candidates import BackendView
from rgate.core.config import (
    Admin,
    Backend,
    Config,
    DefaultResponse,
    Limits,
    Match,
    Policy,
    Route,
    Stats,
)
from rgate.core.config_values import Body
from rgate.core.containers import Container, Health, PublishedPort, State
from rgate.core.explain import Asked
from rgate.core.gateway import Gateway
from rgate.core.message import Fields
from rgate.core.selection import view_of, views_of
from tests.unit.containers import seen, unseen

DEFAULT_STATUS = 418
"""That of the default response: no other answer has it."""

LOOPBACK = (ip_network("127.0.0.0/8"),)
ONE = (ip_network("127.0.0.1/32"),)
PEERS = ("127.0.0.1", "127.0.0.2")


@dataclass(frozen=True)
class World:
    """A configuration, and what is known of containers; None: Docker has not answered."""

    config: Config
    containers: tuple[Container, ...] | None

    @property
    def views(self) -> dict[str, BackendView]:
        """The backends' views, as a gateway has them that sees these containers."""
        backends = self.config.backends
        if self.containers is None:
            return {backend.name: view_of(backend, unseen("it does not run")) for backend in backends}
        return views_of(backends, seen(self.containers, HostView()))

    def gateway(self, *, can_tunnel: bool) -> Gateway:
        return Gateway(self.config, self.views, lambda: 0.0, can_tunnel=can_tunnel)


# What hypothesis finds simple stands first, as it tries that most: here what comes far.
WANTED = st.sampled_from([{"a": "1"}, {"a": "1", "b": "1"}, {"b": "1"}, {"a": "2"}])
LABELS = st.sampled_from([{"a": "1", "b": "1"}, {"a": "1"}, {"b": "1"}, {"a": "1", "b": "2"}, {"a": "2"}, {}])


def backends(ports: Sequence[int]) -> st.SearchStrategy[tuple[Backend, ...]]:
    """Backends at addresses of these *ports*, or with labels."""
    policies = st.sampled_from(Policy)
    urls = st.lists(st.sampled_from(ports), min_size=1, max_size=2, unique=True).map(
        lambda chosen: tuple(f"http://127.0.0.1:{port}" for port in chosen)
    )
    fixed = st.builds(lambda urls, policy: Backend("", urls=urls, policy=policy), urls, policies)
    found = st.builds(
        lambda labels, policy: Backend("", match_labels=tuple(sorted(labels.items())), policy=policy),
        WANTED,
        policies,
    )
    return st.lists(st.one_of(found, fixed, found), min_size=2, max_size=4).map(
        lambda made: tuple(
            Backend(f"b{number}", one.match_labels, one.urls, policy=one.policy)
            for number, one in enumerate(made)
        )
    )


def containers(ports: Sequence[int]) -> st.SearchStrategy[tuple[Container, ...]]:
    """Containers in any state that publish one of these *ports*, or none."""
    made = st.builds(
        Container,
        id=st.just(""),
        name=st.just(""),
        labels=LABELS,
        state=st.sampled_from([State.RUNNING, State.RUNNING, State.RUNNING, *State]),
        health=st.sampled_from([Health.NONE, Health.NONE, *Health]),
        stopping=st.sampled_from([False, False, False, True]),
        published=st.sampled_from(
            [(PublishedPort(80, "127.0.0.1", port),) for port in ports]
            + [(), (PublishedPort(80, "0.0.0.0", ports[0]), PublishedPort(81, "0.0.0.0", ports[0]))]
        ),
    )
    return st.lists(made, min_size=2, max_size=5).map(
        lambda some: tuple(
            Container(
                f"id{number}", f"c{number}", one.labels, one.state, one.health, one.stopping, one.published
            )
            for number, one in enumerate(some)
        )
    )


PREFIXES = st.sampled_from(["/", "/a", "/a/", "/ab", "/a/b", "/a/b/", "/_rgate/b"])
HOSTS = st.sampled_from(["", "", "a", "b.a", "*.a", "127.0.0.1"])


def routes(names: Sequence[str]) -> st.SearchStrategy[tuple[Route, ...]]:
    made = st.builds(
        Route,
        path_prefix=PREFIXES,
        backend=st.sampled_from(names),
        match=st.sampled_from(Match),
        strip_prefix=st.sampled_from([True, False]),
        host=HOSTS,
    )
    some = st.lists(made, unique_by=lambda route: route.name, max_size=6)
    catch_all = st.builds(Route, st.sampled_from(["/", "/a"]), st.sampled_from(names), host=st.just(""))
    return st.tuples(some, st.lists(catch_all, min_size=1, max_size=1)).map(
        lambda both: tuple({route.name: route for routes in both for route in routes}.values())
    )


@st.composite
def worlds(draw: st.DrawFn, ports: Sequence[int]) -> World:
    """Worlds whose containers and fixed addresses are at these *ports* of 127.0.0.1."""
    made = draw(backends(ports))
    config = Config(
        routes=draw(routes([one.name for one in made])),
        backends=made,
        default_response=DefaultResponse(Body(b"none\n"), DEFAULT_STATUS),
        trusted_proxies=draw(st.sampled_from([(), (), ONE, LOOPBACK])),
        stats=Stats(path=draw(st.sampled_from(["/stats", "/stats", "/a/b"]))),
        admin=Admin(draw(st.sampled_from([ONE, ONE, LOOPBACK, ()])), draw(st.sampled_from([(), ("b.a",)]))),
        limits=Limits(
            header_bytes=draw(st.sampled_from([65536, 65536, 256])),
            header_fields=draw(st.sampled_from([100, 100, 3])),
            body_bytes=draw(st.sampled_from([None, 2])),
        ),
    )
    return World(config, draw(st.one_of(containers(ports), containers(ports), containers(ports), st.none())))


GOOD_METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PURGE", "get"]
BAD_METHODS = ["TRACE", "CONNECT", "G T", "é", ""]
GOOD_PATHS = (
    st.sampled_from(["/a/b/a", "/ab", "/b", "/a//b"])
    | st.text("/ab", max_size=5).map("/".__add__)
    | st.sampled_from(["/a/b?q=/../", "/a?b", "/a..b", "/a/b/..a", "/é", "/st", "/_rgateb", "/a%20b"])
)
BAD_PATHS = st.text("/ab.", max_size=5).map("/".__add__) | st.sampled_from(
    [
        *("/a/..", "/a%2e/", "/a../b", "/%2e%2e", "/a/%2E/b", "/a#b", "/a b"),
        *("/" + "a" * 300, "/a?" + "b" * 300),
    ]
)
OWN_PATHS = st.sampled_from(
    [
        *("/stats", "/stats?by=route", "/stats?by=x", "/a/b", "/_rgate", "/_rgate/", "/_rgate/healthz"),
        *("/_rgate/readyz", "/_rgate/nothing", "/_rgate/b", "/_rgate/backends", "/_rgate/healthz?a"),
        *("/stats?by=container", "/stats?window=2h", "/stats?window=1h", "/_rgate/verdict?x"),
        *("/_rgate/backends?window=1h", "/_rgate/backends?window=1w", "/_rgate/requests?status=1"),
        *("/_rgate/series?by=x", "/_rgate/live?x", "/_rgate/explain", "/_rgate/explain?target=/a"),
    ]
)
ABSOLUTE = st.sampled_from(["http://b.a{}", "HTTPS://a:80{}", "http://x{}", "http://127.0.0.1{}"])
BAD_FORMS = st.sampled_from(["http://{}", "ftp://a{}", "http://u@a{}", "b{}", "*", "a:80", ""])
GOOD_HOSTS = ["a", "A.", "b.a", "c.b.a:80", "x", "127.0.0.1:8080", "[::1]", ""]
BAD_HOSTS = ["a b", "a,b", "é", "[:", "b.a@c"]
GOOD_FIELDS: Sequence[Fields] = (
    ((b"Accept", b"*/*"),),
    ((b"Accept", b"text/html"),),
    ((b"X-A", b""),),
    ((b"x-a", b"1,2"),),
    ((b"X-B", b"\xff\xe9"),),
    ((b"Connection", b"close"),),
    ((b"Connection", b"X-A, keep-alive"),),
    ((b"Connection", b"Host, Content-Length, Via"),),
    ((b"Keep-Alive", b"timeout=5"),),
    ((b"Proxy-Connection", b"keep-alive"),),
    ((b"Proxy", b"http://x"),),
    ((b"TE", b"trailers, deflate"),),
    ((b"X-Request-ID", b"abc"),),
    ((b"X-Request-ID", b"a b"),),
    ((b"X_Request_ID", b"x"),),
    ((b"X-Forwarded-For", b"192.0.2.1"),),
    ((b"X-Forwarded-Host", b"other"),),
    ((b"X-Forwarded-Prefix", b"/p/"),),
    ((b"X-Forwarded-Proto", b"https"),),
    ((b"X_Forwarded_For", b"192.0.2.2"),),
    ((b"X-Real-IP", b"192.0.2.1"),),
    ((b"Forwarded", b"for=192.0.2.1"),),
    ((b"Via", b"1.1 x"),),
    ((b"Sec-Fetch-Site", b"cross-site"),),
    ((b"Host", b"b.a"),),
    ((b"Cookie", b"a=b"),),
    ((b"Content-Length", b"1"),),
    ((b"Transfer-Encoding", b"chunked"),),
    ((b"Expect", b"100-continue"), (b"Content-Length", b"2")),
    ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")),
    ((b"Connection", b"upgrade, close"), (b"Upgrade", b"foo/1, h2c")),
    ((b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk")),
)
BAD_FIELDS: Sequence[Fields] = (
    ((b"X A", b"1"),),
    ((b"X-C", b"\x01"),),
    ((b"", b"1"),),
    ((b"Host", b"a"), (b"host", b"a")),
    ((b"Content-Length", b"3"),),
    ((b"Content-Length", b"+1"),),
    ((b"Content-Length", b"0"), (b"Transfer-Encoding", b"chunked")),
    ((b"Transfer-Encoding", b"gzip, chunked"),),
    ((b"X-D", b"d" * 300),),
    ((b"X-D", b"d"),) * 4,
)


GOOD = ("", "", "absolute")
ODD = ("own", "method", "path", "form", "host", "fields")
"""In what a request is out of the ordinary."""


@st.composite
def asked(draw: st.DrawFn, port: int, kinds: Sequence[str] = (*GOOD, *ODD)) -> Asked:
    """Requests to this *port*: good ones, and some that are not in one thing, or ask for rgate's own."""
    kind = draw(st.sampled_from(kinds))
    path = draw({"own": OWN_PATHS, "path": BAD_PATHS}.get(kind, GOOD_PATHS))
    form = draw({"absolute": ABSOLUTE, "form": BAD_FORMS}.get(kind, st.just("{}")))
    fields = draw(st.lists(st.sampled_from(GOOD_FIELDS), max_size=3))
    if kind == "fields":
        fields.insert(0, draw(st.sampled_from(BAD_FIELDS)))
    return Asked(
        draw(st.sampled_from(BAD_METHODS if kind == "method" else GOOD_METHODS)),
        form.format(path),
        draw(st.sampled_from(BAD_HOSTS if kind == "host" else GOOD_HOSTS)),
        tuple(field for some in fields for field in some),
        draw(st.sampled_from(PEERS)),
        port,
    )
