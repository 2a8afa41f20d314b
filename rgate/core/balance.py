"""Which candidate of a backend is tried next, and which are left out for a while after failures
(behaviour 4 and 6).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rgate.core.candidates import Candidate
from rgate.core.config import Policy

# A second is short enough for a container that restarts, and doubling keeps a dead one cheap.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0


Told = Callable[[Candidate, bool, float | None], None]
"""Takes a candidate, whether it accepted and closed without an answer rather than refused, and None: it did
so for the first time. Or, where that is over, since when it did so.
"""


@dataclass(frozen=True, slots=True)
class _Pause:
    until_s: float
    length_s: float
    since_s: float  # when it failed first
    closed: bool  # it accepted, and closed without an answer: only an answer ends that


def _nobody(_candidate: Candidate, _closed: bool, _since_s: float | None) -> None:
    """Tell nobody."""


class Balancer:
    """Remembers, across requests, who failed, who answered, and how many requests each has under way.

    *random* gives floats in [0, 1), uniform and independent. Times are seconds of any one steady
    clock. Threads may call at once, as each step is one operation on a dictionary or a list: what two of
    them do together at worst is to pick the same candidate twice in a row.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self.told: Told = _nobody
        """Told of failures: once in a row of them, so that a request costs nothing more."""
        self._random = random
        self._pauses: dict[Candidate, _Pause] = {}
        self._proven: dict[Candidate, None] = {}
        self._turns: dict[str, int] = {}
        # A list is as long as its candidate has requests: a number would be read, changed and written, and
        # two threads that do so at once lose one of them.
        self._inflight: dict[Candidate, list[None]] = {}

    def pick(
        self,
        backend: str,
        policy: Policy,
        candidates: Sequence[Candidate],
        tried: Collection[Candidate],
        now_s: float,
    ) -> Candidate | None:
        """Return the one to try next, none of *tried*; None where all were tried.

        One that is left out is picked only when no other is there: a 503 is the last resort.
        """
        untried: Sequence[Candidate] = candidates
        if tried or self._pauses:
            untried = [candidate for candidate in candidates if candidate not in tried]
            untried = [c for c in untried if not self.is_left_out(c, now_s)] or untried
        if not untried:
            return None
        match policy:
            case Policy.RANDOM:
                return self._any(untried)
            case Policy.ROUND_ROBIN:
                return untried[self._next_turn(backend) % len(untried)]
            case Policy.LEAST_INFLIGHT:
                return self._any([untried[index] for index in self._least_inflight(untried)])

    def picker(self, backend: str, policy: Policy, candidates: Sequence[Candidate]) -> Callable[[], int]:
        """Return what gives the index of one of *candidates*; -1 where `pick` has to look further.

        It is -1 where the one picked is left out, and for turns while any is: what `pick` makes of that is
        fair again among those that are not.
        """
        random, count = self._random, len(candidates)

        def any_one() -> int:
            index = int(random() * count)
            return -1 if self._pauses and candidates[index] in self._pauses else index

        def next_one() -> int:
            # While any is left out, `pick` counts turns among the others: two ways to count would be unfair.
            if self._pauses and any(candidate in self._pauses for candidate in candidates):
                return -1
            return self._next_turn(backend) % count

        def least_busy_one() -> int:
            least = self._least_inflight(candidates)
            index = least[int(random() * len(least))]
            return -1 if candidates[index] in self._pauses else index

        return {
            Policy.RANDOM: any_one,
            Policy.ROUND_ROBIN: next_one,
            Policy.LEAST_INFLIGHT: least_busy_one,
        }[policy]

    def _next_turn(self, backend: str) -> int:
        turn = self._turns.get(backend, 0)
        self._turns[backend] = turn + 1
        return turn

    def _least_inflight(self, candidates: Sequence[Candidate]) -> list[int]:
        """Return the indices of those with the fewest requests under way."""
        counts = [self.inflight(candidate) for candidate in candidates]
        least = min(counts)
        return [index for index, count in enumerate(counts) if count == least]

    def _any(self, candidates: Sequence[Candidate]) -> Candidate:
        return candidates[int(self._random() * len(candidates))]

    def is_left_out(self, candidate: Candidate, now_s: float) -> bool:
        """Whether *candidate* failed so lately that others come first."""
        pause = self._pauses.get(candidate)
        return pause is not None and now_s < pause.until_s

    def is_proven(self, candidate: Candidate) -> bool:
        """Whether *candidate* answered, and did not close a new connection without an answer since."""
        return candidate in self._proven

    def refused(self, candidate: Candidate, now_s: float) -> None:
        """Leave *candidate* out for a while: 1 s, doubling up to 30 s until it accepts again."""
        self._pause(candidate, now_s, closed=False)

    def closed_early(self, candidate: Candidate, now_s: float) -> None:
        """Leave *candidate* out for 1 s at a time until it answers: that it accepts proves nothing, and one
        that starts is to be found soon.
        """
        self._proven.pop(candidate, None)
        self._pause(candidate, now_s, closed=True)

    def _pause(self, candidate: Candidate, now_s: float, *, closed: bool) -> None:
        pause = self._pauses.get(candidate)
        if pause is not None and now_s < pause.until_s:
            return  # many requests that fail together are one failure
        if pause is None:
            self._pauses[candidate] = _Pause(now_s + FIRST_PAUSE_S, FIRST_PAUSE_S, now_s, closed)
            self.told(candidate, closed, None)
        else:
            length_s = FIRST_PAUSE_S if closed else min(2 * pause.length_s, LONGEST_PAUSE_S)
            self._pauses[candidate] = _Pause(now_s + length_s, length_s, pause.since_s, closed)

    def accepted(self, candidate: Candidate) -> None:
        """Forget that *candidate* refused."""
        pause = self._pauses.get(candidate)
        if pause is not None and not pause.closed:
            self._go_on(candidate)

    def answered(self, candidate: Candidate) -> None:
        """Forget the failures of *candidate*."""
        self._proven[candidate] = None
        self._go_on(candidate)

    def _go_on(self, candidate: Candidate) -> None:
        pause = self._pauses.pop(candidate, None)
        if pause is not None:
            self.told(candidate, pause.closed, pause.since_s)

    def left_out_until_s(self, candidate: Candidate, now_s: float) -> float | None:
        """Return until when *candidate* is left out; None: it is not."""
        pause = self._pauses.get(candidate)
        return pause.until_s if pause is not None and now_s < pause.until_s else None

    def started(self, candidate: Candidate) -> None:
        """Count a request under way at *candidate*."""
        self._inflight.setdefault(candidate, []).append(None)

    def ended(self, candidate: Candidate) -> None:
        """Count a request at *candidate* as ended."""
        under_way = self._inflight.get(candidate)
        if under_way:  # else it was forgotten, as it changed or went
            under_way.pop()

    def inflight(self, candidate: Candidate) -> int:
        """Return how many requests are under way at *candidate*."""
        return len(self._inflight.get(candidate, ()))

    def keep_only(self, candidates: Iterable[Candidate]) -> None:
        """Forget all but *candidates*: what changed or went starts anew."""
        known = set(candidates)
        for remembered in (self._pauses, self._proven, self._inflight):
            for candidate in list(remembered):  # a copy, as the loop's thread may add one meanwhile
                if candidate not in known:
                    remembered.pop(candidate, None)
