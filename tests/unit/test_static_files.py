"""The files that pages are shown with: those of the package, from memory, and no others."""

from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import Config
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.own import STATIC_FILES, OwnPage, own_page
from rgate.core.problem import OWN_FIELDS, OwnResponse
from rgate.web.pages import Web
from tests.unit.messages import request

STATIC = Path("rgate/web/static")
STRANGER = ClientConnection("192.0.2.7", 80)
WEB = Web(Gateway(Config((), ()), {}, lambda: 0.0), Flask("web"), tuple)


def asked(path: bytes, *lines: bytes, host: bytes = b"rebound.example") -> OwnResponse:
    own = WEB.at_once(
        request(b"GET " + path + b" HTTP/1.1", b"Host: " + host, *lines, client=STRANGER), STRANGER
    )
    assert isinstance(own, OwnResponse)
    return own


def tag_of(own: OwnResponse) -> bytes:
    (tag,) = (value for name, value in own.fields if name == b"ETag")
    return tag


@pytest.mark.clause("10.page.static", "9.hosts.not_asked", "8.pages.fields")
@pytest.mark.parametrize("name", sorted(STATIC_FILES))
def test_a_file_is_for_everyone_as_it_is_in_the_package(name: str) -> None:
    own = asked(b"/_rgate/static/" + name.encode())
    content = (STATIC / name).read_bytes()
    kind = "css" if name.endswith("css") else "javascript"
    assert (own.status, own.body) == (200, content)
    fields = dict(own.fields)
    assert len(fields) == len(own.fields)
    assert fields == dict(OWN_FIELDS) | {
        b"Content-Type": f"text/{kind}; charset=utf-8".encode(),
        b"Cache-Control": b"no-cache",
        b"ETag": b'"%b"' % sha256(content).hexdigest()[:32].encode(),
        b"X-Request-ID": b"id0",
    }


@pytest.mark.clause("10.page.static")
@pytest.mark.parametrize(
    ("form", "status"),
    [
        (b"%b", 304),
        (b"W/%b", 304),
        (b'"a", %b', 304),
        (b'W/"a",\tW/%b , "b"', 304),
        (b"*", 304),
        (b'"a"', 200),
        (b"W/%b-", 200),
        (b"", 200),
        (b"%b%b", 200),
    ],
)
def test_who_has_a_file_is_told_so(form: bytes, status: int) -> None:
    path = b"/_rgate/static/page.js"
    tag = tag_of(asked(path))
    own = asked(path, b"If-None-Match: " + form.replace(b"%b", tag))
    assert own.status == status
    assert tag_of(own) == tag
    assert (b"Cache-Control", b"no-cache") in own.fields
    assert (own.body == b"") is (status == 304)


@pytest.mark.clause("10.page.static")
def test_a_tag_is_looked_for_on_each_line() -> None:
    path = b"/_rgate/static/page.css"
    lines = [b'If-None-Match: "a"', b"If-None-Match: " + tag_of(asked(path))]
    assert asked(path, *lines).status == 304


def test_no_two_files_have_one_tag() -> None:
    tags = {tag_of(asked(b"/_rgate/static/" + name.encode())) for name in STATIC_FILES}
    assert len(tags) == len(STATIC_FILES)


@pytest.mark.clause("10.page.static")
@given(st.text(st.sampled_from("./%2e5cfpagejsREADMuPlot\\?;\x00 "), max_size=12))
@example("page.js/")
@example("/page.js")
@example("../static/page.js")
@example("page%2ejs")
@example("page.js%00")
@example("PAGE.JS")
@example("README.md")
@example("uPlot.LICENSE")
def test_only_the_very_paths_of_files_are_files(name: str) -> None:
    found = own_page(OwnPage.STATIC.value + name, "/stats")
    assert (found is OwnPage.STATIC) is (name in STATIC_FILES)


@pytest.mark.parametrize("path", [b"/_rgate/static", b"/_rgate/static/", b"/_rgate/static/README.md"])
def test_what_is_no_file_is_404_also_for_one_of_us(path: bytes) -> None:
    insider = ClientConnection("127.0.0.1", 80)
    own = WEB.at_once(request(b"GET " + path + b" HTTP/1.1", b"Host: localhost", client=insider), insider)
    assert isinstance(own, OwnResponse)
    assert own.status == 404


def test_a_file_may_be_read_and_not_written() -> None:
    own = WEB.at_once(request(b"POST /_rgate/static/page.js HTTP/1.1", client=STRANGER), STRANGER)
    assert isinstance(own, OwnResponse)
    assert own.status == 405


@pytest.mark.clause("10.page.limits")
def test_what_is_hand_written_stays_small() -> None:
    assert (STATIC / "page.js").stat().st_size <= 32 * 1024
    assert (STATIC / "page.css").stat().st_size <= 14 * 1024


def test_what_is_not_ours_has_its_licence_beside_it() -> None:
    assert b"uPlot (v1.6.32)" in (STATIC / "uPlot.iife.min.js").read_bytes()[:100]
    assert "MIT" in (STATIC / "uPlot.LICENSE").read_text()
    assert "1.6.32" in (STATIC / "README.md").read_text()
