"""Which hosts can be names (behaviour 2)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.names import wrong_with_host


@pytest.mark.parametrize(
    "host",
    [
        "a", "shop.example", "shop.example.", "my_service", "A-1.b", "xn--mnchen-3ya.example", "1a.example",
        "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "a" * 63, ".".join(["a" * 62] * 4) + ".a",
    ],
)  # fmt: skip
def test_a_host_may_be_a_name_or_an_address(host: str) -> None:
    assert wrong_with_host(host) == ""


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("", "is empty"),
        (".", "is empty"),
        ("my..service", "has an empty label"),
        (".a", "has an empty label"),
        ("a..", "has an empty label"),
        ("a" * 64 + ".example", "longer than 63"),
        (".".join(["a" * 62] * 4) + ".aa", "longer than 253"),
        ("-a", "has the label `-a`"),
        ("a-.b", "has the label `a-`"),
        ("a b", "has the label `a b`"),
        ("a%41", "has the label `a%41`"),
        ("999.0.0.1", "is no IPv4 address"),
        ("10.1", "is no IPv4 address"),
        ("[::1", "is no IPv6 address"),
        ("[]", "is no IPv6 address"),
        ("[1.2.3.4]", "is no IPv6 address"),
        ("münchen.example", "write it as it is sent, `xn--mnchen-3ya.example`"),
        ("ü" * 64, "cannot be written as a host name"),
        ("ü..b", "cannot be written as a host name"),
    ],
)  # fmt: skip
def test_what_can_be_no_host_is_told_why(host: str, words: str) -> None:
    assert words in wrong_with_host(host)


@given(host=st.text("a1-_.:[]üß\u200d", max_size=12) | st.lists(st.text("a.", min_size=50)).map(".".join))
@example(host="my..service")
def test_whatever_passes_can_be_looked_up(host: str) -> None:
    """`socket.getaddrinfo` encodes names so, and raises UnicodeError where it cannot."""
    if not wrong_with_host(host):
        host.encode("idna")
