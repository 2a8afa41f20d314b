"""Who may read of containers, and every way round that (behaviour 7, 8 and 9).

Each way is tried on all that tells of containers, and the bytes of its answer are searched for what no
stranger may read: addresses, labels, names.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rgate.core.own import STATIC_FILES, OwnPage, paths
from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway, Rgate
from tests.contract.http.script import OK, answer, chunked, exchange, get, post
from tests.contract.http.site import ALLOWED, STRANGER, TRUSTED, Kind, Site, first_of
from tests.contract.http.test_listening import needs_ipv6
from tests.contract.http.wire import Message, Wire
from tests.html_pages import POLICY, parsed

OWN = "which pages there are, and for whom, is rgate's own choice"
LABEL = "not-for-strangers"
FURTHER = b"rgate.corp.example"
# One route takes what no other does; two claim what is rgate's own.
KINDS = {
    "root": Kind(1, prefix="/"),
    "claiming": Kind(1, prefix="/_rgate"),
    "claiming_figures": Kind(1, prefix="/figures"),
    "alone": Kind(1, listening=(False,)),
}
BACKENDS, FIGURES = b"/_rgate/backends", b"/figures?by=container"
READYZ, HEALTHZ = b"/_rgate/readyz", b"/_rgate/healthz"
UNREACHABLE, LABELLED = b"/alone-000/x", b"/labelled/x"
# What tells insiders of containers: its status for them and for strangers.
TELLING = {
    "containers": (BACKENDS, 200, 403),
    "figures": (FIGURES, 200, 403),
    "readiness": (READYZ, 503, 503),
    "503 by address": (UNREACHABLE, 503, 503),
    "503 by label": (LABELLED, 503, 503),
}
telling = pytest.mark.parametrize(("path", "inside", "outside"), TELLING.values(), ids=TELLING)


class Guarded:
    """A gateway whose answers are searched. One container of it has answered."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.root, self.claiming, self.claiming_figures, self.dead = (
            gateway.site.take(kind) for kind in KINDS
        )
        with gateway.client(STRANGER) as client:
            exchange(client, self.root, get(b"/counted")).upstream.close()

    def ask(self, request: bytes, peer: str = ALLOWED) -> Message:
        """Return what the gateway itself says to *request* from *peer*; fails where a container is asked."""
        with self.gateway.client(peer) as client:
            client.send(request)
            return self.own_answer(client, to=request.partition(b" ")[0])

    def own_answer(self, client: Wire, to: bytes = b"GET") -> Message:
        """Return the gateway's own answer, which comes to *client*; fails where a container is asked."""
        lanes = self.root, self.claiming, self.claiming_figures
        assert not client.received_nothing() or first_of(client, *lanes), "there is no answer"
        assert all(lane.is_unvisited() for lane in lanes), "a container was asked"
        return client.read_response(to=to)

    def told(self, message: Message) -> list[bytes]:
        """Return what *message* tells that no stranger may read."""
        ports = [b":%d" % one.port for lane in self.gateway.site.lanes for one in lane.listeners]
        secret = [*ports, LABEL.encode(), b"DOCKER_HOST", b'"labelled"]']
        return [one for one in secret if one in whole(message)]

    def check_stranger(self, message: Message, status: int) -> None:
        assert (message.status, self.told(message)) == (status, [])
        if status == 403:
            self.gateway.check_answer(message, 403, "forbidden")

    def check_insider(self, message: Message, status: int) -> None:
        assert message.status == status
        assert self.told(message)


def whole(message: Message) -> bytes:
    """Return all that *message* says."""
    fields = b"".join(b"%b: %b\r\n" % field for field in (*message.fields, *message.trailers))
    return message.line + fields + message.content + b"".join(map(whole, message.interim))


