"""What commands say on a terminal: text of what is told, with colour where that is wanted (behaviour 9).

What comes from labels, paths or a gateway is escaped: nothing of it reaches a terminal as a command.
"""

import os
import re
import sys
from datetime import datetime
from typing import Final, TextIO

from rgate.cli.streams import writable
from rgate.core.escape import in_one_line
from rgate.core.explain import Level
from rgate.core.facts import FORWARDED
from rgate.web.documents import ExplanationDocument, FactDocument

# How each level is shown; colours are numbers of ECMA-48's.
GLYPHS: Final = {Level.OK: "●", Level.WARN: "▲", Level.BAD: "■", Level.INFO: "○"}
COLOURS: Final = {Level.OK: "32", Level.WARN: "33", Level.BAD: "31", Level.INFO: "2"}
SECOND: Final = "%Y-%m-%d %H:%M:%S"
_BOLD: Final = "1"
_DIM: Final = "2"
_BAD: Final = COLOURS[Level.BAD]
_CODE_COLOUR: Final = "36"
_CODE: Final = re.compile(r"`([^`]*)`")


def has_colour(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that shows colour, and nobody asked for none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """Print *text* to standard output, whatever it can encode."""
    print(text, file=writable(sys.stdout))


def text_of(document: ExplanationDocument, *, colour: bool) -> str:
    """Return an explanation as text of several lines; each fact is one, and each forwarded field."""
    style = Style(colour)
    width = max((len(in_one_line(fact.about)) for fact in document.facts), default=0)
    asked = f"{document.method} {document.target}"
    host = f" of {in_one_line(document.host)}" if document.host else ""
    told = [style.bold(in_one_line(asked)) + host]
    for fact in document.facts:
        told.append(_fact(fact, width, style))
        if fact.about == FORWARDED and document.forwarded is not None:
            fields = (in_one_line(f"{name}: {value}") for name, value in document.forwarded.fields)
            told += [f"{'':{width + 4}}{field}" for field in fields]
    return "\n".join(told)


def _fact(fact: FactDocument, width: int, style: "Style") -> str:
    glyph = style.painted(GLYPHS[fact.level], COLOURS[fact.level])
    since = f" (since {moment(fact.at)})" if fact.at is not None else ""
    about = style.bold(f"{in_one_line(fact.about):{width}}")
    return f"{glyph} {about}  {style.code(in_one_line(fact.text))}{since}"


def moment(at: float, form: str = SECOND) -> str:
    """Return *at*, Unix seconds, by the clock here. *form*: that of strftime, `%f` are milliseconds."""
    try:
        here = datetime.fromtimestamp(at).astimezone()
    except (OverflowError, ValueError, OSError):  # a gateway may say anything
        return f"{at} s"
    return here.strftime(form.replace("%f", f"{here.microsecond // 1000:03}"))


class Style:
    """Paints what is escaped already, or leaves it."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def painted(self, text: str, colour: str) -> str:
        """Return *text* in *colour*, a number of ECMA-48's."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text

    def bold(self, text: str) -> str:
        """Return *text* as what one reads first."""
        return self.painted(text, _BOLD)

    def dim(self, text: str) -> str:
        """Return *text* as what one may overlook."""
        return self.painted(text, _DIM)

    def bad(self, text: str) -> str:
        """Return *text* as what went wrong."""
        return self.painted(text, _BAD)

    def code(self, text: str) -> str:
        """Return *text* with what stands between backticks painted."""
        return _CODE.sub(lambda found: self.painted(found[1], _CODE_COLOUR), text) if self._colour else text
