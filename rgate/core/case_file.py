"""A file of routing cases from bytes to values: checked by their types, every error with its place
(behaviour 9).
"""

from typing import Final

from rgate.core.cases import Cases, PlacedCase
from rgate.core.located_yaml import parse_yaml
from rgate.core.typed_yaml import Form

_FORM: Final = Form(Cases)


def parse_cases(text: bytes, file_name: str) -> tuple[PlacedCase, ...]:
    """Return the cases that *text* holds, in its order. Raises ConfigErrors with all that is wrong."""
    located = parse_yaml(text, file_name, required="`cases` is required")
    cases = _FORM.value(located).cases
    return tuple(
        PlacedCase(file_name, located.line(("cases", index)), case) for index, case in enumerate(cases)
    )
