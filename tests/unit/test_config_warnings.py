"""What `check` warns of, and what it does not (behaviour 8)."""

import pytest

from rgate.core.config_file import parse_config
from rgate.core.config_warnings import warnings

HEAD = "backends: [{name: a, match_labels: [x=y]}, {name: b, match_labels: [x=z]}]\nroutes:\n"


def told(*routes: str) -> tuple[str, ...]:
    lines = "".join(f"  - {{{route}}}\n" for route in routes)
    return warnings(parse_config((HEAD + lines).encode(), "c.yml"))


BOTH = ("path_prefix: /a, backend: a", "path_prefix: /b, backend: b")


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("path_prefix: /bc, backend: a", ("/b ends within a segment of /bc", "match: segment")),
        ("path_prefix: /_rgate, backend: a", ("/_rgate can never match", "another prefix")),
        ("path_prefix: /_rgate/x, backend: a", ("/_rgate/x can never match",)),
    ],
)
def test_a_route_that_is_probably_not_meant_is_told_with_its_remedy(
    route: str, words: tuple[str, ...]
) -> None:
    (warning,) = told(*BOTH, route)
    for word in words:
        assert word in warning


def test_a_backend_that_no_route_uses_is_told_of() -> None:
    (warning,) = told(BOTH[0])
    assert "no route uses the backend b" in warning


@pytest.mark.parametrize(
    "route",
    [
        "path_prefix: /b/c, backend: a",
        "path_prefix: /, backend: a",
        "path_prefix: /B, backend: a",
        "path_prefix: /ab, backend: a, match: segment",
        "path_prefix: /_rgatex, backend: a",
    ],
)
def test_what_is_meant_is_not_warned_of(route: str) -> None:
    segment = "path_prefix: /a, backend: a, match: segment"
    assert told(segment, BOTH[1], route) == ()
