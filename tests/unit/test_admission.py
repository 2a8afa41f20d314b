"""Who is one of us, and why not (behaviour 8 and 9)."""

from ipaddress import ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.admission import Stranger, Why, from_another_site, is_ours, why_a_stranger
from rgate.core.config import Admin
from rgate.core.fields import ClientConnection
from rgate.core.message import Refused, RequestHead, parse_request_head
from rgate.core.names import compared_host
from tests.unit.messages import request

HERE = ClientConnection("127.0.0.1", 80)
ADMIN = Admin(hosts=("rgate.corp.example",))
MACHINE = "Box.Corp.Example"
OWN_NAMES = frozenset({"box.corp.example", "box", "rgate.corp.example"})

OURS = [
    "127.0.0.1", "127.0.0.1:8080", "127.0.0.1.", "127.0.0.1.:8080", "0.0.0.0", "192.0.2.7", "10.1.2.3:",
    "[::1]", "[::1]:8080", "[::1]:", "[::]", "[2001:DB8::1]", "[::ffff:127.0.0.1]:1", "[0:0:0:0:0:0:0:1]",
    "localhost", "LocalHost:8080", "localhost.", "localhost.:8080", "localhost:99999999", "localhost:",
    "a.localhost", "a.b.LOCALHOST.:1", "a_b.localhost", "xn--a.localhost",
    "box", "BOX.:1", "box.corp.example", "Box.Corp.Example.:80", "RGATE.corp.example.",
]  # fmt: skip
FOREIGN = [
    "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "evil-localhost",
    "notlocalhost", "localhost.localdomain", "local", "localhost.com", "a.localhost.b", "box.evil.example",
    "box.corp.example.evil.example", "corp.example", "a.box.corp.example", "a.rgate.corp.example", "boxx",
    "ox", "xbox.corp.example", "*.localhost", "*",
    # An empty label, or two dots at the end.
    ".localhost", "a..localhost", "..", ".", "", ":8080", "localhost..", "127.0.0.1..", "box..", ".box",
    "127..0.1", "localhost:.evil.example", "localhost:1:1", "[::1].evil.example", "[::1]evil.example",
    # Other ways to write an IPv4 address: clients write them plainly before they send.
    "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "127.0.0.01",
    "127.0.0.1.1", "256.0.0.1", "127.0.0.0x1", "127.0.0.1e0",
    # Percent-encoding, userinfo and a zone are for URLs.
    "%6cocalhost", "127.0.0.1%2eevil.example", "localhost%00.evil.example", "localhost%2eevil.example",
    "[fe80::1%25eth0]", "[::1%lo]", "[fe80::1%a.evil.example]", "admin;localhost", "a&b.localhost",
    # What no address has in brackets, or without.
    "[127.0.0.1]", "[localhost]", "[v1.a]", "[:1]", "[:::1]", "[1:2:3]", "[::1::]", "[.]",
    # Of a length that no name has.
    "a" * 64 + ".localhost", "a." * 130 + "localhost", "a" * 60000,
]  # fmt: skip


def head(
    *lines: bytes, first: bytes = b"GET /_rgate/backends HTTP/1.1", host: bytes = b"localhost"
) -> RequestHead:
    return request(first, *lines, host=(b"Host: " + host,)).head()


def why(
    head: RequestHead, client: ClientConnection = HERE, admin: Admin = ADMIN, machine: str = MACHINE
) -> Stranger | None:
    return why_a_stranger(head, client, admin, machine)


@pytest.mark.clause("9.hosts.rebinding", "2.admin.hosts")
@pytest.mark.parametrize("host", OURS)
def test_a_host_is_ours_by_an_address_or_a_name_that_no_stranger_can_point_here(host: str) -> None:
    assert is_ours(host.encode(), OWN_NAMES)
    assert why(head(host=host.encode())) is None


@pytest.mark.clause("9.hosts.rebinding", "2.admin.hosts")
@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_host_is_none_of_ours(host: str) -> None:
    assert not is_ours(host.encode(), OWN_NAMES)
    try:
        asked = head(host=host.encode())
    except Refused:  # before anybody asks
        return
    stranger = why(asked)
    assert stranger is not None
    assert stranger.why is (Why.HOST if host else Why.NO_HOST)


def test_without_names_only_addresses_and_localhost_are_ours() -> None:
    for machine in ("", "."):
        assert why(head(), admin=Admin(), machine=machine) is None
        for host in (b"box", b"rgate.corp.example", b"", b".", b"a"):
            assert why(head(host=host), admin=Admin(), machine=machine) is not None


