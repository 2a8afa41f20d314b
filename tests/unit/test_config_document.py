"""A configuration as a document: it can be read again, and holds no secret (behaviour 9)."""

import json
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import (
    AddressKind,
    Admin,
    Backend,
    Config,
    DefaultResponse,
    Limits,
    Match,
    Policy,
    ResponseFormat,
    Route,
    Stats,
    Timeouts,
)
from rgate.core.config_document import document_of, text_of, without_secrets
from rgate.core.config_errors import ConfigErrors
from rgate.core.config_file import parse_config, parse_document
from rgate.core.config_values import Body
from rgate.core.grammar import has_dot_segment
from rgate.web.documents import ConfigDocument

# What JSON and YAML write in other ways: line breaks, controls, what is beyond 16 bits, words of YAML's.
TEXTS = st.text(st.sampled_from("ab =:#'\"\\/{}[],&*!|>%@`-?~\t\n\r\x00\x7f\x85\u2028\ufeff\U0001f600é"))
WORDS = TEXTS | st.sampled_from(["", "no", "1.10", "null", "<<", "=", "~", "1e3", "0x1", "2001-01-01", "---"])
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(WORDS, VALUES, max_size=3).map(
    lambda found: Body(json.dumps(found, ensure_ascii=False).encode(), "application/json")
) | TEXTS.map(lambda text: Body(text.encode()))
PREFIXES = st.text("ab/:*%{}'\"\\.", max_size=4).map("/".__add__)
SECONDS = st.floats(0, 86400, exclude_min=True) | st.integers(1, 86400).map(float)
NETWORKS = st.lists(
    st.sampled_from(["10.0.0.0/8", "::1/128", "fd00::/8", "0.0.0.0/0"]).map(ip_network), max_size=3
).map(tuple)


LABELLED = st.builds(
    Backend,
    name=TEXTS.filter(bool),
    match_labels=st.dictionaries(WORDS.filter(bool), WORDS, min_size=1, max_size=3).map(
        lambda found: tuple(found.items())
    ),
    port=st.none() | st.integers(1, 65535),
    address=st.sampled_from(AddressKind),
    policy=st.sampled_from(Policy),
    timeouts=st.builds(Timeouts, SECONDS, SECONDS, SECONDS),
)
FIXED = st.builds(
    Backend,
    name=TEXTS.filter(bool),
    urls=st.lists(st.sampled_from(["http://h", "http://[::1]:2/"]), min_size=1, max_size=2).map(tuple),
)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    backends = draw(st.lists(LABELLED | FIXED, unique_by=lambda one: one.name, min_size=1, max_size=3))
    routes = st.builds(
        Route,
        path_prefix=PREFIXES.filter(lambda prefix: not has_dot_segment(prefix.encode())),
        backend=st.sampled_from([backend.name for backend in backends]),
        match=st.sampled_from(Match),
        strip_prefix=st.booleans(),
        response_format=st.sampled_from(ResponseFormat),
        host=st.sampled_from(["", "h", "*.h", "[::1]"]),
    )
    return Config(
        tuple(draw(st.lists(routes, unique_by=lambda route: route.name, max_size=3))),
        tuple(backends),
        draw(st.builds(DefaultResponse, BODIES, st.sampled_from([200, 404, 503]))),
        draw(NETWORKS),
        Stats(draw(st.sampled_from(["sqlite:///rgate.db", "postgresql+psycopg://u@h/d?x=1"])), "/s"),
        Admin(draw(NETWORKS), draw(st.sampled_from([(), ("h", "g.example")]))),
        Limits(*draw(st.tuples(*[st.integers(256, 9999)] * 2, st.none() | st.integers(0, 9)))),
    )


PLAIN = Config((Route("/a", "x"),), (Backend("x", urls=("http://x",)),))


@given(config=configs())
@example(config=replace(PLAIN, default_response=DefaultResponse(Body(b""), 204)))
@example(config=replace(PLAIN, backends=(Backend("x", match_labels=(("a=b", "c"),)),)))
@example(config=replace(PLAIN, backends=(Backend("x", urls=("http://x",), timeouts=Timeouts(1e-07)),)))
@example(config=replace(PLAIN, default_response=DefaultResponse(Body(b'{"a": 1e+16}', "application/json"))))
def test_a_document_is_read_again_into_an_equal_configuration(config: Config) -> None:
    document = document_of(config)
    assert parse_document(document, "c") == config
    text = text_of(document)
    assert parse_document(json.loads(text), "c") == config
    assert parse_config(text, "c") == config


@given(config=configs())
def test_a_document_is_what_its_model_says(config: Config) -> None:
    document = document_of(config)
    assert ConfigDocument.model_validate(document).as_json() == document


GOOD = sorted(Path("tests/contract/config/good").glob("*.yml"))


@pytest.mark.parametrize("file", [*GOOD, Path("config.yml")], ids=str)
def test_the_document_of_a_file_is_the_file_again(file: Path) -> None:
    config = parse_config(file.read_bytes(), str(file))
    assert parse_config(text_of(document_of(config)), "c") == config


