"""Several workers of one rgate, without processes: what one asks goes to all, as JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rgate.telling.siblings import ANSWER_WITHIN_S, Answers

Function = Callable[[Mapping[str, Any]], Any]


class Fellow:
    """A `Siblings`. *all* are the workers, this one among them; one that *hangs* answers nobody else."""

    def __init__(self, all: "list[Fellow]") -> None:
        self.functions: dict[str, Function] = {}
        self.hangs = False
        self.place = str(len(all))
        self.directory: Path | None = None
        self._all = all
        all.append(self)

    def answer(self, question: str, function: Function) -> None:
        self.functions[question] = function

    def ask(self, question: str, arguments: Mapping[str, Any], within_s: float = ANSWER_WITHIN_S) -> Answers:
        del within_s
        others: Sequence[Fellow] = [one for one in self._all if one is not self and not one.hangs]
        values = [one.functions[question](json.loads(json.dumps(arguments))) for one in (self, *others)]
        return Answers(json.loads(json.dumps(values)), len(self._all) - len(values))
