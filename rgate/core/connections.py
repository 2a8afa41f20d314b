"""How many connections an engine has (behaviour 10)."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of one engine now. Those that are idle are open, and no request is on them.

    *made*: how many it made to containers since it started, by backend.
    """

    clients_active: int = 0
    clients_idle: int = 0
    upstreams_active: int = 0
    upstreams_idle: int = 0
    made: Mapping[str, int] = field(default_factory=dict)
