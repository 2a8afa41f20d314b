"""The command's words. Nothing heavy is imported before it is known which command is meant."""

import argparse
import contextlib
import itertools
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NamedTuple, NoReturn

from rgate._version import __version__
from rgate.cli import options as add
from rgate.cli.examples import EXAMPLES
from rgate.cli.streams import let_stderr_lose
from rgate.core.cannot_tell import CannotTell
from rgate.core.config_errors import ConfigErrors
from rgate.core.nearest import did_you_mean


class _Command(NamedTuple):
    """A command: its line in `--help`, its options, and the function that carries it out.

    *carried_out_by*: `module:function` in rgate.cli; it takes the options, and returns the exit status.
    """

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    carried_out_by: str


CANNOT_TELL: Final = 2
"""The exit status where it cannot be told what is asked (behaviour 9)."""

_ASKED_BY: Final = "_ARGCOMPLETE"  # a shell sets it that wants to know what may follow on its line
_DEFAULT_COMMAND: Final = "serve"
_WIDTH: Final = 79  # of what `--help` tells
_INTERRUPTED: Final = 130  # as shells have it: 128 and SIGINT

_COMMANDS: Final = {
    "serve": _Command("run the gateway (the default)", add.add_serve, "serve:serve"),
    "check": _Command("check a configuration, and start nothing", add.add_config, "check:check"),
    "explain": _Command("say what becomes of a request, and why", add.add_explain, "explain:explain"),
    "plan": _Command(
        "say what changes if a configuration takes the place of another", add.add_plan, "plan:plan"
    ),
    "snapshot": _Command(
        "record what Docker says of containers, without secrets, for --snapshot of other commands",
        add.add_snapshot,
        "snapshot:snapshot",
    ),
    "test": _Command("run routing cases, or make some from what is true now", add.add_test, "test:test"),
    "health": _Command("ask a running rgate whether it is well", add.add_health, "health:health"),
    "why": _Command("tell the story of a request that has been", add.add_why, "why:why"),
    "events": _Command(
        "tell what discovery and a running rgate did, a line each", add.add_events, "events:events"
    ),
    "top": _Command("show how a running rgate is doing, as it goes on", add.add_top, "top:top"),
    "doctor": _Command("say whether this machine is fit for rgate", add.add_doctor, "doctor:doctor"),
    "init": _Command("make a configuration from the containers that run", add.add_init, "init:init"),
    "schema": _Command(
        "print the JSON Schema of the configuration, for editors", add.add_nothing, "schema:schema"
    ),
    "completion": _Command(
        "print what makes a shell complete rgate's words", add.add_completion, "completion:completion"
    ),
}

_WORDS: Final = frozenset(_COMMANDS)


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its status."""
    _open_what_is_closed()
    let_stderr_lose()
    if _ASKED_BY in os.environ:
        _complete()
    options = parse(sys.argv[1:] if arguments is None else arguments)
    is_gateway = options.command == "serve"
    try:
        if is_gateway:
            # It catches its signals once it has read its configuration: up to there both end it alike.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            # Others wait until then: they would end it, and a reload may be asked for just as it has read.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGUSR1))
            sys.exit(_run(options))  # it goes on where nobody reads
        sys.exit(_told(options))
    except KeyboardInterrupt:
        # Of a gateway nothing was under way; others have not told yet.
        sys.exit(0 if is_gateway else _INTERRUPTED)
    except Exception:
        if is_gateway:
            raise
        # A defect, or nobody takes what is said: 1 would mean no.
        with contextlib.suppress(OSError):
            traceback.print_exc()
        sys.exit(CANNOT_TELL)


def _complete() -> None:
    """Tell a shell what may follow on its line, and end. Behind an option first, `serve` is meant."""
    from argcomplete import autocomplete

    parser, commands = _parsers()
    words = os.environ.get("COMP_LINE", "").split()
    autocomplete(commands[_DEFAULT_COMMAND] if words[1:] and words[1].startswith("-") else parser)


def _open_what_is_closed() -> None:
    """Open what rgate was started without (`>&-`): else a socket would take the place of stdout."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 # for as long as the process runs


