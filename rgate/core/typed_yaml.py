"""What people write as YAML, as a value of a type: checked by that type, every error with its place."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from rgate.core.config_errors import MOST_TOLD, ConfigErrors, quote_it, shown
from rgate.core.config_values import Several
from rgate.core.located_yaml import Located, Path
from rgate.core.nearest import did_you_mean

T = TypeVar("T")

_ALLOWED: Final = {
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys to values",
    "string_type": "a string",
    "string_unicode": "a string without half of a surrogate pair",
    "tuple_type": "a list",
}


class Form(Generic[T]):
    """What a kind of file may say: *model*, a frozen dataclass whose fields are its keys, and so on down."""

    def __init__(self, model: type[T]) -> None:
        self._adapter = TypeAdapter(model)
        self._keys = dict(_keys(model, ""))

    def value(self, located: Located) -> T:
        """Return what *located* says. Raises ConfigErrors with that, and what was told of it before."""
        try:
            value = self._adapter.validate_python(located.value)
        except ValidationError as error:
            found = error.errors(include_url=False)
            for details in found[:MOST_TOLD]:
                for path, message in self._wrong(details, located):
                    located.tell(path, message)
            raise ConfigErrors(tuple(located.errors), len(found[MOST_TOLD:])) from error
        if located.errors:
            raise ConfigErrors(tuple(located.errors))
        return value

    def _wrong(self, details: ErrorDetails, located: Located) -> list[tuple[Path, str]]:
        """Return pydantic's error in our words: one, or all that are within one value."""
        kind, found, context = details["type"], details["input"], details.get("ctx", {})
        path = located.path_of(details["loc"])
        match kind:
            case "unexpected_keyword_argument":
                allowed = self._keys.get(_last_key(path[:-1]), [])
                message = f"unknown key; allowed: {', '.join(allowed)}{did_you_mean(str(path[-1]), allowed)}"
            case "missing":
                message = "is required and missing"
            case "enum":
                allowed = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
                near = did_you_mean(str(found), allowed)
                message = f"found {shown(found)}; allowed: {', '.join(allowed)}{near}"
            case "value_error":
                error = context["error"]
                if isinstance(error, Several):
                    return [(located.path_of((*path, *inner)), message) for inner, message in error.wrong]
                message = f"found {shown(found)}: {error}" if isinstance(found, str) else str(error)
            case "string_too_short":
                message = "is empty"
            case "string_type" if isinstance(found, bool | int | float | date):
                message = quote_it(found)
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
