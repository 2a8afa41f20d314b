"""Which queries of rgate's own pages are refused, before the page is made; `explain` tells the same."""

import pytest

from rgate.core.candidates import BackendView
from rgate.core.config import Backend, Config, Route
from rgate.core.explain import Asked, Ending, explain
from rgate.core.fields import ClientConnection
from rgate.core.gateway import Gateway
from rgate.core.own_query import stats_asked
from rgate.core.problem import Problem
from rgate.core.stats_query import Grouping, StatsQuery
from tests.unit.messages import request

CONFIG = Config((Route("/", "b"),), (Backend("b", urls=("http://127.0.0.1:1",)),))
HTML, JSON = b"Accept: text/html", b"Accept: */*"
HERE, STRANGER = "127.0.0.1", "192.0.2.7"


def judged(target: str, *lines: bytes, peer: str = HERE) -> str:
    """What comes of a GET, as its reason; "" for the page. `explain` has to say the same."""
    gateway = Gateway(CONFIG, {"b": BackendView("b", ())}, lambda: 0.0)
    read = request(b"GET %b HTTP/1.1" % target.encode(), *lines, host=(b"Host: localhost",))
    place = gateway.own_page(read.head(), ClientConnection(peer, 8080))
    fields = tuple((name, value) for name, _, value in (line.partition(b": ") for line in lines))
    told = explain(gateway, Asked("GET", target, "localhost", fields, peer), ())
    if isinstance(place, Problem):
        assert (told.outcome, told.reason, told.detail) == (Ending.PROBLEM, place.reason.value, place.detail)
        return place.reason.value
    assert told.outcome is Ending.OWN
    return ""


@pytest.mark.clause("9.explain.serves", "7.query.unknown", "10.page.window", "10.series.windows")
@pytest.mark.clause("10.backends.window", "10.live.format")
@pytest.mark.parametrize(
    "target",
    [
        "/stats?x=1",
        "/stats?by=x",
        "/stats?window=1w",
        "/stats?by=route&by=route",
        "/_rgate/backends?window=2h",
        "/_rgate/backends?windw=1h",
        "/_rgate/verdict?window=1h",
        "/_rgate/timeline?limit=1",
        "/_rgate/metrics?x",
        "/_rgate/live?window=2h",
        "/_rgate/series?by=container",
        "/_rgate/requests?status=1000",
        "/_rgate/requests/x?y",
        "/_rgate/explain",
        "/_rgate/explain?target=",
    ],
)
def test_a_query_that_a_page_has_not_is_refused(target: str) -> None:
    assert judged(target) == "bad_query"


@pytest.mark.clause("9.explain.serves")
@pytest.mark.parametrize(
    "target",
    [
        "/stats",
        "/stats?by=container&window=400m",
        "/_rgate/backends?window=1h",
        "/_rgate/verdict",
        "/_rgate/healthz?x",
        "/_rgate/config?x",
        "/_rgate/series?by=route&window=7d",
        "/_rgate/requests?failed=1",
        "/_rgate/explain?target=/a",
    ],
)
def test_one_that_it_has_is_not(target: str) -> None:
    assert judged(target) == ""


@pytest.mark.clause("9.explain.serves", "10.page.stranger")
def test_a_stranger_gets_no_figures_of_containers() -> None:
    assert judged("/stats?by=container", peer=STRANGER) == "forbidden"
    assert judged("/stats?by=route", peer=STRANGER) == ""
    assert judged("/stats?by=containers", peer=STRANGER) == "bad_query"


@pytest.mark.clause("7.query.page", "10.page.window", "10.page.html")
def test_a_page_in_html_has_windows_of_its_own_but_with_groups_there_is_none() -> None:
    assert judged("/stats?window=400m", JSON) == ""
    assert judged("/stats?window=400m", HTML) == "bad_query"
    assert judged("/stats?window=7d", HTML) == ""
    assert judged("/stats?window=400m&by=route", HTML) == ""
    assert stats_asked(request(b"GET /stats HTTP/1.1", HTML).head()) == 3600
    by_route = request(b"GET /stats?by=route HTTP/1.1", HTML).head()
    assert stats_asked(by_route) == StatsQuery(None, Grouping.ROUTE)
    for query in ("window=2h", "window=", "window=1h&window=1h", "windw=1h", "window=1h&x=1"):
        assert judged(f"/stats?{query}", HTML) == "bad_query"
