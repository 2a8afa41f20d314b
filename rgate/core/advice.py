"""What a request's ending means, what to do about it, and a command to copy (behaviour 9.why).

A sentence may hold `code`. What comes from names in it is as it is: who shows it escapes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from types import MappingProxyType
from typing import Final

from rgate.core.onward import IDEMPOTENT
from rgate.core.reasons import Reason
from rgate.core.record import Record
from rgate.core.seen import called_by_docker


@dataclass(frozen=True, slots=True)
class Advice:
    """*told*: what happened. *do*: what to do, and *command*: to copy into a shell; "" for neither."""

    told: str
    do: str
    command: str


_NOTHING: Final = "Nothing: it was answered as it should be."
_FOR_THE_CLIENT: Final = "Whoever sent it has to change the request."
_DOCKER_PS: Final = "docker ps --all --format '{{.Names}}\\t{{.Status}}\\t{{.Labels}}'"

# For each reason what happened, what to do, and the command. `{}` in a command is the container, or the
# address where that is fixed; without one there is no such command.
_LOG: Final = "docker logs --since 15m {}"
_OF: Final[Mapping[Reason, tuple[str, str, str]]] = MappingProxyType(
    {
        Reason.NO_CONTAINER: (
            "No running container had all the labels of the backend.",
            "Start a container with all of its labels, or mend those of one that nearly has them.",
            _DOCKER_PS,
        ),
        Reason.UNHEALTHY: (
            "Every container of the backend failed its health check.",
            "See what the check says, and why it fails.",
            "docker ps --filter health=unhealthy",
        ),
        Reason.NO_ADDRESS: (
            "No container of the backend had an address that rgate could use.",
            "Publish the port, or put rgate on the container's network.",
            "docker ps --format '{{.Names}}\\t{{.Ports}}\\t{{.Networks}}'",
        ),
        Reason.DOCKER_UNAVAILABLE: (
            "Docker had not answered since rgate started, so no container was known.",
            "Start it, or check what names it, DOCKER_HOST or `sources`, and the right to use its socket.",
            "rgate doctor",  # `docker version` would ask the Docker of this machine
        ),
        Reason.OVERLOADED: (
            "rgate itself had no descriptor left for a connection to a container.",
            "Raise the limit on open files (`LimitNOFILE=` of systemd, `--ulimit nofile=` of a container), "
            "or lower `limits.connections`.",
            "",
        ),
        Reason.CONNECT_FAILED: (
            "Nothing accepted a connection at any candidate.",
            "See that the program runs, and listens on `0.0.0.0` and on that port.",
            _LOG,
        ),
        Reason.CLOSED_EARLY: (
            "The container accepted the connection, and closed it without one byte of a response.",
            "Read its log; a program that is still starting does this behind a published port.",
            _LOG,
        ),
        Reason.BAD_RESPONSE: (
            "The container sent what is no HTTP response, or one whose framing is in doubt.",
            "Check that the port speaks plain HTTP/1.1, and not TLS or another protocol.",
            _LOG,
        ),
        Reason.TIMEOUT: (
            "The container did not go on in time.",
            "Read its log, or raise `timeouts.response` or `timeouts.idle` of the backend.",
            _LOG,
        ),
        Reason.BAD_REQUEST: ("What the client sent is no good request.", _FOR_THE_CLIENT, ""),
        Reason.PATH_NOT_NORMALIZED: (
            "The path had a `.` or `..` segment.",
            "Clients remove those before they send.",
            "",
        ),
        Reason.REQUEST_TIMEOUT: (
            "The client did not send all of its request in time.",
            "Nothing, unless it is frequent: then look at the client and its network.",
            "",
        ),
        Reason.BODY_TOO_LARGE: (
            "The request's content was larger than `limits.body_bytes`.",
            "Send less, or raise that limit.",
            "",
        ),
        Reason.URI_TOO_LONG: (
            "The request line was longer than `limits.header_bytes`.",
            "Send a shorter one, or raise that limit.",
            "",
        ),
        Reason.FIELDS_TOO_LARGE: (
            "The request's fields were more, or larger, than `limits` allows.",
            "Send fewer (cookies often are the cause), or raise `limits.header_bytes` or `.header_fields`.",
            "",
        ),
        Reason.VERSION_NOT_SUPPORTED: ("The client spoke another version of HTTP.", _FOR_THE_CLIENT, ""),
        Reason.METHOD_NOT_ALLOWED: ("The method is one that rgate does not forward.", _FOR_THE_CLIENT, ""),
        Reason.FORBIDDEN: ("The page is not for this client.", "Add it to `admin.allow`, if it may.", ""),
        Reason.NOT_FOUND: ("There is no such page.", _FOR_THE_CLIENT, ""),
        Reason.BAD_QUERY: ("The page takes no such query.", _FOR_THE_CLIENT, ""),
        Reason.NOT_IMPLEMENTED: (
            "The engine in use cannot switch protocols.",
            "Use `--engine asyncio`.",
            "",
        ),
        Reason.CLIENT_CLOSED: (
            "The client closed its connection before the answer was there.",
            "Nothing, unless it is frequent: the client gave up first.",
            "",
        ),
        Reason.STOPPED: (
            "rgate itself ended, and cut the response.",
            "Give it more time to drain, with `--drain`.",
            "",
        ),
        Reason.INTERNAL_ERROR: (
            "rgate failed on this request: a defect of its own.",
            "Its log says how; please report it.",
            "",
        ),
    }
)


_FOR_STRANGERS: Final = (
    "Try again in a moment. If that does not help, tell whoever runs this gateway, with the request id below."
)
_NOT_THE_CLIENTS: Final = (
    Reason.NO_CONTAINER, Reason.UNHEALTHY, Reason.NO_ADDRESS, Reason.DOCKER_UNAVAILABLE,
    Reason.CONNECT_FAILED, Reason.CLOSED_EARLY, Reason.BAD_RESPONSE, Reason.TIMEOUT, Reason.INTERNAL_ERROR,
)  # fmt: skip


def what_to_do(reason: Reason, *, insider: bool) -> str:
    """Return what to do about an answer of rgate's own, in a sentence; "" where its detail says that.

    Who is no *insider* can do nothing about containers, and is told nothing of how they are looked at.
    """
    if reason in _SAYS_WHAT_TO_DO:
        return ""
    return _FOR_STRANGERS if reason in _NOT_THE_CLIENTS and not insider else _OF[reason][1]


_SAYS_WHAT_TO_DO: Final = (Reason.FORBIDDEN, Reason.NOT_FOUND, Reason.BAD_QUERY, Reason.NOT_IMPLEMENTED)


def advice(record: Record) -> Advice:
    """Return what became of the request that *record* is of, and what to do about it."""
    told, do, command = _OF[Reason(record.reason)] if record.reason else _of_the_container(record)
    shown = _with_container(command, record)
    return Advice(told + _why_not_elsewhere(record), _with_where(do, command, record.container), shown)


def advice_on(reason: Reason, container: str, *, is_fixed: bool = False) -> Advice:
    """Return what *reason* means wherever it stands, and what to do; *container*: who was asked, or "".

    *is_fixed*: it is a fixed address.
    """
    told, do, command = _OF[reason]
    if is_fixed and "{}" in command:
        return Advice(told, do, _ask(container))
    named = container.isprintable() and container != ""
    shown = _for_container(command, container) if named or "{}" not in command else ""
    return Advice(told, _with_where(do, command, container), shown)


def _with_where(do: str, command: str, container: str) -> str:
    """Return *do*, and where a *command* for *container* is to be run."""
    return f"{do} {where_it_is(container)}".rstrip() if "{}" in command else do


def _of_the_container(record: Record) -> tuple[str, str, str]:
    """Return the same where rgate had no reason: a container answered, or the default response did."""
    if not record.tries:
        return f"No route matched: the default response, {record.status}, was the answer.", _NOTHING, ""
    if record.cut:
        return (
            f"The response of {_who(record)} broke off behind {_bytes(record.bytes_sent)} of its content, "
            "and the client's connection was cut.",
            "Read its log: the program, or the container, ended or failed while it answered.",
            _LOG,
        )
    if record.status > 499:
        return (
            f"{_who(record)} itself answered {record.status}; that was passed on untouched.",
            "Read its log: the error is its own.",
            _LOG,
        )
    return f"{_who(record)} answered {record.status}.", _NOTHING, ""


def _why_not_elsewhere(record: Record) -> str:
    if record.reason == Reason.CLOSED_EARLY.value and record.method.encode("latin-1") not in IDEMPOTENT:
        return f" It was not asked of another: a {record.method} may have had an effect."
    return ""


def _who(record: Record) -> str:
    return f"`{record.container}`"


def _bytes(number: int) -> str:
    return f"{number} byte" if number == 1 else f"{number} bytes"


def _with_container(command: str, record: Record) -> str:
    """Return *command* for the container that was asked last; "" where it has no place in one."""
    if "{}" not in command:
        return command
    if not record.tries or not record.container.isprintable():
        return ""
    last = record.tries[-1]
    if record.container == last.address:
        return _ask(last.address)
    return _for_container(command, record.container)


def _ask(address: str) -> str:
    """Return the command for a fixed *address*: nothing is known of what is behind it."""
    return f"curl --verbose {quote(f'http://{address}/')}"


def _for_container(command: str, container: str) -> str:
    if "{}" not in command:
        return command
    own, _ = called_by_docker(container)
    dashes = "-- " if own.startswith("-") else ""
    return command.format(dashes + quote(own))


def where_it_is(container: str) -> str:
    """Return a sentence that says on which of several Dockers *container* is; "" where there is one."""
    _, source = called_by_docker(container)
    return f"It is on the Docker `{source}`." if source else ""
