"""Orders that come while rgate waits for something, such as its own drain (behaviour 8)."""

import signal
import threading
from collections.abc import Iterator

import pytest

from rgate.cli.running import _beside
from rgate.cli.signals import REPLACED


class Told:
    """An `Orders` of which only the end of waiting is told."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def get(self) -> int:
        raise AssertionError("orders come by obeying")

    def tell_done(self) -> None:
        self.done.set()


@pytest.mark.clause("8.stop.second", "8.restart.replace")
@pytest.mark.parametrize(
    ("orders", "is_done"),
    [([0], True), ([REPLACED, 0], True), ([signal.SIGTERM], False), ([REPLACED, signal.SIGINT], False)],
)
def test_that_another_serves_on_is_no_second_order_to_stop(orders: list[int], is_done: bool) -> None:
    coming: Iterator[int] = iter(orders)
    told = Told()
    assert _beside(lambda: None, told, lambda: next(coming)) == is_done
    assert next(coming, None) is None
    assert told.done.wait(5)
