"""What a reload changes, in a sentence (behaviour 10)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.config import Admin, Backend, Config, Limits, Match, Policy, Route, Stats, Timeouts
from rgate.core.config_changes import config_changes

from ..worlds import worlds

ORDERS = Backend("orders", match_labels=(("app", "orders"),))
CARTS = Backend("carts", match_labels=(("app", "carts"),))
OLD = Config((Route("/api/orders", "orders"), Route("/", "orders", host="shop.example")), (ORDERS, CARTS))


def routes(*more: Route) -> dict[str, Any]:
    return {"routes": (*OLD.routes, *more)}


@pytest.mark.clause("10.timeline.config")
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        (routes(Route("/api/cart", "carts")), "route `/api/cart` added"),
        ({"routes": OLD.routes[:1]}, "route `shop.example/` removed"),
        ({"routes": OLD.routes[::-1]}, ""),
        (
            {"routes": (replace(OLD.routes[0], backend="carts"), OLD.routes[1])},
            "route `/api/orders` goes to `carts`",
        ),
        (
            {"routes": tuple(replace(route, backend="carts") for route in OLD.routes)},
            "2 routes (`/api/orders`, `shop.example/`) go to `carts`",
        ),
        (
            {"routes": (replace(OLD.routes[0], strip_prefix=True, match=Match.SEGMENT), OLD.routes[1])},
            "route `/api/orders` has another `match` and `strip_prefix`",
        ),
        (
            routes(*(Route(f"/{number}", "carts") for number in range(9))),
            "9 routes (`/0`, `/1`, `/2` and 6 more) added",
        ),
        ({"backends": (ORDERS, CARTS, Backend("x", urls=("http://x",)))}, "backend `x` added"),
        (
            {"backends": (replace(ORDERS, policy=Policy.LEAST_INFLIGHT), CARTS)},
            "`orders` is now `least_inflight`",
        ),
        (
            {"backends": (replace(ORDERS, match_labels=(("a", "b"),), timeouts=Timeouts(1.0)), CARTS)},
            "`orders` has another `match_labels` and `timeouts`",
        ),
        ({"limits": Limits(body_bytes=1), "admin": Admin(())}, "`admin` changed, `limits` changed"),
        (
            {"stats": Stats("sqlite:///other.db", "/figures")},
            "the figures are at `/figures`, `stats.database` changes at the next start",
        ),
        (
            {
                "routes": (Route("/a", "orders"),),
                "backends": (replace(ORDERS, port=1),),
                "limits": Limits(body_bytes=1),
                "admin": Admin(()),
            },
            "route `/a` added, 2 routes (`/api/orders`, `shop.example/`) removed, backend `carts` removed, "
            "`orders` has another `port` and 2 more changes",
        ),
    ],
)
def test_what_changes_is_told_shortly(changes: dict[str, Any], told: str) -> None:
    assert config_changes(OLD, replace(OLD, **changes)) == told


@given(worlds([1, 2]), worlds([1, 2]), st.booleans())
def test_something_is_told_exactly_where_something_changed(old: Any, new: Any, swap: bool) -> None:
    first, second = (old.config, new.config) if swap else (new.config, new.config)
    same = replace(first, routes=(), backends=()) == replace(second, routes=(), backends=())
    same = same and set(first.routes) == set(second.routes) and set(first.backends) == set(second.backends)
    assert (config_changes(first, second) == "") is same
