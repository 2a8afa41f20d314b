"""The grammar of HTTP/1.1 messages, each piece spelt once: sources of patterns, as bytes (RFC 9110 5, RFC
9112).

What reads heads thoroughly (`message.py`), what reads ordinary ones quickly (`ordinary.py`), chunks
(`content.py`) and the configuration's checks are all made of these.
"""

import re
from typing import Final

TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# Possessive, as a backtracking match over a 64 KiB value of blanks would take seconds.
TOKEN: Final = TCHAR + rb"++"
VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
# Of responses, where no framing is in doubt by it: control characters too (RFC 9110 5.5), but for the three
# that end a line for somebody.
LENIENT_VALUE: Final = rb"[^\r\n\x00]*+"
QUOTED: Final = rb"\"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e])*+\""

# Bytes over 0x7f are taken in targets: curl and browsers' scripts send UTF-8 as it is typed, and
# every peer passes it on. A `#` is not: whether it begins a fragment is in doubt.
TARGET_CHARACTER: Final = rb"[\x21\x22\x24-\x7e\x80-\xff]"
HOST: Final = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Za-z:.%]+\])(?::[0-9]*)?"
REQUEST_ID: Final = rb"[\x21-\x7e]{1,128}+"

_DOT: Final = rb"(?:\.|%2[eE])"
_ENCODED_SLASH: Final = rb"%(?:2[fF]|5[cC])"
# Backends take a backslash and encoded slashes for the end of a segment, and leave its parameters out
# (`..;x`).
DOT_SEGMENT: Final = rb"(?:(?<=[/\\])|(?<=" + _ENCODED_SLASH + rb"))" + _DOT + rb"{1,2}+"
SEGMENT_END: Final = rb"[/\\;]|" + _ENCODED_SLASH
_DOT_SEGMENT: Final = re.compile(DOT_SEGMENT + rb"(?=" + SEGMENT_END + rb"|\Z)")

_EXTENSION: Final = (
    rb"[ \t]*+;[ \t]*+" + TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb"|" + QUOTED + rb"))?+"
)
# 15 digits: 2**60 bytes, and no overflow anywhere behind us.
CHUNK_SIZE: Final = rb"([0-9A-Fa-f]{1,15}+)(?:" + _EXTENSION + rb")*+"

DIGITS: Final = re.compile(rb"[0-9]{1,18}")


def has_dot_segment(path: bytes) -> bool:
    """Whether *path* has a `.` or `..` segment, plain or percent-encoded (RFC 3986 3.3, behaviour 3)."""
    return _DOT_SEGMENT.search(path) is not None
