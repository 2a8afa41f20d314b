"""What is wrong with a file that people write, a configuration or routing cases: every error at once, each
with its place.
"""

from dataclasses import dataclass
from datetime import date

from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line


@dataclass(frozen=True, slots=True, order=True)
class ConfigError:
    """One thing that is wrong. *line* counts from 1; 0 where the whole file is meant."""

    file: str
    line: int
    path: str  # of the key, such as `backends[0].policy`; "" for the whole file
    message: str  # what was found, and what is allowed

    def __str__(self) -> str:
        """Return `file:line: path: message`, in one line whatever keys and values hold."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"
        return in_one_line(text)


class ConfigErrors(CannotTell):
    """All that is wrong with one file, sorted by line."""

    def __init__(self, errors: tuple[ConfigError, ...]) -> None:
        self.errors = tuple(sorted(errors))
        super().__init__("\n".join(map(str, self.errors)))


def shown(found: object) -> str:
    """Return what was found as an error shows it: short, and as YAML would have it."""
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    text = str(found) if isinstance(found, date) else repr(found)
    return text if len(text) <= 60 else text[:57] + "..."


def quote_it(found: object) -> str:
    """Return what to do where YAML made *found* of what was meant as text: `no`, `1.10`, `2024-01-01`."""
    return f"YAML reads the value as {shown(found)}, no string: quote it"
