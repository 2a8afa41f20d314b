"""The name that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Final

# To compare takes as long as both words together are long, squared, and as often as there are names. Nobody
# misspells what is longer.
_LONGEST: Final = 100
_MOST_COMPARED: Final = 1000


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that names the one of *names* nearest to *name*; "" if none is near."""
    if len(name) > _LONGEST:
        return ""
    near = get_close_matches(
        name, [one for one in islice(names, _MOST_COMPARED) if len(one) <= _LONGEST], n=1
    )
    return f'; did you mean "{near[0]}"?' if near else ""
