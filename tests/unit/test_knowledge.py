"""How old knowledge is told, for people (behaviour 9)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.knowledge import stale_since


@pytest.mark.clause("9.knowledge.stale")
@given(st.floats(0, 4102444800))
def test_what_is_stale_says_since_when(since: float) -> None:
    moment = datetime.fromtimestamp(int(since), UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert stale_since(since) == f"Docker has not answered since {moment} UTC, so this is as of then."
