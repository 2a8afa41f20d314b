"""`top`: how a running rgate is doing, on a terminal, as it goes on (behaviour 9)."""

import contextlib
import json
import sys
import time
from argparse import Namespace
from typing import Final, NoReturn

from rich.console import Console
from rich.live import Live

from rgate.cli.asking_gateway import NoAnswer, asked_as
from rgate.cli.streams import writable
from rgate.cli.text import has_colour, say
from rgate.cli.top_view import Shown, view_of
from rgate.cli.waiting import told_if_slow
from rgate.core.own import OwnPage
from rgate.web.documents import (
    BackendsDocument,
    RequestsDocument,
    SeriesByRouteDocument,
    SeriesDocument,
    VerdictDocument,
)

_EACH_S: Final = 1.0
_FAILURES: Final = 10
_WIDTH: Final = 100  # where no terminal says how wide it is


def top(options: Namespace) -> int:
    """Show it, once or until Ctrl-C. Returns the exit status, 0. Raises CannotTell where nobody answers."""
    with told_if_slow(f"asking {options.gateway}"):
        shown = _asked(options.gateway, options.window)
    if options.json:
        say(json.dumps(shown.as_json(), indent=2))
        return 0
    is_terminal = sys.stdout.isatty()
    console = Console(
        file=writable(sys.stdout),
        width=None if is_terminal else _WIDTH,
        no_color=not has_colour(sys.stdout),
        highlight=False,
        markup=False,
        emoji=False,
    )
    if options.once or not is_terminal or console.is_dumb_terminal:
        console.print(view_of(shown))
        return 0
    with contextlib.suppress(KeyboardInterrupt):  # the way to end it
        _go_on(console, options, shown)
    return 0


def _go_on(console: Console, options: Namespace, shown: Shown) -> NoReturn:
    """Show it anew each second. While nobody answers, what was told last stays, with why."""
    problem = ""
    with Live(view_of(shown, rows=console.height), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(_EACH_S)
            try:
                shown, problem = _asked(options.gateway, options.window), ""
            except NoAnswer as error:
                problem = str(error)
            live.update(view_of(shown, problem, console.height), refresh=True)


def _asked(gateway: str, window: str) -> Shown:
    """Return what the rgate at *gateway* tells of itself. Raises NoAnswer."""
    within = {"window": window}
    return Shown(
        window,
        asked_as(VerdictDocument, gateway, OwnPage.VERDICT.value),
        asked_as(SeriesDocument, gateway, OwnPage.SERIES.value, within),
        asked_as(SeriesByRouteDocument, gateway, OwnPage.SERIES.value, {**within, "by": "route"}),
        asked_as(BackendsDocument, gateway, OwnPage.BACKENDS.value, within),
        asked_as(RequestsDocument, gateway, OwnPage.REQUESTS.value, {"failed": 1, "limit": _FAILURES}),
    )
