"""What was counted in the last fifteen minutes: what a verdict rests on (behaviour 10)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rgate.core.reasons import Reason


class Cause(NamedTuple):
    """Why rgate itself answered. *container*: "" where none was asked."""

    reason: Reason
    container: str


@dataclass(frozen=True, slots=True)
class Lately:
    """What was counted lately. *causes*: of the errors that rgate itself answered."""

    requests: int
    errors: int
    causes: Mapping[Cause, int]
    ever: int  # requests since the figures began
