"""The options of each command."""

import argparse
import os
import re
import shlex
from typing import Final

from rgate.core.windows import WINDOWS_S
from rgate.engines import ENGINES

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_GATEWAY: Final = "http://127.0.0.1:8080"
_MOST_SECONDS: Final = 86400
_LENGTH: Final = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHELLS: Final = ("bash", "zsh", "fish")
# Perhaps behind its source's.
_CONTAINER_NAME: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.-]*/)?[A-Za-z0-9][A-Za-z0-9_.-]*")
_GATEWAY: Final = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?/?", re.ASCII)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add what names the configuration."""
    parser.add_argument(
        "--config", metavar="FILE", default="config.yml", help="the configuration (%(default)s)"
    )


def add_looking(parser: argparse.ArgumentParser, *, gateway: bool = True) -> None:
    """Add where a command looks: Docker, or one of these. *gateway*: it can ask a running rgate."""
    places = parser.add_mutually_exclusive_group()
    places.add_argument(
        "--snapshot", metavar="FILE", help="look into what `rgate snapshot` recorded, in place of Docker"
    )
    if gateway:
        places.add_argument(
            "--gateway", type=_gateway, metavar="URL", help=f"ask a running rgate, such as {DEFAULT_GATEWAY}"
        )


def add_gateway(parser: argparse.ArgumentParser) -> None:
    """Add which running rgate is asked, for a command that always asks one."""
    parser.add_argument(
        "--gateway",
        type=_gateway,
        metavar="URL",
        default=DEFAULT_GATEWAY,
        help="the running rgate that is asked (%(default)s)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option to print a document and no text."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add the options of `explain`."""
    parser.usage = "%(prog)s [METHOD] URL|PATH [options]"
    parser.description = (
        "Say what becomes of a request, and why: its route, who would be asked and who not, the head that\n"
        "goes on, and the answer. Nothing is sent. The exit status is 0 where a container would answer, or\n"
        "a page of rgate's own; 1 where not; 2 where it cannot be told."
    )
    parser.add_argument(
        "request", nargs="+", metavar="URL|PATH", help="behind a method, GET where none stands there"
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a field of the request; may stand several times; Host takes the place of the URL's",
    )
    parser.add_argument("--client", metavar="ADDRESS", help="the IP address that it comes from (127.0.0.1)")
    parser.add_argument(
        "--engine", choices=tuple(ENGINES), help="what carries requests (asyncio); not with --gateway"
    )
    add_config(parser)
    add_looking(parser)
    add_json(parser)


def add_snapshot(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snapshot`."""
    parser.epilog = (
        "`--snapshot FILE` behind another command takes what was recorded, anywhere and without Docker. The "
        "file holds ids, names, labels, states, networks and ports; not the values of labels that look like "
        "secrets, or are paths of Compose's."
    )
    parser.add_argument(
        "--config", metavar="FILE", help="its `sources` are asked (config.yml, where there is one)"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        default="-",
        help="the file that is written; -: standard output (%(default)s)",
    )
    parser.add_argument(
        "--keep-labels",
        nargs="+",
        action="extend",
        default=[],
        metavar="GLOB",
        help="keep the values of labels whose keys match, whatever they look like, such as 'shop.auth.*'",
    )


def add_test(parser: argparse.ArgumentParser) -> None:
    """Add the options of `test`."""
    parser.epilog = _CASES
    parser.add_argument("files", nargs="*", metavar="CASES.yml", help="files of routing cases")
    add_config(parser)
    add_looking(parser)
    parser.add_argument("-k", default="", metavar="WORD", help="run only cases whose name holds it")
    parser.add_argument("--junit", metavar="FILE", help="write the results as XML, for CI")
    parser.add_argument("--write", metavar="CASES.yml", help="make a file of cases from what is true now")
    add_json(parser)


_CASES: Final = """\
a file of cases:
  cases:
    - name: orders go to orders                # optional, as are host and headers
      request: GET /api/orders/42              # or the path alone
      host: shop.example
      headers: {Accept: text/html}
      expect:                                  # one of these, or more
        outcome: forward                       # or own, default_response, problem
        route: /api/orders                     # a route with a host: shop.example/api/orders
        backend: orders
        containers: [orders-1, orders-2]       # just these; or {at_least: 2}
        status: 503                            # of what rgate itself answers
        reason: no_container
        forwarded: {target: /42, fields: {X-Forwarded-Prefix: /api/orders, Cookie: null}}   # null: absent

exit status: 0 all passed, 1 some failed, 2 it cannot be told, or nothing was tested
"""


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the options of `plan`."""
    parser.add_argument(
        "--config",
        metavar="NEW",
        help="the configuration that is planned (config.yml; with --labels: the one it is compared with)",
    )
    against = parser.add_mutually_exclusive_group()
    against.add_argument("--against", metavar="OLD", help="the configuration whose place it takes")
    against.add_argument(
        "--gateway",
        type=_gateway,
        metavar="URL",
        help=f"or the rgate whose configuration, as it runs, it takes the place of ({DEFAULT_GATEWAY})",
    )
    parser.add_argument(
        "--labels",
        type=_labelled,
        action="append",
        default=[],
        metavar="'NAME key=value ...'",
        help="plan for a container that is to be started, or to have just these labels; may stand several "
        "times. Without --against and --gateway nothing else changes",
    )
    add_looking(parser, gateway=False)
    add_json(parser)
    parser.epilog = (
        "What is lost stands first: paths that had a backend and get another or none, and backends whose "
        "last container goes. Exit status: 0 nothing is lost, 1 something is, 2 it cannot be told."
    )


def add_nothing(parser: argparse.ArgumentParser) -> None:
    """Add no option: the command has none."""
    parser.epilog = (
        "Editors with the YAML language server take it from a file's first line: "
        "`# yaml-language-server: $schema=rgate.schema.json`, as `rgate init` writes it."
    )


def add_init(parser: argparse.ArgumentParser) -> None:
    """Add the options of `init`."""
    parser.add_argument(
        "--output",
        metavar="FILE",
        default="config.yml",
        help="the file that is written, with its schema beside it; -: standard output (%(default)s)",
    )
    add_looking(parser, gateway=False)
    parser.add_argument("--json", action="store_true", help="tell what was written as one JSON document")
    parser.epilog = (
        "Nothing is written over a file that is there. Exit status: 0 it is written, 1 no container runs "
        "that a route could lead to, 2 it cannot be told or written."
    )


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the options of `doctor`."""
    _add_host(parser)
    parser.add_argument("--port", type=_port, default=8080, help="the port to listen on (%(default)s)")
    add_config(parser)
    _add_db(parser)
    add_json(parser)
    parser.epilog = (
        "Nothing is changed. Exit status: 0 rgate can run here, 1 something has to be mended first. "
        "Give the options that `serve` is to have."
    )


def add_events(parser: argparse.ArgumentParser) -> None:
    """Add the options of `events`."""
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on with what happens; first the last 10, or --since"
    )
    parser.add_argument(
        "--since", type=_length, metavar="LENGTH", help="only what is no longer ago, such as 90s, 10m, 2h, 1d"
    )
    add_gateway(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")


def add_top(parser: argparse.ArgumentParser) -> None:
    """Add the options of `top`."""
    parser.add_argument(
        "--once", action="store_true", help="show it once, as is done where standard output is no terminal"
    )
    parser.add_argument(
        "--window",
        choices=tuple(WINDOWS_S),
        default=next(iter(WINDOWS_S)),
        help="the stretch of time that the figures are of (%(default)s)",
    )
    add_gateway(parser)
    parser.add_argument("--json", action="store_true", help="print all of it as one JSON document, once")
    parser.epilog = "Ctrl-C ends it."


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the options of `completion`."""
    parser.add_argument(
        "shell", choices=_SHELLS, metavar="|".join(_SHELLS), help="the shell that is to complete"
    )
    parser.epilog = (
        'In ~/.bashrc or ~/.zshrc: eval "$(rgate completion bash)", or zsh for zsh. For fish: '
        "`rgate completion fish > ~/.config/fish/completions/rgate.fish`."
    )


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve`."""
    _add_host(parser)
    parser.add_argument(
        "--port", type=_port, default=8080, help="the port to listen on; 0: any free one (%(default)s)"
    )
    add_config(parser)
    parser.add_argument(
        "--engine", choices=sorted(ENGINES), default="asyncio", help="what carries requests (%(default)s)"
    )
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
    parser.add_argument(
        "--replace",
        action="store_true",
        help="take the place of the rgate that listens there, once ready; where none does, start as usual",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="make the random pick of containers repeatable")
    parser.add_argument(
        "--access-log", metavar="PATH", help="write a line for each request; -: to standard output"
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="of the access log, of standard error, and of what is said when ready (%(default)s)",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is told on standard error (%(default)s)",
    )
    _add_db(parser)


def _add_host(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        action="append",
        metavar="ADDRESS",
        help=f"an address to listen on; may stand several times; `::`: all of IPv6 and IPv4 ({DEFAULT_HOST})",
    )


def _add_db(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", metavar="URL", help="the database of the figures, instead of stats.database")


def add_why(parser: argparse.ArgumentParser) -> None:
    """Add the options of `why`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "id", nargs="?", metavar="ID", help="X-Request-ID of the request; the newest of that id"
    )
    which.add_argument("--last", action="store_true", help="the newest request")
    which.add_argument("--failed", action="store_true", help="the newest that failed: cut, 499, 500 or more")
    add_gateway(parser)
    parser.add_argument("--json", action="store_true", help="print the document of /_rgate/requests/ID")
    parser.epilog = (
        "A running rgate keeps the stories of the last 1,000 requests, and of the last 1,000 that failed. "
        "Exit status: 0 where the request is known, 1 where not, 2 where nobody told."
    )


def _gateway(text: str) -> str:
    """Return `http://host:port`; the scheme may be left out, a port and a last `/` too."""
    url = text if "://" in text else f"http://{text}"
    matched = _GATEWAY.fullmatch(url)
    if matched is None or not 0 < int(matched["port"] or 80) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no gateway; allowed: http://host:port, or host:port")
    return url.rstrip("/")


def _labelled(text: str) -> tuple[str, dict[str, str]]:
    """Return a container's name and labels, written as arguments of a shell are."""
    allowed = "allowed: 'NAME key=value ...', such as 'orders-2 app_name=orders env=production'"
    try:
        name, *labels = shlex.split(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} names no container, or has an open quote; {allowed}"
        ) from None
    if _CONTAINER_NAME.fullmatch(name) is None:
        raise argparse.ArgumentTypeError(f"{name!r} is no name of a container; {allowed}")
    pairs = [label.partition("=") for label in labels]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise argparse.ArgumentTypeError(f"{key + equals!r} is no label; {allowed}")
    return name, {key: value for key, _, value in pairs}


def add_health(parser: argparse.ArgumentParser) -> None:
    """Add the options of `health`."""
    parser.add_argument(
        "--host", metavar="ADDRESS", default=DEFAULT_HOST, help="where it listens (%(default)s)"
    )
    parser.add_argument("--port", type=_port, default=8080, help="its port (%(default)s)")
    parser.epilog = (
        "The exit status is 0 where it answers 200, else 1. "
        'In a Dockerfile: HEALTHCHECK CMD ["rgate", "health"]'
    )


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


def _length(text: str) -> float:
    """Return a length of time in seconds."""
    matched = _LENGTH.fullmatch(text)
    if matched is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; allowed: such as 90s, 10m, 2h, 1d")
    return float(int(matched[1]) * _UNITS_S[matched[2]])


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; allowed: 0 to 65535")
    return int(text)
