"""`config.yml` from bytes to a Config: checked by its types, every error with its place (behaviour 2)."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache, partial
from typing import Any, Final, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rgate.core.config import Config
from rgate.core.config_errors import ConfigErrors, shown
from rgate.core.config_values import Several
from rgate.core.located_yaml import Located, Path, parse_yaml
from rgate.core.names import compared_name
from rgate.core.nearest import did_you_mean

_CONFIG: Final = TypeAdapter(Config)
_MOST_SHOWN: Final = 20  # names in one error


def parse_config(text: bytes, file_name: str) -> Config:
    """Return the configuration that *text* says. Raises ConfigErrors with all that is wrong."""
    located = parse_yaml(text, file_name)
    _tell_references(located)
    try:
        config = _CONFIG.validate_python(located.value)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            for path, message in _wrong(details, located):
                located.tell(path, message)
    if located.errors:
        raise ConfigErrors(tuple(located.errors))
    return config


_ALLOWED: Final = {
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys to values",
    "string_type": "a string",
    "tuple_type": "a list",
}


def _wrong(details: ErrorDetails, located: Located) -> list[tuple[Path, str]]:
    """Return pydantic's error in our words: one, or all that are within one value."""
    kind, found, context = details["type"], details["input"], details.get("ctx", {})
    path = located.path_of(details["loc"])
    match kind:
        case "unexpected_keyword_argument":
            allowed = _KEYS.get(_last_key(path[:-1]), [])
            message = f"unknown key; allowed: {', '.join(allowed)}{did_you_mean(str(path[-1]), allowed)}"
        case "missing":
            message = "is required and missing"
        case "enum":
            allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            message = (
                f"found {shown(found)}; allowed: {', '.join(allowed)}{did_you_mean(str(found), allowed)}"
            )
        case "value_error":
            error = context["error"]
            if isinstance(error, Several):
                return [(located.path_of((*path, *inner)), message) for inner, message in error.wrong]
            message = f"found {shown(found)}: {error}" if isinstance(found, str) else str(error)
        case "string_too_short":
            message = "is empty"
        case _:
            message = f"found {shown(found)}; allowed: {_ALLOWED.get(kind, details['msg'])}"
    return [(path, message)]


def _last_key(path: Path) -> str:
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _keys(model: Any, key: str) -> Iterator[tuple[str, list[str]]]:
    """Yield *key*, under which *model* stands, and what may stand there; so for all that is in it."""
    yield key, [field.name for field in fields(model)]
    for name, hint in get_type_hints(model).items():
        for inner in (hint, *get_args(hint)):
            if is_dataclass(inner):
                yield from _keys(inner, name)


_KEYS: Final = dict(_keys(Config, ""))


def _tell_references(located: Located) -> None:
    """Tell what is wrong between entries: doubles, and backends that no entry defines."""

    def entries(key: str, name: str, default: str | None = None) -> list[tuple[Path, str]]:
        listed = located.value.get(key) if isinstance(located.value, dict) else None
        listed = listed if isinstance(listed, list) else []
        items = [(i, item.get(name, default)) for i, item in enumerate(listed) if isinstance(item, dict)]
        return [((key, i, name), value) for i, value in items if isinstance(value, str)]

    hosts = {path[1]: compared_name(host) for path, host in entries("routes", "host", "")}
    prefixes = entries("routes", "path_prefix")
    routes = [(path, hosts[path[1]] + prefix) for path, prefix in prefixes if path[1] in hosts]
    backends = entries("backends", "name")
    for named in (routes, backends):
        first: dict[str, Path] = {}
        for path, value in named:
            if first.setdefault(value, path) != path:
                earlier, line = located.line(first[value]), located.line(path)
                # Where both come from one place, by a merge, what merges it is the mistake.
                line = located.line(path[:2]) if line == earlier else line
                located.tell(path, f'"{value}" stands twice, first in line {earlier}', line)
    names = list(dict.fromkeys(name for _, name in backends))
    defined, nearest = set(names), cache(partial(did_you_mean, names=names))
    for path, backend in entries("routes", "backend"):
        if backend not in defined:
            known = ", ".join(names[:_MOST_SHOWN]) + (", …" if len(names) > _MOST_SHOWN else "") or "none"
            message = f'no backend is called "{backend}"; defined: {known}{nearest(backend)}'
            located.tell(path, message)
