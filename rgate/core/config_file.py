"""`config.yml` from bytes to a Config: checked by its types, every error with its place (behaviour 2)."""

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Final

from rgate.core.config import Config
from rgate.core.config_errors import cut, quoted
from rgate.core.located_yaml import Located, Path, parse_yaml
from rgate.core.names import compared_name
from rgate.core.nearest import did_you_mean
from rgate.core.typed_yaml import Form

_FORM: Final = Form(Config)
_MOST_SHOWN: Final = 20  # names in one error, and errors with a name that was meant


def parse_config(text: bytes, file_name: str, lacking: Mapping[str, str] = MappingProxyType({})) -> Config:
    """Return the configuration that *text* says. Raises ConfigErrors with all that is wrong.

    *lacking*: of each key that cannot be used on this machine, what to do about it.
    """
    located = parse_yaml(text, file_name, required="`routes` and `backends` are required")
    for key, message in lacking.items():
        if isinstance(located.value, dict) and located.value.get(key) is not None:
            located.tell((key,), message)
    return _checked(located)


def parse_document(document: Any, name: str) -> Config:
    """Return the configuration that *document*, a value of JSON, says. Raises ConfigErrors.

    *name*: what errors call it.
    """
    return _checked(Located(name, document, lines={(): 0}))  # it has no lines that could be told


def _checked(located: Located) -> Config:
    _tell_references(located)
    return _FORM.value(located)


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
                located.tell(path, f"{quoted(value)} stands twice, first in line {earlier}", line)
    names = list(dict.fromkeys(name for _, name in backends))
    defined, nearest = set(names), cache(partial(did_you_mean, names=names))
    known = ", ".join(map(cut, names[:_MOST_SHOWN])) + (", …" if len(names) > _MOST_SHOWN else "") or "none"
    misspelt = [(path, backend) for path, backend in entries("routes", "backend") if backend not in defined]
    for number, (path, backend) in enumerate(misspelt):
        near = nearest(backend) if number < _MOST_SHOWN else ""
        located.tell(path, f"no backend is called {quoted(backend)}; defined: {known}{near}")
