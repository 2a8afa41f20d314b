"""docs/configuration.md says what the code does: each key and default, and examples that are right."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml

from rgate.core.config import Config
from rgate.core.config_file import parse_config
from rgate.core.config_warnings import warnings

PAGE = Path("docs/configuration.md").read_text()
ROWS = {row[1]: row[2] for row in re.finditer(r"^\| `([^`]+)` \| [^|]* \| ([^|]*) \|", PAGE, re.MULTILINE)}
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# What is no value of YAML: those without a default of their own, and long ones.
IN_WORDS = {
    "this or `urls`",
    "this or `match_labels`",
    "any host",
    "a short text",
    "the only one",
    "no limit",
    "all",
    "this or `swarm`",
    "this or `docker`",
    "none",
    "the host of the URL or context",
}


def keys(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path of each key below *model*, and its default."""
    hints = get_type_hints(model)
    for field in fields(model):
        hint = hints[field.name]
        inner = next((one for one in get_args(hint) if is_dataclass(one)), None)
        if is_dataclass(hint):
            yield from keys(hint, f"{path}{field.name}.")
        elif inner is not None:
            listed = "[]" if get_origin(hint) is tuple else ""  # else it may be left out
            yield from keys(inner, f"{path}{field.name}{listed}.")
        else:
            yield path + field.name, field.default


def test_each_key_has_its_row_and_no_row_is_of_another() -> None:
    assert list(ROWS) == [key for key, _ in keys(Config)]


@pytest.mark.parametrize(("key", "default"), list(keys(Config)))
def test_the_default_in_a_row_is_that_of_the_code(key: str, default: Any) -> None:
    said = ROWS[key]
    if default is MISSING:
        assert said == "required"
    elif said not in IN_WORDS:
        value = yaml.safe_load(said.strip("`"))
        default = default.value if isinstance(default, Enum) else default
        assert value == ([str(one) for one in default] if isinstance(default, tuple) else default)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_right_and_draws_no_warning(example: str) -> None:
    assert warnings(parse_config(example.encode(), "example.yml")) == ()
