"""What a failed test is told of its gateways: the section *rgate* of its report (behaviour 11)."""

from collections.abc import Iterable, Iterator
from typing import Final

from rgate.cli.events import line_of
from rgate.cli.text import Style, moment
from rgate.cli.why import text_of
from rgate.core.escape import in_one_line
from rgate.testing import GatewayError
from rgate.testing.gateway import RunningGateway
from rgate.web.documents import RequestDocument

_MOST_REQUESTS: Final = 20
_MOST_STORIES: Final = 5
_MOST_EVENTS: Final = 20
_TIME: Final = "%H:%M:%S.%f"
_PLAIN: Final = Style(colour=False)


def told_of(gateways: Iterable[RunningGateway], since: float) -> str:
    """Return what *gateways* tell of what was *since*, Unix seconds; "" where that test used none of them."""
    return "\n\n".join(text for one in gateways if (text := "\n".join(_lines(one, since))))


def _lines(gateway: RunningGateway, since: float) -> Iterator[str]:
    is_used = gateway.used_at >= since
    try:
        told = [*_told(gateway, since, is_used=is_used)]
    except GatewayError as error:
        told = str(error).splitlines() if is_used else []
    if told:
        yield f"{gateway.url}"
        yield from (in_one_line(line) for line in told)


def _told(gateway: RunningGateway, since: float, *, is_used: bool) -> Iterator[str]:
    """Yield the lines of one gateway. Raises GatewayError."""
    requests = gateway.requests(since=since, limit=_MOST_REQUESTS)
    if not requests and not is_used:
        return
    yield "requests of this test, the newest last:" if requests else "no request of this test came to its end"
    yield from map(_request, requests)
    if in_flight := gateway.backends().gateway.in_flight:
        yield f"  and under way: {in_flight}"
    # What a test says of its last request may be wrong though that one did not fail.
    failed = gateway.requests(since=since, failed=True, limit=_MOST_STORIES)
    for story in failed + [one for one in requests[-1:] if one.id not in {other.id for other in failed}]:
        yield ""
        yield from text_of(story, _PLAIN)
    events = [event for event in gateway.timeline().events if event.at >= since][:_MOST_EVENTS]
    if events:
        yield ""
        yield "meanwhile:"
        yield from (f"  {line_of(event, _PLAIN, _TIME)}" for event in reversed(events))


def _request(one: RequestDocument) -> str:
    how = f"{one.status} {one.reason}" if one.reason else f"{one.status}"
    way = f"route {one.route}" if one.route else "no route"
    by = f", {one.container}" if one.container else ""
    what = f"{how}  {one.method} {one.target}  {way}{by}"
    return f"  {moment(one.at, _TIME)}  {what}, {one.ms:.1f} ms, id {one.id}"
