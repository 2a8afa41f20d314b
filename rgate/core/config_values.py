"""What one value of `config.yml` may be, and what is said where it is not (behaviour 2)."""

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    Strict,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core.core_schema import CoreSchema, custom_error_schema, float_schema, int_schema

from rgate.core.config_errors import cut, quote_it, shown
from rgate.core.grammar import has_dot_segment
from rgate.core.located_yaml import Path
from rgate.core.names import compared_name, is_address, wrong_with_host
from rgate.core.own import is_own


class Several(ValueError):
    """What is wrong within one value: messages, each with the path from there on."""

    def __init__(self, *wrong: tuple[Path, str]) -> None:
        super().__init__(wrong)
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from *low* to *high*, where there is one; whatever is wrong is told with both."""

    low: int
    high: int | None = None

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        bounds = f"from {self.low} to {self.high}" if self.high is not None else f"from {self.low} on"
        return _told(int_schema(strict=True, ge=self.low, le=self.high), f"a whole number {bounds}")


@dataclass(frozen=True, slots=True)
class _Share:
    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = float_schema(strict=True, ge=0, le=1, allow_inf_nan=False)
        return _told(schema, "a number from 0 to 1")


@dataclass(frozen=True, slots=True)
class _SomeSeconds:
    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Strict, and it takes whole numbers too.
        schema = float_schema(strict=True, gt=0, le=86400, allow_inf_nan=False)
        return _told(schema, "a number over 0, at most 86400")


def _told(schema: CoreSchema, allowed: str) -> CoreSchema:
    return custom_error_schema(schema, custom_error_type="allowed", custom_error_message=allowed)


def _prefix(prefix: str) -> str:
    if not prefix.startswith("/"):
        raise ValueError("must begin with `/`")
    if not re.fullmatch(r"[\x21-\x7e]+", prefix):
        raise ValueError(
            "has a space, control or non-ASCII character, which no request target has; percent-encode it"
        )
    if "?" in prefix or "#" in prefix:
        raise ValueError("has a `?` or `#`, and could never match a path")
    if has_dot_segment(prefix.encode()):
        raise ValueError("has a `.` or `..` segment, which is refused in requests, and could never match")
    return prefix


_HOST: Final = re.compile(r"(?P<star>\*\.)?(?P<name>\[[^]]*]|[^][:/*\s]+)(?P<port>:[0-9]*)?")


def _host(text: str) -> str:
    """Return *text* as it is compared."""
    star, name, port = _parts_of_host(
        text, "must be a host name, or `*.` before one, without scheme and path; for any host leave it out"
    )
    if port:
        raise ValueError("has a port, and hosts are compared without: leave it out")
    if wrong := wrong_with_host(name):
        raise ValueError(wrong)
    if star and is_address(name):
        raise ValueError("is an address, and those have no labels: `*.` stands before a name")
    return star + compared_name(name)


def _further_name(text: str) -> str:
    """Return *text* as it is compared, where it is the name of one host."""
    star, *_ = _parts_of_host(text, "must be a host name, without scheme and path")
    if star:
        raise ValueError("stands for many names, and whoever has one of them would be let in: list each")
    if "%" in text:
        raise ValueError("has a `%`, which no Host has")
    return _host(text)


def _parts_of_host(text: str, otherwise: str) -> tuple[str, str, str]:
    """Return what *text* has of (`*.`, a name or an address, a port); *otherwise* is what is wrong."""
    matched = _HOST.fullmatch(text)
    if matched is None:
        raise ValueError(otherwise)
    star, name, port = matched.groups("")
    return star, name, port


def _stats_path(path: str) -> str:
    if is_own(_prefix(path).encode(), ""):
        raise ValueError("must not lie under `/_rgate/`, where rgate's own pages are")
    return path


def _database(url: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*(?:\+[a-z0-9_]+)?://\S*", url):
        raise ValueError("is no database URL such as `sqlite:///rgate.db`")
    return url


def _network(text: Any) -> IPv4Network | IPv6Network:
    if not isinstance(text, str):  # numbers would be addresses too
        raise ValueError(f"found {shown(text)}; allowed: a network such as `10.0.0.0/8` or `::1/128`")
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is no network such as `10.0.0.0/8` or `::1/128`") from None


_URL: Final = re.compile(r"http://(?P<host>\[[^]]*]|[^][:/?#@\s]*)(?::(?P<port>[0-9]{1,5}))?/?")


def _url(text: str) -> str:
    if text.startswith("https://"):
        raise ValueError("https is not spoken to backends: use `http://host:port`")
    matched = _URL.fullmatch(text)
    if matched is None or not 0 < int(matched["port"] or 80) < 65536:
        raise ValueError("must be `http://host:port`, without path, query or user")
    if wrong := wrong_with_host(matched["host"]):
        raise ValueError(f"the host {wrong}")
    return text


_ENDPOINT: Final = re.compile(
    r"https?://(?P<host>\[[^]]*]|[^][:/?#@\s]*)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[\x21\x24-\x3e\x40-\x7e]*)?"
)


def _endpoint(text: str) -> str:
    """Return *text* with the path that collectors have, where it has none."""
    matched = _ENDPOINT.fullmatch(text)
    if matched is None or not 0 < int(matched["port"] or 80) < 65536:
        raise ValueError(
            "must be `http://host:port` or `https://…`, perhaps with a path; without query and user"
        )
    if wrong := wrong_with_host(matched["host"]):
        raise ValueError(f"the host {wrong}")
    return text if (matched["path"] or "/") != "/" else text.removesuffix("/") + "/v1/traces"


_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _source_name(name: str) -> str:
    """Return *name*, which stands before the names of containers and a slash."""
    if not _SOURCE.fullmatch(name):
        raise ValueError("must be of letters, digits, `.`, `_` and `-`, and begin with one of the first two")
    return name


def _names_of_sources(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("is empty: leave it out for all sources, or name one")
    return names


def some_sources(sources: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *sources*, unless there are none."""
    if not sources:
        raise ValueError("is empty: leave it out for the Docker that the environment names")
    return sources


