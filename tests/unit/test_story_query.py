"""Which stories are asked for: the query of `/_rgate/requests` (behaviour 9)."""

import contextlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.query import BadQuery
from rgate.core.record import Record
from rgate.core.story_query import DEFAULT_LIMIT, StoryQuery, parse_story_query

NAMES = ["failed", "route", "backend", "container", "status", "reason", "since", "limit", "id", "stories"]


def record(**values: Any) -> Record:
    plain = Record(1000.0, "192.0.2.7", "GET", "/a", 200, 3, 10**9, "/a", "b", "c", 1, "", "id", cut=False)
    return plain._replace(**values)


def test_without_a_query_the_newest_100_are_asked_for() -> None:
    assert parse_story_query("") == StoryQuery(limit=DEFAULT_LIMIT)
    assert DEFAULT_LIMIT == 100


@pytest.mark.clause("9.http.filters")
@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("failed=1", StoryQuery(failed=True)),
        ("route=/api/orders&backend=orders", StoryQuery(route="/api/orders", backend="orders")),
        ("route=", StoryQuery(route="")),
        ("container=orders-1&status=503", StoryQuery(container="orders-1", status=503)),
        ("reason=closed_early", StoryQuery(reason="closed_early")),
        ("reason=cut", StoryQuery(reason="cut")),
        ("since=1764168312.5", StoryQuery(since=1764168312.5)),
        ("since=2025-11-26T15:45:12.5%2B01:00", StoryQuery(since=1764168312.5)),
        ("since=2025-11-26t14:45:12z", StoryQuery(since=1764168312)),
        ("limit=1000&id=a%2Fb", StoryQuery(limit=1000, id="a/b")),
        ("stories=1&limit=100", StoryQuery(stories=True, limit=100)),
    ],
)
def test_each_filter_is_taken(query: str, wanted: StoryQuery) -> None:
    assert parse_story_query(query) == wanted


@pytest.mark.clause("9.http.filters")
@pytest.mark.parametrize(
    "query",
    [
        *("failed=0", "failed=", "failed=true", "failed", "faild=1", "x=1", "Route=/a"),
        *("status=99", "status=600", "status=5xx", "status=", "status=+200", "status=\u0662\u0660\u0660"),
        *("stories=0", "stories=", "stories=1&limit=101"),
        *("limit=0", "limit=1001", "limit=-1", "limit=1e2", "limit=0000000000001", "limit="),
        *("reason=closed", "reason=", "reason=CUT"),
        *("since=", "since=yesterday", "since=-1", "since=nan", "since=inf", "since=1e9"),
        *("since=2025-02-29T00:00:00Z", "since=2025-11-26", "since=2025-11-26T24:00:00Z"),
        *("since=2025-11-26T14:45:12", "since=2025-11-26T14:45:12+01:00", "since=0000-01-01T00:00:00Z"),
        *("route=/a&route=/a", "id=a&id=b", "failed=1&failed=1", f"id={'a' * 5000}"),
    ],
)
def test_anything_else_is_a_bad_query_in_one_line(query: str) -> None:
    with pytest.raises(BadQuery) as error:
        parse_story_query(query)
    assert error.value.detail.endswith(".")
    assert "\n" not in error.value.detail
    assert len(error.value.detail) < 500


def test_a_misspelt_name_and_reason_are_told_what_was_meant() -> None:
    for query, meant in (("faild=1", "failed"), ("reason=closed_erly", "closed_early")):
        with pytest.raises(BadQuery, match=f'did you mean "{meant}"'):
            parse_story_query(query)


@given(query=st.text(alphabet="failedsincouter=&1059-:TZ+.%é\n", max_size=30))
def test_any_query_is_read_or_is_a_bad_query(query: str) -> None:
    with contextlib.suppress(BadQuery):
        parse_story_query(query)


@given(moment=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9990, 1, 1)))
@example(moment=datetime(2024, 2, 29, 23, 59, 59, 999999))
def test_a_time_is_read_as_the_standard_library_reads_it(moment: datetime) -> None:
    text = moment.replace(tzinfo=UTC).isoformat()
    said = parse_story_query(f"since={quote(text)}")
    assert said.since == pytest.approx(moment.replace(tzinfo=UTC).timestamp(), abs=1e-5)


texts = st.sampled_from(["", "a", "b"])
records = st.builds(
    record,
    route=texts,
    backend=texts,
    container=texts,
    status=st.sampled_from([200, 404, 499, 500, 503]),
    reason=st.sampled_from(["", "timeout", "client_closed"]),
    request_id=texts,
    cut=st.booleans(),
    ended_at_s=st.sampled_from([10.0, 11.0, 12.0]),
)


@pytest.mark.clause("9.http.filters")
@given(
    record=records,
    asked=st.fixed_dictionaries(
        {},
        optional={
            "failed": st.just("1"),
            "route": texts,
            "backend": texts,
            "container": texts,
            "status": st.sampled_from(["200", "499", "503"]),
            "reason": st.sampled_from(["timeout", "cut"]),
            "id": texts,
            "since": st.sampled_from(["9", "10", "11"]),
        },
    ),
)
def test_a_record_is_wanted_where_each_filter_that_is_given_wants_it(
    record: Record, asked: dict[str, str]
) -> None:
    is_wanted = {
        "failed": record.cut or record.status in (499, 500, 503),
        "route": record.route == asked.get("route"),
        "backend": record.backend == asked.get("backend"),
        "container": record.container == asked.get("container"),
        "status": str(record.status) == asked.get("status"),
        "reason": (record.reason or ("cut" if record.cut else "")) == asked.get("reason"),
        "id": record.request_id == asked.get("id"),
        "since": record.ended_at_s - 1 >= float(asked.get("since", 0)),
    }
    query = parse_story_query(urlencode(asked))
    assert query.wants(record) == all(is_wanted[name] for name in asked)