@pytest.mark.clause("9.http.config")
def test_defaults_are_written_out_and_what_must_be_absent_is() -> None:
    assert document_of(PLAIN) == {
        "routes": [
            {
                "path_prefix": "/a",
                "backend": "x",
                "match": "prefix",
                "strip_prefix": False,
                "response_format": "raw",
            }
        ],
        "backends": [
            {
                "name": "x",
                "urls": ["http://x"],
                "port": None,
                "address": "auto",
                "policy": "random",
                "timeouts": {"connect": 2.0, "response": 30.0, "idle": 60.0},
            }
        ],
        "default_response": {"body": "No route matches this path.\n", "status_code": 404},
        "trusted_proxies": [],
        "stats": {"database": "sqlite:///rgate.db", "path": "/stats"},
        "admin": {"allow": ["127.0.0.0/8", "::1/128"], "hosts": []},
        "limits": {"header_bytes": 65536, "header_fields": 100, "body_bytes": None, "connections": 10000},
        "tracing": None,
    }


@given(value=st.dictionaries(WORDS, VALUES, max_size=3))
def test_any_document_is_written_as_it_is(value: dict[str, Any]) -> None:
    assert json.loads(text_of(value)) == value


def hidden(url: str) -> str:
    return without_secrets(replace(PLAIN, stats=Stats(url))).stats.database


@pytest.mark.clause("9.http.config")
@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///rgate.db", "sqlite:///rgate.db"),
        ("sqlite:////a:b@c/x.db", "sqlite:////a:b@c/x.db"),
        ("postgresql+psycopg://user@h/d", "postgresql+psycopg://user@h/d"),
        ("postgresql+psycopg://h:5432/d?application_name=auth", "postgresql+psycopg://h:5432/d?application_name=auth"),
        ("postgresql://user:secret@h:1/d", "postgresql://user:***@h:1/d"),
        ("postgresql://user:@h/d", "postgresql://user:***@h/d"),
        ("postgresql://:secret@h/d", "postgresql://:***@h/d"),
        ("postgresql://user:se@cr@et@h/d", "postgresql://user:***@h/d"),
        ("postgresql://user:se/cr?e:t@h/d?mail=a@b", "postgresql://user:***@h/d?mail=a@b"),
        ("postgresql://user:secret@h/d?mail=a@b", "postgresql://user:***@h/d?mail=a@b"),
        ("postgresql://h/d?password=secret&x=1", "postgresql://h/d?password=***&x=1"),
        ("postgresql://h/d?x=1&sslpassword=se;cr=et", "postgresql://h/d?x=1&sslpassword=***"),
        ("postgresql://h/d?PassWord=secret", "postgresql://h/d?PassWord=***"),
        ("postgresql://h/d?p%61ssword=secret", "postgresql://h/d?p%61ssword=***"),
        ("postgresql://h/d?x=1?password=secret", "postgresql://h/d?x=***"),
        ("mssql://?odbc_connect=UID%3Du%3BPWD%3Dsecret", "mssql://?odbc_connect=***"),
        ("postgresql://h/d?access_token=secret&api_key=secret", "postgresql://h/d?access_token=***&api_key=***"),
    ],
)  # fmt: skip
def test_secrets_are_hidden_and_nothing_else(url: str, told: str) -> None:
    assert hidden(url) == told
    assert hidden(told) == told


@given(
    user=st.text("uv@", max_size=3),
    secret=st.text("s:@/?#&=%+;", max_size=4).map("TOP{}SECRET".format),
    rest=st.sampled_from(["h/d", "h:1/d?x=1", "/d", "h/d?mail=a@b", ""]),
)
@example(user="u", secret="TOP@SECRET", rest="h")
def test_no_password_that_the_library_finds_is_told(user: str, secret: str, rest: str) -> None:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    url = f"postgresql://{user}:{secret}@{rest}"
    told = hidden(url)
    try:
        password = make_url(url).password
    except (ArgumentError, ValueError):
        return
    assert not password or str(password) not in told.replace("***", "")


def test_all_but_secrets_is_kept() -> None:
    config = replace(PLAIN, stats=Stats("postgresql://u:secret@h/d", "/s"))
    assert without_secrets(config) == replace(PLAIN, stats=Stats("postgresql://u:***@h/d", "/s"))
    assert without_secrets(PLAIN) == PLAIN
    assert parse_document(document_of(without_secrets(config)), "c") == without_secrets(config)


@pytest.mark.parametrize(
    "document",
    [None, [], "x", 1, {}, {"routes": 1}, {"routes": [{"path_prefix": []}], "backends": [[]]}],
)
def test_a_document_that_is_no_configuration_is_refused(document: Any) -> None:
    with pytest.raises(ConfigErrors, match=r"^http://h:1: "):
        parse_document(document, "http://h:1")
