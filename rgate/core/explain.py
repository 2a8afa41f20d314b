"""What becomes of a request, and why, as a value: what `explain`, `test` and `/_rgate/explain` tell
(behaviour 9).
"""

from dataclasses import dataclass
from enum import Enum

from rgate.core.config import Route
from rgate.core.knowledge import Knowledge
from rgate.core.message import Fields
from rgate.core.near_misses import NearMiss


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is asked about, as its client would send it.

    *target* is in origin or absolute form; *fields* stand behind the Host field, which says *host* unless
    they have one of their own. *peer* is the TCP peer's address.
    """

    method: str
    target: str
    host: str = "localhost"
    fields: Fields = ()
    peer: str = "127.0.0.1"


class Ending(Enum):
    """Who would answer. The value is the `outcome` that users read."""

    FORWARD = "forward"
    OWN = "own"
    DEFAULT_RESPONSE = "default_response"
    PROBLEM = "problem"


class Level(Enum):
    """How good a fact is. The value is what users read."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Fact:
    """One step of a decision, for people. *about*: a word or two, such as `Docker`. *at*: Unix seconds."""

    level: Level
    about: str
    text: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ExplainedCandidate:
    """A container that might be asked, or a fixed address."""

    name: str
    address: str
    address_from: str  # how that was chosen, for people
    source: str  # "" for fixed addresses


@dataclass(frozen=True, slots=True)
class ExplainedLeftOut:
    """A container that would not be asked. *reason*: a LeftOut's value."""

    name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The head that a candidate would get."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a client would get, and why. `facts` tell the same step by step, the answer last."""

    method: str
    target: str
    host: str
    outcome: Ending
    status: int | None  # None: a container or a page decides
    reason: str | None  # a Reason's value
    detail: str
    route: Route | None
    shadowed: tuple[str, ...]  # the names of other routes that match too, best first
    backend: str | None
    candidates: tuple[ExplainedCandidate, ...]
    left_out: tuple[ExplainedLeftOut, ...]
    near_misses: tuple[NearMiss, ...]
    forwarded: Forwarded | None
    knowledge: tuple[Knowledge, ...]
    facts: tuple[Fact, ...]

    @property
    def is_yes(self) -> bool:
        """Whether a container would answer, or a page of rgate's own."""
        return self.outcome in (Ending.FORWARD, Ending.OWN)
