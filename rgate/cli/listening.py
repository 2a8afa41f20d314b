"""The sockets that rgate listens on: one for each `--host`, all on one port (behaviour 1)."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rgate.cli.stop import Stop

_BACKLOG: Final = 1024
# A port that is free on the first address may be taken on another: so many are tried.
_TRIES: Final = 10
_ALL: Final = "::"
_ALL_IPV4: Final = "0.0.0.0"  # noqa: S104 - what to listen on is said by users


class Address(NamedTuple):
    """What a `--host` means; *ip* is what the system made of the name."""

    host: str
    family: socket.AddressFamily
    ip: str
    scope: tuple[int, ...] = ()  # flow and interface of IPv6


def listen(hosts: Sequence[str], port: int, *, shared: bool = False) -> list[socket.socket]:
    """Return the sockets that listen on *hosts*, in that order, all on *port*. Raises Stop.

    0 is any port that is free on all. *shared*: with SO_REUSEPORT, beside others of its kind. `::` takes
    clients of IPv4 as well.
    """
    addresses = without_covered(_address(host, port) for host in hosts)
    for _ in range(0 if port else _TRIES - 1):
        with contextlib.suppress(TakenError):
            return _listeners(addresses, port, shared)
    return _listeners(addresses, port, shared)


def listen_for(hosts: Sequence[str], port: int, workers: int) -> list[list[socket.socket]]:
    """Return the sockets of each of so many *workers*, as `listen` does. Raises Stop."""
    if workers == 1:
        return [listen(hosts, port)]
    if not hasattr(socket, "SO_REUSEPORT"):
        raise Stop("--workers needs SO_REUSEPORT, which this system does not have; leave the option out")
    # Without SO_REUSEPORT first: else a second rgate would share the port of the first unnoticed.
    probes = listen(hosts, port)
    port = probes[0].getsockname()[1]
    for probe in probes:
        probe.close()
    return [listen(hosts, port, shared=True) for _ in range(workers)]


def addresses(hosts: Sequence[str], port: int) -> list[str]:
    """Return where `listen` would listen, as `shown` tells it. Raises Stop."""
    return [_shown(one.ip, port) for one in without_covered(_address(host, port) for host in hosts)]


def without_covered(addresses: Iterable[Address]) -> list[Address]:
    """Return *addresses* without those whose clients come to another one: both cannot be bound."""
    by_ip: dict[tuple[str, tuple[int, ...]], Address] = {}
    for address in addresses:
        by_ip.setdefault((address.ip, address.scope), address)
    kept = by_ip.values()
    return [one for one in kept if not any(other is not one and _covers(other, one) for other in kept)]


def _covers(one: Address, other: Address) -> bool:
    return one.ip == _ALL or (one.ip == _ALL_IPV4 and other.family == socket.AF_INET)


def url(listener: socket.socket) -> str:
    """Return where clients find *listener*."""
    return f"http://{shown(listener)}"


def shown(listener: socket.socket) -> str:
    """Return the address of *listener* with its port, as people read it."""
    return _shown(*listener.getsockname()[:2])


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class TakenError(Stop):
    """Somebody else listens there."""


def _address(host: str, port: int) -> Address:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: it cannot be a name, as a label is too long
        raise _stop(host, port, error) from error
    family, _, _, _, (ip, _, *scope) = found[0]
    return Address(host, family, str(ip), tuple(map(int, scope)))


def _listeners(addresses: Sequence[Address], port: int, shared: bool) -> list[socket.socket]:
    with contextlib.ExitStack() as opened:
        listeners: list[socket.socket] = []
        for address in addresses:
            listeners.append(opened.enter_context(_listener(address, port, shared)))
            port = listeners[0].getsockname()[1]
        opened.pop_all()
        return listeners


def _listener(address: Address, port: int, shared: bool) -> socket.socket:
    try:
        return socket.create_server(
            (address.ip, port, *address.scope),
            family=address.family,
            backlog=_BACKLOG,
            reuse_port=shared,
            dualstack_ipv6=address.ip == _ALL,
        )
    except (OSError, ValueError) as error:  # ValueError: this machine has no IPv6
        raise _stop(address.host, port, error) from error


def _stop(host: str, port: int, error: OSError | ValueError) -> Stop:
    number = error.errno if isinstance(error, OSError) else None
    kind = TakenError if number == errno.EADDRINUSE else Stop
    return kind(f"cannot listen on {_shown(host, port)}: {remedy(host, port, error)}")


def remedy(host: str, port: int, error: OSError | ValueError) -> str:
    """Return why nothing can listen on *host* and *port*, and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return f"{host} is no name or address of this machine; give one with --host"
    if number in (errno.EAFNOSUPPORT, None):
        return "this machine has no IPv6; give an address of IPv4 with --host"
    if number == errno.EACCES and port < 1024:
        return (
            "this user may not listen on a port under 1024; choose a higher one with --port, "
            "or give the right (CAP_NET_BIND_SERVICE)"
        )
    reason = os.strerror(number)
    if number == errno.EADDRINUSE:
        return f"{reason}; choose another port with --port, or end what listens there"
    return f"{reason}; choose another address with --host, or another port with --port"
