"""Whether a client would rather read a page or JSON (RFC 9110 12.5.1)."""

import re
from typing import Final

# Browsers send some 150 bytes; what stands behind this many is not looked at.
_MOST_BYTES: Final = 2048
# As RFC 9110 12.4.2, with more digits or without the zero, which some clients send.
_WEIGHT: Final = re.compile(rb"0(?:\.[0-9]*)?|1(?:\.0*)?|\.[0-9]+")


def prefers_html(accept: bytes) -> bool:
    """Whether the Accept field *accept* ranks text/html above JSON. Without a preference: JSON."""
    weights = dict(map(_media_range, accept[:_MOST_BYTES].lower().split(b",")))
    return _quality(weights, b"text/html", b"text/*") > max(
        _quality(weights, b"application/json", b"application/*"),
        _quality(weights, b"application/problem+json", b"application/*"),
    )


def _quality(weights: dict[bytes, float], media_type: bytes, media_range: bytes) -> float:
    """Return the weight of *media_type*: that of the most specific range that covers it."""
    for name in (media_type, media_range, b"*/*"):
        if name in weights:
            return weights[name]
    return 0.0


def _media_range(item: bytes) -> tuple[bytes, float]:
    """Return (media range, weight) of one *item*; a malformed weight counts as 0."""
    name, *parameters = (part.strip() for part in item.split(b";"))
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        if key == b"q":
            return name, float(value) if _WEIGHT.fullmatch(value) else 0.0
    return name, 1.0
