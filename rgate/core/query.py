"""Queries of rgate's own pages: each name once, and none that is not known."""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import parse_qsl

from rgate.core.nearest import did_you_mean


class BadQuery(Exception):  # the field's word, as in the reason `bad_query`
    """The query asks for what is not there. *detail* is one sentence a person can act on."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def asked(query: str, names: Collection[str]) -> Mapping[str, str]:
    """Return what *query*, the part of a target behind `?`, says of *names*. Raises BadQuery."""
    said: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in names:
            there_is = ", ".join(f"`{known}`" for known in names)
            near = did_you_mean(name, names) or "."
            raise BadQuery(
                f"There is no {shown(name)} in the query of this page{near} "
                + (f"It may have {there_is}." if names else "It takes none.")
            )
        if name in said:
            raise BadQuery(f"The query says `{name}` more than once.")
        if len(value) > _LONGEST_VALUE:
            raise BadQuery(
                f"`{name}` is longer than anything that is known here, {_LONGEST_VALUE} characters."
            )
        said[name] = value
    return said


def names(query: str) -> frozenset[str]:
    """Return the names that *query* says something of."""
    return frozenset(name for name, _ in parse_qsl(query, keep_blank_values=True))


def shown(text: str) -> str:
    """Return *text*, which a client sent, as a sentence may hold it: quoted, escaped, and not too long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


_LONGEST_SHOWN: Final = 100
_LONGEST_VALUE: Final = 4096
