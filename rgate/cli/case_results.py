"""What comes of routing cases (behaviour 9)."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rgate.cli.explaining import Explain
from rgate.cli.text import text_of
from rgate.core.cases import PlacedCase, Told, differences
from rgate.web.documents import ExplanationDocument


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case. *differences*: sentences; none where it passed."""

    placed: PlacedCase
    differences: tuple[str, ...]
    document: ExplanationDocument
    duration_s: float

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.differences

    def explained(self, *, colour: bool = False) -> str:
        """Return what `explain` says of the request."""
        return text_of(self.document, colour=colour)

    def as_json(self) -> dict[str, Any]:
        """Return the result as it stands in `test --json`."""
        return {
            "file": self.placed.file,
            "line": self.placed.line,
            "name": self.placed.case.title,
            "request": str(self.placed.case.request),
            "passed": self.passed,
            "differences": list(self.differences),
            "explanation": self.document.as_json(),
        }


def results(cases: Iterable[PlacedCase], explain: Explain) -> Iterator[Result]:
    """Yield what comes of each of *cases*, in their order. Raises what *explain* does."""
    for placed in cases:
        began = time.perf_counter()
        document = explain(placed.case.asked)
        differing = differences(placed.case.expect, told(document))
        yield Result(placed, differing, document, time.perf_counter() - began)


def told(document: ExplanationDocument) -> Told:
    """Return what *document* says, as far as a case may expect anything of it."""
    route, forwarded = document.route, document.forwarded
    return Told(
        document.outcome,
        document.status,
        document.reason,
        route.host + route.path_prefix if route is not None else None,
        document.backend,
        tuple(candidate.name for candidate in document.candidates),
        forwarded.target if forwarded is not None else None,
        tuple(forwarded.fields) if forwarded is not None else (),
    )
