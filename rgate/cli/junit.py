"""The results of routing cases as the XML that CI systems read: JUnit's (behaviour 9)."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final
from xml.etree import ElementTree

from rgate.cli.case_results import Result

# What XML 1.0 has no way to write (2.2).
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[Result], *, began: str) -> bytes:
    """Return the document that tells of *results*, a suite for each file. *began*: when, ISO 8601."""
    root = ElementTree.Element("testsuites", {"name": "rgate test", **_sums(results)})
    for file, of_file in groupby(results, key=lambda result: result.placed.file):
        suite = list(of_file)
        attributes = {"name": _text(file), **_sums(suite), "timestamp": began}
        _add_cases(ElementTree.SubElement(root, "testsuite", attributes), suite)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_cases(suite: ElementTree.Element, results: Iterable[Result]) -> None:
    for result in results:
        placed = result.placed
        attributes = {
            "classname": _text(placed.file),
            "name": _text(placed.case.title),
            "file": _text(placed.file),
            "line": str(placed.line),
            "time": _seconds(result.duration_s),
        }
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if result.differences:
            message = _text("; ".join(result.differences))
            failure = ElementTree.SubElement(case, "failure", {"message": message, "type": "difference"})
            failure.text = _text("\n".join((*result.differences, "", result.explained())))


def _sums(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not result.passed for result in results)),
        "errors": "0",
        "skipped": "0",
        "time": _seconds(sum(result.duration_s for result in results)),
    }


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.6f}"


def _text(text: str) -> str:
    """Return *text* with what XML forbids as `#x1B`, as pytest writes it."""
    return _FORBIDDEN.sub(lambda found: f"#x{ord(found[0]):02X}", text)
