"""Fuzz one target, or all in turn: `python -m tests.fuzz [TARGET]... [--seconds N] [--rounds N] [--keep]`.

Guided by coverage (atheris, of `.[fuzz]`). What is found to break stands in `.fuzz/TARGET/crash-*`, and the
exit status is 1; how many inputs were tried in all, in `.fuzz/executions.json`.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz import corpus
from tests.fuzz.targets import LONGEST, TARGETS

PLACE: Final = Path(".fuzz")
COUNTS: Final = PLACE / "executions.json"
MOST_KEPT_BYTES: Final = 35_000
"""Of a target's corpus."""
_RUNS: Final = re.compile(r"^(?:Done |stat::number_of_executed_units: |#)([0-9]+)", re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []], help="all, where none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target and round (60)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep what covers most in tests/fuzz/corpus")
    options = parser.parse_args()
    broken = False
    for _ in range(options.rounds):
        for name in options.target or TARGETS:
            broken |= not fuzzed(name, options.seconds)
    if options.keep:
        for name in options.target or TARGETS:
            keep_best(name)
    return int(broken)


def fuzzed(name: str, seconds: int) -> bool:
    """Fuzz *name*; return whether all held."""
    place = _unpacked(name)
    words = PLACE / "words.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in corpus.WORDS))
    arguments = [
        *(
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST}",
            f"-dict={words}",
            "-timeout=10",
            "-verbosity=1",
        ),
        *(f"-artifact_prefix={place}/", "-print_final_stats=1", "-len_control=20", "-rss_limit_mb=4096"),
    ]
    ran = _run(name, *arguments, str(place / "inputs"))
    executed = max(map(int, _RUNS.findall(ran.stderr)), default=0)
    counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    counts[name] = counts.get(name, 0) + executed
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n")
    print(f"{name}: {executed} inputs, {sum(counts.values())} of all targets so far", flush=True)
    if ran.returncode:
        print(ran.stdout[-3000:], ran.stderr[-6000:], flush=True)
    return not ran.returncode


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def keep_best(name: str) -> None:
    """Keep what is kept, and of the inputs that covered something new the shortest, up to so many bytes."""
    before = corpus.kept(name)
    found = sorted((file.read_bytes() for file in (_unpacked(name) / "inputs").iterdir()), key=len)
    kept, size = [*before], 0
    for one in found:
        size += len(json.dumps(one.decode("latin-1"))) + 2
        if one not in before and size <= MOST_KEPT_BYTES:
            kept.append(one)
    corpus.keep(name, kept)
    print(f"{name}: {len(set(kept))} of {len(set(found))} inputs are kept", flush=True)


def _unpacked(name: str) -> Path:
    """Return the target's folder, with its kept inputs among those that were found before."""
    place = PLACE / name
    (place / "inputs").mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(corpus.kept(name)):
        (place / "inputs" / f"kept-{number}").write_bytes(one)
    return place


def _run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.fuzz.guided", name, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")


if __name__ == "__main__":
    sys.exit(main())
