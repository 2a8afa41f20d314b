"""What tests look at in a page of HTML."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

VOID: Final = frozenset({"meta", "link", "input", "br", "wbr", "rect", "path"})
WITHIN_A_LINE: Final = frozenset({"a", "b", "code", "del", "ins", "span", "wbr"})
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass
class Element:
    """An element, and the text in it and in all that it holds."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    inside: tuple[str, ...] = ()  # the names of those that it is in, the outermost first


@dataclass
class Page(HTMLParser):
    """A page whose elements are all closed, and that has nothing inline. Raises AssertionError elsewhere."""

    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs), f"<{tag}> says an attribute twice"
        assert not any(name == "style" or name.startswith("on") for name in attributes), attrs
        assert tag != "style"
        assert tag != "script" or attributes["src"].startswith("/_rgate/static/")
        assert not attributes.get("href", "").lower().strip().startswith("javascript:")
        self.elements.append(Element(tag, attributes, inside=tuple(one.name for one in self._open)))
        self._part_words(tag)
        if tag not in VOID:
            self._open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self._open, f"</{tag}> without its beginning"
        assert self._open.pop().name == tag, f"</{tag}> in another element"
        self._part_words(tag)

    def _part_words(self, tag: str) -> None:
        if tag not in WITHIN_A_LINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data
        assert not self._open or self._open[-1].name != "script" or not data.strip()

    def all(self, name: str = "", /, **attributes: str) -> list[Element]:
        """Return the elements of a *name* that have *attributes*; `class_` stands for `class`."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [
            element
            for element in self.elements
            if name in ("", element.name)
            and all(
                value in element.attributes.get(key, "").split()
                if key == "class"
                else element.attributes.get(key) == value
                for key, value in wanted.items()
            )
        ]

    def one(self, name: str = "", /, **attributes: str) -> Element:
        """Return the one such element."""
        (element,) = self.all(name, **attributes)
        return element


def parsed(content: bytes) -> Page:
    """Return the page that *content* is, once all rules hold."""
    page = Page()
    page.feed(content.decode())
    page.close()
    assert not page._open, [element.name for element in page._open]
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids)), "an id stands twice"
    page.one("main")
    return page


def words(text: str) -> str:
    """Return *text* with one space wherever there is any."""
    return " ".join(text.split())
