"""A configuration as a document: what is in force, without secrets, for people and to be read again.

`config_file.py` reads it again into an equal Config (behaviour 9).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from rgate.core.config import Config
from rgate.core.config_values import Body
from rgate.core.url_secrets import url_without_secrets

# They must not be there rather than be empty.
_ABSENT_IF_EMPTY: Final = frozenset(
    {"address_host", "cert", "docker", "host", "key", "match_labels", "sources", "swarm", "urls"}
)

# In JSON as they are, and not so in YAML: line breaks, and what it takes for no text.
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def without_secrets(config: Config) -> Config:
    """Return *config* with `***` for each secret: of a URL the password, and parameters of a secret name."""
    return replace(config, stats=replace(config.stats, database=url_without_secrets(config.stats.database)))


def document_of(config: Config) -> dict[str, Any]:
    """Return *config* as values of JSON, by the keys of the file, defaults written out."""
    document = _plain(config)
    assert isinstance(document, dict)  # noqa: S101 - for the types alone
    return document


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Body):
        text = value.content.decode("utf-8", "replace")
        return json.loads(text) if value.media_type == "application/json" else text
    if isinstance(value, IPv4Network | IPv6Network):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value):
        return {
            field.name: _labels(found) if field.name == "match_labels" else _plain(found)
            for field in fields(value)
            if (found := getattr(value, field.name)) or field.name not in _ABSENT_IF_EMPTY
        }
    return value


def _labels(pairs: tuple[tuple[str, str], ...]) -> list[str] | dict[str, str]:
    """Return labels as the list that most files have, or as a mapping where a key has a `=`."""
    if any("=" in key for key, _ in pairs):
        return dict(pairs)
    return [f"{key}={value}" for key, value in pairs]


def text_of(document: object) -> bytes:
    """Return *document* as JSON that is YAML as well, so that the file it is saved in can be used."""
    text = "".join(_written(document, "\n")) + "\n"
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _written(value: object, line: str) -> Iterator[str]:
    """Yield the text of *value*; *line* begins one as far in as it."""
    inner = line + "  "
    if isinstance(value, dict) and value:
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else '{'}{inner}{_scalar(key)}: "
            yield from _written(item, inner)
        yield line + "}"
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for index, item in enumerate(value):
            yield f"{',' if index else '['}{inner}"
            yield from _written(item, inner)
        yield line + "]"
    else:
        yield _scalar(value)


def _scalar(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # YAML 1.1 takes 1e-07 for a string, and 1.0e-07 for a number.
    return text.replace("e", ".0e", 1) if isinstance(value, float) and "." not in text else text
