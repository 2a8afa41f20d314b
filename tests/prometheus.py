"""Prometheus' own programs, for tests."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Return where a program is: `scripts/install-peers` puts it into .venv. Skips the test without it."""
    places = os.pathsep.join([str(Path(sys.executable).parent), ".venv/bin", os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        if os.environ.get("RGATE_REQUIRE_PROMETHEUS") == "1":
            pytest.fail(f"RGATE_REQUIRE_PROMETHEUS=1, and {name} is not installed: run scripts/install-peers")
        pytest.skip(f"{name} is not installed")
    return str(Path(found).absolute())
