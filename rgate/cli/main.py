"""The command's words. Nothing heavy is imported before it is known which command is meant."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from rgate._version import __version__
from rgate.engines import ENGINES

_COMMANDS: Final = ("serve", "check")


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_run(words))
    except KeyboardInterrupt:
        sys.exit(0)  # before the signals were caught: nothing was under way


def _run(words: list[str]) -> int:
    # `serve` is the default, so that the command is `rgate --port 8080 --config config.yml`.
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words = ["serve", *words]
    options = _parser().parse_args(words)
    if options.command == "check":
        from rgate.cli.check import check

        return check(options)
    from rgate.cli.serve import serve

    return serve(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rgate",
        description="An HTTP gateway to Docker containers, found by their labels.",
        epilog="`serve` is the default: `python rgate.py --port 8080 --config config.yml`. "
        "`python rgate.py serve --help` lists its options.",
    )
    parser.add_argument("--version", action="version", version=f"rgate {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{" + ",".join(_COMMANDS) + "}")
    _add_serve(commands.add_parser("serve", help="run the gateway (the default)"))
    check = commands.add_parser("check", help="check a configuration, and start nothing")
    _add_config(check)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", default="config.yml", help="the configuration (%(default)s)"
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8080, help="the port to listen on; 0: any free one (%(default)s)"
    )
    _add_config(parser)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="asyncio", help="(%(default)s)")
    parser.add_argument(
        "--workers",
        type=_workers,
        default=1,
        metavar="N",
        help="processes that share the port; auto: one for each core (%(default)s)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="make the random pick of containers repeatable")
    parser.add_argument(
        "--access-log", metavar="PATH", help="write a line for each request; -: to standard output"
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="(%(default)s)")
    parser.add_argument("--db", metavar="URL", help="the database of the figures, instead of stats.database")


def _workers(text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; allowed: 1 to 256, or auto")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed: 0 to 65535")
    return int(text)
