"""Which words are one and the same, but for a slip of whoever wrote them (behaviour 9). Words here are keys
and values of labels.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

SAME: Final = 0
RESPELT: Final = 1
"""Another case, another separator, or blanks and quotes around it: `App-Name` and `app_name`."""

EDITED: Final = 2
"""One letter more, less, or another, or two neighbours that changed places: `app_nmae` and `app_name`."""

MOST_ALIKE: Final = 8

# Among shorter words most are one letter apart by chance: dev and def, cart and card, v1a and v1b.
_SHORTEST_EDITED: Final = 5
# Longer ones are sums and paths that nobody types; and a label may hold megabytes.
_LONGEST: Final = 100
_SEPARATORS: Final = str.maketrans("-. ", "___")
_AROUND: Final = " \t\r\n\"'"
_DIGIT: Final = re.compile(r"\d")


class Spellings:
    """Some words, found by those that are spelt nearly like them.

    A look-up takes as long for many words as for few: two words that are one edit apart have a part in
    common that lacks at most one letter of each, and words are kept by these parts. Of more than
    MOST_ALIKE words with one such part, the first ones are kept: they are a series, and no slips.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self._by_part: dict[str, list[str]] = {}
        for word in sorted(self._words):
            for part in _parts(word):
                alike = self._by_part.setdefault(part, [])
                if len(alike) < MOST_ALIKE:
                    alike.append(word)

    def near(self, wanted: str) -> Mapping[str, int]:
        """Return those that are spelt like *wanted*, or nearly so: by each word how far it is."""
        found = {
            word: distance
            for part in _parts(wanted)
            for word in self._by_part.get(part, ())
            if (distance := spelling_distance(word, wanted)) is not None
        }
        return found | ({wanted: SAME} if wanted in self._words else {})


def spelling_distance(word: str, other: str) -> int | None:
    """Return SAME, RESPELT or EDITED; None where they are two words.

    Digits are no slips: `orders2` is another one than `orders1`.
    """
    if word == other:
        return SAME
    if max(len(word), len(other)) > _LONGEST:
        return None
    one, two = _folded(word), _folded(other)
    if one == two:
        return RESPELT
    if max(len(one), len(two)) < _SHORTEST_EDITED or _DIGIT.findall(one) != _DIGIT.findall(two):
        return None
    return EDITED if _is_one_edit(one, two) else None


def _folded(word: str) -> str:
    return word.strip(_AROUND).casefold().translate(_SEPARATORS)


def _parts(word: str) -> Iterator[str]:
    """Yield *word* in its common spelling, and that without each one of its letters, each once."""
    if len(word) > _LONGEST:
        return
    folded = _folded(word)
    yield folded
    for at in range(len(folded)):
        if at == 0 or folded[at] != folded[at - 1]:
            yield folded[:at] + folded[at + 1 :]


def _is_one_edit(one: str, two: str) -> bool:
    """Whether one letter is more, less or another, or two neighbours changed places."""
    start = _common_start(one, two)
    one, two = one[start:], two[start:]
    end = _common_start(one[::-1], two[::-1])
    one, two = one[: len(one) - end], two[: len(two) - end]
    return (len(one) <= 1 and len(two) <= 1) or (len(one) == 2 and one == two[::-1])


def _common_start(one: str, two: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )
