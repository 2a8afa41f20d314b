"""`config.yml` from bytes to a Config: checked by its types, every error with its place (behaviour 2)."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, Final

from rgate.core.config import Config
from rgate.core.config_errors import cut, quoted
from rgate.core.knowledge import DEFAULT_SOURCE
from rgate.core.located_yaml import Located, Path, parse_yaml
from rgate.core.names import compared_name
from rgate.core.nearest import did_you_mean
from rgate.core.typed_yaml import Form

_FORM: Final = Form(Config)
_MOST_SHOWN: Final = 20  # names in one error, and errors with a name that was meant


def parse_config(
    text: bytes,
    file_name: str,
    lacking: Mapping[str, str] = MappingProxyType({}),
    unreadable: Callable[[str], str] = lambda _: "",
) -> Config:
    """Return the configuration that *text* says. Raises ConfigErrors with all that is wrong.

    *lacking*: of each key that cannot be used on this machine, what to do about it. *unreadable*: why a file
    that is named cannot be read, "" where it can, or need not be.
    """
    located = parse_yaml(text, file_name, required="`routes` and `backends` are required")
    for key, message in lacking.items():
        if isinstance(located.value, dict) and located.value.get(key) is not None:
            located.tell((key,), message)
    for path, name in _certificates(located):
        if why := unreadable(name):
            located.tell(path, f"{quoted(name)} cannot be read: {why}")
    return _checked(located)


def parse_document(document: Any, name: str) -> Config:
    """Return the configuration that *document*, a value of JSON, says. Raises ConfigErrors.

    *name*: what errors call it.
    """
    return _checked(Located(name, document, lines={(): 0}))  # it has no lines that could be told


def _checked(located: Located) -> Config:
    _tell_references(located)
    return _FORM.value(located)


def _entries(located: Located, key: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return the mappings in the list under *key*, each with its path."""
    listed = located.value.get(key) if isinstance(located.value, dict) else None
    listed = listed if isinstance(listed, list) else []
    return [((key, number), one) for number, one in enumerate(listed) if isinstance(one, dict)]


def _texts(located: Located, key: str, name: str, default: str | None = None) -> list[tuple[Path, str]]:
    """Return what is a string of what *name* says in the entries under *key*, each with its path."""
    items = [((*path, name), entry.get(name, default)) for path, entry in _entries(located, key)]
    return [(path, value) for path, value in items if isinstance(value, str)]


def _certificates(located: Located) -> list[tuple[Path, str]]:
    """Return the files that are named for TLS, each with the path of its key."""
    found = [((*path, "tls"), entry.get("tls")) for path, entry in _entries(located, "sources")]
    return [
        ((*path, key), name)
        for path, tls in found
        if isinstance(tls, dict)
        for key, name in tls.items()
        if key in ("ca", "cert", "key") and isinstance(name, str) and name
    ]


def _tell_references(located: Located) -> None:
    """Tell what is wrong between entries: doubles, and what no entry defines."""
    hosts = {path[1]: compared_name(host) for path, host in _texts(located, "routes", "host", "")}
    prefixes = _texts(located, "routes", "path_prefix")
    routes = [(path, hosts[path[1]] + prefix) for path, prefix in prefixes if path[1] in hosts]
    backends, sources = _texts(located, "backends", "name"), _texts(located, "sources", "name")
    for named in (routes, backends, sources, *_asked(located)):
        first: dict[str, Path] = {}
        for path, value in named:
            if first.setdefault(value, path) != path:
                earlier, line = located.line(first[value]), located.line(path)
                # Where both come from one place, by a merge, what merges it is the mistake.
                line = located.line(path[:2]) if line == earlier else line
                located.tell(path, f"{quoted(value)} stands twice, first in line {earlier}", line)
    _tell_unknown(located, "backend", _texts(located, "routes", "backend"), backends)
    asked = [one for some in _asked(located) for one in some]
    _tell_unknown(located, "source", asked, sources or [((), DEFAULT_SOURCE)])


def _asked(located: Located) -> list[list[tuple[Path, str]]]:
    """Return the sources that each backend names, each with its path."""
    listed = [((*path, "sources"), entry.get("sources")) for path, entry in _entries(located, "backends")]
    return [
        [((*path, number), name) for number, name in enumerate(names) if isinstance(name, str)]
        for path, names in listed
        if isinstance(names, list)
    ]


def _tell_unknown(
    located: Located, word: str, used: list[tuple[Path, str]], defined: list[tuple[Path, str]]
) -> None:
    """Tell of each name that is *used* and not *defined*. *word*: what it is of."""
    names = list(dict.fromkeys(name for _, name in defined))
    known, nearest = set(names), cache(partial(did_you_mean, names=names))
    told = ", ".join(map(cut, names[:_MOST_SHOWN])) + (", …" if len(names) > _MOST_SHOWN else "") or "none"
    misspelt = [(path, name) for path, name in used if name not in known]
    for number, (path, name) in enumerate(misspelt):
        near = nearest(name) if number < _MOST_SHOWN else ""
        located.tell(path, f"no {word} is called {quoted(name)}; defined: {told}{near}")
