"""Who may import whom in rgate/, and what an import is: any, wherever in a file it stands.

`ALLOWED` says what each module may import: the entry of the longest name that it begins with counts.
What is imported `from` a module is looked for by its whole name: `http.HTTPStatus` lets in no
`http.client`.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

# Nothing that does I/O, or that would let a decision depend on anything but its arguments.
PURE: Final = frozenset(
    {
        "base64.b64encode", "bisect", "collections", "dataclasses", "datetime.date", "difflib", "enum",
        "functools", "hashlib.blake2b", "hashlib.sha256", "html", "http.HTTPStatus", "ipaddress", "itertools",
        "json", "re", "shlex.quote", "types", "typing", "urllib.parse",
    }
)  # fmt: skip
# What imports by a name that is no code could not be followed here.
BY_NAME: Final = frozenset({"importlib", "imp", "pkgutil", "runpy"})
STANDARD: Final = frozenset(sys.stdlib_module_names) - BY_NAME

CORE: Final = PURE | {"rgate.core"}
DISCOVERY: Final = STANDARD | {"rgate.core", "rgate.discovery.source"}
DOCKER: Final = DISCOVERY | {
    "rgate.discovery.daemon", "rgate.discovery.docker_client", "rgate.discovery.docker_errors",
}  # fmt: skip
STATS: Final = STANDARD | {"rgate.core", "rgate.stats"}
ENGINES: Final = STANDARD | {
    "rgate.core",
    "rgate.engines.crowd",
    "rgate.engines.last_clients",
    "rgate.engines.records",
    "rgate.engines.sockets",
    "rgate.telling.live",
}
FLASK: Final = ENGINES | {"rgate.engines.upstream"}
SERVER: Final = FLASK | {"rgate.engines.underway"}
ASYNCIO: Final = ENGINES | {"rgate.engines.asyncio_engine"}
CLI: Final = STANDARD | {
    "rgate._version", "rgate.cli", "rgate.core", "rgate.engines.CAN_TUNNEL", "rgate.engines.ENGINES",
    "rgate.stats", "rgate.telling",
}  # fmt: skip
HTML: Final = STANDARD | {
    "markupsafe", "rgate.core", "rgate.stats", "rgate.web.amounts", "rgate.web.documents",
}  # fmt: skip
METRICS: Final = STANDARD | {
    "prometheus_client", "rgate.core", "rgate.discovery.watcher", "rgate.stats", "rgate.web.exposition",
}  # fmt: skip

ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    # Only what `create_app` and the types of its arguments need.
    "rgate": STANDARD | {"flask", "rgate._version", "rgate.cli.wiring", "rgate.core.config"},
    "rgate.__main__": frozenset({"rgate.cli.main"}),
    "rgate._version": frozenset(),
    "rgate.core": CORE,
    "rgate.core.case_values": CORE | {"pydantic"},
    "rgate.core.case_writing": CORE | {"yaml"},
    "rgate.core.cases": CORE | {"pydantic"},
    "rgate.core.config": CORE | {"pydantic"},
    "rgate.core.config_values": CORE | {"pydantic", "pydantic_core"},
    # A time in the file, and globs of labels; neither looks at a clock or a disk.
    "rgate.core.recording": CORE | {"datetime.UTC", "datetime.datetime", "fnmatch.fnmatchcase"},
    "rgate.core.config_schema": CORE | {"pydantic"},
    "rgate.core.config_writing": CORE | {"yaml"},
    "rgate.core.located_yaml": CORE | {"yaml"},
    "rgate.core.typed_yaml": CORE | {"pydantic", "pydantic_core"},
    "rgate.discovery": DISCOVERY,
    "rgate.discovery.deadlines": DISCOVERY | {"requests"},
    "rgate.discovery.docker_errors": DISCOVERY
    | {"docker.errors", "paramiko.ssh_exception", "requests", "rgate.discovery.deadlines", "urllib3"},
    "rgate.discovery.docker_client": DISCOVERY
    | {
        "docker",
        "rgate.discovery.daemon",
        "rgate.discovery.deadlines",
        "rgate.discovery.docker_errors",
    },
    "rgate.discovery.docker_source": DOCKER | {"docker.errors.NotFound"},
    "rgate.discovery.docker_checkup": DOCKER | {"rgate.discovery.docker_source"},
    "rgate.discovery.swarm_source": DOCKER
    | {"rgate.discovery.docker_source", "rgate.discovery.own_container"},
    "rgate.discovery.watcher": DISCOVERY | {"rgate.discovery.registry"},
    "rgate.discovery.sources": DISCOVERY
    | {"rgate.discovery.daemon", "rgate.discovery.docker_errors", "rgate.discovery.docker_source"}
    | {"rgate.discovery.registry", "rgate.discovery.swarm_source", "rgate.discovery.watcher"},
    "rgate.stats": STATS,
    "rgate.stats.checkup": STATS | {"sqlalchemy"},
    "rgate.stats.lasting": STATS | {"sqlalchemy"},
    "rgate.stats.database": STATS | {"sqlalchemy"},
    "rgate.stats.reading": STATS | {"sqlalchemy"},
    "rgate.stats.schema": STATS | {"sqlalchemy"},
    "rgate.stats.store": STATS | {"sqlalchemy"},
    "rgate.telling": STANDARD | {"rgate.core", "rgate.telling"},
    "rgate.telling.traces": STANDARD | {"opentelemetry", "requests", "rgate._version", "rgate.core"},
    "rgate.engines": ENGINES,
    "rgate.engines.crowd": ENGINES,
    "rgate.engines.last_clients": STANDARD,
    "rgate.engines.memory": STANDARD,
    "rgate.engines.underway": FLASK,
    "rgate.engines.plain_wsgi": SERVER | {"flask", "rgate.engines.live_stream"},
    "rgate.engines.conversation": FLASK,
    "rgate.engines.live_stream": FLASK,
    "rgate.engines.requests_upstream": FLASK | {"requests", "rgate.engines.conversation", "urllib3"},
    "rgate.engines.wsgi_connection": SERVER
    | {"rgate.engines.conversation", "rgate.engines.live_stream", "rgate.web.environ"},
    "rgate.engines.wsgi_server": SERVER
    | {"rgate.engines.conversation", "rgate.engines.memory", "rgate.engines.wsgi_connection"},
    "rgate.engines.flask_engine": SERVER
    | {
        "flask",
        "rgate.engines.plain_wsgi",
        "rgate.engines.requests_upstream",
        "rgate.engines.wsgi_connection",
    }
    | {"rgate.engines.wsgi_server", "rgate.web.catch_all", "rgate.web.pages"},
    "rgate.engines.asyncio_engine": ASYNCIO,
    "rgate.engines.asyncio_engine.shared": ASYNCIO | {"rgate.web.pages"},
    "rgate.engines.asyncio_engine.engine": ASYNCIO | {"rgate.web.pages", "uvloop"},
    "rgate.web": STANDARD
    | {"flask", "rgate.core", "rgate.discovery.watcher", "rgate.stats", "rgate.telling", "werkzeug"}
    | {"rgate.web.catch_all", "rgate.web.documents", "rgate.web.environ"}
    | {"rgate.web.backends_page", "rgate.web.moments", "rgate.web.operator_page", "rgate.web.page"}
    | {"rgate.web.pages", "rgate.web.requests_page"}
    | {"rgate.web.static_files", "rgate.web.timeline_page", "rgate.web.told_pages", "rgate.web.verdict_page"}
    | {"rgate.web.gateway_now", "rgate.web.metrics_page", "rgate.web.worker_metrics"},
    "rgate.web.amounts": STANDARD,
    "rgate.web.markup": STANDARD | {"jinja2", "markupsafe", "rgate.core", "rgate.web.amounts"},
    "rgate.web.sparks": HTML,
    "rgate.web.rows": HTML | {"rgate.web.sparks"},
    "rgate.web.page": HTML | {"rgate.web.markup", "rgate.web.rows", "rgate.web.sparks"},
    "rgate.web.told_pages": HTML | {"rgate.web.markup"},
    "rgate.web.verdict_page": STANDARD
    | {"rgate.core", "rgate.web.amounts", "rgate.web.documents", "rgate.web.gateway_now"},
    "rgate.web.static_files": STANDARD | {"importlib.resources", "rgate.core"},
    "rgate.web.documents": CORE | {"pydantic", "rgate.stats.series"},
    "rgate.web.exposition": METRICS,
    "rgate.web.metrics_page": METRICS | {"rgate._version", "rgate.telling", "rgate.web.worker_metrics"},
    "rgate.web.worker_metrics": METRICS,
    "rgate.cli": CLI,
    "rgate.cli.asking_gateway": CLI | {"pydantic"},
    "rgate.cli.config_file": CLI | {"importlib.util.find_spec"},
    "rgate.cli.case_results": CLI | {"rgate.web.documents"},
    "rgate.cli.completion": CLI | {"argcomplete"},
    "rgate.cli.doctor": CLI | {"rgate.discovery.docker_checkup"},
    "rgate.cli.events": CLI | {"rgate.web.documents"},
    "rgate.cli.explain": CLI | {"rgate.web.documents"},
    "rgate.cli.explaining": CLI | {"rgate.web.documents"},
    "rgate.cli.text": CLI | {"rgate.web.documents"},
    "rgate.cli.top": CLI | {"rgate.web.documents", "rich"},
    "rgate.cli.top_view": CLI | {"rgate.web.amounts", "rgate.web.documents", "rich"},
    "rgate.cli.why": CLI | {"rgate.web.documents"},
    # The commands, by name, as none is imported before it is known which is meant.
    "rgate.cli.main": CLI | {"argcomplete", "importlib.import_module"},
    "rgate.cli.looking": CLI
    | {"rgate.discovery.look", "rgate.discovery.own_container", "rgate.discovery.source"}
    | {"rgate.discovery.sources"},
    "rgate.cli.running": CLI | {"rgate.discovery.sources"},
    # pytest loads it everywhere: what it needs is imported by those whose fixtures are used.
    "rgate.testing": frozenset(),
    "rgate.testing.plugin": STANDARD
    | {"pytest", "rgate.testing.backend", "rgate.testing.gateway", "rgate.testing.report"},
    "rgate.testing.child": STANDARD | {"rgate.cli.main"},
    "rgate.testing.process": STANDARD | {"rgate.testing"},
    "rgate.testing.backend": STANDARD,
    "rgate.testing.gateway": STANDARD
    | {
        "rgate.cli.asking_gateway",
        "rgate.cli.config_file",
        "rgate.core",
        "rgate.testing",
        "rgate.web.documents",
    }
    | {"requests", "yaml"},
    "rgate.testing.report": STANDARD
    | {
        "rgate.cli.events",
        "rgate.cli.text",
        "rgate.cli.why",
        "rgate.core",
        "rgate.testing",
        "rgate.web.documents",
    },
    # Where all parts meet.
    "rgate.cli.wiring": CLI
    | {"flask", "importlib.import_module", "rgate.discovery", "rgate.engines", "rgate.web"},
}

# Names that need no import: of I/O, and of what runs code that cannot be read here.
IO: Final = frozenset({"open", "input", "print", "breakpoint"})
DYNAMIC: Final = frozenset({"__import__", "__builtins__", "__loader__", "__spec__", "eval", "exec"})


def sources(root: Path) -> dict[str, str]:
    """Return the text of each module under the package *root*, by its dotted name."""
    files = sorted(root.rglob("*.py"))
    assert files, f"no modules in {root.absolute()}"
    return {
        ".".join(file.with_suffix("").parts).removesuffix(".__init__"): file.read_text() for file in files
    }


def imported(text: str) -> Iterator[str]:
    """Yield the whole name of each import: `from a import b` is `a.b`; a relative one begins with `.`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def breaches(module: str, text: str) -> list[str]:
    """Return a sentence for each thing in *module* that it may not use."""
    allowed = ALLOWED[_longest(module, ALLOWED) or module]
    found = [f"{module} imports {name}" for name in imported(text) if _longest(name, allowed) is None]
    barred = DYNAMIC | IO if module.startswith("rgate.core.") else DYNAMIC
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return found + [f"{module} uses {name}" for name in sorted(used & barred)]


def circular(texts: Mapping[str, str]) -> set[str]:
    """Return the modules that import themselves, through others or not."""
    graph = {
        module: {found for name in imported(text) if (found := _longest(name, texts))}
        for module, text in texts.items()
    }
    return {module for module in graph if module in _reached(module, graph)}


def _longest(name: str, among: Mapping[str, object] | frozenset[str]) -> str | None:
    """Return the longest of *among* that *name* is, or begins with, up to a dot; None without one."""
    while name and name not in among:
        name = name.rpartition(".")[0]
    return name or None


def _reached(module: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Return what *module* imports, and what that does, and so on."""
    reached, waiting = set[str](), [module]
    while waiting:
        new = graph[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached
