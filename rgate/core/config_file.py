"""`config.yml` from bytes to a Config: the shape by pydantic, every error with its place (behaviour 2)."""

import json
import re
from datetime import date
from difflib import get_close_matches
from ipaddress import ip_network
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from rgate.core.config import (
    AddressKind,
    Backend,
    Config,
    DefaultResponse,
    Limits,
    Match,
    Policy,
    ResponseFormat,
    Route,
    Stats,
    Timeouts,
)
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.fields import Networks
from rgate.core.located_yaml import Located, Path, parse_yaml, show_path
from rgate.core.message import has_dot_segment
from rgate.core.own import is_own


def parse_config(text: bytes, file_name: str) -> Config:
    """Return the configuration that *text* says. Raises ConfigErrors with all that is wrong."""
    located = parse_yaml(text, file_name)
    try:
        model = _Config.model_validate(located.value)
    except ValidationError as error:
        found = [one for details in error.errors() for one in _located_errors(details, located, file_name)]
        raise ConfigErrors((*located.errors, *found, *_references(located, file_name))) from error
    if errors := (*located.errors, *_references(located, file_name)):
        raise ConfigErrors(errors)
    return _config(model)


def _printable(prefix: str) -> str:
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


def _stats_path(path: str) -> str:
    if is_own(_printable(path).encode(), ""):
        raise ValueError("must not lie under `/_rgate/`, where rgate's own pages are")
    return path


