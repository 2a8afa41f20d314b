"""When this process ran, by its own account (behaviour 10)."""

from typing import Final

_LONGEST_PAUSE_MINUTES: Final = 5
"""Whoever says nothing for longer did not run: the machine slept, or its clock was set."""


class Running:
    """The stretches in which this process ran: the first and the last minute of each, since the epoch."""

    def __init__(self, minute: int) -> None:
        self._stretches: tuple[tuple[int, int], ...] = ((minute, minute),)

    def until(self, minute: int) -> tuple[tuple[int, int], ...]:
        """Return the stretches, where it runs in *minute*, too; the present one last."""
        first, last = self._stretches[-1]
        if first <= minute <= last:
            return self._stretches
        if last < minute <= last + _LONGEST_PAUSE_MINUTES:
            return (*self._stretches[:-1], (first, minute))
        return (*self._stretches, (minute, minute))

    def tick(self, minute: int) -> None:
        """Note that it runs in *minute*."""
        self._stretches = self.until(minute)

    def stored(self, stretches: tuple[tuple[int, int], ...]) -> None:
        """Forget *stretches*, but for the present one: they are in the database."""
        self._stretches = self._stretches[len(stretches) - 1 :] or self._stretches[-1:]
