"""Orders that come while rgate waits for something, such as its own drain (behaviour 8)."""

import signal
import threading
from collections.abc import Iterator

import pytest

from rgate.cli.running import _Beside
from rgate.cli.signals import REPLACED, Signals
from tests.threadless import gives_none


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
    assert _Beside(told).wait(lambda: None, lambda: next(coming)) == is_done
    assert next(coming, None) is None
    assert told.done.wait(5)


@pytest.mark.clause("8.stop.drain")
def test_to_wait_for_something_needs_no_thread_that_the_system_may_not_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    beside = _Beside(told)
    monkeypatch.setattr(threading.Thread, "start", gives_none)
    for _ in range(2):
        assert beside.wait(lambda: None, lambda: 0)
        assert told.done.wait(5)
        told.done.clear()


@pytest.fixture
def signals() -> Iterator[Signals]:
    """What is told as signals are; this process's own go on as ever."""
    before = signal.set_wakeup_fd(-1)
    made = Signals(())
    yield made
    signal.set_wakeup_fd(before)
    made._receiver.close()
    made._sender.close()


@pytest.mark.clause("8.reload.whole", "8.stop.second")
def test_of_reloads_that_wait_one_is_done_and_each_order_to_stop_counts(signals: Signals) -> None:
    term, reload, reopen = int(signal.SIGTERM), int(signal.SIGHUP), int(signal.SIGUSR1)
    for _ in range(100):
        signals.tell(reload)
        signals.tell(reopen)
    for number in (term, 0, term, REPLACED):
        signals.tell(number)
    assert [signals.wait([], 0) for _ in range(7)] == [reload, reopen, term, 0, term, REPLACED, None]
    signals.tell(reload)
    assert signals.get() == reload
