"""Words that several kinds of sentences are made of."""

from collections.abc import Sequence


def code(text: str) -> str:
    """Return *text* as what a machine reads, within a sentence."""
    return f"`{plain(text)}`"


def plain(text: str) -> str:
    """Return *text*, which may hold anything, so that it neither begins nor ends what is shown as code."""
    return text.replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")


def several(number: int, word: str) -> str:
    """Return so many of what *word* calls one of, such as `3 containers`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def listed(names: Sequence[str], most: int) -> str:
    """Return *names* as code, *most* of them, and how many there are besides."""
    more = len(names) - most
    return ", ".join(map(code, names[:most])) + (f" and {more:,} more" if more > 0 else "")


def why_and_do(sentence: str) -> tuple[str, str]:
    """Return why and what to do, which a *sentence* has around its last `: `; "" where it has no such end."""
    why, _, do = sentence.rpartition(": ")
    return (why, do) if why else (sentence, "")


def only(names: Sequence[str]) -> str:
    """Return the only one of *names*; "" where there are several, or none."""
    return names[0] if len(names) == 1 else ""
