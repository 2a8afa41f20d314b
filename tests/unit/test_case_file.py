"""Files of routing cases: what they mean, and every way in which they can be wrong (behaviour 9)."""

from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgate.core.case_file import parse_cases
from rgate.core.case_values import AtLeast, RequestLine
from rgate.core.cases import Case, Expected, ExpectedForward, PlacedCase
from rgate.core.config_errors import ConfigErrors
from rgate.core.explain import Asked, Ending
from rgate.core.reasons import Reason

GOOD = """\
cases:
  - request: GET /api/orders/42
    expect:
      outcome: forward
"""


def cases_of(text: str) -> tuple[PlacedCase, ...]:
    return parse_cases(text.encode(), "c.yml")


def errors_of(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as raised:
        cases_of(text)
    return [str(error) for error in raised.value.errors]


def outcome_of(text: bytes) -> tuple[PlacedCase, ...] | ConfigErrors:
    try:
        return parse_cases(text, "c.yml")
    except ConfigErrors as errors:
        return errors


def with_expected(line: str) -> str:
    return GOOD.replace("outcome: forward", line)


@pytest.mark.clause("9.test.cases")
def test_a_case_may_expect_any_part_of_an_answer() -> None:
    text = """\
cases:
  - name: orders go to orders
    request: PUT /api/orders/42?full=1
    host: shop.example:8080
    headers: {Accept: text/html, X-Empty: ""}
    expect:
      outcome: problem
      route: Shop.Example/api/Orders
      backend: orders
      containers: [orders-1, orders-2]
      status: 503
      reason: no_container
      forwarded: {target: /42, fields: {X-Forwarded-Prefix: /api/orders, Upgrade: null}}
  - request: /api
    expect: {containers: {at_least: 2}}
"""
    first, second = cases_of(text)
    assert (first.file, first.line, second.line) == ("c.yml", 2, 14)
    assert first.case == Case(
        RequestLine("PUT", "/api/orders/42?full=1"),
        Expected(
            Ending.PROBLEM,
            "shop.example/api/Orders",
            "orders",
            ("orders-1", "orders-2"),
            503,
            Reason.NO_CONTAINER,
            ExpectedForward("/42", (("X-Forwarded-Prefix", "/api/orders"), ("Upgrade", None))),
        ),
        "orders go to orders",
        "shop.example:8080",
        (("Accept", "text/html"), ("X-Empty", "")),
    )
    assert second.case == Case(RequestLine("GET", "/api"), Expected(containers=AtLeast(2)))


@pytest.mark.clause("9.test.cases")
def test_a_case_asks_what_its_client_would_send() -> None:
    (placed,) = cases_of(GOOD.replace("expect:", "host: a.example\n    headers: {X-A: ü}\n    expect:"))
    assert placed.case.asked == Asked("GET", "/api/orders/42", "a.example", ((b"X-A", "ü".encode()),))


@pytest.mark.parametrize(
    ("more", "title"),
    [("name: of mine", "of mine"), ("headers: {}", "GET /api/orders/42"),
     ("host: a.example", "GET /api/orders/42 at a.example")],
)  # fmt: skip
def test_a_case_without_a_name_is_called_by_its_request(more: str, title: str) -> None:
    (placed,) = cases_of(GOOD.replace("expect:", f"{more}\n    expect:"))
    assert placed.case.title == title


REQUEST = "a path, or a method and a path, such as `GET /api/orders`"


@pytest.mark.clause("9.test.wrong")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "c.yml: the file is empty; `cases` is required"),
        ("- a", "c.yml:1: found ['a']; allowed: a mapping of keys to values"),
        ("case: []", 'c.yml:1: case: unknown key; allowed: cases; did you mean "cases"?'),
        ("{}", "c.yml:1: cases: is required and missing"),
        ("cases: {a: 1}", "c.yml:1: cases: found {'a': 1}; allowed: a list"),
        ("cases: [/a]", "c.yml:1: cases[0]: found '/a'; allowed: a mapping of keys to values"),
        ("cases: [", "c.yml:1: this is not YAML: did not find expected node content"),
        (GOOD.replace("request", "requst"), 'c.yml:2: cases[0].requst: unknown key; allowed: request, '
         'expect, name, host, headers; did you mean "request"?'),
        (GOOD.replace("request", "requst"), "c.yml:2: cases[0].request: is required and missing"),
        (GOOD + "    request: /b\n", "c.yml:5: cases[0].request: the key stands twice, first in line 2"),
        (GOOD.replace("GET /api/orders/42", "orders"),
         f"c.yml:2: cases[0].request: found 'orders': must be {REQUEST}"),
        (GOOD.replace("GET /api/orders/42", "/a b"),
         f"c.yml:2: cases[0].request: found '/a b': must be {REQUEST}; a space in a path is `%20`"),
        (GOOD.replace("GET /api/orders/42", "GET /a b"),
         f"c.yml:2: cases[0].request: found 'GET /a b': must be {REQUEST}; a space in a path is `%20`"),
        (GOOD.replace("GET /api/orders/42", "http://h/a"),
         f"c.yml:2: cases[0].request: found 'http://h/a': must be {REQUEST}; its host stands under `host`"),
        (GOOD.replace("GET ", "GE,T "), "c.yml:2: cases[0].request: found 'GE,T /api/orders/42': 'GE,T' is "
         f"no method; allowed: {REQUEST}"),
        (GOOD.replace("GET /api/orders/42", "42"),
         f"c.yml:2: cases[0].request: found 42; allowed: {REQUEST}"),
        (GOOD.replace("expect:", "name: 1.10\n    expect:"),
         "c.yml:3: cases[0].name: YAML reads the value as 1.1, no string: quote it"),
        (GOOD.replace("expect:", "name:\n    expect:"),
         "c.yml:3: cases[0].name: says nothing: give a value, or leave the key out"),
        (GOOD.replace("expect:", "host: '*.a'\n    expect:"),
         "c.yml:3: cases[0].host: found '*.a': has a `*`: a request asks for one host, such as "
         "`www.shop.example`"),
        (GOOD.replace("expect:", "host: a..b\n    expect:"),
         "c.yml:3: cases[0].host: found 'a..b': has an empty label"),
        (GOOD.replace("expect:", "host: a\n    headers: {HOST: b}\n    expect:"),
         "c.yml:2: cases[0]: says its host twice: leave out `host`, or the field in `headers`"),
        (GOOD.replace("expect:", "headers: [a]\n    expect:"),
         "c.yml:3: cases[0].headers: found ['a']; allowed: a mapping of field names to values"),
        (GOOD.replace("expect:", "headers: {X: ' a'}\n    expect:"),
         "c.yml:3: cases[0].headers.X: found ' a', which has a control character, or blanks around it"),
        (GOOD.replace("expect:", "headers: {X: no}\n    expect:"),
         "c.yml:3: cases[0].headers.X: YAML reads the value as false, no string: quote it"),
        (GOOD.replace("expect:", "headers: {X: }\n    expect:"),
         "c.yml:3: cases[0].headers.X: found nothing; allowed: a string"),
        (GOOD.replace("expect:", "headers: {'X:': a}\n    expect:"),
         "c.yml:3: cases[0].headers.X:: 'X:' is no field name: letters, digits and `-`, mostly"),
        (GOOD.replace("expect:", 'headers: {X: "a\\r\\nb: c"}\n    expect:'),
         "c.yml:3: cases[0].headers.X: found 'a\\r\\nb: c', which has a control character, or blanks around "
         "it"),
        (GOOD.replace("expect:\n      outcome: forward", "expect:"),
         "c.yml:3: cases[0].expect: found nothing; allowed: a mapping of keys to values"),
        (GOOD.replace("expect:\n      outcome: forward", "expect: {}"),
         "c.yml:3: cases[0].expect: is empty, and what expects nothing cannot fail: name `outcome`, `route` "
         "or others"),
        (with_expected("outcome: fwd"), "c.yml:4: cases[0].expect.outcome: found 'fwd'; allowed: forward, "
         'own, default_response, problem; did you mean "forward"?'),
        (with_expected("outcom: own"), 'c.yml:4: cases[0].expect.outcom: unknown key; allowed: outcome, '
         'route, backend, containers, status, reason, forwarded; did you mean "outcome"?'),
        (with_expected("route: api"), "c.yml:4: cases[0].expect.route: found 'api': is no route: its name is "
         "its prefix, perhaps behind its host, `shop.example/api`"),
        (with_expected("backend: no"),
         "c.yml:4: cases[0].expect.backend: YAML reads the value as false, no string: quote it"),
        (with_expected('backend: "\\ud800"'),
         "c.yml:4: this is not YAML: found invalid Unicode character escape code"),
        (with_expected("backend: ''"), "c.yml:4: cases[0].expect.backend: is empty"),
        (with_expected("backend: null"),
         "c.yml:4: cases[0].expect.backend: says nothing: give a value, or leave the key out"),
        (with_expected("containers: a"),
         "c.yml:4: cases[0].expect.containers: found 'a'; allowed: a list of names, or `{at_least: 2}`"),
        (with_expected("containers: [on]"),
         "c.yml:4: cases[0].expect.containers[0]: YAML reads the value as true, no string: quote it"),
        (with_expected("containers: [a, a]"), 'c.yml:4: cases[0].expect.containers[1]: "a" stands twice'),
        (with_expected("containers: [[a]]"),
         "c.yml:4: cases[0].expect.containers[0]: found ['a']; allowed: a container's name"),
        (with_expected("containers: {atleast: 2}"), "c.yml:4: cases[0].expect.containers.atleast: unknown "
         'key; allowed: at_least; did you mean "at_least"?'),
        (with_expected("containers: {}"), "c.yml:4: cases[0].expect.containers.at_least: is required and "
         "missing"),
        (with_expected("containers: {at_least: 0}"),
         "c.yml:4: cases[0].expect.containers.at_least: found 0; allowed: a whole number from 1 on"),
        (with_expected("containers: {at_least: yes}"),
         "c.yml:4: cases[0].expect.containers.at_least: found true; allowed: a whole number from 1 on"),
        (with_expected("status: '503'"),
         "c.yml:4: cases[0].expect.status: found '503'; allowed: a whole number from 200 to 599"),
        (with_expected("forwarded: {}"),
         "c.yml:4: cases[0].expect.forwarded: is empty: name `target` or `fields`, or leave the key out"),
        (with_expected("forwarded: {fields: {}}"),
         "c.yml:4: cases[0].expect.forwarded.fields: is empty: name a field, or leave the key out"),
        (with_expected("forwarded: {fields: {X-A: a, x-a: b}}"),
         "c.yml:4: cases[0].expect.forwarded.fields.x-a: stands twice: names of fields have no case, and "
         "`X-A` is the same"),
        (with_expected("forwarded: {field: {X-A: a}}"), "c.yml:4: cases[0].expect.forwarded.field: unknown "
         'key; allowed: target, fields; did you mean "fields"?'),
    ],
)  # fmt: skip
def test_an_error_says_where_what_was_found_and_what_is_allowed(text: str, error: str) -> None:
    assert error in errors_of(text)


@pytest.mark.clause("9.test.wrong")
def test_a_misspelt_reason_is_told_with_the_nearest() -> None:
    (error,) = errors_of(with_expected("reason: no_contaner"))
    assert error.startswith("c.yml:4: cases[0].expect.reason: found 'no_contaner'; allowed: no_container, ")
    assert error.endswith('; did you mean "no_container"?')


@pytest.mark.clause("9.test.wrong")
def test_all_errors_are_told_at_once_in_the_order_of_their_lines() -> None:
    found = errors_of(with_expected("outcome: x\n      status: 1\n      containers: [1, 2]") + "foo: 1\n")
    assert [error.split(":")[1] for error in found] == ["4", "5", "6", "6", "7"]


def test_merge_keys_mean_what_they_stand_for() -> None:
    text = """\
cases:
  - &first {request: /a, host: a.example, expect: {backend: a}}
  - {<<: *first, request: /b}
"""
    first, second = (placed.case for placed in cases_of(text))
    assert (second.request.target, second.host, second.expect) == ("/b", first.host, first.expect)


KEYS = ["cases", "request", "expect", "name", "host", "headers", "outcome", "containers", "at_least",
        "forwarded", "fields", "x"]  # fmt: skip
SCALARS = st.sampled_from(["/a", "GET /a", "own", "\ud800", "", None, True, 0, -1, 1.5, 503, 10**30])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
EXPECTED = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("outcome", "containers", "forwarded", "status", "route", "x"), VALUES)
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "cases": st.lists(
            st.fixed_dictionaries({"request": SCALARS, "expect": EXPECTED}, optional={"headers": VALUES}),
            max_size=3,
        )
    }
)


@settings(max_examples=200)
@given(document=DOCUMENTS | VALUES)
@example(document={"cases": [{"request": "/\ud800", "expect": {"backend": "\ud800"}}]})
@example(document={"cases": [{"request": "/a", "headers": {"\ud800": "\ud800"}, "expect": {"status": 200}}]})
@example(document={"cases": [{"request": "\ud800 /a", "expect": {"status": 200}}]})
def test_any_document_gives_cases_or_located_errors(document: Any) -> None:
    text = yaml.safe_dump(document).encode()
    placed = outcome_of(text)
    if isinstance(placed, ConfigErrors):
        assert placed.errors
        assert all(0 <= error.line <= text.count(b"\n") + 1 for error in placed.errors)
        str(placed).encode()
    else:
        assert all(one.case.expect != Expected() and one.case.asked for one in placed)
