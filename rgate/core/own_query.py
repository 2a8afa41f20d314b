"""What the queries of rgate's own pages ask for, and which are refused (behaviour 7, 9 and 10)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rgate.core.accept import prefers_html
from rgate.core.asked import BadQuestion
from rgate.core.asked_query import asked_in
from rgate.core.fields import ClientConnection
from rgate.core.message import RequestHead
from rgate.core.own import OwnPage
from rgate.core.query import BadQuery, asked, names
from rgate.core.stats_query import Grouping, StatsQuery, parse_stats_query
from rgate.core.story_query import parse_story_query
from rgate.core.windows import parse_series_query, parse_window


def query_of(head: RequestHead) -> str:
    """Return the part of the target behind `?`, as it came."""
    return head.query[1:].decode("latin-1")


def stats_asked(head: RequestHead) -> StatsQuery | int:
    """Return which figures *head* asks the stats' page for; or, where it prefers HTML, of which window in
    seconds. Raises BadQuery.
    """
    query = query_of(head)
    # With `by=` there is no page: who asks for groups of figures in a browser gets these.
    if prefers_html(b",".join(head.values(b"accept"))) and "by" not in names(query):
        return parse_window(query)
    return parse_stats_query(query)


def backends_window(query: str) -> int | None:
    """Return the seconds of which figures of backends are asked for; None: of none. Raises BadQuery."""
    return parse_window(query) if query else None


def takes_none(query: str) -> None:
    """Raise BadQuery where *query* says anything."""
    asked(query, ())


_PARSED: Final[Mapping[OwnPage, Callable[[str], object]]] = MappingProxyType(
    {
        OwnPage.BACKENDS: backends_window,
        OwnPage.METRICS: takes_none,
        OwnPage.VERDICT: takes_none,
        OwnPage.TIMELINE: takes_none,
        OwnPage.LIVE: parse_window,
        OwnPage.REQUESTS: parse_story_query,
        OwnPage.SERIES: parse_series_query,
        OwnPage.STORY: takes_none,
    }
)
"""What reads the query of a page. Those that are not here take any, but for two that need more than it."""


def wrong_with_query(page: OwnPage, head: RequestHead, client: ClientConnection) -> str:
    """Return what is wrong with the query by which *client* asks for *page*; "" where nothing is."""
    try:
        if page is OwnPage.STATS:
            stats_asked(head)
        elif page is OwnPage.EXPLAIN:
            asked_in(head.query[1:], client)
        elif page in _PARSED:
            _PARSED[page](query_of(head))
    except (BadQuery, BadQuestion) as error:
        return error.detail
    return ""


def is_for_insiders(page: OwnPage, head: RequestHead) -> bool:
    """Whether *head*, whose query is right, asks the stats' *page* for what strangers do not get."""
    if page is not OwnPage.STATS:
        return False
    wanted = stats_asked(head)
    return isinstance(wanted, StatsQuery) and wanted.by is Grouping.CONTAINER
