"""`response_format: envelope`: the backend's content, as a JSON value beside its status (behaviour 2)."""

import json
from typing import Final, NoReturn

from rgate.core.message import Fields, ResponseHead

# What is larger is passed raw: an envelope has to be held whole, and reading its JSON holds the others up
# meanwhile.
MOST_BYTES: Final = 1024 * 1024
# They speak of the bytes that the backend sent, which an envelope replaces (RFC 9530, RFC 9110 8.8, 14.3), or
# announce what follows them.
_OF_THE_CONTENT: Final = frozenset(
    {b"content-length", b"content-md5", b"content-digest", b"repr-digest", b"digest"}
    | {b"accept-ranges", b"etag", b"trailer", b"transfer-encoding"}
)
# Those that read any text in a time that its length tells, and are in use. By their names in lower case.
_CHARSETS: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "latin-1",
    "windows-1252": "cp1252", "utf-16": "utf-16",
}  # fmt: skip


def may_be_enveloped(head: ResponseHead, request_method: bytes) -> bool:
    """Whether content as *head* describes it can be embedded: all of a JSON or text body, not encoded."""
    if request_method == b"HEAD" or head.status in (101, 204, 206, 304) or head.values(b"content-encoding"):
        return False
    if isinstance(head.framing, int) and head.framing > MOST_BYTES:
        return False
    media_type = _media_type(head)
    # An event stream has no end, so it can be embedded in nothing.
    return media_type != b"text/event-stream" and (media_type.startswith(b"text/") or _is_json(media_type))


def envelope(head: ResponseHead, content: bytes) -> bytes | None:
    """Return the envelope of *content*; None where it is neither JSON nor text, or nested too deep, and goes
    raw.
    """
    charset = _CHARSETS.get(_charset(head))
    if charset is None:
        return None
    try:
        text = content.decode(charset)
    except UnicodeDecodeError:
        return None
    try:
        embedded = text if _is_json(_media_type(head)) and _parses(text) else json.dumps(text)
    except RecursionError:
        return None
    # The backend's own JSON, to the byte: parsed and written anew, a long number would lose digits.
    return f'{{"status_code": {head.status}, "body": {embedded.strip()}}}'.encode()


def enveloped_fields(fields: Fields, length: int) -> Fields:
    """Return *fields* with those of the envelope in place of those of the content."""
    kept = tuple(one for one in without_replaced(fields) if one[0].lower() != b"content-type")
    return (*kept, (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % length))


def without_replaced(fields: Fields) -> Fields:
    """Return *fields* without those that an envelope makes untrue."""
    return tuple((name, value) for name, value in fields if name.lower() not in _OF_THE_CONTENT)


def _media_type(head: ResponseHead) -> bytes:
    given = head.values(b"content-type")
    return given[0].partition(b";")[0].strip().lower() if len(given) == 1 else b""


def _is_json(media_type: bytes) -> bool:
    return media_type == b"application/json" or media_type.endswith(b"+json")


def _charset(head: ResponseHead) -> str:
    for parameter in head.values(b"content-type")[0].split(b";")[1:]:
        key, _, value = parameter.strip().partition(b"=")
        if key.lower() == b"charset":
            return value.strip(b'" \t').lower().decode("latin-1")
    return "utf-8"


def _parses(text: str) -> bool:
    try:
        # The values are not wanted: objects made of them would take three times as long, and numbers of a
        # million digits without end.
        json.loads(text, parse_constant=_no_json, parse_int=str, parse_float=str, object_pairs_hook=len)
    except ValueError:
        return False
    return True


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
