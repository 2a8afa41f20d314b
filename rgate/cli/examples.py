"""Examples of each command, as `--help` and docs/commands.md show them; a test runs them."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "serve": (
        "rgate --port 8080 --config config.yml",
        "rgate serve --host 0.0.0.0 --workers auto --access-log -",
    ),
    "check": ("rgate check", "rgate check --config new.yml"),
    "explain": (
        "rgate explain /api/orders/7",
        "rgate explain POST http://shop.example/api/orders --header 'Content-Length: 12'",
        "rgate explain /api/orders --gateway http://127.0.0.1:8080",
    ),
    "plan": (
        "rgate plan --config new.yml --against config.yml --snapshot production.json",
        "rgate plan --labels 'orders-3 app_name=orders env=production'",
    ),
    "snapshot": ("rgate snapshot --output production.json", "rgate snapshot --keep-labels 'shop.auth.*'"),
    "test": ("rgate test cases.yml --snapshot production.json", "rgate test --write made.yml"),
    "health": ("rgate health", "rgate health --host 127.0.0.1 --port 8080"),
    "why": ("rgate why --last", "rgate why --failed --json"),
    "events": ("rgate events --since 10m", "rgate events --json"),
    "top": ("rgate top", "rgate top --once --window 1h"),
    "doctor": ("rgate doctor", "rgate doctor --port 8081 --db sqlite:////tmp/figures.db --json"),
    "init": ("rgate init --output new-config.yml", "rgate init --snapshot production.json --output -"),
    "schema": ("rgate schema", "rgate schema > rgate.schema.json"),
    "completion": ("rgate completion bash", "rgate completion fish"),
}
"""Of each command its examples, to be typed as they stand."""
