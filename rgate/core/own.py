"""Which paths rgate answers itself. They win over every route (behaviour 3)."""

from enum import Enum
from typing import Final

OWN_PREFIX: Final = b"/_rgate"


class OwnPage(Enum):
    """A page of rgate's own. The value is its path; that of STATS is the configuration's to say."""

    STATS = ""
    HEALTHZ = "/_rgate/healthz"
    READYZ = "/_rgate/readyz"
    BACKENDS = "/_rgate/backends"
    CONFIG = "/_rgate/config"
    METRICS = "/_rgate/metrics"
    EXPLAIN = "/_rgate/explain"
    VERDICT = "/_rgate/verdict"
    TIMELINE = "/_rgate/timeline"
    LIVE = "/_rgate/live"
    REQUESTS = "/_rgate/requests"
    SERIES = "/_rgate/series"
    STORY = "/_rgate/requests/"  # and the id of a request, percent-encoded
    STATIC = "/_rgate/static/"  # and one of STATIC_FILES


STATIC_FILES: Final = frozenset({"page.css", "page.js", "uPlot.iife.min.js", "uPlot.min.css"})
"""The files that pages in HTML are shown with, by their names in `rgate/web/static/`."""

FOR_EVERYONE: Final = frozenset({OwnPage.STATS, OwnPage.HEALTHZ, OwnPage.READYZ, OwnPage.STATIC})
"""The pages that have something to say to strangers too; the others are for `admin.allow`."""

_ASKS_DATABASE: Final = frozenset({OwnPage.STATS, OwnPage.VERDICT, OwnPage.SERIES})

_BELOW: Final = (OwnPage.STORY, OwnPage.STATIC)
_BY_PATH: Final = {
    page.value: page for page in OwnPage if page.value.startswith("/") and page not in _BELOW
} | {OwnPage.STATIC.value + name: OwnPage.STATIC for name in STATIC_FILES}


def asks_database(page: OwnPage, target: bytes) -> bool:
    """Whether *page* may have to wait for the database, asked for by *target*; others do not wait for it."""
    return page in _ASKS_DATABASE or (page is OwnPage.BACKENDS and b"?" in target)  # by ?window=, for figures


def is_own(path: bytes, stats_path: str) -> bool:
    """Whether *path*, as received and without its query, is the stats' or one under `/_rgate/`."""
    return path == stats_path.encode() or path == OWN_PREFIX or path.startswith(OWN_PREFIX + b"/")


def own_page(path: str, stats_path: str) -> OwnPage | None:
    """Return the page at *path*, which `is_own`, as received; None: there is none."""
    if path == stats_path:
        return OwnPage.STATS
    if path.startswith(OwnPage.STORY.value) and path != OwnPage.STORY.value:
        return OwnPage.STORY
    return _BY_PATH.get(path)


def paths() -> list[str]:
    """Return the paths of all pages but the stats', for people."""
    return [
        *(path for path, page in _BY_PATH.items() if page is not OwnPage.STATIC),
        f"{OwnPage.STORY.value}ID",
    ]