def _database(url: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*(?:\+[a-z0-9_]+)?://\S*", url):
        raise ValueError("is no database URL such as `sqlite:///rgate.db`")
    return url


def _network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is no network such as `10.0.0.0/8` or `::1/128`") from None
    return text


_URL: Final = re.compile(r"http://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?")


def _url(text: str) -> str:
    matched = _URL.fullmatch(text)
    if text.startswith("https://"):
        raise ValueError("https is not spoken to backends: use `http://host:port`")
    if matched is None or not 0 < int(matched["port"] or 80) < 65536:
        raise ValueError("must be `http://host:port`, without path, query or user")
    return text


class _Several(ValueError):
    """What is wrong within one value: messages, each with the path from there on."""

    def __init__(self, *wrong: tuple[Path, str]) -> None:
        super().__init__(wrong)
        self.wrong = wrong


def _labels(found: Any) -> Any:
    """Return labels in either form as (key, value) pairs."""
    wrong: list[tuple[Path, str]] = []
    pairs: dict[str, str] = {}
    if isinstance(found, dict):
        for key, value in found.items():
            if not isinstance(value, str):
                wrong.append(((key,), f"YAML reads the value as {_shown(value)}, no string: quote it"))
            elif not key:
                wrong.append(((), "a label has an empty key"))
        pairs = found
    elif isinstance(found, list):
        for index, label in enumerate(found):
            key, equals, value = label.partition("=") if isinstance(label, str) else ("", "", "")
            if not key or not equals:
                wrong.append(((index,), f"found {_shown(label)}; each label is `key=value`"))
            elif pairs.setdefault(key, value) != value:
                both = f"{_shown(pairs[key])} and {_shown(value)}"
                wrong.append(
                    ((index,), f"`{key}` cannot be both {both}: a container has one value for each label")
                )
    else:
        wrong.append(((), f"found {_shown(found)}; allowed: a list of `key=value`, or a mapping"))
    if not pairs and not wrong:
        wrong.append(((), "is empty, and would match every container: name at least one label"))
    if wrong:
        raise _Several(*wrong)
    return list(pairs.items())


def _one_mapping(found: Any) -> Any:
    """Return a list of one-key mappings as the mapping that it means."""
    if isinstance(found, list) and found and all(isinstance(item, dict) for item in found):
        merged: dict[str, Any] = {}
        for item in found:
            for key in merged.keys() & item.keys():
                raise ValueError(f"`{key}` stands twice in the list")
            merged |= item
        return merged
    return found


def _json_body(found: Any) -> Any:
    if isinstance(found, dict):
        try:
            json.dumps(found, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("holds a value that JSON has not, such as a date: quote it") from None
    elif not isinstance(found, str):
        raise ValueError(f"found {_shown(found)}; allowed: a string, or a mapping")
    return found


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


_Port = Annotated[StrictInt, Field(ge=1, le=65535)]
_Seconds = Annotated[StrictFloat, Field(gt=0, le=86400)]  # takes whole numbers too
_Prefix = Annotated[StrictStr, AfterValidator(_printable)]
_Cidrs = list[Annotated[StrictStr, AfterValidator(_network)]]


class _Route(_Model):
    path_prefix: _Prefix
    backend: StrictStr
    match: Literal["prefix", "segment"] = "prefix"
    strip_prefix: StrictBool = False
    response_format: Literal["raw", "envelope"] = "raw"


class _DefaultResponse(_Model):
    body: Annotated[Any, AfterValidator(_json_body)] = "No route matches this path.\n"
    status_code: Annotated[StrictInt, Field(ge=200, le=599)] = 404

    @model_validator(mode="after")
    def _no_body_where_none_may_be(self) -> "_DefaultResponse":
        if self.status_code in (204, 205, 304) and "body" in self.model_fields_set and self.body != "":
            raise ValueError(
                f"a response {self.status_code} has no body: remove `body`, or use another status"
            )
        return self


class _Timeouts(_Model):
    connect: _Seconds = 2
    response: _Seconds = 30
    idle: _Seconds = 60


class _Backend(_Model):
    name: Annotated[StrictStr, Field(min_length=1)]
    match_labels: Annotated[list[tuple[str, str]], BeforeValidator(_labels)] | None = None
    urls: Annotated[list[Annotated[StrictStr, AfterValidator(_url)]], Field(min_length=1)] | None = None
    port: _Port | None = None
    address: Literal["auto", "published", "container"] = "auto"
    policy: Literal["random", "round_robin", "least_inflight"] = "random"
    timeouts: _Timeouts = Field(default_factory=_Timeouts)

    @model_validator(mode="after")
    def _labels_or_urls(self) -> "_Backend":
        if (self.match_labels is None) == (self.urls is None):
            raise ValueError("exactly one of `match_labels` and `urls` is required")
        return self


class _Stats(_Model):
    database: Annotated[StrictStr, AfterValidator(_database)] = "sqlite:///rgate.db"
    path: Annotated[StrictStr, AfterValidator(_stats_path)] = "/stats"


class _Admin(_Model):
    allow: _Cidrs = ["127.0.0.0/8", "::1/128"]


class _Limits(_Model):
    header_bytes: Annotated[StrictInt, Field(ge=256, le=16777216)] = 65536
    header_fields: Annotated[StrictInt, Field(ge=1, le=100000)] = 100
    body_bytes: Annotated[StrictInt, Field(ge=0)] | None = None
    connections: Annotated[StrictInt, Field(ge=1, le=1000000)] = 10000


class _Config(_Model):
    routes: list[_Route]
    backends: list[_Backend]
    default_response: Annotated[_DefaultResponse, BeforeValidator(_one_mapping)] = Field(
        default_factory=_DefaultResponse
    )
    trusted_proxies: _Cidrs = []
    stats: _Stats = Field(default_factory=_Stats)
    admin: _Admin = Field(default_factory=_Admin)
    limits: _Limits = Field(default_factory=_Limits)


_MODELS: Final[dict[str, type[_Model]]] = {
    "routes": _Route,
    "backends": _Backend,
    "default_response": _DefaultResponse,
    "stats": _Stats,
    "admin": _Admin,
    "limits": _Limits,
    "timeouts": _Timeouts,
}


def _shown(found: Any) -> str:
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return str(found).lower()
    text = str(found) if isinstance(found, date) else repr(found)
    return text if len(text) <= 60 else text[:57] + "..."


def _nearest(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _located_errors(details: ErrorDetails, located: Located, file_name: str) -> list[ConfigError]:
    """Return pydantic's error as ours: one, or all that are within one value."""
    several = details.get("ctx", {}).get("error")
    if not isinstance(several, _Several):
        return [_located_error(details, located, file_name)]
    path = _known_path(details["loc"], located)
    return [
        ConfigError(file_name, located.line((*path, *inner)), show_path((*path, *inner)), message)
        for inner, message in several.wrong
    ]


def _located_error(details: ErrorDetails, located: Located, file_name: str) -> ConfigError:
    """Return pydantic's error as ours."""
    kind, found = details["type"], details["input"]
    path = _known_path(details["loc"], located)
    match kind:
        case "extra_forbidden":
            name = str(details["loc"][-1])
            allowed = _keys_at(path[:-1])
            message = f"unknown key; allowed: {', '.join(allowed)}{_nearest(name, allowed)}"
        case "missing":
            return ConfigError(file_name, located.line(path[:-1]), show_path(path), "is required and missing")
        case "literal_error":
            names = re.findall(r"'([^']+)'", str(details.get("ctx", {}).get("expected", "")))
            near = _nearest(found, names) if isinstance(found, str) else ""
            message = f"found {_shown(found)}; allowed: {', '.join(names)}{near}"
        case "value_error":
            text = str(details.get("ctx", {}).get("error", details["msg"]))
            message = f"found {_shown(found)}: {text}" if isinstance(found, str) else text
        case "string_too_short":
            message = "is empty"
        case "too_short":
            message = "is empty; allowed: a list of at least one"
        case "model_type" | "model_attributes_type" | "dict_type":
            message = f"found {_shown(found)}; allowed: a mapping of keys to values"
        case _:
            wanted = details["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            message = f"found {_shown(found)}; allowed: {wanted}"
    return ConfigError(file_name, located.line(path), show_path(path), message)


def _known_path(loc: tuple[int | str, ...], located: Located) -> Path:
    """Return *loc* without the names of unions' members, which pydantic puts in."""
    path: Path = ()
    for index, step in enumerate(loc):
        last = index == len(loc) - 1
        if (*path, step) in located.lines or (last and isinstance(step, str) and step.isidentifier()):
            path = (*path, step)
    return path


def _keys_at(path: Path) -> list[str]:
    named = [step for step in path if isinstance(step, str)]
    model = _MODELS.get(named[-1], _Config) if named else _Config
    return list(model.model_fields)


def _references(located: Located, file_name: str) -> list[ConfigError]:
    """Return what is wrong between entries: doubles, and backends that no entry defines."""
    document = located.value if isinstance(located.value, dict) else {}
    errors: list[ConfigError] = []

    def entries(key: str, name: str) -> list[tuple[int, str]]:
        listed = document.get(key)
        listed = listed if isinstance(listed, list) else []
        pairs = [(i, item.get(name)) for i, item in enumerate(listed) if isinstance(item, dict)]
        return [(i, value) for i, value in pairs if isinstance(value, str)]

    def tell(path: Path, message: str) -> None:
        errors.append(ConfigError(file_name, located.line(path), show_path(path), message))

    for key, name in (("routes", "path_prefix"), ("backends", "name")):
        first: dict[str, int] = {}
        for index, value in entries(key, name):
            if value in first:
                line = located.line((key, first[value], name))
                tell((key, index, name), f'"{value}" stands twice, first in line {line}')
            first.setdefault(value, index)
    names = [name for _, name in entries("backends", "name")]
    for index, backend in entries("routes", "backend"):
        if backend not in names:
            known = ", ".join(dict.fromkeys(names)) or "none"
            tell(
                ("routes", index, "backend"),
                f'no backend is called "{backend}"; defined: {known}{_nearest(backend, names)}',
            )
    return errors


def _config(model: _Config) -> Config:
    return Config(
        routes=tuple(
            Route(
                route.path_prefix,
                route.backend,
                Match(route.match),
                route.strip_prefix,
                ResponseFormat(route.response_format),
            )
            for route in model.routes
        ),
        backends=tuple(map(_backend, model.backends)),
        default_response=_default_response(model.default_response),
        trusted_proxies=_networks(model.trusted_proxies),
        stats=Stats(model.stats.database, model.stats.path),
        admin_allow=_networks(model.admin.allow),
        limits=Limits(**model.limits.model_dump()),
    )


def _backend(model: _Backend) -> Backend:
    return Backend(
        name=model.name,
        match_labels=tuple(model.match_labels or ()),
        urls=tuple(model.urls or ()),
        port=model.port,
        address=AddressKind(model.address),
        policy=Policy(model.policy),
        timeouts=Timeouts(**model.timeouts.model_dump()),
    )


def _default_response(model: _DefaultResponse) -> DefaultResponse:
    if model.status_code in (204, 205, 304):
        return DefaultResponse(b"", "text/plain; charset=utf-8", model.status_code)
    if isinstance(model.body, str):
        # Surrogates cannot come from a UTF-8 file but from its escapes: they are replaced, not fatal.
        return DefaultResponse(
            model.body.encode("utf-8", "replace"), "text/plain; charset=utf-8", model.status_code
        )
    body = json.dumps(model.body, ensure_ascii=False).encode("utf-8", "replace")
    return DefaultResponse(body, "application/json", model.status_code)


def _networks(texts: list[str]) -> Networks:
    return tuple(ip_network(text, strict=False) for text in texts)