def _told(options: argparse.Namespace) -> int:
    """Carry out a command that tells something. Returns its exit status."""
    try:
        status = _run(options)
        sys.stdout.flush()
    except CannotTell as error:
        # A file's errors begin with its name.
        print(error if isinstance(error, ConfigErrors) else f"rgate: {error}", file=sys.stderr)
        return CANNOT_TELL
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the end would tell it anew
        if not isinstance(error, BrokenPipeError):  # who read has gone, as in `rgate snapshot | head`
            print(f"rgate: cannot go on: {error}", file=sys.stderr)  # a full disk under standard output
        return CANNOT_TELL
    return status


def _run(options: argparse.Namespace) -> int:
    module, _, function = _COMMANDS[options.command].carried_out_by.partition(":")
    carry_out = getattr(import_module(f"rgate.cli.{module}"), function)
    return int(carry_out(options))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options. Exits with 2, and one line that says why, where the command line is wrong."""
    words = list(arguments)
    # `serve` is the default, so that the command is `rgate --port 8080 --config config.yml`.
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words = [_DEFAULT_COMMAND, *words]
    parser, commands = _parsers()
    if not words[0].startswith("-") and words[0] not in commands:
        every = ", ".join(commands)
        near = did_you_mean(words[0], (*commands, "--help", "--version"))
        parser.error(f"{words[0]!r} is no command{near or f'; there are {every}'}")
    options, unknown = parser.parse_known_args(words)
    if unknown:
        commands[options.command].error(f"{unknown[0]!r} is no option")
    if options.command in ("serve", "doctor"):
        options.host = options.host or [add.DEFAULT_HOST]
    return options


class _Parser(argparse.ArgumentParser):
    """Tells of what is misspelt first, with the nearest name: argparse would tell what is missing by it."""

    def parse_known_args(  # type: ignore[override] # of the ways to call it, the one that is used
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        known = self._option_string_actions
        for word in itertools.takewhile(lambda word: word != "--", args or ()):
            name = word.partition("=")[0]
            if word in _WORDS:  # what follows is for its own parser
                break
            # What holds a space is a value, and the beginning of a name is enough.
            if name.startswith("--") and " " not in name and not any(one.startswith(name) for one in known):
                self.error(f"{name!r} is no option{did_you_mean(name, known)}")
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            near = did_you_mean(str(value), choices)
            message = f"invalid choice: {value!r}; there are {', '.join(choices)}{near}"
            raise argparse.ArgumentError(action, message)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"rgate: {message} (`{self.prog} --help` tells what there is)\n")


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """Return the command's parser, and that of each of its commands."""
    parser = _Parser(
        prog="rgate",
        description="An HTTP gateway to Docker containers, found by their labels.",
        epilog=_with_examples(
            _ABOUT_SERVE, ("rgate --port 8080 --config config.yml", "rgate explain /api/orders")
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rgate {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in _COMMANDS.items():
        one = commands.add_parser(name, help=command.help, description=f"{_sentence(command.help)}")
        one.formatter_class = argparse.RawDescriptionHelpFormatter
        command.add_options(one)
        one.epilog = _with_examples(one.epilog or "", EXAMPLES[name])
    return parser, commands.choices


_ABOUT_SERVE: Final = "`serve` is the default; `rgate serve --help` lists its options."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _with_examples(text: str, examples: Sequence[str]) -> str:
    """Return the end of `--help`: *text*, filled unless it has lines of its own, and examples."""
    told = text if "\n" in text else textwrap.fill(text, _WIDTH)
    shown = "\n".join(("examples:", *(f"  {example}" for example in examples)))
    return f"{told}\n\n{shown}" if told else shown