HOSTS = st.lists(
    st.sampled_from(
        [
            "localhost",
            "evil",
            "box",
            "corp",
            "example",
            "127",
            "0",
            "1",
            "0x7f",
            "[",
            "]",
            "::",
            ".",
            ".",
            ":",
            "%",
        ]
    ),
    max_size=9,
).map("".join)


@given(host=HOSTS)
@example("127.0.0.1..")
@example("[::1%lo]")
@example(".localhost")
@example("localhost:")
@example("[::1]")
def test_a_name_that_somebody_else_may_have_is_never_ours(host: str) -> None:
    """Whoever has a domain sets all names that end with it, in any spelling."""
    for evil in (host + ".evil.example", host + ".evil.example.", host + ".EVIL.example:80"):
        assert not is_ours(evil.encode(), OWN_NAMES)
    if is_ours(host.encode(), OWN_NAMES):
        name = compared_host(host.encode()).decode()
        assert "" not in name.split(".")
        last = name.rpartition(".")[2]
        assert name in OWN_NAMES or last == "localhost" or last.isdigit() or name.startswith("[")


@given(
    host=HOSTS,
    port=st.sampled_from(["", ":", ":1", ":99999"]),
    upper=st.booleans(),
    dot=st.sampled_from(["", "."]),
)
@example("127.0.0.1.", ":1", True, ".")
def test_case_port_and_one_dot_at_the_end_do_not_count(host: str, port: str, upper: bool, dot: str) -> None:
    name = compared_host(host.encode()).decode()
    if name.endswith("."):
        assert not is_ours(host.encode(), OWN_NAMES)
        return
    spelt = (name.upper() if upper else name) + ("" if name.startswith("[") else dot) + port
    assert is_ours(spelt.encode(), OWN_NAMES) is is_ours(name.encode(), OWN_NAMES)


@pytest.mark.clause("9.hosts.rebinding")
@pytest.mark.parametrize(
    ("first", "host", "ours"),
    [
        (b"GET http://localhost/_rgate/backends HTTP/1.1", b"evil.example", True),
        (b"GET http://evil.example/_rgate/backends HTTP/1.1", b"localhost", False),
        (b"GET HTTP://127.0.0.1:8080/_rgate/backends HTTP/1.1", b"evil.example", True),
        (b"GET https://evil.example:443/_rgate/backends HTTP/1.1", b"127.0.0.1", False),
    ],
)
def test_the_authority_of_an_absolute_form_takes_the_place_of_host(
    first: bytes, host: bytes, ours: bool
) -> None:
    assert (why(head(first=first, host=host)) is None) is ours


def test_a_request_of_http_1_0_without_a_host_is_a_strangers_and_told_so() -> None:
    asked = parse_request_head(b"GET /_rgate/backends HTTP/1.0\r\n\r\n")
    stranger = why(asked)
    assert stranger == Stranger(Why.NO_HOST)
    assert stranger.detail == (
        "The request has no Host: ask by an IP address or localhost, or add the name to `admin.hosts`."
    )
    absolute = parse_request_head(b"GET http://localhost/_rgate/backends HTTP/1.0\r\n\r\n")
    assert why(absolute) is None


@pytest.mark.clause("8.pages.peer", "8.pages.allowed")
@pytest.mark.parametrize(
    ("peer", "allow", "ours"),
    [
        ("127.0.0.1", ["127.0.0.0/8"], True),
        ("127.255.255.255", ["127.0.0.0/8"], True),
        ("128.0.0.0", ["127.0.0.0/8"], False),
        ("::1", ["127.0.0.0/8", "::1/128"], True),
        ("::2", ["127.0.0.0/8", "::1/128"], False),
        ("::1", ["127.0.0.0/8"], False),
        ("::ffff:127.0.0.1", ["127.0.0.0/8"], True),  # on a socket of both families
        ("::ffff:127.0.0.1", ["::1/128"], False),
        ("::127.0.0.1", ["127.0.0.0/8"], False),  # another address
        ("127.0.0.1", [], False),
        ("::1", [], False),
        ("192.0.2.7", ["0.0.0.0/0"], True),
        ("2001:db8::7", ["0.0.0.0/0"], False),
        ("2001:db8::7", ["::/0"], True),
        ("192.0.2.7", ["::/0"], False),  # a family of its own
        ("::ffff:192.0.2.7", ["::/0"], False),  # as it is IPv4
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("", ["0.0.0.0/0", "::/0"], False),
        ("unix:", ["0.0.0.0/0", "::/0"], False),
        ("127.0.0.1:80", ["0.0.0.0/0", "::/0"], False),
    ],
)
def test_what_counts_is_the_peer(peer: str, allow: list[str], ours: bool) -> None:
    admin = Admin(allow=tuple(map(ip_network, allow)))
    stranger = why(head(), ClientConnection(peer, 80), admin)
    assert stranger == (None if ours else Stranger(Why.PEER, peer))