def _docker_url(text: str) -> str:
    """Return the URL of a daemon, or `context:` and the name of a context of the `docker` command."""
    allowed = "`unix:///path`, `tcp://host:port`, `ssh://user@host` or `context:name`"
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in ("unix", "tcp", "ssh", "context"):
        near = "; `tcp://` is spoken with TLS where there is `tls`" if scheme in ("http", "https") else ""
        raise ValueError(f"must be {allowed}{near}")
    if scheme == "context":
        if not rest or not rest.isprintable() or "/" in rest or " " in rest:
            raise ValueError("names no context: `docker context ls` shows which there are")
        return text
    if scheme == "unix":
        if not rest.startswith("///") or len(rest) < 4:
            raise ValueError("has no absolute path: it is `unix:///path`, with three slashes")
        return text
    matched = _DOCKER_URL.fullmatch(rest)
    if matched is None:
        raise ValueError(f"must be {allowed}, without path and query")
    if wrong := wrong_with_host(matched["host"]):
        raise ValueError(f"the host {wrong}")
    if matched["port"] is not None and not 0 < int(matched["port"]) < 65536:
        raise ValueError("the port is none: it is from 1 to 65535")
    if scheme == "tcp" and matched["user"] is not None:
        raise ValueError("has a user, whom no daemon asks for: leave it out")
    if scheme == "tcp" and matched["port"] is None:
        raise ValueError("has no port: mostly it is 2376 with `tls`, and 2375 without")
    if ":" in (matched["user"] or ""):
        raise ValueError("has a password, which would be read by many: use a key, as `ssh` does")
    return text


_DOCKER_URL: Final = re.compile(
    r"//(?:(?P<user>[^/?#@\s]*)@)?(?P<host>\[[^]]*]|[^][:/?#@\s]+)(?::(?P<port>[0-9]{1,5}))?/?"
)


