"""HTML from templates: whatever is put into one is text, and stays text (behaviour 10).

Paths, names and labels come from strangers. All that goes into a template is escaped, and what is not
printable (controls, marks that turn the direction of text) is shown as an escape.
"""

import re
from functools import cache
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from rgate.core.escape import in_one_line
from rgate.core.facts import Level
from rgate.core.verdict import Standing
from rgate.core.wording import several
from rgate.web import amounts
from rgate.web.amounts import NARROW

_CODE: Final = re.compile(r"`([^`]*)`")
_GLYPHS: Final = {
    "ok": "●", "warn": "▲", "bad": "■", "info": "○",
    "well": "●", "degraded": "▲", "down": "■", "stale": "◌", "waiting": "○",
}  # fmt: skip
"""A sign for each level, as colour is never the only one."""


def text(value: object) -> Markup:
    """Return *value* as text."""
    if isinstance(value, Markup):
        return value
    return escape(NARROW.join(map(in_one_line, str(value).split(NARROW))))


def rich(sentence: str) -> Markup:
    """Return *sentence* with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(text(sentence))))  # noqa: S704 - `text` escaped it


def code(name: str) -> Markup:
    """Return *name* as code; behind each slash its line may end."""
    return Markup("<code>%s</code>") % Markup(str(text(name)).replace("/", "/<wbr>"))  # noqa: S704 - `text` escapes it


def glyph(level: Level | Standing | str) -> Markup:
    """Return the sign of a *level*, or of how a verdict stands."""
    name = level if isinstance(level, str) else level.value
    return Markup('<i class="g %s" aria-hidden="true">%s</i>') % (name, _GLYPHS[name])


def in_path(name: str) -> str:
    """Return *name* as one segment of a path."""
    return quote(name, safe="", errors="replace")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rgate.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=lambda value: text(value) if isinstance(value, str) else value,
    )
    environment.filters |= {
        "rich": rich,
        "code": code,
        "glyph": glyph,
        "in_path": in_path,
        "several": several,
    }
    for name in ("count", "amount", "share", "milliseconds", "span"):
        environment.filters[name] = getattr(amounts, name)
    return environment


_template: Final = cache(_environment().get_template)


def page(template: str, **values: object) -> bytes:
    """Return the page that *template* makes of *values*, in UTF-8."""
    return _template(template).render(values).encode()
