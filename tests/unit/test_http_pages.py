"""What leaves rgate is what `rgate/web/documents.py` says, and docs/http-pages.md too (behaviour 9)."""

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from rgate.core.explain import Asked, explain
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.near_misses import MissingLabel, NearMiss
from rgate.core.problem import Problem, problem_response
from rgate.core.reasons import Reason
from rgate.stats import Figures
from rgate.web import documents
from rgate.web.documents import (
    Document,
    ExplanationDocument,
    FiguresDocument,
    KnowledgeDocument,
    NearMissDocument,
    ProblemDocument,
)
from scripts.http_pages import PAGE, TOLD, page, without_titles
from tests.worlds import World, asked, worlds

KNOWN = Knowledge("docker", Connection.AWAY, 5.5, None, Events.POLLED, 7, "27.3.1", "refused")


@pytest.mark.clause("9.http.schema")
def test_the_page_is_made_from_the_models_as_they_are() -> None:
    assert PAGE.read_text() == page(), "make it anew: python scripts/http_pages.py"


@pytest.mark.clause("9.http.schema")
def test_each_document_is_on_the_page_itself_or_as_part_of_another() -> None:
    told = "".join(f"{one.model.model_json_schema()} {one.model.__name__} " for one in TOLD)
    names = re.findall(r"^class (\w+)", inspect.getsource(documents), re.MULTILINE)
    assert [name for name in names if not re.search(rf"\b{name}\b", told)] == ["Document", "FrameDocument"]


def test_only_titles_are_left_out_of_a_schema() -> None:
    schema = {
        "title": "T",
        "properties": {"title": {"title": "Title", "type": "string"}},
        "anyOf": [{"title": "x"}],
    }
    assert without_titles(schema) == {"properties": {"title": {"type": "string"}}, "anyOf": [{}]}


@pytest.mark.clause("9.explain.json")
def test_knowledge_is_told_with_these_keys() -> None:
    assert KnowledgeDocument.of(KNOWN).as_json() == {
        "source": "docker",
        "docker": "away",
        "since": 5.5,
        "last_list_s": None,
        "events": "polled",
        "generation": 7,
    }


def test_a_near_miss_is_told_with_these_keys() -> None:
    near = NearMiss("o", 1, 2, (MissingLabel("env", None, "production"),), "o has 1 of 2 labels")
    assert NearMissDocument.of(near).as_json() == {
        "name": "o",
        "has": 1,
        "of": 2,
        "missing": [{"key": "env", "found": None, "wanted": "production"}],
        "detail": "o has 1 of 2 labels",
    }


@pytest.mark.clause("9.explain.json")
@given(world=worlds((8001, 8002)), asked=asked(8080))
def test_an_explanation_is_told_with_these_keys_and_is_read_back_as_it_was(
    world: World, asked: Asked
) -> None:
    explanation = explain(world.gateway(can_tunnel=True), asked, (KNOWN,))
    document = ExplanationDocument.of(explanation)
    told = as_mapping(document)
    assert list(told) == [
        "method", "target", "host", "outcome", "status", "reason", "detail", "route", "shadowed", "backend",
        "candidates", "left_out", "near_misses", "forwarded", "knowledge", "facts",
    ]  # fmt: skip
    assert told["outcome"] == explanation.outcome.value
    assert [list(fact) for fact in told["facts"]] == [["level", "is", "text", "at"]] * len(explanation.facts)
    if explanation.route is not None:
        assert list(told["route"]) == ["path_prefix", "host", "match", "strip_prefix", "backend"]
    assert ExplanationDocument.model_validate(json.loads(json.dumps(told))) == document
    assert document.is_yes is explanation.is_yes


def as_mapping(document: Document) -> Mapping[str, Any]:
    told = document.as_json()
    assert isinstance(told, dict)
    return told


def test_figures_are_told_as_whole_numbers_where_they_are_whole() -> None:
    figures = Figures(3, 1, 2.0, 1.23456, 7.5)
    assert json.dumps(FiguresDocument.of(figures.as_json()).as_json()) == json.dumps(figures.as_json())


@pytest.mark.parametrize("backend", ["", "b"])
@pytest.mark.parametrize("reason", list(Reason))
def test_problems_are_what_their_model_says(reason: Reason, backend: str) -> None:
    if reason is Reason.STOPPED:
        return  # it is no answer
    told = json.loads(problem_response(Problem(reason, "why", backend), request_id="id").body)
    assert ProblemDocument.model_validate(told).as_json() == told
