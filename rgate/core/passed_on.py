"""Listeners that whoever starts rgate passes on, by systemd's protocol (sd_listen_fds(3); behaviour 8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FIRST: Final = 3
"""The first descriptor that is passed on; the others follow it."""

MOST: Final = 1024
"""More than any service has: a larger number is a mistake, and would be counted up to."""

VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A descriptor that was passed on. *name* is systemd's, "" without one.

    *family* and *kind* are those of a socket, such as `AF_INET` and `SOCK_STREAM`; "": it is none, or closed.
    """

    number: int
    name: str = ""
    family: str = ""
    kind: str = ""
    listens: bool = False


def names_of(environment: Mapping[str, str], pid: int) -> list[str]:
    """Return the name of each descriptor that was passed on to the process *pid*; "" for one that has none.

    None were where the variables are for another process, which passed them on by mistake. Raises
    ValueError with a sentence.
    """
    if environment.get("LISTEN_PID") != str(pid):
        return []
    told = environment.get("LISTEN_FDS", "")
    if not told.isascii() or not told.isdigit() or len(told) > len(str(MOST)) or int(told) > MOST:
        raise ValueError(
            f"LISTEN_FDS is {told[:20]!r}, and no number of descriptors; take it out, or mend it"
        )
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    return [names[index] if index < len(names) else "" for index in range(int(told))]


def why_not(one: PassedOn) -> str | None:
    """Return why rgate cannot listen on *one*, and what to do; None where it can."""
    who = f"descriptor {one.number}" + (f" ({one.name[:100]!r})" if one.name else "")
    if not one.family:
        return f"{who} was passed on by LISTEN_FDS, and is no socket; pass on sockets that listen"
    if one.family not in ("AF_INET", "AF_INET6"):
        return (
            f"{who} is a socket of {one.family}, and rgate listens on TCP; "
            "give a port, such as ListenStream=8080"
        )
    if one.kind != "SOCK_STREAM":
        return f"{who} is a socket of {one.kind}, and rgate listens on TCP; use ListenStream="
    if not one.listens:
        return f"{who} is a socket that does not listen; pass on one that does (Accept=no)"
    return None
