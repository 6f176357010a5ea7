# Every target does its own set-up: a .venv with the pinned, hashed versions of requirements.lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
# What is measured against has dependencies of its own.
PEERS  := .venv-bench

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check sim mutants fault bench guard lock format clean

help:  ## show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## create .venv with exactly the locked versions, and this project in it

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or newer is needed, this is %s\nhint: make setup PYTHON=python3.12" % sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## run the main job on the embedded real Kafka, with a crash in the middle
	@$(BIN)/streams demo

test: setup  ## every test lane that can run here (CI=true: every lane must; ARGS=tests/unit: one)
	@$(BIN)/python -m pytest -q $(ARGS)

lint: setup  ## lint, format, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --warnings
	@$(BIN)/lint-imports --no-cache

check: lint  ## that and the fast tests, within a minute
	@$(BIN)/python -m pytest -q tests/unit tests/architecture tests/docs/test_references.py

format: setup  ## format and sort imports
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

bench: setup $(PEERS)/.ready  ## speed of the task path, against its floor and its peers (ARGS=--help)
	@$(BIN)/python -m bench $(ARGS)

guard: setup  ## CPU per task against the recorded commit, in one run: fails if it is 1.25 times more
	@$(BIN)/python -m bench --guard $(ARGS)

$(PEERS)/.ready: bench/requirements.lock | setup
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@$(BIN)/uv pip sync --quiet --python $(PEERS)/bin/python --require-hashes bench/requirements.lock
	@touch $@

sim: setup  ## simulate the runtime under 2,000 storms of faults (SEED=n: one, aloud; ARGS=--help)
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(ARGS)

mutants: setup  ## plant bugs, each of which the simulation must find
	@$(BIN)/python -m tests.simulation.mutants

fault: setup  ## faults on real brokers (MINUTES=8: each kind at least once; ARGS="--help")
	@$(BIN)/python -m tests.fault $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url
# Both sides of a comparison validate with the same pydantic, on the same event loop.
SHARED  := ^(pydantic|uvloop)==

lock: setup  ## resolve requirements.lock anew, the image's part and the peers' (hashes, no addresses)
	@$(COMPILE) --all-extras --group dev pyproject.toml -o requirements.lock
	@$(COMPILE) --extra otel --constraint requirements.lock pyproject.toml -o deploy/requirements.lock
	@grep -E '$(SHARED)' requirements.lock | tr -d '\\' >$(VENV)/shared.txt
	@$(COMPILE) --constraint $(VENV)/shared.txt --group pyproject.toml:bench -o bench/requirements.lock

clean:  ## remove the virtual environment and everything generated
	@rm -rf $(VENV) $(PEERS) .streams .pytest_cache .ruff_cache dist build
