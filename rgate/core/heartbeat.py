"""Which workers hang: they do not beat, though their supervisor looked all the time (behaviour 8).

A worker beats from the loop that carries its requests, some times a second. Seconds are of any steady clock
of the supervisor's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LOOK_S: Final = 0.25
"""So often a supervisor looks. Whoever hangs is noticed `SILENT_S` and two of these later at most."""

SILENT_S: Final = 4.0
"""So long a worker may be silent. Its loop beats each second at least, and no turn of it lasts long."""

STARTING_S: Final = 60.0
"""That for one that has not beaten yet: it opens the database and looks at Docker first, which have time-outs
of their own.
"""

LATE_S: Final = 2.0
"""A supervisor that comes to its look so late did not run itself: it was stopped, or at something else.
Nothing is known of the workers in that time.
"""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How often a worker had beaten when it was looked at, and since when it has not any more."""

    beats: int
    since_s: float

    @property
    def allowed_s(self) -> float:
        """For how long that may be so."""
        return SILENT_S if self.beats else STARTING_S


@dataclass(frozen=True, slots=True)
class Watch:
    """What a supervisor has seen of its workers, by their pids, at its last look."""

    looked_at_s: float
    pulses: Mapping[int, Pulse]

    def look(self, beats: Mapping[int, int], now_s: float) -> "Watch":
        """Return what is seen now; *beats* says of each worker that runs how often it has beaten."""
        told = self.hanging() if now_s - self.looked_at_s < LATE_S else self.pulses
        kept = {pid: pulse for pid, pulse in self.pulses.items() if pid not in told}
        seen = {pid: Pulse(number, now_s) for pid, number in beats.items()}
        return Watch(
            now_s,
            {
                pid: kept[pid] if pid in kept and kept[pid].beats == pulse.beats else pulse
                for pid, pulse in seen.items()
            },
        )

    def hanging(self) -> list[int]:
        """Return the pids of those that hang. Who is there all the same later on is told of anew."""
        return [pid for pid, pulse in self.pulses.items() if self._silent_s(pulse) > pulse.allowed_s]

    def _silent_s(self, pulse: Pulse) -> float:
        return self.looked_at_s - pulse.since_s
