"""config.yml: what it means, and every way in which it can be wrong (behaviour 2)."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgate.core.config import Config, DefaultResponse, Limits, Match, Policy, Timeouts
from rgate.core.config_errors import ConfigErrors
from rgate.core.config_file import parse_config
from rgate.core.config_values import Body

GOOD = """\
routes:
  - path_prefix: /a
    backend: one
backends:
  - name: one
    match_labels: [app=one]
"""


def errors_of(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        parse_config(text.encode(), "c.yml")
    return [str(error) for error in raised.value.errors]


def outcome_of(text: bytes) -> Config | ConfigErrors:
    try:
        return parse_config(text, "c.yml")
    except ConfigErrors as errors:
        return errors


def with_backend(lines: str) -> str:
    return GOOD + "".join(f"    {line}\n" for line in lines.splitlines())


@pytest.mark.clause("2.file.example", "2.default.text")
def test_the_shipped_configuration_is_the_one_of_the_contract() -> None:
    config = parse_config(Path("config.yml").read_bytes(), "config.yml")
    assert [(route.path_prefix, route.backend) for route in config.routes] == [
        ("/api/payment", "payment"),
        ("/api/orders", "orders"),
    ]
    assert config.default_response == DefaultResponse(Body(b"This is not reachable"), 403)
    assert config.backends[0].match_labels == (("app_name", "payment"), ("env", "production"))


@pytest.mark.clause(
    "2.match.prefix",
    "2.default.absent",
    "2.backend.policy",
    "2.timeouts.defaults",
    "2.admin.trusted",
    "2.admin.database",
    "2.admin.stats_path",
    "2.admin.allow",
    "2.limits.header_bytes",
    "2.limits.header_fields",
    "2.limits.body_bytes",
    "2.limits.connections",
)
def test_what_is_left_out_has_its_default() -> None:
    config = parse_config(GOOD.encode(), "c.yml")
    assert config.routes[0].match is Match.PREFIX
    assert config.backends[0].policy is Policy.RANDOM
    assert config.backends[0].timeouts == Timeouts(2, 30, 60)
    assert config.limits == Limits(65536, 100, None, 10000)
    assert (config.stats.database, config.stats.path) == ("sqlite:///rgate.db", "/stats")
    assert config.default_response.status_code == 404
    assert config.default_response.body.content
    assert config.trusted_proxies == ()
    assert [str(network) for network in config.admin.allow] == ["127.0.0.0/8", "::1/128"]


@pytest.mark.clause("2.backend.labels")
def test_labels_may_be_a_mapping_and_are_split_at_the_first_equals_sign() -> None:
    listed = parse_config(with_backend("").replace("[app=one]", "[a=b=c]").encode(), "c.yml")
    mapped = parse_config(GOOD.replace("[app=one]", '{a: "b=c"}').encode(), "c.yml")
    assert listed.backends[0].match_labels == mapped.backends[0].match_labels == (("a", "b=c"),)


@pytest.mark.clause("2.default.text", "2.default.mapping", "2.default.list")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{body: {a: [1, ü]}, status_code: 418}", ('{"a": [1, "ü"]}'.encode(), "application/json", 418)),
        ("[{body: x}, {status_code: 200}]", (b"x", "text/plain; charset=utf-8", 200)),
        ("{status_code: 204}", (b"", "text/plain; charset=utf-8", 204)),
    ],
)
def test_the_default_response_is_text_json_or_a_list_of_one_key_mappings(
    body: str, expected: tuple[bytes, str, int]
) -> None:
    config = parse_config(f"{GOOD}default_response: {body}\n".encode(), "c.yml")
    found = config.default_response
    assert (*found.body, found.status_code) == expected


@pytest.mark.clause(
    "2.file.required",
    "2.backend.quoted",
    "2.backend.one_of",
    "2.errors.located",
    "2.errors.nearest",
    "2.errors.path",
    "2.errors.missing",
    "2.errors.unknown_key",
    "2.errors.no_backend",
    "2.errors.label",
    "2.errors.status",
    "2.errors.double_key",
    "2.errors.file",
)
@pytest.mark.parametrize(
    ("text", "error"),
    [
        (with_backend("policy: rnadom"), 'c.yml:7: backends[0].policy: found \'rnadom\'; allowed: random, '
         'round_robin, least_inflight; did you mean "random"?'),
        (with_backend("polcy: random"), "c.yml:7: backends[0].polcy: unknown key; allowed: name, "
         'match_labels, urls, port, address, policy, timeouts, sources; did you mean "policy"?'),
        (with_backend("port: yes"), "c.yml:7: backends[0].port: found true; allowed: a whole number from 1 "
         "to 65535"),
        (with_backend("name: two"), "c.yml:7: backends[0].name: the key stands twice, first in line 5"),
        (GOOD.replace("backend: one", "backend: oen"),
         'c.yml:3: routes[0].backend: no backend is called "oen"; defined: one; did you mean "one"?'),
        (GOOD.replace("[app=one]", "[app]"),
         "c.yml:6: backends[0].match_labels[0]: found 'app'; each label is `key=value`"),
        (GOOD.replace("[app=one]", "{app: 1.10}"), "c.yml:6: backends[0].match_labels.app: "
         "YAML reads the value as 1.1, no string: quote it"),
        (GOOD.replace("/a\n", "a\n"), "c.yml:2: routes[0].path_prefix: found 'a': must begin with `/`"),
        (GOOD.replace("    match_labels: [app=one]\n", ""),
         "c.yml:5: backends[0]: exactly one of `match_labels` and `urls` is required"),
        (GOOD.replace("    backend: one\n", ""), "c.yml:2: routes[0].backend: is required and missing"),
        ("", "c.yml: the file is empty; `routes` and `backends` are required"),
        ("a: [", "c.yml:1: this is not YAML: did not find expected node content"),
        (GOOD + "default_response: {status_code: 199}\n", "c.yml:7: default_response.status_code: found 199; "
         "allowed: a whole number from 200 to 599"),
    ],
)  # fmt: skip
def test_an_error_says_where_what_was_found_and_what_is_allowed(text: str, error: str) -> None:
    assert error in errors_of(text)


@pytest.mark.clause("2.errors.prefix")
@pytest.mark.parametrize(
    "prefix",
    ["/a b", "/a?b", "/a#b", "/a/../b", "/.", "/%2e/x", "/a/.%2E", "/ä", "/a%2f..",
     "/..%5Cx", "/a\\\\..", "/..;x/"],
)  # fmt: skip
def test_a_prefix_that_could_never_match_is_an_error(prefix: str) -> None:
    assert len(errors_of(GOOD.replace("/a\n", f'"{prefix}"\n'))) == 1


@pytest.mark.clause("2.errors.before")
def test_all_errors_are_told_at_once_in_the_order_of_their_lines() -> None:
    found = errors_of(with_backend("policy: x\nport: 0") + "foo: 1\n")
    assert [error.split(":")[1] for error in found] == ["7", "8", "9"]


KEYS = [
    "x", "routes", "backends", "path_prefix", "host", "backend", "name", "match_labels", "urls", "body",
    "limits",
]  # fmt: skip
SCALARS = st.sampled_from(["/a", "one", "\ud800", "a=b", "http://h:1", "", None, True, 0, -1, 1.5, 10**30])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(document=VALUES)
@example(document={"routes": [{"path_prefix": "/a", "backend": "one"}], "backends": [{"name": "one"}]})
def test_any_mapping_gives_a_configuration_or_located_errors(document: Any) -> None:
    text = yaml.safe_dump(document).encode()
    outcome = outcome_of(text)
    if isinstance(outcome, ConfigErrors):
        assert outcome.errors
        assert all(0 <= error.line <= text.count(b"\n") + 1 for error in outcome.errors)


@settings(deadline=None, max_examples=150)
@given(text=st.binary(max_size=60) | st.text("a:-[]{}&*!|>'\"#\n \t0.%@", max_size=30).map(str.encode))
@example(text=b"a: &a [*a]")
@example(text=b"{" * 3000)
@example(text=b"a: !!python/object:os.system x")
@example(text=b"a: 9999-99-99")
@example(text=b'routes: [{path_prefix: /a, host: "\\ud800"}]')  # once could not be encoded
@example(text=b"? [a]\n: 1")
def test_any_bytes_give_a_configuration_or_located_errors(text: bytes) -> None:
    outcome = outcome_of(text)
    assert isinstance(outcome, Config) or outcome.errors
