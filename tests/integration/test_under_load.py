"""Containers come and go under a constant load: short forms of tests/chaos/test_containers.py."""

import pytest

from tests.chaos.steady import Steady
from tests.integration.containers import Containers, short_id
from tests.integration.gateway import Gateway

pytestmark = [pytest.mark.integration, pytest.mark.docker, pytest.mark.slow]


def test_a_replica_is_replaced_and_no_get_is_lost(containers: Containers, gateway: Gateway) -> None:
    old = [containers.start() for _ in range(2)]
    steady = Steady(gateway.port, rate=60)
    with steady.asking() as seen:
        for one in old:
            steady.wait_until_answered_by(short_id(one))
        new = containers.start()
        steady.wait_until_answered_by(short_id(new))
        old[0].stop(timeout=5)
        old[0].remove()
        steady.wait_for(20)
    assert not seen.lost_of("GET"), (seen.lost, seen.examples)
    # A container that is asked before it listens, or goes while it answers, may have had the POST.
    assert seen.reasons("POST") <= {"503 closed_early"}, (seen.lost, seen.examples)
    assert seen.asked["GET"] > 20