def _some(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("is empty; allowed: a list of at least one")
    return urls


def _labels(found: Any) -> Any:
    """Return labels in either form as (key, value) pairs."""
    if not isinstance(found, list | dict):
        raise Several(((), f"found {shown(found)}; allowed: a list of `key=value`, or a mapping"))
    pairs, wrong = _mapped_labels(found) if isinstance(found, dict) else _listed_labels(found)
    if not found:
        wrong.append(((), "is empty, and would match every container: name at least one label"))
    if wrong:
        raise Several(*wrong)
    return tuple(pairs.items())


def _mapped_labels(found: dict[str, Any]) -> tuple[dict[str, str], list[tuple[Path, str]]]:
    wrong: list[tuple[Path, str]] = []
    for key, value in found.items():
        if not isinstance(value, str):
            wrong.append(((key,), quote_it(value)))
        elif not key:
            wrong.append(((), "a label has an empty key"))
    return found, wrong


def _listed_labels(found: list[Any]) -> tuple[dict[str, str], list[tuple[Path, str]]]:
    wrong: list[tuple[Path, str]] = []
    pairs: dict[str, str] = {}
    for index, label in enumerate(found):
        key, equals, value = label.partition("=") if isinstance(label, str) else ("", "", "")
        if not key or not equals:
            wrong.append(((index,), f"found {shown(label)}; each label is `key=value`"))
        elif pairs.setdefault(key, value) != value:
            both = f"{shown(pairs[key])} and {shown(value)}"
            wrong.append(
                ((index,), f"`{cut(key)}` cannot be both {both}: a container has one value for each label")
            )
    return pairs, wrong


class Body(NamedTuple):
    """The content of `default_response`, encoded."""

    content: bytes
    media_type: str = "text/plain; charset=utf-8"


def _body(found: Any) -> Body:
    # Surrogates cannot come from a UTF-8 file but from its escapes: they are replaced, not fatal.
    if isinstance(found, str):
        return Body(found.encode("utf-8", "replace"))
    if not isinstance(found, dict):
        raise ValueError(f"found {shown(found)}; allowed: a string, or a mapping")
    try:
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("holds a value that JSON has not, such as a date: quote it") from None
    return Body(text.encode("utf-8", "replace"), "application/json")


def one_mapping(found: Any) -> Any:
    """Return a list of one-key mappings as the mapping that it means."""
    if not (isinstance(found, list) and found and all(isinstance(item, dict) for item in found)):
        return found
    merged: dict[str, Any] = {}
    for index, item in enumerate(found):
        for key in merged.keys() & item.keys():
            raise Several(((index, key), "the key stands twice in the list"))
        merged |= item
    return merged


_PREFIX_SCHEMA: Final = {"type": "string", "pattern": r"^/[!-\"$->@-~]*$"}
_NETWORK_SCHEMA: Final = {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}
_LABELS_SCHEMA: Final = {
    "anyOf": [
        {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[^=]+="}},
        {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
    ]
}

Seconds = Annotated[float, _SomeSeconds()]
Share = Annotated[float, _Share()]
Endpoint = Annotated[
    str,
    Strict(),
    AfterValidator(_endpoint),
    WithJsonSchema({"type": "string", "pattern": r"^https?://[^?#@\s]+$"}),
]
Name = Annotated[str, Strict(), Field(min_length=1)]
Prefix = Annotated[str, Strict(), AfterValidator(_prefix), WithJsonSchema(_PREFIX_SCHEMA)]
Host = Annotated[
    str,
    Strict(),
    AfterValidator(_host),
    WithJsonSchema({"type": "string", "pattern": r"^(\*\.)?(\[[^\]]*\]|[^\]\[:/*\s]+)$"}),
]
OneHost = Annotated[
    str,
    Strict(),
    AfterValidator(_further_name),
    WithJsonSchema({"type": "string", "pattern": r"^(\[[^\]%]*\]|[^\]\[:/*%\s]+)$"}),
]
FileName = Annotated[str, Strict(), Field(min_length=1)]
SourceName = Annotated[
    str,
    Strict(),
    AfterValidator(_source_name),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"}),
]
NamesOfSources = Annotated[
    tuple[Annotated[str, Strict()], ...],
    AfterValidator(_names_of_sources),
    Field(json_schema_extra={"minItems": 1}),
]
DockerUrl = Annotated[
    str,
    Strict(),
    AfterValidator(_docker_url),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(unix:///.+|tcp://[^/?#@\s]+/?|ssh://[^/?#\s]+/?|context:[^/\s]+)$"}
    ),
]
FurtherNames = tuple[OneHost, ...]
Labels = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_labels), WithJsonSchema(_LABELS_SCHEMA)]
Urls = Annotated[
    tuple[
        Annotated[
            str,
            Strict(),
            AfterValidator(_url),
            WithJsonSchema(
                {"type": "string", "pattern": r"^http://(\[[^\]]*\]|[^\]\[:/?#@\s]+)(:[0-9]{1,5})?/?$"}
            ),
        ],
        ...,
    ],
    AfterValidator(_some),
    Field(json_schema_extra={"minItems": 1}),
]
StatsPath = Annotated[str, Strict(), AfterValidator(_stats_path), WithJsonSchema(_PREFIX_SCHEMA)]
Database = Annotated[
    str,
    Strict(),
    AfterValidator(_database),
    WithJsonSchema({"type": "string", "pattern": r"^[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://\S*$"}),
]
ResponseBody = Annotated[Body, PlainValidator(_body), WithJsonSchema({"type": ["string", "object"]})]
Networks = tuple[
    Annotated[IPv4Network | IPv6Network, PlainValidator(_network), WithJsonSchema(_NETWORK_SCHEMA)], ...
]


class OrParts:
    """In a JSON Schema: the mapping itself, or a list of its parts, which `one_mapping` puts together."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        whole = handler(core_schema)
        return {"anyOf": [whole, {"type": "array", "minItems": 1, "items": whole}]}
