"""Where a container can be reached from here (behaviour 4). Pure: Docker and the host are values."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from rgate.core.candidates import Address
from rgate.core.config import AddressKind, Backend
from rgate.core.containers import Container, PublishedPort

PORT_LABEL: Final = "rgate.port"

INGRESS: Final = "ingress"
"""Swarm's network between its own balancers: nobody else reaches a container there."""

# Networks of a whole Swarm have ids of its own form (swarmkit, identity.NewID); others' are 64 hex digits.
# Nobody but who is on such a network reaches an address there, not even the machine.
_OF_A_SWARM: Final = re.compile(r"[a-z0-9]{25}")

_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class HostView:
    """What rgate knows of where it runs itself.

    *published_host*: where Docker publishes ports, "" for this machine. *own_networks*: ids of the
    networks that rgate's own container is on, None where rgate does not run in a container.
    """

    published_host: str = ""
    own_networks: frozenset[str] | None = None


def own_networks(own_id: str, containers: Iterable[Container]) -> frozenset[str] | None:
    """Return the networks of the container with *own_id*, or one that begins so, for a HostView."""
    own = [container for container in containers if own_id and container.id.startswith(own_id)]
    return frozenset(a.network_id for container in own for a in container.attachments) if own else None


@dataclass(frozen=True, slots=True)
class Located:
    """A container's address, and how it was chosen, for people."""

    address: Address
    how: str


@dataclass(frozen=True, slots=True)
class NoAddress:
    """There is none; *detail* says why, and what to do."""

    detail: str


def address_of(
    container: Container, backend: Backend, host: HostView, others: Mapping[str, Container] | None = None
) -> Located | NoAddress:
    """Return where to connect for *container*. *others*, by id, are for a network that it shares."""
    if container.machine:
        host = replace(host, published_host=container.machine)
    port = _port(container, backend)
    if isinstance(port, NoAddress):
        return port
    if container.network_mode == "host":
        machine = "Docker's machine" if host.published_host else "this machine"
        address = Address(host.published_host or "127.0.0.1", port)
        return Located(address, f"{machine}, as it uses the host's network")
    owner, whose = container, ""
    owner_id = container.network_mode.partition("container:")[2]
    if owner_id and others is not None:
        if owner_id not in others:
            return NoAddress(f"it shares the network of the container {owner_id[:12]}, which is not there")
        owner = others[owner_id]
        whose = f" of {owner.name}, whose network it shares"
    found = _on_networks(owner, backend, port, host)
    if found is None:
        return NoAddress(_why_none(owner, backend, port, host))
    return replace(found, how=found.how + whose)


def _on_networks(container: Container, backend: Backend, port: int, host: HostView) -> Located | None:
    """Return the first that there is of: a network that both are on, the published port, any network."""
    found: Located | None = None
    if host.own_networks is not None and backend.address is not AddressKind.PUBLISHED:
        found = _attached(container, port, host.own_networks)
    if found is None and backend.address is not AddressKind.CONTAINER:
        found = _published(container, port, host)
    # On another machine such an address is nobody's, or another program's, unless its networks are routed.
    is_near = not host.published_host or backend.address is AddressKind.CONTAINER
    if found is None and is_near and backend.address is not AddressKind.PUBLISHED:
        found = _attached(container, port, None)
    return found


def _port(container: Container, backend: Backend) -> int | NoAddress:
    """Return the container's port: the configured one, its label's, or the only one there is."""
    if backend.port is not None:
        return backend.port
    published = sorted({binding.container_port for binding in container.published})
    ports = sorted({*published, *container.exposed})
    if len(ports) == 1:
        return ports[0]
    label = container.labels.get(PORT_LABEL, "")
    if label:
        return port_in(label) or NoAddress(f"its label {PORT_LABEL}={_cut(label)} is no port number")
    if len(published) == 1:
        return published[0]
    if not ports:
        return NoAddress(f"it has no port: publish or expose one, or set `port` or the label {PORT_LABEL}")
    listed = ", ".join(map(str, ports))
    return NoAddress(f"it has the ports {listed}: set `port` in the backend or the label {PORT_LABEL}")


def port_in(label: str) -> int | None:
    """Return the port that a *label* says; None where that is none. Labels may hold megabytes of digits."""
    is_port = label.isascii() and label.isdigit() and len(label) <= 5 and 0 < int(label) < 65536
    return int(label) if is_port else None


def _cut(label: str) -> str:
    return label if len(label) <= _LONGEST_SHOWN else f"{label[:_LONGEST_SHOWN]}…"


def _published(container: Container, port: int, host: HostView) -> Located | None:
    bindings = [
        binding
        for binding in container.published
        if binding.container_port == port and binding.host_port and _is_open(binding, host)
    ]
    if not bindings:
        return None
    best = min(bindings, key=_preference)
    address = Address(_reachable(best.host_ip, host), best.host_port)
    where = " on Docker's machine" if host.published_host else ""
    return Located(address, f"published port {best.host_port} of {port}{where}")


def _is_open(binding: PublishedPort, host: HostView) -> bool:
    """Whether it can be reached from here: not on another machine's loopback."""
    try:
        is_loopback = bool(binding.host_ip) and ip_address(binding.host_ip).is_loopback
    except ValueError:
        is_loopback = False
    return not (host.published_host and is_loopback)


def _preference(binding: PublishedPort) -> tuple[int, str, int]:
    """Order bindings: this machine's IPv4 first, as every container listens there at the least."""
    try:
        address = ip_address(binding.host_ip or "0.0.0.0")  # noqa: S104 - read, never listened on
    except ValueError:
        return 4, binding.host_ip, binding.host_port
    local = address.is_loopback or address.is_unspecified
    return (0 if local else 2) + (address.version == 6), binding.host_ip, binding.host_port


def _reachable(host_ip: str, host: HostView) -> str:
    if host.published_host:
        return host.published_host
    if host_ip in ("", "0.0.0.0"):  # noqa: S104 - read, never listened on
        return "127.0.0.1"
    return "::1" if host_ip == "::" else host_ip


def _attached(container: Container, port: int, networks: frozenset[str] | None) -> Located | None:
    """Return the address on the first network by name; on one of *networks* only, where given."""
    for attachment in sorted(container.attachments, key=lambda attachment: attachment.network):
        if attachment.network == INGRESS or not attachment.ip:
            continue
        if networks is None and _OF_A_SWARM.fullmatch(attachment.network_id):
            continue
        if networks is None or attachment.network_id in networks:
            shared = ", which rgate is on too" if networks is not None else ""
            how = f"its address on the network {attachment.network}{shared}"
            return Located(Address(attachment.ip, port), how)
    return None


def _why_none(container: Container, backend: Backend, port: int, host: HostView) -> str:
    published = ", ".join(
        f"{binding.container_port} at {binding.host_ip}:{binding.host_port}"
        for binding in container.published
        if binding.host_port
    )
    if overlays := [one.network for one in container.attachments if _OF_A_SWARM.fullmatch(one.network_id)]:
        return (
            f"rgate is on none of its Swarm's networks ({', '.join(overlays)}), and its port {port} is not "
            f"published in host mode (published: {published or 'none'})"
        )
    if host.published_host and backend.address is not AddressKind.CONTAINER:
        return (
            f"it is on {host.published_host}, and its port {port} is not published there for other machines "
            f"(published: {published or 'none'})"
        )
    if backend.address is AddressKind.PUBLISHED:
        return f"its port {port} is not published on the host (published: {published or 'none'})"
    return (
        f"it has no address on any network, and its port {port} is not published "
        f"(published: {published or 'none'})"
    )
