# Everything runs from .venv, which the first target makes; only make and Python 3.11+ are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto

.PHONY: demo test test-superset check bench format lock clean

$(VENV)/.runtime: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "responder needs Python 3.11 or newer: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

demo: $(VENV)/.runtime
	$(BIN)/responder demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS)

# On a real Superset, from a virtual environment of its own: make test-superset SUPERSET=/path/to/bin/superset
test-superset: $(VENV)/.dev
	test -x "$(SUPERSET)" || { echo 'SUPERSET is the path of the superset program'; exit 2; }
	SUPERSET="$(SUPERSET)" $(BIN)/python -m pytest -m superset tests/superset

check: $(VENV)/.dev
	$(BIN)/ruff format --check responder tests bench
	$(BIN)/ruff check responder tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/responder check
	$(BIN)/python tests/support/helm_chart.py

bench: $(VENV)/.dev
	$(BIN)/python -m bench

format: $(VENV)/.dev
	$(BIN)/ruff format responder tests bench
	$(BIN)/ruff check --fix responder tests bench

# Pins every dependency with its hashes, for every platform.
lock:
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) data build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
