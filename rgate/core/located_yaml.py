"""YAML to plain values, with the line of every key: bytes in, values or located errors out."""

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from rgate.core.config_errors import ConfigError, ConfigErrors

Path = tuple[str | int, ...]

# A file that people write is some thousand values; an alias bomb is millions.
_MOST_VALUES: Final = 200_000
_DEEPEST: Final = 40


@dataclass
class Located:
    """A document's value, and the line (from 1) of each path in it."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """Return the line of *path*, or of the nearest parent that has one."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)


def show_path(path: Path) -> str:
    """Return *path* as people read it: `backends[0].policy`."""
    shown = ""
    for step in path:
        shown += f"[{step}]" if isinstance(step, int) else f".{step}" if shown else step
    return shown


def parse_yaml(data: bytes, file_name: str) -> Located:
    """Return the one document in *data*. Raises ConfigErrors where there is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _one(file_name, line, "the file is not UTF-8: save it as UTF-8") from error
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _one(file_name, line, f"this is not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise _one(file_name, line, "a character that YAML does not allow, such as NUL") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _one(file_name, 0, "this is not YAML, or nested too deeply") from error
    if not nodes or nodes[0] is None:
        raise _one(file_name, 0, "the file is empty; `routes` and `backends` are required")
    if len(nodes) > 1:
        raise _one(
            file_name, 0, f"{len(nodes)} YAML documents; one is allowed: remove the `---` between them"
        )
    reader = _Reader(file_name)
    reader.located.value = reader.value(nodes[0], ())
    return reader.located


def _one(file_name: str, line: int, message: str) -> ConfigErrors:
    return ConfigErrors((ConfigError(file_name, line, "", message),))


class _Reader:
    def __init__(self, file_name: str) -> None:
        self.located = Located()
        self._file = file_name
        self._constructor = yaml.SafeLoader("")
        self._values = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.located.lines.setdefault(path, line)
        self._values += 1
        if self._values > _MOST_VALUES or len(path) > _DEEPEST:
            raise _one(self._file, line, "too many values, or nested too deeply (an alias within itself?)")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                self.error(key_node, path, "a key that is no text")
                continue
            inner = (*path, key)
            if key in values:
                self.error(
                    key_node, inner, f"the key stands twice, first in line {self.located.lines[inner]}"
                )
                continue
            self.located.lines[inner] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, inner)
        return values

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            self.error(node, path, f"{node.value!r} with the tag {node.tag} is not understood; quote it")
            return None

    def error(self, node: yaml.Node, path: Path, message: str) -> None:
        place = ConfigError(self._file, node.start_mark.line + 1, show_path(path), message)
        self.located.errors.append(place)
