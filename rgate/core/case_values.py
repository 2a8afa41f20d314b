"""What one value of a routing case may be, and what is said where it is not (behaviour 9)."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, BeforeValidator, PlainValidator, Strict

from rgate.core.config_errors import quote_it, shown
from rgate.core.config_values import Several
from rgate.core.grammar import TOKEN, VALUE
from rgate.core.located_yaml import Path
from rgate.core.names import compared_name, wrong_with_host
from rgate.core.nearest import did_you_mean

_TOKEN: Final = re.compile(TOKEN)
_VALUE: Final = re.compile(VALUE)
_PORT: Final = re.compile(r":[0-9]{1,5}\Z")


class RequestLine(NamedTuple):
    """A method, and a path with its query."""

    method: str
    target: str

    def __str__(self) -> str:
        return f"{self.method} {self.target}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """So many containers, or more; whichever they are."""

    at_least: int


def _request(found: Any) -> RequestLine:
    allowed = "a path, or a method and a path, such as `GET /api/orders`"
    if not isinstance(found, str):
        raise ValueError(f"found {shown(found)}; allowed: {allowed}")
    method, target = _split(found)
    if not target.startswith("/") or not _is_text(target):
        remedy = "; a space in a path is `%20`" if target.startswith("/") and " " in target else ""
        remedy = "; its host stands under `host`" if "://" in target else remedy
        raise ValueError(f"must be {allowed}{remedy}")
    if _TOKEN.fullmatch(method.encode(errors="replace")) is None:
        raise ValueError(f"{shown(method)} is no method; allowed: {allowed}")
    return RequestLine(method, target)


def _split(request: str) -> tuple[str, str]:
    """Return the method and the path of *request*: the method ends where the path begins."""
    method, space, target = request.partition(" ")
    return (method, target.lstrip(" ")) if space and not method.startswith("/") else ("GET", request)


def _is_text(text: str) -> bool:
    """Whether *text* is visible, and can be sent: no control character, blank or lone surrogate is in it."""
    return text.isprintable() and " " not in text


def _host(text: str) -> str:
    if text.startswith("*"):
        raise ValueError("has a `*`: a request asks for one host, such as `www.shop.example`")
    if wrong := wrong_with_host(_PORT.sub("", text)):
        raise ValueError(wrong)
    return text


def _route(name: str) -> str:
    """Return *name* as routes are called, by their host as it is compared."""
    host, slash, rest = name.partition("/")
    if not slash:
        raise ValueError("is no route: its name is its prefix, perhaps behind its host, `shop.example/api`")
    return compared_name(host) + slash + rest


def _said(found: Any) -> Any:
    if found is None:
        raise ValueError("says nothing: give a value, or leave the key out")
    return found


def _field_name_wrong(name: str) -> str:
    is_token = _TOKEN.fullmatch(name.encode(errors="replace")) is not None
    return "" if is_token else f"{shown(name)} is no field name: letters, digits and `-`, mostly"


def _field_value_wrong(value: Any) -> str:
    if isinstance(value, bool | int | float | date):
        return quote_it(value)
    if not isinstance(value, str):
        return f"found {shown(value)}; allowed: a string"
    try:
        good = _VALUE.fullmatch(value.encode()) is not None and value == value.strip(" \t")
    except UnicodeEncodeError:
        good = False
    return "" if good else f"found {shown(value)}, which has a control character, or blanks around it"


def _headers(found: Any) -> tuple[tuple[str, str], ...]:
    _mapping_of_fields(found, null_is=None)
    return tuple(found.items())


def _expected_fields(found: Any) -> tuple[tuple[str, str | None], ...]:
    _mapping_of_fields(found, null_is="a field that must be absent")
    if not found:
        raise ValueError("is empty: name a field, or leave the key out")
    first: dict[str, str] = {}
    wrong = [
        ((name,), f"stands twice: names of fields have no case, and `{first[name.lower()]}` is the same")
        for name in found
        if first.setdefault(name.lower(), name) != name
    ]
    if wrong:
        raise Several(*wrong)
    return tuple(found.items())


def _mapping_of_fields(found: Any, null_is: str | None) -> None:
    if not isinstance(found, dict):
        raise Several(((), f"found {shown(found)}; allowed: a mapping of field names to values"))
    wrong: list[tuple[Path, str]] = []
    for name, value in found.items():
        is_absent = value is None and null_is is not None
        message = _field_name_wrong(name) or ("" if is_absent else _field_value_wrong(value))
        if message:
            wrong.append(((name,), message))
    if wrong:
        raise Several(*wrong)


def _containers(found: Any) -> tuple[str, ...] | AtLeast:
    if isinstance(found, dict):
        return _at_least(found)
    if not isinstance(found, list):
        raise Several(((), f"found {shown(found)}; allowed: a list of names, or `{{at_least: 2}}`"))
    wrong: list[tuple[Path, str]] = []
    names: dict[str, None] = {}
    for index, name in enumerate(found):
        if isinstance(name, bool | int | float | date):
            wrong.append(((index,), quote_it(name)))
        elif not isinstance(name, str) or not name:
            wrong.append(((index,), f"found {shown(name)}; allowed: a container's name"))
        elif name in names:
            wrong.append(((index,), f'"{name}" stands twice'))
        else:
            names[name] = None
    if wrong:
        raise Several(*wrong)
    return tuple(names)


def _at_least(found: dict[str, Any]) -> AtLeast:
    wrong: list[tuple[Path, str]] = [
        ((key,), f"unknown key; allowed: at_least{did_you_mean(key, ['at_least'])}")
        for key in found
        if key != "at_least"
    ]
    least = found.get("at_least")
    if "at_least" not in found:
        wrong.append((("at_least",), "is required and missing"))
    elif type(least) is not int or least < 1:  # 0 could not fail, and a bool is an int
        wrong.append((("at_least",), f"found {shown(least)}; allowed: a whole number from 1 on"))
    if wrong or not isinstance(least, int):
        raise Several(*wrong)
    return AtLeast(least)


Request = Annotated[RequestLine, PlainValidator(_request)]
HostAsked = Annotated[str, Strict(), AfterValidator(_host)]
Headers = Annotated[tuple[tuple[str, str], ...], PlainValidator(_headers)]

# What is expected: each may be left out, but not be null, which would expect nothing.
Given = BeforeValidator(_said)
RouteName = Annotated[str, Strict(), AfterValidator(_route)]
Containers = Annotated[tuple[str, ...] | AtLeast, PlainValidator(_containers)]
ExpectedFields = Annotated[tuple[tuple[str, str | None], ...], PlainValidator(_expected_fields)]
