"""What the page at `stats.path` may have to show: a gateway in each state that a person meets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

from rgate.core.admission import Stranger, Why
from rgate.stats import Figures
from rgate.stats.series import RouteSeries, Series, frame_of
from rgate.web.documents import BackendsDocument, RequestDocument, TimelineEventDocument, VerdictDocument
from rgate.web.page import WINDOWS, Inside, PageData, Window

NOW = 1764168312.4  # 2025-11-26 14:45:12 UTC
STATES = ("trouble", "well", "first", "stale", "none", "down", "stranger", "many", "long")
LONG = "acme-production-eu-central-1_reconciliation-and-settlement-worker_1"
LINES = ("requests", "errors", "own", "p50", "p95", "p99", "total")
Json = dict[str, Any]


def data(state: str, window: str = "1h") -> PageData:
    """The page's data in *state*, one of STATES."""
    chosen = next(one for one in WINDOWS if one.key == window)
    routes = _routes(state)
    weights = {route: 1 + 30 / (1 + number) for number, route in enumerate(routes)}
    whole = sum(weights.values())
    parts = {
        route: _series(chosen, state, share=weight / whole, number=number)
        for number, (route, weight) in enumerate(weights.items())
    }
    series = _series(chosen, state)
    inside = Inside(
        VerdictDocument.model_validate(_verdict(state)),
        series,
        {route: RouteSeries(one.requests, one.errors, one.total) for route, one in parts.items()},
        BackendsDocument.model_validate(_world(state)),
        [RequestDocument.model_validate(one) for one in _failures(state)],
        [TimelineEventDocument.model_validate(one) for one in _events(state)],
        "rgate doctor --config config.yml --port 8080",
    )
    return PageData(
        NOW,
        chosen,
        "127.0.0.1:8080",
        series.total,
        {route: one.total for route, one in parts.items()},
        Stranger(Why.PEER, "192.0.2.7") if state == "stranger" else inside,
        zone=UTC,
    )


def _routes(state: str) -> Sequence[str]:
    usual = ("/api/orders", "/api/catalog", "/api/payment", "/api/search", "/api/cart", "")
    if state == "many":
        return (*usual, *(f"/v2/part-{number}" for number in range(55)))
    if state == "long":
        return (*usual, "/api/internal/finance/reconciliation-and-settlement/international-payouts/v3")
    return usual


def _series(window: Window, state: str, *, share: float = 1, number: int = 0) -> Series:
    frame = frame_of(window.seconds, NOW)
    then = _stretch(frame.length, frame.step_s, state, share, number, shift=frame.length)
    now = _stretch(frame.length, frame.step_s, state, share, number, shift=0)
    before = Series(NOW, window.seconds, frame.step_s, frame.start - window.seconds, *then)
    return replace(before, **dict(zip(LINES, now, strict=True)), start=frame.start, before=before)


def _stretch(length: int, step_s: int, state: str, share: float, number: int, *, shift: int) -> Any:
    requests: list[int | None] = []
    errors: list[int | None] = []
    for place in range(length):
        t = place - shift
        ran = state != "first" or (not shift and place == length - 1)
        rate = 0 if state == "first" else 12 * share * (1 + 0.15 * math.sin(t / 7))
        amount = int(rate * step_s * (0.2 if place == length - 1 and not shift else 1))
        failing = not shift and place >= length - 7
        wrong = 0 if not amount else 1 if (t * 7 + number) % 11 == 0 else 0
        if failing and number == 0 and state in ("trouble", "stale"):
            wrong = min(amount, 4 + t % 3)
        if failing and state in ("down", "none") and (state == "down" or number == 0):
            wrong = amount
        requests.append(amount if ran else None)
        errors.append(wrong if ran else None)
    told = [r for r in requests if r]
    slow = [(3 + number / 5) * (1 + 0.1 * math.sin(place)) if r else None for place, r in enumerate(requests)]
    total = Figures()
    if told:
        count, wrong = sum(told), sum(e or 0 for e in errors)
        total = Figures(count - wrong, wrong, 4.2, 11.5 + number - shift / 100, 42.0 - shift / 20)
    p95, p99 = ([None if v is None else v * k for v in slow] for k in (4, 13))
    return (*(tuple(one) for one in (requests, errors, errors, slow, p95, p99)), total)


def container(name: str, port: int, requests: int = 8000, **changed: Any) -> Json:
    return {
        "name": name, "id": "0123456789ab", "state": "running", "health": "healthy", "address": f"127.0.0.1:{port}",
        "candidate": True, "left_out": None, "detail": "", "level": "ok", "says": "in, healthy", "since": NOW - 540,
        "resting_until": None, "labels": {"has": 2, "of": 2, "missing": []}, "in_flight": 1, "requests": requests,
        "errors": 0, "p95": 11.4 if requests else None, **changed,
    }  # fmt: skip


def near(name: str, key: str = "env", found: str | None = "prod", wanted: str = "production") -> Json:
    return container(
        name, 0, requests=0, address=None, candidate=False, left_out="labels", level="info", says="near miss",
        in_flight=0, detail=f"{name} has 1 of 2 labels: {key}={found}, wanted {key}={wanted}",
        labels={"has": 1, "of": 2, "missing": [{"key": key, "found": found, "wanted": wanted}]},
    )  # fmt: skip


def backend(name: str, routes: Sequence[str], policy: str, *containers: Json) -> Json:
    candidates = [{"name": c["name"], "address": c["address"]} for c in containers if c["candidate"]]
    return {
        "candidates": candidates,
        "reason": None if candidates else "no_container",
        "detail": "" if candidates else "No running container has the labels.",
        "match_labels": [f"app_name={name}", "env=production"],
        "policy": policy,
        "routes": list(routes),
        "containers": list(containers),
    }


def _world(state: str) -> Json:
    quiet = 0 if state == "first" else 8000
    orders = [
        container("orders-1", 32771, quiet),
        container("orders-2", 32774, quiet // 6, says="in, healthy"),
    ]
    catalog = [container(f"catalog-{n}", 32775 + n, quiet // 3) for n in (1, 2, 3)]
    payment = [container(f"payment-{n}", 32767 + n, quiet // 2) for n in (1, 2)]
    if state in ("trouble", "stale"):
        orders[1]["errors"] = 33
        orders.append(near("orders-3"))
        catalog[1] |= {
            "health": "unhealthy", "candidate": False, "left_out": "unhealthy", "level": "bad", "errors": 8,
            "says": "out: unhealthy",
            "detail": "catalog-2 is unhealthy: `docker inspect catalog-2` shows its last checks",
        }  # fmt: skip
    if state in ("none", "down"):
        orders = [near("orders-1")]
    if state == "down":
        catalog, payment = [near("catalog-1")], [near("payment-1", found=None)]
    backends = {
        "payment": backend("payment", ["/api/payment"], "random", *payment),
        "orders": backend("orders", ["/api/orders", "/api/cart"], "least_inflight", *orders),
        "catalog": backend("catalog", ["/api/catalog", "/api/search"], "round_robin", *catalog),
    }
    if state == "long":
        name = "reconciliation-and-settlement-of-international-marketplace-payouts"
        key = "com.acme.platform.environment"
        miss = near(
            LONG.replace("_1", "_2"), key, "production-eu-central-1-blue", "production-eu-central-1-green"
        )
        backends[name] = backend(name, [_routes(state)[-1]], "random", container(LONG, 32901), miss)
    away = NOW - 372
    stale = state == "stale"
    return {
        "now": NOW, "missing_workers": 0, "generation": 41, "knowledge": [], "backends": backends,
        "docker": {
            "connected": not stale, "version": "27.3.1", "error": "", "events": "live", "last_event": NOW - 31,
            "last_list": away if stale else NOW - 12, "away_since": away if stale else None,
        },
        "config": {"path": "config.yml", "loaded": NOW - 3120, "error": ""},
        "gateway": {
            "version": "0.1.0", "listen": "127.0.0.1:8080", "engine": "asyncio", "workers": 2, "started": NOW - 273600,
            "in_flight": 4,
        },
    }  # fmt: skip


def _verdict(state: str) -> Json:
    level, headline = {
        "trouble": ("degraded", "All 3 backends have containers; 0.4 % errors in the last 15 min, 33 of 39 are `closed_early` from `orders-2`."),
        "stale": ("stale", "Docker does not answer since 14:39, containers are as of then; 0.4 % errors in the last 15 min."),
        "none": ("degraded", "2 of 3 backends have containers, `orders` has none; 23 % errors in the last 15 min, all 3,425 are `no_container`."),
        "down": ("down", "None of 3 backends has a container; 52 % errors in the last 15 min, all 7,834 are `no_container`."),
        "first": ("waiting", "All 3 backends have containers; nothing was asked yet."),
    }.get(state, ("well", "All 3 backends have containers; 0.04 % errors in the last 15 min."))  # fmt: skip
    closed = _finding("warn", "`orders-2` accepts and closes without a response. `orders` has 1 more.", "Read its log: a program that is still starting does this behind a published port.", "docker logs --since 15m orders-2")  # fmt: skip
    out = _finding("info", "`catalog-2` is unhealthy. `catalog` goes on with 2.", "", "docker inspect --format '{{json .State.Health}}' catalog-2")  # fmt: skip
    miss = _finding("info", "`orders-3` is no candidate of `orders`: `env=prod`, wanted `env=production`.", "If it should serve, start it anew with that label.")  # fmt: skip
    away = _finding("warn", "Docker does not answer (connection refused): containers last known stay in use.", "Start it, or see why it stopped; rgate keeps trying.", "systemctl status docker")  # fmt: skip
    lacking = _finding("bad", "`orders` has no container: orders-1: `env=prod`, wanted `env=production`.", "Start a container with all of its labels.", "rgate explain /api/orders --gateway http://127.0.0.1:8080")  # fmt: skip
    tries = [_finding("info", text, "", f"curl -i http://127.0.0.1:8080{path}") for text, path in (("Ask for something, and it shows here at once:", "/api/payment"), ("Another route:", "/api/orders"), ("A path that no route has:", "/elsewhere"))]  # fmt: skip
    findings = {
        "trouble": [closed, out, miss], "stale": [away, closed, out, miss], "none": [lacking], "down": [lacking], "first": tries,
    }.get(state, [])  # fmt: skip
    stale = state == "stale"
    freshness = [
        {"level": "bad", "is": "Docker", "text": "away for {ago}", "at": NOW - 372}
        if stale
        else {"level": "ok", "is": "Docker", "text": "connected, 27.3.1", "at": None},
        {"level": "warn" if stale else "ok", "is": "Full list", "text": "{ago} ago", "at": NOW - 12},
        {"level": "ok", "is": "Events", "text": "live, last {ago} ago", "at": NOW - 31},
        {"level": "ok", "is": "Config", "text": "loaded {ago} ago, gen 41", "at": NOW - 3120},
    ]
    word = {"waiting": "Ready"}.get(level, level.capitalize())
    return {"level": level, "word": word, "window_s": 900, "headline": headline, "findings": findings, "freshness": freshness}  # fmt: skip


def _finding(level: str, text: str, do: str, command: str = "") -> Json:
    return {"level": level, "text": text, "do": do, "command": command, "show": None}


def _failures(state: str) -> Sequence[Json]:
    if state == "first":
        return []
    kinds: Sequence[Mapping[str, Any]] = (
        {
            "status": 503,
            "reason": "closed_early",
            "container": "orders-2",
            "target": "/api/orders/",
            "method": "POST",
        },
        {
            "status": 499,
            "reason": "client_closed",
            "by": "client",
            "container": "payment-1",
            "target": "/api/payment/",
        },
        {
            "status": 504,
            "reason": "timeout",
            "container": "catalog-1",
            "target": "/api/search/winter?q=boots&page=",
        },
        {
            "status": 500,
            "reason": None,
            "by": "container",
            "container": "catalog-3",
            "target": "/api/catalog/",
        },
    )
    return [
        {
            "id": f"a8k-{number}", "at": NOW - 8 - 41 * number, "method": "GET", "target_cut": False, "host": "localhost",
            "by": "rgate", "route": "/api/orders", "backend": "orders", "tries": 1, "ms": 31.2 + number, "bytes": 231,
            **kinds[0 if number % 5 < 2 else number % 4],
            "target": f"{kinds[0 if number % 5 < 2 else number % 4]['target']}{4711 + number}",
        }
        for number in range(3 if state == "well" else 40)
    ]  # fmt: skip


def _events(state: str) -> Sequence[Json]:
    events = [
        (31, "docker", "ok", "", "full list: nothing had been missed", "7 containers, 4 ms"),
        (540, "in", "ok", "orders", "`orders-2` in at 127.0.0.1:32774", "recreated; new published port"),
        (560, "near", "info", "orders", "`orders-3` started, no candidate: `env=prod`, wanted `env=production`", ""),
        (1260, "config", "bad", "", "config.yml not taken: line 14: `polcy` is unknown, nearest is `policy`", "the old one stays"),
        (1900, "out", "warn", "catalog", "`catalog-2` out: unhealthy", "its check failed 3 times"),
        (273600, "start", "ok", "", "rgate 0.1.0 started, 2 workers, on 127.0.0.1:8080", ""),
    ]  # fmt: skip
    shown = events[-1:] if state == "first" else events
    keys = ("kind", "level", "backend", "text", "why")
    return [
        {"at": NOW - ago, "times": 1, "since": NOW - ago, **dict(zip(keys, rest, strict=True))}
        for ago, *rest in shown
    ]


def hostile(text: str) -> PageData:
    """The data of a gateway in which every name that is somebody else's is *text*."""
    whole = data("trouble")
    assert isinstance(whole.whose, Inside)
    world = _world("trouble")
    for one in world["backends"].values():
        one |= {"match_labels": [text], "routes": [text], "detail": text}
        for c in one["containers"]:
            c |= {"name": text, "address": text, "detail": text, "says": text, "state": text, "health": text}
            for label in c["labels"]["missing"]:
                label |= {"key": text, "found": text, "wanted": text}
    verdict = _verdict("trouble") | {"headline": text, "word": text}
    for one in (*verdict["findings"], *verdict["freshness"]):
        one |= {key: text for key in ("text", "do", "command", "is") if key in one}
    failures = [
        one
        | dict.fromkeys(("id", "method", "target", "host", "reason", "route", "backend", "container"), text)
        for one in _failures("trouble")
    ]
    events = [one | {"text": text, "why": text, "backend": text} for one in _events("trouble")]
    names = {text: whole.routes["/api/orders"]}
    inside = Inside(
        VerdictDocument.model_validate(verdict),
        whole.whose.series,
        {text: whole.whose.routes["/api/orders"]},
        BackendsDocument.model_validate(world),
        [RequestDocument.model_validate(one) for one in failures],
        [TimelineEventDocument.model_validate(one) for one in events],
        text,
    )
    return replace(whole, host=text, routes=names, whose=inside)
