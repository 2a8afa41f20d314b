"""What clients, labels and containers say, made harmless for a terminal and a line, and for a database."""

import json
from typing import Final

_LONGEST_STORED: Final = 1000  # characters


def in_one_line(text: str) -> str:
    """Return *text* with a Python escape in place of each character that is not printable: controls, line
    ends, bidi marks, surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_in_one_line(document: object) -> str:
    """Return *document* as JSON that is read by people too: what is not printable is escaped, all else is
    not.
    """
    text = json.dumps(document, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 65536 else json.dumps(character)[1:-1]


def escaped(character: str) -> str:
    """Return *character* as an escape by its number, whatever it is."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def storable(name: str) -> str:
    """Return *name* as every database can store it: no NUL, no lone surrogate, not too long."""
    if name.isascii() and len(name) <= _LONGEST_STORED and "\0" not in name:
        return name
    return name[:_LONGEST_STORED].encode(errors="replace").decode().replace("\0", "?")
