"""What two rgates say when one takes the place of the other (behaviour 8)."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.succession import (
    DESCRIPTORS,
    LONGEST,
    MOST_LISTENERS,
    Message,
    What,
    message_of,
    packet,
    packets_for,
    shares,
    why_not_these,
)

ADDRESSES = st.sampled_from(["127.0.0.1:80", "[::1]:80", "0.0.0.0:81"])
NUMBERS = st.sampled_from([0, 1, DESCRIPTORS - 1, DESCRIPTORS, DESCRIPTORS + 1, 513, MOST_LISTENERS])


@given(what=st.sampled_from(What), number=NUMBERS)
def test_a_message_is_read_as_it_was_meant(what: What, number: int) -> None:
    sent = packet(Message(what, number))
    assert message_of(sent) == Message(what, number)
    assert len(sent) < LONGEST


@pytest.mark.clause("8.restart.checked")
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ended in the middle"),
        (b"\xff", "no rgate says"),
        (b"[" * 4096, "no rgate says"),
        (b"{}", "no rgate says"),
        (b"[1]", "no rgate says"),
        (b"7", "no rgate says"),
        (b'{"rgate": 2, "what": "else"}', "of another version"),
        (b'{"rgate": 1}', "no rgate says"),
        (b'{"rgate": 1, "what": "x", "number": 0}', "no rgate says"),
        (b'{"rgate": 1, "what": [], "number": 0}', "no rgate says"),
        (b'{"rgate": 1, "what": "here", "number": -1}', "no rgate says"),
        (b'{"rgate": 1, "what": "here", "number": 1e3}', "no rgate says"),
        (b'{"rgate": 1, "what": "here", "number": true}', "no rgate says"),
        (b'{"rgate": 1, "what": "here", "number": 65537}', "no rgate says"),
    ],
)
def test_what_another_version_says_or_none_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        message_of(data)


@given(number=NUMBERS)
def test_each_descriptor_goes_with_one_packet_which_takes_them(number: int) -> None:
    packets = packets_for(number)
    assert [index for one in packets for index in one] == list(range(number))
    assert all(0 < len(one) <= DESCRIPTORS for one in packets)


@pytest.mark.clause("8.restart.checked")
@given(asked=st.lists(ADDRESSES, min_size=1, max_size=3), got=st.lists(ADDRESSES | st.none(), max_size=4))
@example(asked=["127.0.0.1:80"], got=["127.0.0.1:80", None])
@example(asked=["127.0.0.1:80"], got=[])
@example(asked=["127.0.0.1:80"], got=["127.0.0.1:80", "127.0.0.1:80"])
def test_listeners_are_taken_where_they_are_those_that_were_asked_for(
    asked: list[str], got: list[str | None]
) -> None:
    assert (why_not_these(asked, got) is None) == (set(got) == set(asked))


@pytest.mark.clause("8.restart.replace")
@given(addresses=st.lists(ADDRESSES, min_size=1, max_size=12), workers=st.integers(1, 6))
@example(addresses=["a"] * 4, workers=3)
@example(addresses=["a", "a", "b"], workers=3)
def test_all_listeners_are_taken_whatever_the_number_of_workers(addresses: list[str], workers: int) -> None:
    shared = shares(addresses, workers)
    holders = Counter(index for share in shared for index in share)
    assert len(shared) == workers
    assert set(holders) == set(range(len(addresses)))
    for share in shared:
        assert {addresses[index] for index in share} == set(addresses)
        assert len(set(share)) == len(share)
    for address, number in Counter(addresses).items():
        held = [sum(addresses[index] == address for index in share) for share in shared]
        assert max(held) - min(held) <= 1
        of_it = [holders[index] for index in range(len(addresses)) if addresses[index] == address]
        assert max(of_it) - min(of_it) <= 1
        assert number < workers or max(of_it) == 1
