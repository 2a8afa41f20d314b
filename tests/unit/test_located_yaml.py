"""YAML with its lines: merge keys, aliases, and what is too much of them (behaviour 2)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config_errors import ConfigErrors
from rgate.core.located_yaml import Located, parse_yaml


def read(text: str) -> Located:
    located = parse_yaml(text.encode(), "c.yml", "all is required")
    assert located.errors == []
    return located


def errors_of(text: str) -> list[str]:
    try:
        return [str(error) for error in parse_yaml(text.encode(), "c.yml", "all is required").errors]
    except ConfigErrors as errors:
        return [str(error) for error in errors.errors]


MERGED = """\
- &first
  a: 1
  b: {x: 1,
      y: 2}
- &second
  b: {x: 3}
  c: 4
- <<: *first
  a: 5
- <<: [*second, *first]
- d: 6
  <<:
  - <<: *second
    c: 7
"""


@pytest.mark.clause("2.file.merge_keys")
def test_a_merged_mapping_gives_what_is_not_there_and_the_first_of_several_wins() -> None:
    assert read(MERGED).value[2:] == [
        {"a": 5, "b": {"x": 1, "y": 2}},
        {"a": 1, "b": {"x": 3}, "c": 4},
        {"d": 6, "b": {"x": 3}, "c": 7},
    ]


def test_the_line_of_a_merged_value_is_where_it_is_written() -> None:
    located = read(MERGED)
    lines = {
        path: located.line(path) for path in [(2,), (2, "a"), (2, "b"), (2, "b", "y"), (3, "c"), (4, "c")]
    }
    assert lines == {(2,): 8, (2, "a"): 9, (2, "b"): 3, (2, "b", "y"): 4, (3, "c"): 7, (4, "c"): 14}
    assert located.line((3, "missing")) == 10


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\n<<: 2", "c.yml:2: <<: found '2'; allowed: a mapping, or a list of mappings, to be merged"),
        ("a: &a x\nb:\n  <<: *a",
         "c.yml:3: b.<<: found 'x'; allowed: a mapping, or a list of mappings, to be merged"),
        ("a: &a {b: 1}\nc:\n- <<: [*a,\n  [*a]]",
         "c.yml:3: c[0].<<[1]: found a list; allowed: a mapping, to be merged"),
        ("<<:", "c.yml:1: <<: found ''; allowed: a mapping, or a list of mappings, to be merged"),
        ("<<: {a: 1,\n  a: 2}", "c.yml:2: a: the key stands twice, first in line 1"),
        ("<<: {a: 1}\n<<: {b: 1}", "c.yml:2: <<: the key stands twice, first in line 1"),
        ("a: 1\n<<: {? [x] : 1}", "c.yml:2: a key that is no text"),
        ("a: 1\na: 1\n<<: {a: 1}", "c.yml:2: a: the key stands twice, first in line 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_merge_is_told_with_its_line(text: str, error: str) -> None:
    assert errors_of(text) == [error]


def test_a_quoted_merge_key_is_a_key_like_any_other() -> None:
    assert read('"<<": {a: 1}').value == {"<<": {"a": 1}}


def levels(first: str, one: str, number: int = 30) -> str:
    """Anchors *a0*, which is *first*, and so on, each *one*, with nine aliases of the one before for `@`."""
    aliases = [", ".join([f"*a{level}"] * 9) for level in range(number)]
    later = [f"a{level + 1}: &a{level + 1} {one.replace('@', alias)}" for level, alias in enumerate(aliases)]
    return "\n".join([f"a0: &a0 {first}", *later])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: &a {<<: *a}", id="of itself"),
        pytest.param("a: &a {b: &b {<<: [*a, *b]}}", id="in a circle"),
        pytest.param(levels("{x: 1}", "{<<: [@]}"), id="of many of many, with one key"),
        pytest.param(levels("{}", "{<<: [@]}"), id="of many of many, without a key"),
        pytest.param(levels("{x: 1}", "{<<: {<<: {<<: [@]}}}"), id="of mappings in place"),
        pytest.param(
            f"a: &a {{{', '.join(f'k{n}: 1' for n in range(999))}}}\nb: {{<<: [{', '.join(['*a'] * 999)}]}}",
            id="of one wide mapping",
        ),
        pytest.param(levels("[1]", "[@]"), id="no merge, aliases alone"),
    ],
)
def test_a_bomb_of_merges_is_refused(text: str) -> None:
    (error,) = errors_of(text)
    assert "too many values, or nested too deeply" in error


def test_a_chain_of_merges_as_deep_as_values_may_be_is_refused_beyond() -> None:
    chain = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 60))
    assert "nested too deeply" in errors_of(chain)[0]


KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.integers(0, 3).map(str)
FLAT = st.dictionaries(KEYS, SCALARS, max_size=3)


@given(
    anchors=st.lists(FLAT, min_size=1, max_size=4),
    own=FLAT,
    merged=st.lists(st.integers(0, 3), max_size=4),
    at=st.integers(0, 3),
)
@example(anchors=[{"a": "1"}, {"a": "2"}], own={}, merged=[1, 0], at=0)
@example(anchors=[{"a": "0"}], own={"a": "1"}, merged=[0], at=0)  # PyYAML 6.0.4 has 0 where it is merged on
def test_what_is_there_wins_and_then_the_first_that_is_merged(
    anchors: list[dict[str, str]], own: dict[str, str], merged: list[int], at: int
) -> None:
    sources = [number % len(anchors) for number in merged]
    pairs = [f"{key}: {value}" for key, value in own.items()]
    pairs.insert(at, f"<<: [{', '.join(f'*m{number}' for number in sources)}]")  # its place does not matter
    lines = [f"- &m{number} {_flow(anchor)}" for number, anchor in enumerate(anchors)]
    lines += [f"- &m {{{', '.join(pairs)}}}", "- {<<: *m, d: 9}"]

    expected = dict[str, str]()
    for one in (own, *(anchors[number] for number in sources)):
        expected = one | expected
    numbers = {key: int(value) for key, value in expected.items()}
    assert read("\n".join(lines)).value[-2:] == [numbers, numbers | {"d": 9}]


def _flow(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"


@pytest.mark.parametrize(
    "value",
    [
        *(
            "!!timestamp x",
            "!!bool x",
            '!!int ""',
            '!!float "-"',
            "!!int x",
            "!!binary é",
            "!!omap x",
            "!!set x",
        ),
        *("!!set x", "!!pairs x", "!!map x", "!!python/object:os.system x"),
    ],
)
def test_a_value_that_is_not_as_its_tag_says_is_told(value: str) -> None:
    (error,) = errors_of(f"a: {value}\n")
    assert error.startswith("c.yml:1: a: ")
    assert error.endswith("is not understood; quote it")
