"""What is wrong with a file that people write, a configuration or routing cases: every error at once, each
with its place.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line
from rgate.core.url_secrets import url_without_secrets

_MOST_READ: Final = 10_000


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


MOST_TOLD: Final = 1000
"""So many errors of one file are told, and how many more there are."""


class ConfigErrors(CannotTell):
    """All that is wrong with one file, sorted by line. *more*: how many more there are than *errors*."""

    def __init__(self, errors: tuple[ConfigError, ...], more: int = 0) -> None:
        told, more = errors[:MOST_TOLD], more + max(0, len(errors) - MOST_TOLD)
        self.errors = tuple(sorted(told))
        if more:
            message = f"and {more} more errors: these are told once the others are mended"
            self.errors += (ConfigError(self.errors[0].file, 0, "", message),)
        super().__init__("\n".join(map(str, self.errors)))


def shown(found: object) -> str:
    """Return what was found as an error shows it: short, and as YAML would have it."""
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, date):
        return str(found)
    # What is long is not written out. Whatever is found may be a URL, or hold one, in a wrong place.
    text = repr(found[:_MOST_READ] if isinstance(found, str) else found)
    return cut(url_without_secrets(text[:_MOST_READ]))


def cut(text: str, most: int = 60) -> str:
    """Return *text*, of *most* characters: nobody reads more of what is quoted."""
    return text if len(text) <= most else text[: most - 3] + "..."


def quoted(name: str) -> str:
    """Return *name* as an error quotes it."""
    return f'"{cut(name)}"'


def quote_it(found: object) -> str:
    """Return what to do where YAML made *found* of what was meant as text: `no`, `1.10`, `2024-01-01`."""
    return f"YAML reads the value as {shown(found)}, no string: quote it"
