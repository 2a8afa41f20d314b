#!/usr/bin/env bash
# What CI runs. The first two steps need no Docker, and take a second.
set -euo pipefail
cd "$(dirname "$0")"
rgate check --config config.yml
rgate test routes.yml --config config.yml --snapshot snapshot.json --junit routes.xml
pytest --junit-xml tests.xml tests
