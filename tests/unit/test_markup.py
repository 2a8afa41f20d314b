"""What is put into a page stays text."""

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup

from rgate.core.facts import Level
from rgate.web.markup import code, glyph, in_path, page, rich, text

HOSTILE = st.text(st.sampled_from("<>&\"'`/ab \x1b\u202e\ud800\x00"), max_size=8)


@pytest.mark.clause("10.page.escaped")
@given(HOSTILE)
@example("</main><script>alert(1)</script>")
@example('" onmouseover="alert(1)')
@example("`<b>`")
def test_nothing_that_is_put_in_is_markup_or_turns_the_text(hostile: str) -> None:
    for shown in (text(hostile), rich(hostile), code(hostile)):
        left = re.sub(r"</?code>|<wbr>", "", shown)
        assert not set(left) & set("<>\"'\x1b\u202e\ud800\x00")
        assert "&" not in re.sub(r"&(?:lt|gt|amp|#34|#39);", "", left)
        shown.encode()


@given(st.text(st.sampled_from("<>&\"'ab/ é"), max_size=8))
def test_what_is_put_in_is_read_as_it_was(harmless: str) -> None:
    assert html.unescape(text(harmless)) == harmless
    assert html.unescape(code(harmless).replace("<wbr>", "")) == f"<code>{harmless}</code>"


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("`a", "`a"),
        ("``", "<code></code>"),
        ("a `<b>` c", "a <code>&lt;b&gt;</code> c"),
        ("\x1b[31m\u202e", "\\x1b[31m\\u202e"),
    ],
)
def test_what_stands_between_backticks_is_code(sentence: str, shown: str) -> None:
    assert rich(sentence) == Markup(shown)


def test_a_path_may_be_broken_behind_each_slash() -> None:
    assert code("/a/b") == Markup("<code>/<wbr>a/<wbr>b</code>")


def test_each_level_has_a_sign_of_its_own() -> None:
    signs = {re.sub(r"<[^>]*>", "", glyph(level)) for level in Level}
    assert len(signs) == len(Level)


@given(st.text(max_size=5))
@example("\ud800")
@example("..")
@example("a/b?c#d")
def test_a_name_is_one_segment_of_a_path(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]*", in_path(name))


def test_a_template_that_names_what_is_not_there_fails() -> None:
    with pytest.raises(Exception, match="undefined"):
        page("problem.html")
