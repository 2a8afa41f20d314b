"""Measure rgate beside its peers in one interleaved run, and write docs/benchmarks.md."""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import backend, hostile, report, scenarios
from bench.gateways import OURS, PEERS, ROOT, Gateway, Site, program, workers_of
from bench.hostile import ATTACKS
from bench.load import LoadFailed
from bench.loads import LOADS, PEOPLE, SMALL
from bench.machine import LOAD_CORE, free_ports, running
from bench.origin import configure
from bench.scenarios import say

RESULTS = ROOT / "bench" / "results.json"
ALL = (*LOADS, *PEOPLE, *ATTACKS, "routes", "containers", "idle", "rate", "workers")
GROUPS = {"people": tuple(PEOPLE), "hostile": tuple(ATTACKS)}  # by one name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; the exit status is 1 where any request failed."""
    options = _parser().parse_args(arguments)
    os.sched_setaffinity(0, {LOAD_CORE})  # of whatever is not started elsewhere
    if options.render:
        report.write(json.loads(RESULTS.read_text()))
        return 0
    peers = {name: peer for name, peer in PEERS.items() if program(name) and name in options.only}
    engines = {name: ours for name, ours in OURS.items() if name in options.engine}
    missing = [name for name in options.only if not program(name)]
    if missing:
        say(f"not installed, and left out: {', '.join(missing)} (`make peers` installs them)")
    with tempfile.TemporaryDirectory(prefix="rgate-bench-") as place:
        try:
            results = _measure(options, list(engines.values()), list(peers.values()), Path(place))
        except LoadFailed as failed:
            print(f"bench: failed: {failed}", file=sys.stderr)
            return 1
    if options.save:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        known.update(results)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        report.write(known)
        say(f"wrote {RESULTS.relative_to(ROOT)} and docs/benchmarks.md")
    else:
        print(json.dumps(results, indent=1))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ", ".join([*ALL, *(f"{name} (many)" for name in GROUPS)])
    parser.add_argument("scenario", nargs="*", choices=[*ALL, *GROUPS, []], help=f"some of {names}; all")
    parser.add_argument("--engine", nargs="*", default=list(OURS), choices=list(OURS), help="rgate's engines")
    parser.add_argument("--only", nargs="*", default=list(PEERS), choices=list(PEERS), help="the peers")
    parser.add_argument("--rounds", type=int, default=5, help="of each gateway (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of each round (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of one second: only to see it work")
    parser.add_argument("--save", action="store_true", help="keep the results, and write docs/benchmarks.md")
    parser.add_argument("--render", action="store_true", help="only write docs/benchmarks.md anew")
    return parser


def _measure(
    options: argparse.Namespace, ours: list[Gateway], peers: list[Gateway], place: Path
) -> dict[str, Any]:
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    asked = {one for name in options.scenario or ALL for one in GROUPS.get(name, (name,))}
    free = free_ports(102)
    ports = {"nginx": free[:100], "own": free[100:101], "attacked": free[101:]}
    results: dict[str, Any] = {"about": report.about([*ours, *peers], rounds, seconds)}
    first = [one for one in ours if "asyncio" in one.name]
    site = Site(ports["nginx"][:1])
    with contextlib.ExitStack() as stack:
        command = configure(ports["nginx"], place / "origin")
        stack.enter_context(running(command, LOAD_CORE, ports["nginx"][0], place / "origin"))
        stack.enter_context(backend.answering(ports["own"][0], backend.ANSWERS))
        stack.enter_context(backend.answering(ports["attacked"][0], hostile.ANSWERS, hostile.LOWEST))
        for name, scenario in (LOADS | PEOPLE).items():
            if name in asked:
                say(scenario.title)
                able = [one for one in [*ours, *peers] if one.name != scenario.without]
                seen = scenarios.under_load(able, scenario.site(ports), scenario.load, rounds, seconds, place)
                results[name] = {gateway: figures.medians() for gateway, figures in seen.items()}
        for name, attack in ATTACKS.items():
            if name in asked:
                say(f"others beside: {attack.title}")
                some = [*first, *[one for one in peers if one.name in ("nginx", "haproxy")]]
                attacked = Site(ports["nginx"][:1], attacked=ports["attacked"])
                seen = hostile.beside(attack, some, attacked, rounds, seconds, place)
                results[name] = {gateway: figures.medians() for gateway, figures in seen.items()}
        for name, large in (("routes", replace(site, routes=10_000)), ("containers", Site(ports["nginx"]))):
            if name in asked:
                say(name)
                grown = scenarios.growth([*first, *peers], site, large, max(rounds, 1) * 2, seconds, place)
                results[name] = {
                    gateway: {size: figures.medians() for size, figures in sizes.items()}
                    for gateway, sizes in grown.items()
                }
        if "rate" in asked:
            say("2000 requests a second")
            some = [*ours, *[one for one in peers if one.name in ("nginx", "envoy")]]
            paced = scenarios.at_fixed_rate(some, site, 2000, rounds, seconds, place)
            results["rate"] = {gateway: figures.medians() for gateway, figures in paced.items()}
        if "idle" in asked:
            count = scenarios.IDLE_CONNECTIONS if not options.quick else 1000
            for gateway in [*first, *[one for one in peers if one.name == "nginx"]]:
                say(f"{count} idle connections: {gateway.name}")
                held = scenarios.idle_connections(gateway, site, count, place)
                results.setdefault("idle", {})[gateway.name] = {**held, "count": count}
        if "workers" in asked and _has_workers():
            say("one and two workers, on one core")
            pair = [workers_of("asyncio", 1), workers_of("asyncio", 2)]
            seen = scenarios.under_load(pair, site, SMALL, rounds, seconds, place)
            results["workers"] = {gateway: figures.medians() for gateway, figures in seen.items()}
    return results


def _has_workers() -> bool:
    return "--workers" in (ROOT / "rgate" / "cli" / "main.py").read_text()


if __name__ == "__main__":
    sys.exit(main())
