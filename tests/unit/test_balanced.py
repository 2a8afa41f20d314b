"""That a Swarm balances itself is told once of each service."""

import logging

import pytest

from rgate.core.candidates import Address, BackendView, ContainerView
from rgate.core.reasons import LeftOut
from rgate.telling.balanced import Balanced

WEB = ContainerView("web", "s1", "running", "none", Address("192.0.2.1", 80), None, "Swarm does", "", True)
TASK = ContainerView("api.1", "c1", "running", "none", Address("192.0.2.1", 81), None, "")
OUT = ContainerView("db", "s2", "running", "none", None, LeftOut.NO_ADDRESS, "no port", "", True)


@pytest.mark.clause("12.swarm.balances")
def test_each_service_that_is_used_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    views: dict[str, BackendView] = {}
    balanced = Balanced(lambda: views)
    with caplog.at_level(logging.WARNING):
        for containers in ((), (WEB, TASK, OUT), (WEB,), (), (WEB,)):
            views["b"] = BackendView("b", (), containers=containers)
            balanced.look()
    assert caplog.messages == ["Swarm does backend='b'"]
