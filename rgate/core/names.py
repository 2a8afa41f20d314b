"""What names of hosts look like. Everything about that is here."""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

LONGEST_HOST: Final = 253
"""Characters of a host name without the dot at its end (RFC 1035 2.3.4)."""

# `_` is in no host name (RFC 1123 2.1), but in those of Docker's services.
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?")


def wrong_with_host(host: str) -> str:
    """Return why *host* (a name or an address, no port) can be none; "" where it can."""
    if host.startswith("["):
        return "" if is_address(host) else "is no IPv6 address"
    if not host.isascii():
        return _written_otherwise(host)
    name = host.removesuffix(".")
    labels = name.split(".")
    if not all(labels):
        return "has an empty label" if name else "is empty"
    if len(name) > LONGEST_HOST:
        return f"is longer than {LONGEST_HOST} characters"
    for label in labels:
        if len(label) > 63:
            return f"has a label longer than 63 characters, `{label[:20]}…`"
        if _LABEL.fullmatch(label) is None:
            return f"has the label `{label}`: allowed are letters, digits, `_` and, within, `-`"
    if labels[-1].isdigit() and not is_address(name):
        return "is no IPv4 address, and no name ends in a number"
    return ""


def is_address(host: str) -> bool:
    """Whether *host* is an IPv4 address, or an IPv6 address in brackets."""
    try:
        IPv6Address(host[1:-1]) if host[:1] + host[-1:] == "[]" else IPv4Address(host.removesuffix("."))
    except ValueError:
        return False
    return True


def _written_otherwise(host: str) -> str:
    try:
        return f"is not ASCII: write it as it is sent, `{host.encode('idna').decode()}`"
    except UnicodeError:
        return "is not ASCII, and cannot be written as a host name (IDNA)"


def compared_name(host: str) -> str:
    """Return a host without port as it is compared: without case, and without one dot at the end."""
    return host.lower().removesuffix(".")


def compared_host(host: bytes) -> bytes:
    """Return a Host field, or an authority, as it is compared: without case, port and one dot at the end."""
    host = host.lower()
    if host.startswith(b"["):
        return host.partition(b"]")[0] + b"]"
    return host.partition(b":")[0].removesuffix(b".")
