"""The report of routing cases, which reads as pytest's (behaviour 9)."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, TextIO

from rgate.cli.case_results import Result
from rgate.core.cannot_tell import CannotTell
from rgate.core.escape import in_one_line

_PERCENT: Final = len(" [100%]")
_STYLES: Final = {"bold": "1", "red": "31", "green": "32"}


class Report:
    """Writes what comes of each case as it comes, and then what went wrong. *width*: columns of a line."""

    def __init__(self, out: TextIO, *, width: int, colour: bool) -> None:
        self._out = out
        self._width = width
        self._colour = colour

    def start(self, place: str, selected: int, deselected: int) -> None:
        """Write what is about to run: so many cases, looked up at *place*."""
        self._line(self._ruled("routing cases", "="), "bold")
        self._line(f"looked up: {in_one_line(place)}")
        total = selected + deselected
        chosen = f" / {deselected} deselected / {selected} selected" if deselected else ""
        self._line(f"collected {total} case{'' if total == 1 else 's'}{chosen}", "bold")
        self._line("")

    def progress(self, results: Iterable[Result], total: int) -> list[Result]:
        """Write a dot or an F for each of *results* as it comes, a line for each file. Returns them all."""
        done: list[Result] = []
        try:
            for file, of_file in groupby(results, key=lambda result: result.placed.file):
                self._progress_of(in_one_line(file), of_file, done, total)
        except (CannotTell, KeyboardInterrupt):
            self._line("")  # what is said of it begins a line
            raise
        return done

    def _progress_of(self, file: str, results: Iterable[Result], done: list[Result], total: int) -> None:
        self._write(f"{file} ")
        column = len(file) + 1
        for result in results:
            if column >= self._width - _PERCENT:
                self._percent(done, total, column)
                column = 0
            done.append(result)
            self._write("." if result.passed else "F", "green" if result.passed else "red")
            column += 1
        self._percent(done, total, column)

    def end(self, results: Sequence[Result], deselected: int, duration_s: float) -> None:
        """Write a section for each of *results* that failed, and the sums."""
        failed = [result for result in results if not result.passed]
        self._line("")
        if failed:
            self._line(self._ruled("FAILURES", "="))
            for result in failed:
                self._failure(result)
            self._line(self._ruled("short test summary info", "="), "bold")
            for result in failed:
                self._write("FAILED ", "red")
                self._line(f"{_where(result)} {_title(result)} - {in_one_line(result.differences[0])}")
        numbers = {"failed": len(failed), "passed": len(results) - len(failed), "deselected": deselected}
        sums = ", ".join(f"{number} {what}" for what, number in numbers.items() if number)
        self._line(self._ruled(f"{sums} in {duration_s:.2f}s", "="), "red" if failed else "green")

    def _failure(self, result: Result) -> None:
        self._line(self._ruled(_title(result), "_"), "red")
        self._line(f"{_where(result)}: {in_one_line(str(result.placed.case.request))}\n")
        for difference in result.differences:
            self._line(f"E   {in_one_line(difference)}", "red")
        self._line(f"\n{result.explained(colour=self._colour)}\n")

    def _percent(self, done: Sequence[Result], total: int, column: int) -> None:
        """End a line, which is at *column*, with how far it has come."""
        share = f"[{100 * len(done) // total:3}%]"
        style = "green" if all(result.passed for result in done) else "red"
        self._line(share.rjust(max(self._width - column, len(share) + 1)), style)

    def _ruled(self, text: str, rule: str) -> str:
        """Return a line with *text* in its middle."""
        text = text if len(text) <= self._width - 4 else f"{text[: self._width - 5]}…"
        return f" {text} ".center(self._width, rule)

    def _line(self, text: str, style: str = "") -> None:
        self._write(text, style)
        self._write("\n")

    def _write(self, text: str, style: str = "") -> None:
        coloured = self._colour and style and text
        self._out.write(f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if coloured else text)
        self._out.flush()


def _where(result: Result) -> str:
    return f"{in_one_line(result.placed.file)}:{result.placed.line}"


def _title(result: Result) -> str:
    return in_one_line(result.placed.case.title)
