"""`schema`: the JSON Schema of the configuration takes what rgate takes, and says what each key means
(behaviour 9).
"""

import re
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.config_errors import ConfigErrors
from rgate.core.config_file import parse_document
from rgate.core.config_schema import MEANINGS, config_schema, schema_keys
from rgate.core.config_writing import SCHEMA_FILE, config_from
from tests.unit.containers import seen
from tests.unit.test_config_writing import HERE, composed
from tests.unit.test_configuration_docs import EXAMPLES, PAGE

FILES: Final = Path("tests/contract/config")
SCHEMA: Final = config_schema()
VALIDATOR: Final = jsonschema.Draft202012Validator(SCHEMA)
MEANT: Final = dict(re.findall(r"^\| `([^`]+)` \| [^|]* \| [^|]* \| (.*) \|$", PAGE, re.MULTILINE))

# What no schema can say: what two entries say together, and values that are looked at more closely.
BEYOND: Final = {"body_where_none_may_be", "merged", "hosts_that_can_be_none"}
NO_DOCUMENT: Final = {"not_yaml", "not_utf8", "two_documents", "alias_within_itself"}


def errors(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


@pytest.mark.clause("9.schema.valid")
def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.clause("9.schema.valid")
@pytest.mark.parametrize("path", sorted((FILES / "good").glob("*.yml")), ids=lambda path: str(path.stem))
def test_it_takes_the_good_files(path: Path) -> None:
    assert errors(yaml.safe_load(path.read_bytes())) == []


@pytest.mark.clause("9.schema.valid")
@pytest.mark.parametrize(
    "path",
    [path for path in sorted((FILES / "bad").glob("*.yml")) if path.stem not in NO_DOCUMENT | BEYOND],
    ids=lambda path: str(path.stem),
)
def test_it_refuses_the_bad_files(path: Path) -> None:
    assert errors(yaml.safe_load(path.read_bytes())) != []


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_takes_the_examples_of_the_docs(example: str) -> None:
    assert errors(yaml.safe_load(example)) == []


def test_it_takes_what_init_writes_which_names_it() -> None:
    text = config_from(seen([composed("shop", "no", 1, 80, 81)], HERE)).text
    assert errors(yaml.safe_load(text)) == []
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")


@pytest.mark.clause("9.schema.keys")
def test_each_key_has_a_meaning_and_no_meaning_is_of_another() -> None:
    assert list(MEANINGS) == schema_keys()


@pytest.mark.clause("9.schema.keys")
@pytest.mark.parametrize("key", sorted(MEANT))
def test_the_docs_say_of_a_key_what_the_schema_does(key: str) -> None:
    said = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", MEANT[key])
    assert MEANINGS[key] == said


@pytest.mark.clause("9.schema.keys")
def test_descriptions_ranges_and_defaults_stand_with_the_keys() -> None:
    limits = SCHEMA["$defs"]["Limits"]["properties"]
    assert limits["header_bytes"] == {
        "default": 65536,
        "maximum": 16777216,
        "minimum": 256,
        "type": "integer",
        "description": MEANINGS["limits.header_bytes"],
    }
    assert SCHEMA["$defs"]["Backend"]["properties"]["policy"]["default"] == "random"
    assert "default" not in SCHEMA["$defs"]["Route"]["properties"]["host"]


VALUES = st.sampled_from(
    [
        *(
            "/a",
            "a",
            "",
            "no host",
            "*.a",
            "http://a:1",
            "a=b",
            "=",
            "::1/128",
            "10.0.0.0/8",
            "prefix",
            "raw",
        ),
        *(0, 1, 65536, -1, 2.5, True, None, 404, 600, [], {}, ["a=b"], {"a": "b"}, {"a": 1}, [{"body": "x"}]),
    ]
)
KEYS = st.sampled_from(
    sorted({key for key in MEANINGS if "[" not in key and "." not in key} | {"limit", "x"})
)
ROUTES = st.lists(
    st.dictionaries(
        st.sampled_from(["path_prefix", "backend", "match", "host", "strip_prefix", "x"]), VALUES
    ),
    max_size=2,
)
BACKENDS = st.lists(
    st.dictionaries(st.sampled_from(["name", "match_labels", "urls", "port", "policy", "timeouts"]), VALUES),
    max_size=2,
)


@pytest.mark.clause("9.schema.valid")
@given(
    document=st.builds(
        lambda more, routes, backends: {**more, "routes": routes, "backends": backends},
        st.dictionaries(KEYS, VALUES, max_size=2),
        ROUTES,
        BACKENDS,
    )
)
def test_it_refuses_nothing_that_rgate_takes(document: dict[str, Any]) -> None:
    try:
        parse_document(document, "a document")
    except ConfigErrors:
        return
    assert errors(document) == []
