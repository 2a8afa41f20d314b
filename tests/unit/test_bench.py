"""What the benchmarks make of what they measured; nothing is timed here."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from bench.load import LoadFailed, parse
from bench.report import plot, render, verdicts
from bench.scenarios import Figures

ROW = {"rate": 1000.0, "p99_ms": 1.0, "resident_bytes": 1 << 20, "cpu_us_least": 9.0, "cpu_us_most": 11.0}


def results(**cpu_us: float) -> dict[str, Any]:
    names = {"ours": "rgate (asyncio)", "flask": "rgate (flask)"}
    rows = {names.get(name, name): {**ROW, "cpu_us": value} for name, value in cpu_us.items()}
    about = {"date": "2026-01-02", "machine": "m", "rounds": "5 rounds of 3 s", "versions": {"nginx": "1"}}
    return {"about": about, "json": rows}


def test_wrks_result_is_read_to_the_microsecond() -> None:
    answered = parse("Running 3s test\nRESULT 1234 3000500 0 4.567\n")
    assert (answered.requests, answered.seconds, answered.p99_ms) == (1234, 3.0005, 4.567)


@pytest.mark.parametrize(
    "printed",
    [
        "RESULT 1234 3000500 1 4.567",
        "  Non-2xx or 3xx responses: 3\nRESULT 1234 3000500 0 4.567",
        "RESULT 0 3000500 0 0.0",
        "unable to connect",
    ],
    ids=["errors", "statuses", "no answer", "no result"],
)
def test_any_error_fails_the_run(printed: str) -> None:
    with pytest.raises(LoadFailed):
        parse(printed)


def test_a_figure_is_the_median_of_its_rounds() -> None:
    medians = Figures(cpu_us=[9.0, 1.0, 5.0], rate=[1.0, 2.0]).medians()
    assert medians == {"cpu_us": 5.0, "cpu_us_least": 1.0, "cpu_us_most": 9.0, "rate": 1.5}


@pytest.mark.parametrize(("ours", "met"), [(13.0, True), (13.1, False)])
def test_a_target_is_met_or_missed_by_the_ratio_of_cpu_time(ours: float, met: bool) -> None:
    (verdict,) = verdicts(results(ours=ours, nginx=10.0))
    assert verdict[1:] == ("≤ 1.3 × nginx", f"{ours / 10:.2f} × nginx", met)


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdicts(results(ours=1.0)) == []


def test_growth_is_told_in_percent() -> None:
    grown = {
        "rgate (asyncio)": {"small": {"cpu_us": 20.0}, "large": {"cpu_us": 21.2}},
        "nginx": {"small": {"cpu_us": 10.0}, "large": {"cpu_us": 11.0}},
    }
    assert verdicts({"routes": grown}) == [("2 → 10,000 routes", "cost grows < 5 %", "+6.0%", False)]
    page = render({**results(ours=20.0), "routes": grown})
    assert "| nginx | 10.0 | 11.0 | +10.0% |" in page


def test_the_page_says_missed_where_a_target_is_missed_and_sorts_by_cost() -> None:
    page = render(results(ours=20.0, nginx=10.0, flask=500.0))
    assert "**missed**" in page
    assert "Why some are missed" in page
    assert (
        page.index("| nginx | 10.0") < page.index("| rgate (asyncio) | 20.0") < page.index("| rgate (flask)")
    )


def test_the_plot_is_a_picture_with_a_bar_for_each() -> None:
    drawn = ElementTree.fromstring(plot(results(ours=20.0, nginx=10.0, flask=500.0)["json"]))
    bars = [one for one in drawn if one.tag.endswith("rect")][1:]
    assert [float(bar.attrib["width"]) for bar in bars] == [210, 420, 441]
    assert "the bar is cut off" in "".join(drawn.itertext())