def test_a_trusted_proxy_is_never_one_of_us_and_is_not_told_what_its_address_is() -> None:
    stranger = why(head(), ClientConnection("127.0.0.1", 80, trusted=True))
    assert stranger == Stranger(Why.TRUSTED_PROXY)
    assert "127.0.0.1" not in stranger.detail


SPELT = st.sampled_from(
    ["via", "forwarded", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-", "x-forwarded-x"]
)


@pytest.mark.clause("8.pages.forwarded")
@given(
    name=SPELT,
    upper=st.sets(st.integers(0, 20)),
    underscores=st.sets(st.integers(0, 20)),
    value=st.sampled_from([b"", b"127.0.0.1", b"localhost", b"for=127.0.0.1"]),
    behind=st.booleans(),
)
@example("x-forwarded-for", set(), {1, 11}, b"", True)
def test_a_field_that_tells_of_a_proxy_takes_the_right_away_in_any_spelling(
    name: str, upper: set[int], underscores: set[int], value: bytes, behind: bool
) -> None:
    spelt = "".join(
        "_" if letter == "-" and at in underscores else letter.upper() if at in upper else letter
        for at, letter in enumerate(name)
    )
    line = spelt.encode() + b": " + value
    asked = head(*((b"Accept: */*", line) if behind else (line, b"Connection: " + spelt.encode())))
    assert why(asked) == Stranger(Why.FORWARDED, spelt)


@pytest.mark.parametrize("line", [b"X-Forwarded: x", b"Viaa: x", b"X-Via: x", b"Origin: http://evil.example"])
def test_other_fields_take_nothing_away(line: bytes) -> None:
    assert why(head(line)) is None


def test_the_address_of_a_proxy_is_told_to_nobody_behind_it() -> None:
    stranger = why(head(b"Via: 1.1 a", host=b"evil.example"), ClientConnection("192.0.2.7", 80))
    assert stranger == Stranger(Why.FORWARDED, "Via")
    assert "192.0.2.7" not in stranger.detail


@pytest.mark.parametrize(
    ("stranger", "detail"),
    [
        (
            Stranger(Why.HOST, "evil.example"),
            "`evil.example` is no name of this machine's: ask by an IP address or localhost, or add the name "
            "to `admin.hosts`.",
        ),
        (
            Stranger(Why.PEER, "192.0.2.7"),
            "192.0.2.7 is not in `admin.allow`: ask from an address that is, or add it.",
        ),
        (
            Stranger(Why.FORWARDED, "Via"),
            "The field `Via` says that a proxy forwarded the request: ask without one.",
        ),
        (Stranger(Why.TRUSTED_PROXY), "The request came from a proxy, of `trusted_proxies`: ask without it."),
        (
            Stranger(Why.CROSS_SITE),
            "A page of another site asked (`Sec-Fetch-Site: cross-site`): type the address into the browser "
            "instead.",
        ),
    ],
)
def test_the_detail_says_what_to_do(stranger: Stranger, detail: str) -> None:
    assert stranger.detail == detail


def test_what_is_very_long_is_told_short() -> None:
    for asked in (head(host=b"a" * 60000), head(b"X-Forwarded-" + b"a" * 60000 + b": b")):
        stranger = why(asked)
        assert stranger is not None
        assert len(stranger.detail) < 200


@pytest.mark.clause("9.hosts.cross_site")
@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([b"Sec-Fetch-Site: cross-site"], True),
        ([b"sec-fetch-site:cross-site"], True),
        ([b"SEC-FETCH-SITE: Cross-Site"], True),
        ([b"Sec_Fetch_Site: cross-site"], True),
        ([b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Site: cross-site"], True),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Site: same-origin"], True),
        ([b"Sec-Fetch-Site: same-origin, cross-site"], True),
        ([b"Sec-Fetch-Site: cross-site;a=b"], True),
        ([b'Sec-Fetch-Site: "cross-site"'], True),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-User: ?1"], True),
        ([], False),
        ([b"Sec-Fetch-Site: same-site"], False),
        ([b"Sec-Fetch-Site: same-origin"], False),
        ([b"Sec-Fetch-Site: none"], False),
        ([b"Sec-Fetch-Site: "], False),
        ([b"Sec-Fetch-Site: not-cross-site"], False),
        ([b"Sec-Fetch-Mode: cross-site"], False),
    ],
)
def test_what_another_sites_page_asks_is_known_in_any_spelling(lines: list[bytes], refused: bool) -> None:
    assert from_another_site(head(*lines)) == (Stranger(Why.CROSS_SITE) if refused else None)
    assert why(head(*lines)) is None  # who it is from is another question
