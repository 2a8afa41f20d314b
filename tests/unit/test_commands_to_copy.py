"""Commands that are told to be copied into a shell, about the gateway that tells them."""

import pytest

from rgate.core.commands import asking, looking_after


@pytest.mark.clause("10.verdict.do")
@pytest.mark.parametrize(
    ("program", "url", "expected"),
    [
        ("rgate", "http://[::1]:8081", "rgate why ID --gateway 'http://[::1]:8081'"),
        (
            "python rgate.py",
            "http://127.0.0.1:8080",
            "python rgate.py why ID --gateway http://127.0.0.1:8080",
        ),
        ("rgate", "", "rgate why ID"),
    ],
)
def test_a_question_names_the_gateway_where_that_is_known(program: str, url: str, expected: str) -> None:
    assert asking(program, "why", "ID", url) == expected


@pytest.mark.parametrize(
    ("config", "url", "expected"),
    [
        ("my config.yml", "http://[::1]:8081", "rgate doctor --config 'my config.yml' --port 8081"),
        ("", "", "rgate doctor"),
    ],
)
def test_a_machine_is_looked_after_as_the_gateway_was_started(config: str, url: str, expected: str) -> None:
    assert looking_after("rgate", config, url) == expected
