"""What several `--host` mean together, and what is said of those that cannot be used (behaviour 1)."""

import errno
import os
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.cli.listening import Address, remedy, without_covered

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6
ADDRESSES = {
    "127.0.0.1": IPV4, "10.0.0.1": IPV4, "0.0.0.0": IPV4, "::1": IPV6, "fe80::1": IPV6, "::": IPV6,
}  # fmt: skip


def addresses(*ips: str) -> list[Address]:
    return [Address(ip, ADDRESSES[ip], ip) for ip in ips]


def clients_of(ips: list[str]) -> set[str]:
    """The addresses that clients can come to."""
    there = set(ADDRESSES) - {"::", "0.0.0.0"}
    every = {"::": there, "0.0.0.0": {ip for ip in there if ADDRESSES[ip] == IPV4}}
    return set[str]().union(*(every.get(ip, {ip}) for ip in ips))


@given(ips=st.lists(st.sampled_from(list(ADDRESSES)), min_size=1, max_size=5))
@example(ips=["127.0.0.1", "0.0.0.0"])
@example(ips=["0.0.0.0", "::1", "::"])
@example(ips=["::1", "::1"])
def test_each_client_is_taken_once_whatever_the_hosts(ips: list[str]) -> None:
    kept = [address.ip for address in without_covered(addresses(*ips))]
    assert clients_of(kept) == clients_of(ips)
    assert sum(len(clients_of([ip])) for ip in kept) == len(clients_of(ips))
    assert kept == [ip for ip in dict.fromkeys(ips) if ip in kept]


def test_the_same_link_local_address_of_two_interfaces_is_two() -> None:
    two = [Address(f"fe80::1%{number}", IPV6, "fe80::1", (0, number)) for number in (1, 2)]
    assert without_covered(two) == two


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("port", "error", "said"),
    [
        (8080, socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "is no name or address"),
        (8080, socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "is no name or address"),
        (8080, UnicodeError("label too long"), "is no name or address"),
        (8080, os_error(errno.EADDRNOTAVAIL), "is no name or address"),
        (8080, os_error(errno.EADDRINUSE), "another port with --port, or end what listens there"),
        (80, os_error(errno.EACCES), "may not listen on a port under 1024"),
        (8080, os_error(errno.EACCES), "Permission denied; "),
        (8080, os_error(errno.EAFNOSUPPORT), "no IPv6"),
        (8080, ValueError("dualstack_ipv6 not supported on this platform"), "no IPv6"),
    ],
)
def test_the_advice_fits_the_error(port: int, error: OSError | ValueError, said: str) -> None:
    advice = remedy("h", port, error)
    assert said in advice
    assert "--host" in advice or "--port" in advice
    assert "\n" not in advice
