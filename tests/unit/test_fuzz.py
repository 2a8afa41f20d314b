"""A short run of what `make fuzz` does for long: the kept inputs, and the same few thousand made of them."""

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import LONGEST, TARGETS

COSTLY = {"config": 200, "cases": 200, "labels": 300}
"""Inputs of those that read YAML, or compare what is found with what is looked for."""


@pytest.mark.parametrize("target", TARGETS)
def test_what_always_holds_does_for_what_is_kept_and_for_what_is_made_of_it(target: str) -> None:
    kept = corpus.kept(target)
    assert kept
    for one in (*kept, *corpus.mutated(kept, COSTLY.get(target, 1000), target, LONGEST)):
        try:
            TARGETS[target](one)
        except Exception as error:
            error.add_note(f"input: {one!r}")
            raise


def test_the_same_inputs_are_made_on_each_run() -> None:
    kept = corpus.kept("accept")
    made = [list(corpus.mutated(kept, 50, "seed", 60)) for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 25
    assert max(map(len, made[0])) <= 60
