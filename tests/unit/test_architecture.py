"""Imports go one way and in no circle, and core/ does no I/O."""

from pathlib import Path

import pytest

from tests.unit.import_rules import ALLOWED, breaches, circular, sources

SOURCES = sources(Path("rgate"))


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_uses_only_what_it_may(module: str) -> None:
    assert breaches(module, SOURCES[module]) == []


def test_each_package_has_its_rules() -> None:
    assert {".".join(module.split(".")[:2]) for module in SOURCES} <= ALLOWED.keys()


def test_only_modules_that_are_there_are_spoken_of() -> None:
    assert ALLOWED.keys() <= SOURCES.keys()


def test_no_import_goes_in_a_circle() -> None:
    assert circular(SOURCES) == set()


@pytest.mark.parametrize(
    ("module", "text"),
    [
        *(
            ("rgate.core.fields", text)
            for text in (
                "import time",
                "import secrets",
                "import datetime",
                "from datetime import datetime",
                "import uuid",
                "import io",
                "import ssl",
                "import multiprocessing",
                "import os.path",
                "import http",
                "from http import client",
                "import rgate",
                "from rgate import create_app",
                "from rgate import stats",
                "from rgate.stats import Stats",
                "from ..stats import Stats",
                "from . import message",
                "import pydantic",
                "import importlib",
                "from importlib import import_module",
                "def f():\n    import time",
                "if TYPE_CHECKING:\n    from flask import Flask",
                "open('/etc/hosts')",
                "print()",
                "eval('1')",
                "__import__('time')",
                "f = open",
            )
        ),
        ("rgate.discovery.registry", "import docker"),
        ("rgate.discovery.registry", "import requests"),
        ("rgate.discovery.registry", "from rgate.discovery.watcher import Watcher"),
        ("rgate.discovery.watcher", "from rgate.discovery.docker_source import DockerSource"),
        ("rgate.stats.recorder", "import sqlalchemy"),
        ("rgate.engines.records", "from rgate.stats import Stats"),
        ("rgate.engines.flask_engine", "from rgate.engines.asyncio_engine.client import Client"),
        ("rgate.engines.asyncio_engine.client", "from rgate.engines.flask_engine import FlaskEngine"),
        ("rgate.engines.asyncio_engine.client", "from rgate.engines import flask_engine"),
        ("rgate.engines.asyncio_engine.client", "import requests"),
        ("rgate.web.app", "from rgate.engines import ENGINES"),
        ("rgate.web.app", "from rgate.cli import main"),
        ("rgate.cli.running", "from rgate.engines.flask_engine import FlaskEngine"),
        ("rgate.cli.running", "import importlib"),
        ("rgate", "import docker"),
    ],
)
def test_what_a_module_may_not_use_is_found(module: str, text: str) -> None:
    assert len(breaches(module, text)) == 1


@pytest.mark.parametrize(
    "importing",
    [
        "import rgate.b",
        "from rgate import b",
        "from rgate.b import c",
        "from rgate.b import *",
        "def f():\n    import rgate.b",
        "if TYPE_CHECKING:\n    from rgate.b import C",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(importing: str) -> None:
    texts = {"rgate": "", "rgate.a": importing, "rgate.b": "import rgate.c", "rgate.c": "import rgate.a"}
    assert circular({**texts, "rgate.d": "import rgate.a"}) == {"rgate.a", "rgate.b", "rgate.c"}


def test_a_module_that_imports_itself_is_a_circle() -> None:
    assert circular({"rgate.a": "import rgate.a"}) == {"rgate.a"}
