"""YAML to plain values, with the line of every key: bytes in, values or located errors out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from rgate.core.config_errors import ConfigError, ConfigErrors, cut, shown

Path = tuple[str | int, ...]

# Of keys and values. A file that people write has some thousand; an alias bomb millions.
_MOST_VALUES: Final = 125_000
_DEEPEST: Final = 40

# What PyYAML raises of a scalar that is not as its tag says: it looks at what it matched, or at its parts.
_NOT_UNDERSTOOD: Final = (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError)
_LONGEST_NO_TEXT: Final = 100

_MERGE: Final = "tag:yaml.org,2002:merge"
_TEXT: Final = "tag:yaml.org,2002:str"


@dataclass
class Located:
    """A document's value, and the line (from 1) of each path in it."""

    file: str
    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)
    _places: dict[int, dict[str, int]] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Return the line of *path*, or of the nearest parent that has one."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def tell(self, path: Path, message: str, line: int = 0) -> None:
        """Add an error, at *line* or at that of *path*."""
        self.errors.append(ConfigError(self.file, line or self.line(path), show_path(path), message))

    def path_of(self, keys: Path) -> Path:
        """Return *keys* as they stand in the file, where a list of mappings may be read as one mapping."""
        path: Path = ()
        value = self.value
        for key in keys:
            if isinstance(value, list) and isinstance(key, str):
                index = self._places_in(value).get(key, 0)
                path, value = (*path, index), value[index]
            path = (*path, key)
            is_there = key in value if isinstance(value, dict) else isinstance(value, list)
            value = value[key] if is_there else None
        return path

    def _places_in(self, listed: list[Any]) -> dict[str, int]:
        """Return in which mapping of *listed* each key stands first."""
        if id(listed) not in self._places:
            places: dict[str, int] = {}
            for index, item in enumerate(listed):
                for key in item if isinstance(item, dict) else ():
                    places.setdefault(key, index)
            self._places[id(listed)] = places
        return self._places[id(listed)]


def show_path(path: Path) -> str:
    """Return *path* as people read it: `backends[0].policy`."""
    shown = ""
    for step in path:
        name = step if isinstance(step, int) else cut(step)
        shown += f"[{name}]" if isinstance(step, int) else f".{name}" if shown else str(name)
    return shown


def parse_yaml(data: bytes, file_name: str, required: str) -> Located:
    """Return the one document in *data*. Raises ConfigErrors where there is none.

    *required*: what has to stand in it, told of an empty file.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _one(file_name, line, "the file is not UTF-8: save it as UTF-8") from error
    try:
        nodes = _nodes(text)
    except _TooMuchError as error:
        raise _one(file_name, error.line, str(error)) from error
    except yaml.MarkedYAMLError as error:
        # The end is in a line of its own, where the last one has no end.
        line = min(error.problem_mark.line, text.count("\n")) + 1 if error.problem_mark else 0
        raise _one(file_name, line, f"this is not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _one(file_name, line, "a character that YAML does not allow, such as NUL") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _one(file_name, 0, "this is not YAML, or nested too deeply") from error
    if not nodes or nodes[0] is None:
        raise _one(file_name, 0, f"the file is empty; {required}")
    if len(nodes) > 1:
        raise _one(file_name, 0, "several YAML documents; one is allowed: remove the `---` between them")
    reader = _Reader(file_name)
    reader.located.value = reader.value(nodes[0], ())
    return reader.located


def _one(file_name: str, line: int, message: str) -> ConfigErrors:
    return ConfigErrors((ConfigError(file_name, line, "", message),))


class _TooMuchError(Exception):
    """More than people write. *line* counts from 1; 0 where the whole file is meant."""

    def __init__(self, line: int) -> None:
        super().__init__("too many values, or nested too deeply (an alias within itself?)")
        self.line = line


# Events come from libyaml where PyYAML has it: it is ten times as fast. Nodes are made of them here, and not
# by it: what is too much is refused before it is read.
_Events: Final[Any] = getattr(yaml.cyaml, "CParser", None) if yaml.__with_libyaml__ else None


class _Composer(Composer, _Events or yaml.SafeLoader, SafeConstructor, Resolver):  # type: ignore[misc]
    def __init__(self, text: str) -> None:
        (_Events or yaml.SafeLoader).__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = self._values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        self._values += 1
        if self._depth > _DEEPEST or self._values > _MOST_VALUES:
            raise _TooMuchError(self.peek_event().start_mark.line + 1)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _nodes(text: str) -> list[Any]:
    """Return the first documents of *text*, at most two. Raises _TooMuchError, and YAML's own errors."""
    composer = _Composer(text)
    nodes: list[Any] = []
    while len(nodes) < 2 and composer.check_node():
        nodes.append(composer.get_node())
    return nodes


class _Reader:
    def __init__(self, file_name: str) -> None:
        self.located = Located(file_name)
        self._constructor = yaml.SafeLoader("")
        self._values = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.located.lines.setdefault(path, node.start_mark.line + 1)
        self._count(node, len(path))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, line, value_node in self._pairs(node, path):
            if key not in values:
                inner = (*path, key)
                self.located.lines[inner] = line
                values[key] = self.value(value_node, inner)
        return values

    def _pairs(
        self, node: yaml.MappingNode, path: Path, depth: int = 0
    ) -> Iterator[tuple[str, int, yaml.Node]]:
        """Yield the keys of *node* with lines and values, then those of what it merges: the first counts."""
        lines: dict[str, int] = {}
        merged: list[yaml.MappingNode] = []
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.located.tell(path, "a key that is no text", line)
                continue
            if key in lines:
                self.located.tell((*path, key), f"the key stands twice, first in line {lines[key]}", line)
                continue
            lines[key] = line
            if key_node.tag == _MERGE:
                merged = self._merged(value_node, (*path, key), line)
            else:
                yield key, line, value_node
        for source in merged:
            self._count(source, depth, 1 + len(source.value))
            yield from self._pairs(source, path, depth + 1)

    def _merged(self, node: yaml.Node, path: Path, line: int) -> list[yaml.MappingNode]:
        """Return the mappings in *node*, the value of `<<` (https://yaml.org/type/merge.html)."""
        listed = isinstance(node, yaml.SequenceNode)
        sources = node.value if listed else [node]
        for index, source in enumerate(sources):
            if not isinstance(source, yaml.MappingNode):
                found = shown(source.value) if isinstance(source, yaml.ScalarNode) else "a list"
                allowed = "a mapping" if listed else "a mapping, or a list of mappings"
                # In the line of `<<`: what an alias means is written elsewhere, and may be right there.
                where = (*path, index) if listed else path
                self.located.tell(where, f"found {found}; allowed: {allowed}, to be merged", line)
        return [source for source in sources if isinstance(source, yaml.MappingNode)]

    def _count(self, node: yaml.Node, depth: int, values: int = 1) -> None:
        self._values += values
        if self._values > _MOST_VALUES or depth > _DEEPEST:
            error = _TooMuchError(node.start_mark.line + 1)
            raise _one(self.located.file, error.line, str(error))

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            # A number of a million digits takes minutes to be one, and cannot be told.
            if node.tag != _TEXT and len(node.value) > _LONGEST_NO_TEXT:
                raise ValueError(node.tag)
            value = self._constructor.construct_object(node)
        except _NOT_UNDERSTOOD:
            value = []
        if not isinstance(value, list | set | dict):  # which `!!omap x` makes, and leaves empty
            return value
        found, tag = shown(node.value), cut(node.tag)
        self.located.tell(path, f"{found} with the tag {tag} is not understood; quote it")
        return None
