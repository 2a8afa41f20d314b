"""How many requests, how they ended and how long they took: counted now, kept for good.

`open_stats` gives what rgate runs with; `MemoryStats` holds the same contract in tests.
"""

from rgate.core.stats_query import Grouping
from rgate.stats.database import StatsError
from rgate.stats.figures import Counted, Figures
from rgate.stats.lasting import LastingStats, Stats, open_stats
from rgate.stats.memory import MemoryStats
from rgate.stats.series import STEPS_S, ContainerFigures, RouteSeries, Series

__all__ = [
    "STEPS_S",
    "ContainerFigures",
    "Counted",
    "Figures",
    "Grouping",
    "LastingStats",
    "MemoryStats",
    "RouteSeries",
    "Series",
    "Stats",
    "StatsError",
    "open_stats",
]
