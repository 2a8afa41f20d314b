"""The options of each command."""

import argparse
import os
from typing import Final

from rgate.engines import ENGINES

DEFAULT_HOST: Final = "127.0.0.1"
_MOST_SECONDS: Final = 86400


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add what names the configuration."""
    parser.add_argument(
        "--config", metavar="FILE", default="config.yml", help="the configuration (%(default)s)"
    )


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    parser.add_argument(
        "--host",
        action="append",
        metavar="ADDRESS",
        help=f"an address to listen on; may stand several times; `::`: all of IPv6 and IPv4 ({DEFAULT_HOST})",
    )
    parser.add_argument(
        "--port", type=_port, default=8080, help="the port to listen on; 0: any free one (%(default)s)"
    )
    add_config(parser)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="asyncio", help="(%(default)s)")
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="processes that share the port; auto: one for each core (%(default)s)",
    )
    parser.add_argument(
        "--drain",
        type=_seconds,
        default=8.0,
        metavar="SECONDS",
        help="how long what is under way may go on after SIGTERM or SIGINT (%(default)g)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="make the random pick of containers repeatable")
    parser.add_argument(
        "--access-log", metavar="PATH", help="write a line for each request; -: to standard output"
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="of the access log (%(default)s)"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is told on standard error (%(default)s)",
    )
    parser.add_argument("--db", metavar="URL", help="the database of the figures, instead of stats.database")


def _workers(text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; allowed: 1 to 256, or auto")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; allowed: 0 to {_MOST_SECONDS} seconds")
    return seconds


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed: 0 to 65535")
    return int(text)