@contextmanager
def guarded(
    like: Gateway, directory: Path, *options: str, allow: list[str], trusted: tuple[str, ...] = ()
) -> Iterator[Guarded]:
    """Give a gateway like another, whose admin.allow is *allow*, and which looks for Docker in vain."""
    if not isinstance(like, Rgate):
        pytest.skip("its own pages are others")
    settings = {
        "routes": [{"path_prefix": "/labelled", "backend": "labelled"}],
        "backends": [{"name": "labelled", "match_labels": {"tier": LABEL}}],
        "stats": {"database": f"sqlite:///{directory}/rgate.db", "path": "/figures"},
        "admin": {"allow": allow, "hosts": [FURTHER.decode()]},
        "trusted_proxies": trusted,
    }
    gateway = Rgate(Site(KINDS, settings=settings), directory, like.name, *options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        try:
            gateway.start()
            yield Guarded(gateway)
        finally:
            gateway.stop()


@pytest.fixture(scope="module")
def admitting(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Return a gateway of which ALLOWED and TRUSTED are in admin.allow, and TRUSTED is a proxy."""
    directory = tmp_path_factory.mktemp(gateway.name)
    with guarded(gateway, directory, allow=[ALLOWED, TRUSTED], trusted=(TRUSTED,)) as one:
        yield one


@clause("8.pages.allowed", "8.pages.backends", "7.query.allowed", "6.detail.allowed", own_choice=OWN)
@telling
def test_an_insider_reads_of_containers(admitting: Guarded, path: bytes, inside: int, outside: int) -> None:
    del outside
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        admitting.check_insider(admitting.ask(get(path, version=version, host=b"localhost")), inside)


OURS = [
    b"127.0.0.1", b"127.0.0.1:8080", b"127.0.0.1.:1", b"[::1]:8080", b"192.0.2.7", b"0.0.0.0:8080",
    b"LOCALHOST:80", b"localhost.", b"a.b.localhost:8080", FURTHER, FURTHER.upper() + b".:8080",
    socket.gethostname().encode(), socket.gethostname().partition(".")[0].upper().encode() + b":8080",
]  # fmt: skip


@clause("9.hosts.rebinding", "2.admin.hosts", own_choice=OWN)
@pytest.mark.parametrize("host", OURS)
def test_an_insider_asks_by_a_name_of_ours(admitting: Guarded, host: bytes) -> None:
    for path, inside, _ in TELLING.values():
        admitting.check_insider(admitting.ask(get(path, host=host)), inside)


@dataclass(frozen=True)
class Way:
    """One way to ask for more than one may, from a *peer* that may ask."""

    lines: tuple[bytes, ...] = ()
    host: bytes = b"localhost"
    peer: str = ALLOWED
    authority: bytes = b""  # of an absolute-form target

    def request(self, path: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
        return get(self.authority + path, *self.lines, host=self.host, method=method, version=version)


HOSTS = [
    b"evil.example", b"evil.example:8080", b"127.0.0.1.evil.example", b"localhost.evil.example",
    b"evil-localhost", b"localhost.localdomain", b"x." + FURTHER, FURTHER + b".evil.example",
    b"example.org", b"local", b"*", b"", b":8080", b".localhost", b"a..localhost", b"localhost..",
    b"127.0.0.1..", b".", b"..", b"2130706433", b"0x7f.1", b"0x7f000001", b"0177.0.0.1", b"127.1",
    b"127.0.0.01", b"256.0.0.1", b"127.0.0.1.1", b"%6cocalhost", b"localhost%00.evil.example",
    b"127.0.0.1%2eevil.example", b"[::1%25lo]", b"[127.0.0.1]", b"[localhost]", b"[::1::]",
    b"xn--lcalhost-1za", b"a" * 64 + b".localhost", b"a." * 130 + b"localhost", b"a" * 50000,
]  # fmt: skip
FORWARDED = [
    b"Via: 1.1 a", b"via:", b"Forwarded: for=127.0.0.1;host=localhost", b"FORWARDED: x",
    b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-For:", b"x_forwarded_for: ::1",
    b"X-Forwarded_For: 127.0.0.1", b"X-Forwarded-Host: localhost", b"X-Forwarded-Proto: https",
    b"X-Forwarded-Port: 8080", b"X-Forwarded-Prefix: /_rgate", b"X-Forwarded-: x",
    b"X-Forwarded-Anything: x", b"X-Real-IP: 127.0.0.1", b"x_real_ip: 127.0.0.1", b"X_Real-Ip: 127.0.0.1",
]  # fmt: skip
CLAIMS = tuple(
    name + b": 127.0.0.2"
    for name in (b"X-Real-IP", b"True-Client-IP", b"X-Client-IP", b"CF-Connecting-IP", b"Remote-Addr")
)
EVIL = b"evil.example"
WAYS = {
    **{f"host {host[:40].decode()!r}": Way(host=host) for host in HOSTS},
    **{f"field {line.decode()!r}": Way((line,)) for line in FORWARDED},
    "another peer": Way(peer=STRANGER),
    "another peer, who says that it is another": Way((b"X-Forwarded-For: 127.0.0.2",), peer=STRANGER),
    "another peer, in every field there is": Way(CLAIMS, peer=STRANGER),
    "a trusted proxy": Way(peer=TRUSTED),
    "a trusted proxy that tells of an insider": Way((b"X-Forwarded-For: 127.0.0.2",), peer=TRUSTED),
    "a trusted proxy that tells of a host": Way((b"X-Forwarded-Host: localhost",), EVIL, TRUSTED),
    "a field twice": Way((b"Via: 1.1 a", b"Via: 1.1 b")),
    "a field that Connection takes away": Way((b"Connection: Via, X-Forwarded-For", b"Via: 1.1 a")),
    "a field behind many": Way((*(b"A%d: b" % number for number in range(80)), b"X-Forwarded-For: a")),
    "a field behind long ones": Way((b"A: " + b"a" * 50000, b"Via: 1.1 a")),
    "absolute form by another name": Way(authority=b"http://evil.example"),
    "absolute form by another name, https": Way(authority=b"HTTPS://evil.example:443"),
    "absolute form by a name that looks like ours": Way(authority=b"http://localhost.evil.example"),
    "absolute form without a name": Way(authority=b"http://:8080"),
    "another name in the field's place": Way((b"X-Host: localhost", b"X-Original-Host: localhost"), EVIL),
    "another method by a field": Way((b"X-HTTP-Method-Override: GET", b"X-Original-URL: /_rgate"), EVIL),
    "as if of the same site": Way((b"Sec-Fetch-Site: same-origin", b"Origin: http://localhost"), EVIL),
    "with a password": Way((b"Authorization: Basic YWRtaW46YWRtaW4=", b"Cookie: admin=1"), peer=STRANGER),
    "as a proxy's client": Way((b"Proxy-Authorization: Basic YTpi",), peer=STRANGER),
    "as an upgrade": Way((b"Connection: Upgrade", b"Upgrade: x"), EVIL),
    "of a range": Way((b"Range: bytes=0-", b"If-None-Match: *"), EVIL),
}  # fmt: skip


@clause(
    "8.pages.peer", "8.pages.forwarded", "8.pages.everyone", "6.detail.strangers", "7.query.allowed",
    "9.hosts.rebinding", "9.hosts.not_asked", "9.hosts.stats", "10.page.stranger", own_choice=OWN,
)  # fmt: skip
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_way_round_tells_a_stranger_of_containers(admitting: Guarded, way: Way) -> None:
    for path, _, outside in TELLING.values():
        for accept in (b"Accept: */*", b"Accept: text/html"):
            asked = Way((*way.lines, accept), way.host, way.peer, way.authority)
            for version in (b"HTTP/1.1", b"HTTP/1.0"):
                told = admitting.ask(asked.request(path, version=version), way.peer)
                admitting.check_stranger(told, outside)
    for path in (
        b"/_rgate",
        b"/_rgate/",
        b"/_rgate/nothing",
        b"/_rgate/config",
        b"/_rgate/timeline",
        b"/_rgate/verdict",
        b"/_rgate/requests",
        b"/_rgate/requests/a",
    ):
        admitting.check_stranger(admitting.ask(way.request(path), way.peer), 403)
    for path in (HEALTHZ, b"/figures", b"/figures?by=route"):
        admitting.check_stranger(admitting.ask(way.request(path), way.peer), 200)
    page = Way((*way.lines, b"Accept: text/html"), way.host, way.peer, way.authority).request(b"/figures")
    admitting.check_stranger(admitting.ask(page, way.peer), 200)


@clause("9.hosts.rebinding", "8.pages.allowed", own_choice=OWN)
@pytest.mark.parametrize(
    ("way", "words"),
    [
        (
            Way(host=b"evil.example:80"),
            ["`evil.example:80`", "by an IP address or localhost", "`admin.hosts`"],
        ),
        (
            Way(authority=b"http://evil.example"),
            ["`evil.example`", "by an IP address or localhost", "`admin.hosts`"],
        ),
        (Way(host=b""), ["no Host", "by an IP address or localhost", "`admin.hosts`"]),
        (Way(peer=STRANGER), [STRANGER, "`admin.allow`"]),
        (Way((b"X-Real-IP: a",)), ["`X-Real-IP`", "without"]),
        (Way(peer=TRUSTED), ["`trusted_proxies`", "without"]),
    ],
)
def test_a_403_says_what_to_ask_instead(admitting: Guarded, way: Way, words: list[str]) -> None:
    for path in (BACKENDS, FIGURES):
        detail = json.loads(admitting.ask(way.request(path), way.peer).content)["detail"]
        assert [word for word in words if word not in detail] == []


@clause("9.hosts.rebinding", own_choice=OWN)
def test_the_authority_of_an_absolute_form_counts_and_not_the_field(admitting: Guarded) -> None:
    for host in (b"evil.example", b"", b"localhost"):
        way = Way(host=host, authority=b"http://127.0.0.1:8080")
        admitting.check_insider(admitting.ask(way.request(BACKENDS)), 200)


@clause("9.hosts.rebinding", own_choice=OWN)
@telling
def test_who_names_no_host_is_a_stranger(admitting: Guarded, path: bytes, inside: int, outside: int) -> None:
    for version in (b"1.0", b"1.1"):
        admitting.check_insider(
            admitting.ask(b"GET %b HTTP/%b\r\nHost: localhost\r\n\r\n" % (path, version)), inside
        )
    admitting.check_stranger(admitting.ask(b"GET %b HTTP/1.0\r\n\r\n" % path), outside)
    admitting.check_stranger(admitting.ask(b"GET %b HTTP/1.0\r\nX-Host: localhost\r\n\r\n" % path), outside)


@clause("6.client.malformed", own_choice=OWN)
@pytest.mark.parametrize(
    "lines",
    [
        b"Host: localhost\r\nHost: evil.example",
        b"Host: evil.example\r\nHost: localhost",
        b"Host: localhost\r\nhost: localhost",
        b"Host: localhost, evil.example",
        b"Host: evil.example localhost",
        b"Host: a@localhost",
        b"Host: evil.example@127.0.0.1",
        b"Host: http://localhost",
        b"Host: localhost/",
        b"Host: localhost#",
        b"Host: localhost:80:80",
        b"Host: localhost:x",
        b"Host: ::1",
        b"Host: [::1",
        b"Host: [::1].evil.example",
        b"Host: l\xc3\xb6calhost",
        b"Host: \xe2\x93\x9bocalhost",
        b"Host : localhost",
        b" Host: localhost",
        b"Host: evil.example\r\n localhost",
        b"Host: localhost\x00.evil.example",
        b"X: y",
    ],
)
def test_what_is_no_host_is_refused_before_anything_is_told(admitting: Guarded, lines: bytes) -> None:
    for path, _, _ in TELLING.values():
        refused = admitting.ask(b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (path, lines))
        assert (refused.status, admitting.told(refused)) == (400, [])


@clause("8.pages.peer", "9.hosts.rebinding", own_choice=OWN)
@pytest.mark.parametrize(
    "way",
    [Way(host=b"evil.example"), Way((b"Via: 1.1 a",)), Way(authority=b"http://evil.example")],
    ids=["host", "via", "form"],
)
def test_a_request_behind_an_insiders_on_its_connection_is_judged_by_itself(
    admitting: Guarded, way: Way
) -> None:
    ours = Way()
    for path, inside, outside in TELLING.values():
        order = [ours, way, way, ours, way, ours]
        with admitting.gateway.client(ALLOWED) as client:
            client.send(b"".join(one.request(path) for one in order))
            for one in order:
                told = admitting.own_answer(client)
                (admitting.check_insider if one is ours else admitting.check_stranger)(
                    told, inside if one is ours else outside
                )


@clause("8.pages.peer", own_choice=OWN)
@pytest.mark.parametrize("trailer", [b"Host: localhost", b"X-Forwarded-For: 127.0.0.2", b"Via: 1.1 a"])
def test_trailers_give_no_right_and_are_no_request(admitting: Guarded, trailer: bytes) -> None:
    content = (
        chunked(b"GET /_rgate/backends HTTP/1.1\r\nHost: localhost\r\n\r\n")[:-2] + trailer + b"\r\n\r\n"
    )
    for path, _, outside in TELLING.values():
        if path in (UNREACHABLE, LABELLED):
            continue
        request = get(
            path,
            b"Transfer-Encoding: chunked",
            b"Trailer: " + trailer.partition(b":")[0],
            host=b"evil.example",
        )
        with admitting.gateway.client(ALLOWED) as client:
            client.send(request + content)
            admitting.check_stranger(admitting.own_answer(client), outside)
            assert client.is_closed()


OTHER_PATHS = [
    b"/%5frgate/backends", b"/%5Frgate/backends", b"/_%72gate/backends", b"//_rgate/backends",
    b"/_RGATE/backends", b"/_rgate;a/backends", b"/_rgate%2fbackends", b"/_rgate\\backends",
    b"/x/_rgate/backends", b"/_rgate%00/backends", b"/%66igures", b"/figures%3fby=container", b"/Figures",
    b"//figures", b"/;/figures",
]  # fmt: skip


@clause("3.route.own", "3.path.undecoded", own_choice=OWN)
@pytest.mark.parametrize("path", OTHER_PATHS)
def test_a_path_that_is_only_like_an_own_one_goes_to_a_container_as_it_came(
    admitting: Guarded, path: bytes
) -> None:
    lanes = admitting.root, admitting.claiming, admitting.claiming_figures
    for host in (b"localhost", b"evil.example"):
        with admitting.gateway.client(ALLOWED) as client:
            client.send(get(path, host=host))
            assert first_of(client, *lanes)
            (lane,) = (lane for lane in lanes if not lane.is_unvisited())
            seen = answer(client, lane.accept(), get(path, host=host))
        assert seen.request.target == path
        assert seen.response.content == b"ok"
        seen.upstream.close()


NO_PAGES = [
    b"/_rgate/%62ackends", b"/_rgate//backends", b"/_rgate/backends/", b"/_rgate/backends;a",
    b"/_rgate/backends%00", b"/_rgate/BACKENDS", b"/_rgate/backends%20", b"/_rgate/backends%3f",
    b"/_rgate/healthz/backends", b"/_rgate/", b"/_rgate/x;/backends", b"/_rgate",
]  # fmt: skip


@clause("6.client.not_found", "8.pages.allowed", own_choice=OWN)
@pytest.mark.parametrize("path", NO_PAGES)
def test_a_path_that_is_only_like_a_page_is_none(admitting: Guarded, path: bytes) -> None:
    missing = admitting.ask(get(path, host=b"localhost"))
    admitting.gateway.check_answer(missing, 404, "not_found")
    assert admitting.told(missing) == []
    admitting.check_stranger(admitting.ask(get(path, host=b"evil.example")), 403)


@clause("3.dots.refused", own_choice=OWN)
@pytest.mark.parametrize(
    "path",
    [
        b"/_rgate/../_rgate/backends",
        b"/_rgate/healthz/../backends",
        b"/_rgate/healthz/..;/backends",
        b"/_rgate/%2e%2e/_rgate/backends",
        b"/x/..%2f_rgate/backends",
        b"/./_rgate/backends",
        b"/_rgate/./backends",
        b"/x/../figures",
    ],
)
def test_dots_lead_to_no_page(admitting: Guarded, path: bytes) -> None:
    for host in (b"localhost", b"evil.example"):
        refused = admitting.ask(get(path, host=host))
        admitting.gateway.check_answer(refused, 400, "path_not_normalized")
        assert admitting.told(refused) == []


@clause("3.route.own", own_choice=OWN)
def test_a_route_that_claims_an_own_path_does_not_get_it(admitting: Guarded) -> None:
    for path in (BACKENDS, HEALTHZ, b"/_rgate/x", b"/figures", b"/figures?by=container"):
        for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
            admitting.ask(get(path, host=b"localhost", method=method))  # fails where a container is asked


@clause("8.pages.peer", "6.client.method", own_choice=OWN)
@pytest.mark.parametrize(
    "method", [b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"get"]
)
def test_no_method_and_no_field_that_overrides_one_leads_round(admitting: Guarded, method: bytes) -> None:
    overriding = tuple(
        name + b": GET"
        for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"_method")
    )
    for path in (BACKENDS, FIGURES):
        for way in (Way(overriding, b"evil.example"), Way(overriding, peer=STRANGER)):
            told = admitting.ask(way.request(path, method), way.peer)
            assert admitting.told(told) == []
            assert told.status == 403 if method == b"HEAD" or path == BACKENDS else 405
        told = admitting.ask(Way(overriding).request(path, method))
        assert told.status == (200 if method == b"HEAD" else 405)
        assert admitting.told(told) == []
    told = admitting.ask(post(BACKENDS, b"_method=GET", host=b"localhost"))
    assert (told.status, admitting.told(told)) == (405, [])


@clause("9.hosts.cross_site", own_choice=OWN)
@pytest.mark.parametrize(
    "lines",
    [
        [b"Sec-Fetch-Site: cross-site"],
        [b"sec-fetch-site:Cross-Site"],
        [b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site"],
        [b"Sec-Fetch-Site: none, cross-site"],
        [
            b"Sec-Fetch-Site: cross-site",
            b"Sec-Fetch-Mode: navigate",
            b"Sec-Fetch-Dest: document",
            b"Sec-Fetch-User: ?1",
        ],
        [b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: script"],
        [b"Sec-Fetch-Site: cross-site", b"Origin: null"],
    ],
)
def test_a_page_of_another_site_is_refused(admitting: Guarded, lines: list[bytes]) -> None:
    for path in (BACKENDS, READYZ, HEALTHZ, b"/_rgate/nothing", b"/_rgate"):
        told = admitting.ask(get(path, *lines, host=b"localhost"))
        admitting.check_stranger(told, 403)
        assert b"Sec-Fetch-Site" in told.content
    assert admitting.ask(get(b"/figures", *lines, host=b"localhost")).status == 200


@clause("9.hosts.cross_site", own_choice=OWN)
@pytest.mark.parametrize("site", [b"same-site", b"same-origin", b"none", b"", b"not-cross-site", b"?1"])
def test_only_another_site_is_refused(admitting: Guarded, site: bytes) -> None:
    admitting.check_insider(admitting.ask(get(BACKENDS, b"Sec-Fetch-Site: " + site, host=b"localhost")), 200)


ORIGINS = [b"http://evil.example", b"http://localhost", b"http://127.0.0.1:8080", b"null", b"*"]
EVERY_ANSWER = {
    "health": (HEALTHZ, 200, ()),
    "readiness": (READYZ, 503, ()),
    "containers": (BACKENDS, 200, ()),
    "figures": (b"/figures", 200, ()),
    "figures by container": (FIGURES, 200, ()),
    "bad query": (b"/figures?by=colour", 400, ()),
    "forbidden": (BACKENDS, 403, (b"Via: 1.1 a",)),
    "another site": (BACKENDS, 403, (b"Sec-Fetch-Site: cross-site",)),
    "not found": (b"/_rgate/nothing", 404, ()),
    "503 by address": (UNREACHABLE, 503, ()),
    "503 by label": (LABELLED, 503, ()),
    "dots": (b"/a/../b", 400, ()),
    "malformed": (b"/", 400, (b"Bad Name: x",)),
}
answers = pytest.mark.parametrize(("path", "status", "lines"), EVERY_ANSWER.values(), ids=EVERY_ANSWER)


@clause("9.hosts.cors", own_choice=OWN)
@answers
def test_no_other_site_may_read_an_answer(
    admitting: Guarded, path: bytes, status: int, lines: tuple[bytes, ...]
) -> None:
    for origin in ORIGINS:
        told = admitting.ask(get(path, b"Origin: " + origin, *lines, host=b"localhost"))
        assert told.status == status
        assert not [
            name
            for name in told.names()
            if name.startswith(b"access-control-") or name == b"timing-allow-origin"
        ]


@clause("9.hosts.cors", "6.client.method", own_choice=OWN)
@pytest.mark.parametrize("site", [(), (b"Sec-Fetch-Site: cross-site",), (b"Sec-Fetch-Site: same-site",)])
@pytest.mark.parametrize("path", [BACKENDS, HEALTHZ, b"/figures"])
def test_a_preflight_is_answered_with_no(admitting: Guarded, path: bytes, site: tuple[bytes, ...]) -> None:
    lines = (
        b"Origin: http://evil.example",
        b"Access-Control-Request-Method: GET",
        b"Access-Control-Request-Headers: x-a",
        b"Access-Control-Request-Private-Network: true",
        *site,
    )
    told = admitting.ask(get(path, *lines, host=b"localhost", method=b"OPTIONS"))
    assert told.status == (
        403 if site[:1] == (b"Sec-Fetch-Site: cross-site",) and path != b"/figures" else 405
    )
    assert not [name for name in told.names() if name.startswith(b"access-control-")]


ALWAYS = [
    (b"cache-control", [b"no-store"]),
    (b"vary", [b"Accept"]),
    (b"x-content-type-options", [b"nosniff"]),
    (b"cross-origin-resource-policy", [b"same-origin"]),
]


@clause("8.pages.fields", own_choice=OWN)
@answers
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
def test_every_answer_of_its_own_may_be_used_by_no_other_site_and_is_what_it_says(
    admitting: Guarded, path: bytes, status: int, lines: tuple[bytes, ...], method: bytes
) -> None:
    del status
    for accept in (b"Accept: */*", b"Accept: text/html"):
        told = admitting.ask(get(path, accept, *lines, host=b"localhost", method=method))
        assert [(name, told.values(name)) for name, _ in ALWAYS] == ALWAYS
        assert len(told.values(b"content-type")) == 1


@clause("8.pages.fields", "8.pages.policy", own_choice=OWN)
def test_all_of_its_pages_say_so(admitting: Guarded) -> None:
    pages = {*paths(), "/figures", *(OwnPage.STATIC.value + name for name in STATIC_FILES)}
    for path in pages:  # HEAD, as one has no end
        told = admitting.ask(get(path.encode(), host=b"localhost", method=b"HEAD"))
        said = [(name, told.values(name)) for name, _ in ALWAYS[1:]]
        assert (path, said) == (path, ALWAYS[1:])
        assert told.values(b"content-security-policy") == [POLICY.encode()]
        assert told.values(b"cache-control") == [
            b"no-cache" if path.startswith(OwnPage.STATIC.value) else b"no-store"
        ]


@clause("8.pages.policy", "10.page.policy", own_choice=OWN)
@answers
def test_a_page_loads_and_runs_nothing_inline_and_nothing_of_others(
    admitting: Guarded, path: bytes, status: int, lines: tuple[bytes, ...]
) -> None:
    del status
    told = admitting.ask(get(path, b"Accept: text/html", *lines, host=b"localhost"))
    assert told.values(b"content-security-policy") == [POLICY.encode()]
    if told.values(b"content-type")[0].startswith(b"text/html"):
        parsed(told.content)


@clause("8.pages.fields", "5.fields.unchanged", own_choice=OWN)
def test_what_a_container_says_of_all_that_goes_on_as_it_came(admitting: Guarded) -> None:
    lines = b"Access-Control-Allow-Origin: *\r\nCache-Control: max-age=1\r\nContent-Length: 0"
    theirs = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n"
    for sent in (OK, theirs):
        with admitting.gateway.client(ALLOWED) as client:
            seen = exchange(client, admitting.root, get(b"/x", b"Origin: http://evil.example"), sent)
        names = seen.response.names()
        assert not {
            b"vary",
            b"x-content-type-options",
            b"cross-origin-resource-policy",
            b"content-security-policy",
        } & {*names}
        assert seen.response.values(b"access-control-allow-origin") == ([b"*"] if sent is theirs else [])
        assert seen.response.values(b"cache-control") == ([b"max-age=1"] if sent is theirs else [])
        seen.upstream.close()


@clause("2.default.text", own_choice=OWN)
def test_the_default_response_says_nothing_that_was_not_asked_for(client: Wire) -> None:
    client.send(get(b"/nowhere", host=b"localhost"))
    assert {*client.read_response().names()} == {b"content-type", b"content-length", b"date", b"x-request-id"}


PEERS = {
    "nobody": ([], {ALLOWED: False, STRANGER: False, "::1": False}),
    "all of IPv4": (["0.0.0.0/0"], {ALLOWED: True, STRANGER: True, "::1": False}),
    "all of IPv6": (
        ["::/0"],
        {ALLOWED: False, STRANGER: False, "::1": True},
    ),  # 127.0.0.1 is IPv4 on any socket
}


@needs_ipv6
@clause("8.pages.allowed", "8.pages.peer", "2.admin.allow", "1.options.mapped", own_choice=OWN)
@pytest.mark.parametrize(("allow", "peers"), PEERS.values(), ids=PEERS)
def test_a_peer_is_who_it_is_on_a_socket_of_both_families(
    gateway: Gateway, tmp_path: Path, allow: list[str], peers: dict[str, bool]
) -> None:
    with guarded(gateway, tmp_path, "--host", "::", allow=allow) as one:
        for peer, inside in peers.items():
            with _client(one.gateway, peer) as client:
                for path, for_insiders, for_strangers in TELLING.values():
                    client.send(get(path, host=b"localhost"))
                    told = one.own_answer(client)
                    if inside:
                        one.check_insider(told, for_insiders)
                    else:
                        one.check_stranger(told, for_strangers)


def _client(gateway: Gateway, peer: str) -> Wire:
    if ":" in peer:
        return Wire(socket.create_connection((peer, gateway.port), 5))
    return gateway.client(peer)
