"""What graceful stops under load lose: `python -m bench.stops`, beside nginx and HAProxy.

Sixteen clients ask a gateway again and again, each on a connection of its own: a new one for each request, or
one that is kept. Amid that the gateway is told to stop: rgate by SIGTERM, nginx by SIGQUIT, HAProxy by
SIGUSR1. A client ends when it is refused. A request is lost that was sent on a connection that had been made,
and got no whole answer; it is no loss where the connection was seen to end before anything was sent.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.gateways import OURS, PEERS, Gateway, Site, program, workers_of
from bench.machine import LOAD_CORE, free_port, running, wait_until
from bench.origin import configure
from bench.scenarios import say, started
from bench.until_refused import CLIENTS, Clients

SIGNALS: Final = {"nginx": signal.SIGQUIT, "haproxy": signal.SIGUSR1}
"""How each is told to stop; others by SIGTERM."""


def stop_under_load(gateway: Gateway, site: Site, directory: Path, *, kept: bool, seconds: float) -> Clients:
    """Start *gateway*, ask it for *seconds*, tell it to stop, and return what its clients were answered."""
    with started(gateway, site, directory) as one:
        clients = Clients(one.port, "/api/json", kept)
        clients.start()
        wait_until(lambda: clients.answered > 10 * CLIENTS, 20, "the first answers")
        time.sleep(seconds)
        os.kill(one.pid, SIGNALS.get(gateway.name, signal.SIGTERM))
        clients.join(30)
    return clients


def main(arguments: Sequence[str] | None = None) -> int:
    """Stop each gateway in turns; print what each lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.stops", description=__doc__.partition("\n")[0])
    parser.add_argument("--stops", type=int, default=5, help="of each kind and gateway (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of load before each (%(default)g)")
    options = parser.parse_args(arguments)
    gateways = [*OURS.values(), workers_of("asyncio", 2), *(PEERS[name] for name in ("nginx", "haproxy"))]
    gateways = [one for one in gateways if one.name not in PEERS or program(one.name) is not None]
    totals = {(one.name, kept): Counter[str]() for one in gateways for kept in (False, True)}
    with tempfile.TemporaryDirectory() as name:
        place, port = Path(name), free_port()
        with running(configure((port,), place), LOAD_CORE, port, place / "origin"):
            for number in range(options.stops):
                for gateway in gateways:
                    for kept in (False, True):
                        clients = stop_under_load(
                            gateway, Site((port,)), place, kept=kept, seconds=options.seconds
                        )
                        totals[gateway.name, kept] += clients.counts
                        if clients.lost:
                            say(f"{gateway.name}, kept={kept}: {Counter(clients.lost)}")
                say(f"{number + 1} of {options.stops} stops")
    print("| gateway | new connections | lost | requests on kept ones | lost |\n|---|---|---|---|---|")
    for gateway in gateways:
        new, kept_ones = totals[gateway.name, False], totals[gateway.name, True]
        print(
            f"| {gateway.name} | {new['answered']} | {new['lost new']} | {kept_ones['answered']} "
            f"| {kept_ones['lost new'] + kept_ones['lost kept']} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
