"""Requests below a prefix, and those without a host: what changes, and that it is all (behaviour 2)."""

import pytest

from rgate.core.config import Route
from rgate.core.fields import ClientConnection
from rgate.core.onward import Request, below_prefix, with_host
from rgate.core.routing import without_prefix
from tests.unit.messages import PROXY, STRANGER, fields_of, request


def told(asked: Request) -> list[bytes]:
    return [value for name, value in fields_of(asked.onward) if name.lower() == b"x-forwarded-prefix"]


def stripped(prefix: str, path: bytes, *lines: bytes, client: ClientConnection = STRANGER) -> Request:
    asked = request(b"PUT %b?a=b HTTP/1.1" % path, b"A: b", *lines, client=client)
    onward = without_prefix(Route(prefix, "x", strip_prefix=True), asked)
    assert isinstance(onward, Request)
    others = [one for one in fields_of(onward.onward) if one[0].lower() != b"x-forwarded-prefix"]
    assert others == [one for one in fields_of(asked.onward) if one[0].lower() != b"x-forwarded-prefix"]
    assert onward._replace(onward=b"", path=b"") == asked._replace(onward=b"", path=b"")
    assert onward.onward.startswith(b"PUT %b?a=b HTTP/1.1\r\n" % onward.path)
    assert onward.onward.endswith(b"\r\n\r\n")
    return onward


@pytest.mark.parametrize(
    ("prefix", "path", "left", "removed"),
    [
        ("/a", b"/a/b", b"/b", [b"/a"]),
        ("/a/", b"/a/b", b"/b", [b"/a"]),
        ("/a//", b"/a//b", b"/b", [b"/a"]),
        ("/a", b"/a", b"/", [b"/a"]),
        ("/", b"/b", b"/b", []),
    ],
)
@pytest.mark.parametrize("unusual", [(), (b"TE: trailers",)])
def test_the_backend_is_told_what_was_removed(
    prefix: str, path: bytes, left: bytes, removed: list[bytes], unusual: tuple[bytes, ...]
) -> None:
    onward = stripped(prefix, path, *unusual)
    assert (onward.path, told(onward)) == (left, removed)


@pytest.mark.parametrize(
    ("came", "client", "removed"),
    [
        ((b"X-Forwarded-Prefix: /shop",), PROXY, [b"/shop/a"]),
        ((b"x-forwarded-prefix: /shop/",), PROXY, [b"/shop/a"]),
        ((b"X-Forwarded-Prefix: /one", b"X-Forwarded-Prefix: /two"), PROXY, [b"/one/two/a"]),
        ((b"X-Forwarded-Prefix:",), PROXY, [b"/a"]),
        ((b"X-Forwarded-Prefix: /shop",), STRANGER, [b"/a"]),
        ((b"X-Forwarded-Prefix: /shop", b"TE: trailers"), STRANGER, [b"/a"]),
        ((b"X_Forwarded_Prefix: /shop",), PROXY, [b"/a"]),
    ],
)
def test_what_was_removed_stands_behind_what_a_trusted_peer_removed(
    came: tuple[bytes, ...], client: ClientConnection, removed: list[bytes]
) -> None:
    assert told(stripped("/a", b"/a/b", *came, client=client)) == removed


def test_a_prefix_of_a_trusted_peer_goes_on_where_none_is_removed() -> None:
    assert told(request(b"GET / HTTP/1.1", b"X-Forwarded-Prefix: /shop", client=PROXY)) == [b"/shop"]
    assert told(request(b"GET / HTTP/1.1", b"X-Forwarded-Prefix: /shop")) == []


def test_nothing_is_told_of_no_prefix() -> None:
    asked = request(b"GET /b HTTP/1.1", b"X-Forwarded-Prefix:", client=PROXY)
    assert told(below_prefix(asked, b"/b", b"/")) == []


def test_a_request_without_a_host_gets_one_before_its_fields() -> None:
    asked = request(b"GET /a HTTP/1.0", b"A: b", host=())
    assert not asked.manner.has_host_field
    onward = with_host(asked, b"c:1")
    assert onward.onward == asked.onward.replace(b"A: b", b"Host: c:1\r\nA: b")
    assert onward.onward.startswith(b"GET /a HTTP/1.1\r\nHost: c:1\r\nA: b\r\n")
    assert onward._replace(onward=asked.onward) == asked


def test_an_empty_host_is_one() -> None:
    assert request(b"GET /a HTTP/1.1", b"Host:").manner.has_host_field
