"""The command's words. Nothing heavy is imported before it is known which command is meant."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from rgate._version import __version__
from rgate.core.nearest import did_you_mean
from rgate.engines import ENGINES

_DEFAULT_HOST: Final = "127.0.0.1"
_MOST_SECONDS: Final = 86400


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its status."""
    _open_what_is_closed()
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(_run(options))
    except KeyboardInterrupt:
        sys.exit(0)  # before the signals were caught: nothing was under way


def _open_what_is_closed() -> None:
    """Open what rgate was started without (`>&-`): else a socket would take the place of stdout."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 # for as long as the process runs


def _run(options: argparse.Namespace) -> int:
    if options.command == "check":
        from rgate.cli.check import check

        return check(options)
    from rgate.cli.serve import serve

    return serve(options)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options. Exits with 2, and one line that says why, where the command line is wrong."""
    words = list(arguments)
    # `serve` is the default, so that the command is `rgate --port 8080 --config config.yml`.
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words = ["serve", *words]
    parser, commands = _parsers()
    if not words[0].startswith("-") and words[0] not in commands:
        near = did_you_mean(words[0], commands)
        parser.error(f"{words[0]!r} is no command; there are {', '.join(commands)}{near}")
    options, unknown = parser.parse_known_args(words)
    if unknown:
        name, names = unknown[0].partition("=")[0], vars(options).keys() - {"command"}
        near = did_you_mean(name, (f"--{known.replace('_', '-')}" for known in names))
        commands[options.command].error(f"{name!r} is no option{near}")
    if options.command == "serve":
        options.host = options.host or [_DEFAULT_HOST]
    return options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"rgate: {message} (`{self.prog} --help` tells what there is)\n")


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """Return the command's parser, and that of each of its commands."""
    parser = _Parser(
        prog="rgate",
        description="An HTTP gateway to Docker containers, found by their labels.",
        epilog="`serve` is the default: `python rgate.py --port 8080 --config config.yml`. "
        "`python rgate.py serve --help` lists its options.",
    )
    parser.add_argument("--version", action="version", version=f"rgate {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the gateway (the default)"))
    check = commands.add_parser("check", help="check a configuration, and start nothing")
    _add_config(check)
    return parser, commands.choices


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", default="config.yml", help="the configuration (%(default)s)"
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        action="append",
        metavar="ADDRESS",
        help="an address to listen on; may stand several times; `::`: all of IPv6 and IPv4 "
        f"({_DEFAULT_HOST})",
    )
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
