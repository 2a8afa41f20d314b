"""The pages of requests that have been, told by all workers (behaviour 9.http)."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from rgate.core.problem import Problem
from rgate.core.query import shown
from rgate.core.reasons import Reason
from rgate.core.story_query import MOST_STORIES, StoryQuery
from rgate.telling.rings import Rings
from rgate.telling.siblings import Answers, Siblings
from rgate.web.documents import RequestDocument, RequestsDocument, StoriesDocument, StoryDocument

_QUESTION: Final = "requests"
_LONGEST_ID: Final = 128


class RequestsPage:
    """Tells of the *stories* of this worker, and of its *siblings*."""

    def __init__(self, stories: Rings, siblings: Siblings) -> None:
        self._stories = stories
        self._siblings = siblings
        siblings.answer(_QUESTION, self._answer)

    def requests(self, wanted: StoryQuery) -> RequestsDocument:
        """Return the requests that are *wanted*."""
        line, document = (
            (StoryDocument, StoriesDocument) if wanted.stories else (RequestDocument, RequestsDocument)
        )
        answers = self._ask(wanted)
        told: list[Any] = [line.model_validate(one) for value in answers.values for one in value["requests"]]
        if len(answers.values) > 1:
            told.sort(key=lambda one: one.ended_at, reverse=True)
        return document(
            now=time.time(),
            failed=wanted.failed,
            missing_workers=answers.missing,
            requests=told[: wanted.limit],
        )

    def story(self, request_id: str) -> StoryDocument | Problem:
        """Return the newest story of *request_id*, or why there is none."""
        wanted = StoryQuery(id=request_id[: _LONGEST_ID + 1], limit=1, stories=True)  # no id is longer
        answers = self._ask(wanted)
        told = [StoryDocument.model_validate(one) for value in answers.values for one in value["requests"]]
        if told:
            return max(told, key=lambda one: one.ended_at)
        kept, failed = (sum(value["kept"][index] for value in answers.values) for index in (0, 1))
        missing = f" {answers.missing} workers did not answer." if answers.missing else ""
        return Problem(
            Reason.NOT_FOUND,
            f"No request {shown(request_id)} is known. Kept are the last {MOST_STORIES}, and apart the last "
            f"{MOST_STORIES} that failed, of each worker: now {kept} and {failed}.{missing}",
        )

    def _ask(self, wanted: StoryQuery) -> Answers:
        return self._siblings.ask(_QUESTION, {"wanted": asdict(wanted)})

    def _answer(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what this worker knows, as JSON values: lines, or whole stories."""
        wanted = StoryQuery(**arguments["wanted"])
        found: list[object]
        if wanted.stories:
            found = [StoryDocument.of_story(story).as_json() for story in self._stories.stories(wanted)]
        else:
            found = [RequestDocument.of_record(record).as_json() for record in self._stories.records(wanted)]
        return {"kept": self._stories.counts, "requests": found}
