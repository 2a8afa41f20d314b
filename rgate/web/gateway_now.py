"""What several pages tell of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rgate.core.gateway import Gateway
from rgate.core.knowledge import Knowledge
from rgate.stats import Stats
from rgate.telling.process import Process
from rgate.telling.siblings import Siblings


@dataclass(frozen=True, slots=True)
class GatewayNow:
    """A gateway with its figures, how fresh what it knows is, its process and its siblings."""

    gateway: Gateway
    stats: Stats
    knowledge: Callable[[], Sequence[Knowledge]]
    process: Process
    siblings: Siblings
