"""How metrics are written, as the official client's own parsers read it; and that the docs name them all."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from rgate.core.counters import Series
from rgate.stats.histogram import LONGEST_NS, Histogram
from rgate.stats.lifetime import BOUNDS_S, tally_of
from rgate.web.exposition import METRICS, Told, exposition

OPEN = "application/openmetrics-text; version=1.0.0"
TEXT = "text/plain;version=0.0.4"
# As Prometheus itself asks.
PREFERRING_OPEN = f"{OPEN},application/openmetrics-text;version=0.0.1;q=0.75,{TEXT};q=0.5,*/*;q=0.1"
HOSTILE = ('"} 1\nrgate_evil 1', "\\", '\\"', "\n", "\r\n", "\u2028\x85\x1b[31m", "{}=,# ", "é\U0001f600", "")


def read(body: bytes, media_type: str) -> dict[str, Metric]:
    parse = open_metrics if media_type.startswith("application/openmetrics-text") else prometheus
    return {metric.name: metric for metric in parse(body.decode())}


def values(metrics: Iterable[Metric], name: str) -> dict[tuple[str, ...], float]:
    """Return what each sample called *name* says, by the values of its labels in the order of their names."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for metric in metrics
        for sample in metric.samples
        if sample.name == name
    }


@pytest.mark.clause("10.metrics.formats")
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (TEXT, "text/plain; version=0.0.4; charset=utf-8"),
        (OPEN, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PREFERRING_OPEN, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_the_format_is_that_which_accept_asks_for(accept: str, expected: str) -> None:
    body, media_type = exposition({"rgate_connections": {("client", "idle"): (3,)}}, accept)
    assert media_type.startswith(expected)
    assert values(read(body, media_type).values(), "rgate_connections") == {("client", "idle"): 3}
    assert body.endswith(b"# EOF\n") == ("openmetrics" in expected)


@pytest.mark.clause("10.metrics.hostile")
@pytest.mark.parametrize("accept", [TEXT, OPEN])
@given(
    st.lists(st.tuples(st.sampled_from(HOSTILE) | st.text(max_size=3), st.sampled_from(HOSTILE)), unique=True)
)
@example([(one, one) for one in HOSTILE])
def test_any_names_are_read_as_they_are(accept: str, names: list[tuple[str, str]]) -> None:
    names = [(one.replace("\0", "").encode(errors="ignore").decode(), other) for one, other in names]
    series: Series = {(*pair, "200"): (number,) for number, pair in enumerate(names)}
    body, media_type = exposition({"rgate_requests_total": series}, accept)
    told = values(read(body, media_type).values(), "rgate_requests_total")
    assert told == {
        (backend, route, status): numbers[0] for (route, backend, status), numbers in series.items()
    }


@pytest.mark.clause("10.metrics.hostile")
def test_names_that_no_parser_takes_are_told_as_in_the_figures() -> None:
    body, _ = exposition({"rgate_pool_connects_total": {("a\0\ud800",): (1,)}}, TEXT)
    assert b'rgate_pool_connects_total{backend="a??"} 1.0\n' in body


@pytest.mark.clause("10.metrics.duration")
@pytest.mark.parametrize("accept", [TEXT, OPEN])
@given(st.lists(st.sampled_from([int(bound * 1e9) + more for bound in BOUNDS_S for more in (-1, 0, 1)])))
@example([0, LONGEST_NS, LONGEST_NS + 1])
def test_it_is_exact_how_many_latencies_are_no_greater_than_each_bound(
    accept: str, latencies_ns: list[int]
) -> None:
    series: Series = {("/a", "b"): tally_of(Histogram(latencies_ns))}
    body, media_type = exposition({"rgate_request_duration_seconds": series}, accept)
    metrics = read(body, media_type).values()
    buckets = {
        labels[1]: value for labels, value in values(metrics, "rgate_request_duration_seconds_bucket").items()
    }
    assert buckets.pop("+Inf") == len(latencies_ns)
    assert len(buckets) == len(BOUNDS_S)
    for bound, value in buckets.items():
        assert value == sum(latency_ns <= round(float(bound) * 1e9) for latency_ns in latencies_ns)
    assert values(metrics, "rgate_request_duration_seconds_count") == {("b", "/a"): len(latencies_ns)}
    (total_s,) = values(metrics, "rgate_request_duration_seconds_sum").values()
    assert total_s == pytest.approx(sum(latencies_ns) / 1e9)


@pytest.mark.parametrize("accept", [TEXT, OPEN])
def test_each_metric_is_of_its_kind_and_one_without_values_is_left_out(accept: str) -> None:
    all_of_them = {
        told.name: {told.labels: (1.0,) * (len(told.bounds_s) + 2 if told.kind == "histogram" else 1)}
        for told in METRICS
    }
    body, media_type = exposition(all_of_them, accept)
    found = read(body, media_type)
    assert len(found) == len(METRICS)
    for told in METRICS:
        name = told.family if told.family in found else told.name
        assert found[name].type == ("gauge" if told.kind == "info" and accept == TEXT else told.kind)
        assert found[name].documentation == told.text
    assert read(*exposition({"rgate_candidates": {}}, accept)) == {}


def row(told: Told) -> str:
    labels = ", ".join(f"`{label}`" for label in told.labels)
    return f"| `{told.name}` | {told.kind} | {labels} | {told.text} |"


@pytest.mark.clause("10.metrics.formats")
def test_the_docs_name_each_metric_as_it_is_told() -> None:
    page = Path("docs/metrics.md").read_text()
    rows = re.findall(r"^\| `.*$", page, re.MULTILINE)
    assert rows == [row(told) for told in METRICS]
