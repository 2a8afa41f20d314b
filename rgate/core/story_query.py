"""Which stories are asked for: the query of `/_rgate/requests` (behaviour 9.http.filters)."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from rgate.core.nearest import did_you_mean
from rgate.core.query import BadQuery, asked, shown
from rgate.core.reasons import Reason
from rgate.core.record import CUT, Record

MOST_STORIES: Final = 1000
DEFAULT_LIMIT: Final = 100
_MOST_WHOLE: Final = 100  # with a view of all candidates each
_NAMES: Final = (
    "failed",
    "route",
    "backend",
    "container",
    "status",
    "reason",
    "since",
    "limit",
    "id",
    "stories",
)
_REASONS: Final = frozenset({reason.value for reason in Reason} | {CUT})
_SECONDS: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_RFC_3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class StoryQuery:
    """What the stories have to be; None: anything. The texts are compared whole.

    *route*: "" for those that have none. *since*: not begun before, in seconds since the epoch. *stories*:
    each is to be told whole.
    """

    failed: bool = False
    route: str | None = None
    backend: str | None = None
    container: str | None = None
    status: int | None = None
    reason: str | None = None
    since: float | None = None
    limit: int = DEFAULT_LIMIT
    id: str | None = None
    stories: bool = False

    def wants(self, record: Record) -> bool:
        """Whether *record* is asked for. *limit* is for who counts."""
        return (
            (not self.failed or record.has_failed)
            and self.route in (None, record.route)
            and self.backend in (None, record.backend)
            and self.container in (None, record.container)
            and self.status in (None, record.status)
            and self.reason in (None, record.reason_or_cut)
            and self.id in (None, record.request_id)
            and (self.since is None or record.began_at_s >= self.since)
        )


def parse_story_query(query: str) -> StoryQuery:
    """Return what *query*, the part of the target behind `?`, asks for. Raises BadQuery."""
    said = asked(query, _NAMES)
    stories = "stories" in said and _one("stories", said["stories"])
    return StoryQuery(
        failed="failed" in said and _one("failed", said["failed"]),
        route=said.get("route"),
        backend=said.get("backend"),
        container=said.get("container"),
        status=_number("status", said["status"], 100, 599) if "status" in said else None,
        reason=_reason(said["reason"]) if "reason" in said else None,
        since=_time(said["since"]) if "since" in said else None,
        limit=_number("limit", said["limit"], 1, _MOST_WHOLE if stories else MOST_STORIES)
        if "limit" in said
        else DEFAULT_LIMIT,
        id=said.get("id"),
        stories=stories,
    )


def _one(name: str, text: str) -> bool:
    if text != "1":
        raise BadQuery(f"`{name}` is 1, or left out, and not {shown(text)}.")
    return True


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise BadQuery(f"`{name}` is a number from {least} to {most}, and not {shown(text)}.")
    return int(text)


def _reason(text: str) -> str:
    if text not in _REASONS:
        near = did_you_mean(text, _REASONS) or "."
        raise BadQuery(
            f"{shown(text)} is no reason{near} There is what may stand in X-Rgate-Reason, `client_closed`, "
            f"`stopped` and `{CUT}`."
        )
    return text


def _time(text: str) -> float:
    """Return the seconds since the epoch. Raises BadQuery."""
    if _SECONDS.fullmatch(text):
        return float(text)
    if (found := _RFC_3339.fullmatch(text)) is not None and (seconds := _seconds(found)) is not None:
        return seconds
    raise BadQuery(
        "`since` is in seconds since 1970, or as RFC 3339 has it, such as 2026-01-31T12:00:00Z "
        f"(a plus is `%2B` in a query), and not {shown(text)}."
    )


def _seconds(found: re.Match[str]) -> float | None:
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    hours, minutes = int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or hours > 23 or minutes > 59:
        return None
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None
    east_s = (3600 * hours + 60 * minutes) * (-1 if found[8] == "-" else 1)
    return 86400.0 * days + 3600 * hour + 60 * minute + second + float(found[7] or 0) - east_s
