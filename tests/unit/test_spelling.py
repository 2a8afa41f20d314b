"""Which words are taken for one that was misspelt, and which for another one (behaviour 9)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.spelling import EDITED, RESPELT, SAME, Spellings, spelling_distance

WORDS = st.text(st.sampled_from("aAb_-1"), max_size=8)


@pytest.mark.parametrize(
    ("word", "distance"),
    [
        ("app_name", SAME),
        ("App_Name", RESPELT),
        ("app-name", RESPELT),
        ("app.name", RESPELT),
        ("app name", RESPELT),
        (" app_name", RESPELT),
        ('"app_name"', RESPELT),
        ("app_nme", EDITED),
        ("app_namee", EDITED),
        ("app_nane", EDITED),
        ("app_nmae", EDITED),
        ("appname", EDITED),
        ("APP-NME", EDITED),
        ("app_mnae", None),
        ("pap_nmae", None),
        ("app_nm", None),
        ("name", None),
        ("", None),
    ],
)
def test_a_slip_is_told_from_another_word(word: str, distance: int | None) -> None:
    assert spelling_distance(word, "app_name") == distance


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("1", "2"),
        ("", "1"),
        ("true", "false"),
        ("true", "rue"),
        ("dev", "prod"),
        ("dev", "def"),
        ("prod", "prd"),
        ("on", "no"),
        ("cart", "card"),
        ("orders1", "orders2"),
        ("orders", "orders2"),
        ("orders12", "orders21"),
        ("v1.10.0", "v1.1.0"),
        ("a" * 101, "a" * 102),
        ("a" * 101, "A" * 101),
    ],
)
def test_short_words_numbers_and_what_nobody_types_are_no_slips(word: str, other: str) -> None:
    assert spelling_distance(word, other) is None
    assert spelling_distance(other, word) is None


def one_edit_apart(one: str, two: str) -> bool:
    """By its definition: all that one edit makes of *one*."""
    letters = {*one, *two}
    made = {one[:at] + one[at + 1 :] for at in range(len(one))}
    made |= {
        one[:at] + letter + one[at + skip :]
        for at in range(len(one) + 1)
        for letter in letters
        for skip in (0, 1)
    }
    made |= {one[:at] + one[at : at + 2][::-1] + one[at + 2 :] for at in range(len(one))}
    return two in made


@given(st.text(st.sampled_from("abc"), min_size=5, max_size=8), st.text(st.sampled_from("abc"), max_size=8))
@example("aabaa", "aabaaa")
@example("abcab", "abcba")
def test_an_edit_is_what_its_definition_makes(one: str, two: str) -> None:
    expected = SAME if one == two else EDITED if one_edit_apart(one, two) else None
    assert spelling_distance(one, two) == expected


@given(st.sets(WORDS, max_size=8), WORDS)
@example({"aaaaaa"}, "aaaaa")
@example({"a" * 101, "b" * 101}, "a" * 101)
@example({"\u00df" * 60}, "\u00df" * 60 + "'")
def test_words_are_found_that_comparing_with_each_finds(words: set[str], wanted: str) -> None:
    by_each = {word: found for word in words if (found := spelling_distance(word, wanted)) is not None}
    assert Spellings(words).near(wanted) == by_each


@given(WORDS, WORDS)
def test_it_is_as_far_there_as_back(one: str, two: str) -> None:
    assert spelling_distance(one, two) == spelling_distance(two, one)
