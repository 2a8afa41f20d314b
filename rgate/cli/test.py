"""`test`: runs routing cases and tells what came of them, or makes a file of some from what is true now
(behaviour 9).
"""

import json
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

from rgate.cli.case_report import Report
from rgate.cli.case_results import Result, results
from rgate.cli.config_file import load_config, read_file
from rgate.cli.explaining import Explain, made_here, told_by
from rgate.cli.junit import junit
from rgate.cli.looking import look
from rgate.cli.streams import writable
from rgate.cli.text import has_colour, say
from rgate.cli.write_cases import write_cases
from rgate.cli.writing import write_whole
from rgate.core.cannot_tell import CannotTell
from rgate.core.case_file import parse_cases
from rgate.core.cases import PlacedCase
from rgate.core.config_errors import ConfigError, ConfigErrors
from rgate.core.escape import in_one_line


def test(options: Namespace) -> int:
    """Run the cases, or write some. Returns the exit status: 0 if all passed, else 1. Raises CannotTell."""
    if options.write is not None:
        return write_cases(options)
    if not options.files:
        raise CannotTell("name a file of routing cases, or make one with --write CASES.yml")
    cases = _load(options.files)
    word = options.k.casefold()
    chosen = [placed for placed in cases if word in placed.case.title.casefold()]
    if not chosen:
        among = f"the name of none of {len(cases)} cases holds {options.k!r}" if cases else "no case is there"
        raise CannotTell(in_one_line(f"{among}, so that nothing was tested"))
    began = datetime.now(UTC).isoformat(timespec="seconds")
    come = _run(options, chosen, len(cases) - len(chosen))
    if options.junit is not None:
        write_whole(options.junit, junit(come, began=began))
    return 0 if all(result.passed for result in come) else 1


def _load(paths: Sequence[str]) -> list[PlacedCase]:
    """Return the cases in all files. Raises ConfigErrors with all that is wrong with any of them."""
    cases: list[PlacedCase] = []
    errors: list[ConfigError] = []
    for path in paths:
        try:
            cases += parse_cases(read_file(path), path)
        except ConfigErrors as wrong:
            errors += wrong.errors
    if errors:
        raise ConfigErrors(tuple({*errors}))  # a file may be named twice
    return cases


def _run(options: Namespace, cases: Sequence[PlacedCase], deselected: int) -> list[Result]:
    """Return what comes of *cases*, and print it."""
    began_s = time.perf_counter()
    place, explain = _place(options)
    if options.json:
        come = list(results(cases, explain))
        say(json.dumps(_document(come, deselected, time.perf_counter() - began_s), indent=2))
        return come
    width = shutil.get_terminal_size().columns
    report = Report(writable(sys.stdout), width=width, colour=has_colour(sys.stdout))
    report.start(place, len(cases), deselected)
    come = report.progress(results(cases, explain), len(cases))
    report.end(come, deselected, time.perf_counter() - began_s)
    return come


def _place(options: Namespace) -> tuple[str, Explain]:
    """Return where *options* say to look, for people, and what explains from there. Raises CannotTell."""
    if options.gateway is not None:
        return options.gateway, told_by(options.gateway)
    config = load_config(options.config)
    explain = made_here(config, look(options, config))
    return f"{options.config}, {options.snapshot or 'Docker'}", explain


def _document(come: Sequence[Result], deselected: int, duration_s: float) -> dict[str, object]:
    passed = sum(result.passed for result in come)
    return {
        "passed": passed,
        "failed": len(come) - passed,
        "deselected": deselected,
        "duration_s": round(duration_s, 6),
        "cases": [result.as_json() for result in come],
    }
