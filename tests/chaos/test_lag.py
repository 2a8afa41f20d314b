"""How long an event of Docker takes until requests go by it: `pytest -s -m chaos tests/chaos/test_lag.py`.

The figures are those of a machine with nothing else to do; nothing here fails as it is slow.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.containers import Containers
from tests.integration.gateway import backend_config, running, wait_until
from tests.integration.scrape import scraped

pytestmark = [pytest.mark.chaos, pytest.mark.docker, pytest.mark.integration, pytest.mark.timeout(300)]

ROUNDS = 100
LAG = "rgate_discovery_lag_seconds"


def test_how_long_events_take(containers: Containers, tmp_path: Path) -> None:
    containers.start()
    other = containers.start()
    with running(tmp_path, backend_config(containers.app, containers.env)) as gateway:

        def candidates() -> float:
            return sum(
                count for labels, count in scraped(gateway)["rgate_candidates"].items() if "in" in labels
            )

        steps: list[tuple[Callable[[], object], int]] = [(other.pause, 1), (other.unpause, 2)]
        wait_until(candidates, lambda now: now == 2, within_s=30)

        def in_and_out() -> None:
            for step, left in steps:
                step()
                wait_until(candidates, lambda now, left=left: now == left, within_s=30)  # type: ignore[misc]

        in_and_out()  # behind what happened before rgate was there
        before = scraped(gateway)[f"{LAG}_bucket"]
        for _ in range(ROUNDS):
            in_and_out()
        after = scraped(gateway)[f"{LAG}_bucket"]
    within = {bound: after[bound] - before[bound] for bound in after}
    count = within["+Inf",]
    print(f"\n{count:.0f} events, in force within:")
    for (bound,), events in within.items():
        if events > 0 and bound != "+Inf":
            print(f"  {float(bound) * 1000:>6g} ms  {events / count:.2%}")
    assert count >= 2 * ROUNDS
