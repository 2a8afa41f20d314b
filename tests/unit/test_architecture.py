"""Imports go one way, and core/ does no I/O."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path("rgate")
# Who may import whom, beside itself: cli → web, engines → discovery, stats → core.
BELOW = {
    "core": set[str](),
    "discovery": {"core"},
    "stats": {"core"},
    "engines": {"core", "discovery", "stats"},
    "web": {"core", "discovery", "stats"},
    "cli": {"core", "discovery", "stats", "engines", "web"},
}
# What would let a decision depend on anything but its arguments.
NOT_IN_CORE = {
    "asyncio", "docker", "flask", "http.client", "logging", "os", "pathlib", "queue", "random", "requests",
    "select", "selectors", "signal", "socket", "sqlalchemy", "subprocess", "sys", "threading", "time",
    "urllib3", "werkzeug",
}  # fmt: skip
MODULES = sorted(PACKAGE.glob("*/**/*.py"))


def imports_of(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_there_are_modules_to_look_at() -> None:
    assert {module.parts[1] for module in MODULES} == set(BELOW)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down_only(module: Path) -> None:
    package = module.parts[1]
    for name in imports_of(module):
        parts = name.split(".")
        if parts[0] == "rgate" and len(parts) > 1 and not parts[1].startswith("_"):
            allowed = BELOW[package] | {package}
            assert parts[1] in allowed, f"{module} imports {name}: {package}/ may use {sorted(allowed)} only"


@pytest.mark.parametrize("module", [m for m in MODULES if m.parts[1] == "core"], ids=str)
def test_core_does_no_io(module: Path) -> None:
    for name in imports_of(module):
        used = {name, name.split(".")[0]} & NOT_IN_CORE
        assert not used, (
            f"{module} imports {name}: core/ may use nothing that does I/O, or tells time or chance"
        )
