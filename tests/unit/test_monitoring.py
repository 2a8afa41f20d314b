"""The examples of monitoring: they use metrics that there are, and what Prometheus' own tool says of them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rgate.web.exposition import METRICS, Told
from tests.prometheus import program

EXAMPLES = Path("examples/monitoring")
DASHBOARD = json.loads((EXAMPLES / "dashboard.json").read_text())
RULES = yaml.safe_load((EXAMPLES / "rules.yml").read_text())
OPERATORS = frozenset({"sum", "min", "max", "count", "by", "or", "le"})
FUNCTIONS = frozenset({"rate", "increase", "changes", "histogram_quantile", "vector"})
WORDS = OPERATORS | FUNCTIONS
"""Of PromQL, as far as it is used here."""


def samples(told: Told) -> set[str]:
    """Return the names by which expressions ask for a metric."""
    if told.kind != "histogram":
        return {told.name}
    return {f"{told.name}_{what}" for what in ("bucket", "sum", "count")}


SAMPLES = {name: told for told in METRICS for name in samples(told)}


def expressions() -> Iterator[str]:
    """Yield every expression of the dashboard and of the rules."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])
    for group in RULES["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def used(expression: str) -> list[tuple[str, list[str]]]:
    """Return each metric that *expression* asks for, with the labels that it is asked by."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(by|without|on|ignoring) ?\([^)]*\)", "by", bare)
    found = re.findall(r"([a-z_]\w*)(?:\{([^}]*)\})?", re.sub(r"\[[^]]*\]", "", bare))
    return [(name, re.findall(r"(\w+)(?:=~|=|!=|!~)", labels)) for name, labels in found if name not in WORDS]


@pytest.mark.clause("10.metrics.examples")
@pytest.mark.parametrize("expression", sorted({*expressions()}))
def test_an_expression_asks_for_metrics_and_labels_that_there_are(expression: str) -> None:
    assert used(expression)
    for name, labels in used(expression):
        assert name in SAMPLES
        assert {*labels} <= {*SAMPLES[name].labels, "instance", "le"}
    told = {label for name, _ in used(expression) for label in SAMPLES[name].labels}
    for grouped in re.findall(r"\bby ?\(([^)]*)\)", expression):
        assert {*re.split(r",\s*", grouped)} <= told | {"instance", "le"}


@pytest.mark.clause("10.metrics.examples")
def test_the_dashboard_shows_every_metric_but_the_addresses_that_are_only_reserved() -> None:
    shown = {SAMPLES[name].name for expression in expressions() for name, _ in used(expression)}
    assert {told.name for told in METRICS} - shown == {"process_virtual_memory_bytes"}


@pytest.mark.clause("10.metrics.examples")
def test_the_dashboard_is_whole() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len({*taken})
    assert max(x for x, _ in taken) < 24
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        labels = {label for name, _ in used(panel["targets"][0]["expr"]) for label in SAMPLES[name].labels}
        for target in panel["targets"]:
            assert {*re.findall(r"{{(\w+)}}", target["legendFormat"])} <= labels | {"instance"}


@pytest.mark.clause("10.metrics.examples")
def test_the_tests_of_the_alerts_pass_and_there_is_one_for_each(tmp_path: Path) -> None:
    tests = yaml.safe_load((EXAMPLES / "rules.test.yml").read_text())["tests"]
    tested = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one["exp_alerts"]}
    assert tested == {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    promtool = program("promtool")
    every = "\n".join(expressions()).replace("$__rate_interval", "5m").splitlines()
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(every)]
    dashboard = tmp_path / "dashboard.yml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for arguments in (
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "rules.test.yml"],
        ["check", "rules", str(dashboard)],
    ):
        done = subprocess.run(
            [promtool, *arguments],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
