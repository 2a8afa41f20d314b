"""Which requests may be asked about, and how they are written (behaviour 9)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.asked import BadQuestion, Url, asked_of, split_url
from rgate.core.config import Config
from rgate.core.explain import Asked, explain
from rgate.core.gateway import Gateway


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://shop.example/api?a=b", Url("/api?a=b", "shop.example", 8080)),
        ("HTTPS://shop.example:8443/", Url("/", "shop.example:8443", 8443)),
        ("http://shop.example", Url("/", "shop.example", 8080)),
        ("http://shop.example:?a", Url("/?a", "shop.example:", 8080)),
        ("http://[::1]:81/a#part", Url("/a", "[::1]:81", 81)),
        ("http://h/a/../%2e//b", Url("/a/../%2e//b", "h", 8080)),
        ("/api#part", None),
        ("//h/a", None),
        ("*", None),
    ],
)
def test_a_url_is_what_a_client_makes_of_it_and_a_path_is_left(text: str, url: Url | None) -> None:
    assert split_url(text) == url


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("api", "'api' is neither a path, such as /api/orders/7, nor an http URL."),
        ("localhost:8080/api", "'localhost:8080/api' is neither a path, such as "),
        ("ftp://h/", "'ftp://h/' is neither a path, such as "),
        ("", "'' is neither a path, such as "),
        ("http:///a", "The URL's host '' is empty."),
        ("http://a..b/", "The URL's host 'a..b' has an empty label."),
        (
            "http://ä.example/",
            "The URL's host 'ä.example' is not ASCII: write it as it is sent, `xn--4ca.example`.",
        ),
        (
            "http://me:secret@h/",
            "The URL names a user: leave that out, and give the field that it stands for.",
        ),
        ("http://h:65536/", "The URL's port 65536 is none: allowed are 1 to 65535."),
        ("http://h:0/", "The URL's port 0 is none: "),
        ("http://h:8a/", "The URL's host 'h:8a' has the label `h:8a`: "),
    ],
)
def test_what_is_neither_is_refused(text: str, detail: str) -> None:
    with pytest.raises(BadQuestion) as refused:
        split_url(text)
    assert refused.value.detail.startswith(detail)


def test_what_is_asked_about_is_as_it_was_written() -> None:
    assert asked_of("/a") == Asked("GET", "/a", "localhost", (), "127.0.0.1", 8080)
    assert asked_of(
        "http://h/é",
        method="get",
        host="A",
        headers=["X-A:  b ", "Y:", ":z", "Z: \udcff"],
        client="::1",
        port=81,
    ) == Asked(
        "get", "http://h/é", "A", ((b"X-A", b"b"), (b"Y", b""), (b"", b"z"), (b"Z", b"\xff")), "::1", 81
    )


@pytest.mark.parametrize(
    ("client", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("0:0::1", "::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_address_is_as_a_socket_tells_it(client: str, peer: str) -> None:
    assert asked_of("/", client=client).peer == peer


@pytest.mark.parametrize(
    "client", ["", "h", "192.0.2", "192.0.2.7:80", "::1%a b", "fe80::1%\r\nX: y", "\u0661.1.1.1"]
)
def test_another_client_is_refused(client: str) -> None:
    with pytest.raises(BadQuestion, match=r"The client is an IP address, such as 192\.0\.2\.7, and not '"):
        asked_of("/", client=client)


TEXTS = st.text(st.sampled_from("/ab: \r\n\x00\x1b\u202eé\udcff\ud800"), max_size=4)


@given(method=TEXTS, target=TEXTS, host=TEXTS, header=TEXTS)
@example(method="GET", target="/ HTTP/1.1\r\n\r\nGET /b", host="h", header="a:b")
def test_whatever_may_be_asked_about_is_one_head(method: str, target: str, host: str, header: str) -> None:
    """And its explanation is text that can be printed as UTF-8."""
    asked = asked_or_refused(target, method, host, header)
    if isinstance(asked, BadQuestion):
        assert str(asked).isprintable()
        return
    explanation = explain(Gateway(Config((), ()), {}, lambda: 0.0), asked, ())
    for text in (explanation.method, explanation.target, explanation.host, explanation.detail):
        assert "\n" not in text
        text.encode()


def asked_or_refused(target: str, method: str, host: str, header: str) -> Asked | BadQuestion:
    try:
        return asked_of(target, method=method, host=host, headers=[header])
    except BadQuestion as refused:
        return refused
