"""The configuration that a supervisor hands to its workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.cli.config_file import MOST_BYTES
from rgate.cli.handed import Handed


@given(texts=st.lists(st.binary(max_size=40), min_size=1))
def test_what_was_put_last_is_taken(texts: list[bytes]) -> None:
    handed = Handed()
    for text in texts:
        handed.put(text)
        assert handed.take() == text


def test_the_longest_configuration_can_be_handed_over() -> None:
    handed = Handed()
    handed.put(bytes(MOST_BYTES))
    assert handed.take() == bytes(MOST_BYTES)


@pytest.mark.parametrize("text", [b"other", b"longer than it"])
def test_half_of_another_is_not_taken(text: bytes) -> None:
    handed = Handed()
    handed.put(b"whole")
    head = bytes(handed._memory[:20])
    handed.put(text)
    handed._memory[:20] = head  # as it is while the other is being put
    assert handed.take() is None


def test_nothing_is_taken_before_anything_was_put() -> None:
    assert Handed().take() is None
