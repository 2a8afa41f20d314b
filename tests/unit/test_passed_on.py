"""What LISTEN_FDS and its like say, and which descriptors are no listeners (behaviour 8)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.passed_on import PassedOn, names_of, why_not

GOOD = PassedOn(3, "http", "AF_INET", "SOCK_STREAM", listens=True)
WORDS = st.sampled_from(["", "0", "1", "2", "7", "x", "-1", "1024", "1025", "٣", "9" * 5000, " 1"])


@pytest.mark.clause("8.restart.inherited")
@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, []),
        ({"LISTEN_PID": "7"}, None),
        ({"LISTEN_FDS": "2"}, []),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "2"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "0"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, ["", ""]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}, ["a", "b"]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"}, ["a", ""]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"}, ["a"]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "two"}, None),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "1025"}, None),
    ],
)
def test_each_descriptor_has_its_name(variables: dict[str, str], names: list[str] | None) -> None:
    if names is None:
        with pytest.raises(ValueError, match="LISTEN_FDS is"):
            names_of(variables, 7)
    else:
        assert names_of(variables, 7) == names


@given(
    variables=st.fixed_dictionaries(
        {}, optional={"LISTEN_PID": WORDS, "LISTEN_FDS": WORDS, "LISTEN_FDNAMES": WORDS}
    )
)
@example(variables={"LISTEN_PID": "7", "LISTEN_FDS": "٣"})
@example(variables={"LISTEN_PID": "7", "LISTEN_FDS": "9" * 5000})  # longer than int() takes
def test_whatever_they_say_there_are_as_many_names_as_descriptors(variables: dict[str, str]) -> None:
    told = variables.get("LISTEN_FDS", "")
    number = {word: int(word) for word in ("0", "1", "2", "7", "1024")}.get(told)
    if variables.get("LISTEN_PID") != "7":
        assert names_of(variables, 7) == []
    elif number is not None:
        assert len(names_of(variables, 7)) == number
    else:
        with pytest.raises(ValueError, match=r"\ALISTEN_FDS is .{2,40}, and no number of descriptors;.*\Z"):
            names_of(variables, 7)


@pytest.mark.clause("8.restart.inherited")
@pytest.mark.parametrize(
    ("one", "said"),
    [
        (GOOD, None),
        (PassedOn(4, "", "AF_INET6", "SOCK_STREAM", listens=True), None),
        (PassedOn(3), "descriptor 3 was passed on by LISTEN_FDS, and is no socket"),
        (
            PassedOn(3, "a", "AF_UNIX", "SOCK_STREAM", listens=True),
            "descriptor 3 ('a') is a socket of AF_UNIX",
        ),
        (PassedOn(3, "", "AF_INET", "SOCK_DGRAM"), "descriptor 3 is a socket of SOCK_DGRAM"),
        (PassedOn(3, "", "AF_INET", "SOCK_STREAM"), "descriptor 3 is a socket that does not listen"),
    ],
)
def test_what_is_no_listener_on_tcp_is_refused(one: PassedOn, said: str | None) -> None:
    why = why_not(one)
    assert why is None if said is None else why is not None and why.startswith(said)
