# Every target does its own set-up: a .venv with the pinned, hashed versions of requirements.lock.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench fault lock format clean

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

test: setup  ## every test lane that can run here (CI=true: every lane must)
	@$(BIN)/python -m pytest -q

check: setup  ## lint, format, types, layers and the fast tests, within a minute
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright --warnings
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q tests/unit tests/architecture tests/docs/test_references.py

format: setup  ## format and sort imports
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

bench: setup  ## speed of the task path against the bare loop, in one run
	@$(BIN)/python -m bench

fault: setup  ## faults on real brokers (MINUTES=8: each kind once; ARGS="--help")
	@$(BIN)/python -m tests.fault $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-header --no-emit-index-url

lock:  ## resolve requirements.lock anew, and the image's part of it (hashes, no addresses)
	@$(COMPILE) --all-extras --group dev pyproject.toml -o requirements.lock
	@$(COMPILE) --extra otel --constraint requirements.lock pyproject.toml -o deploy/requirements.lock

clean:  ## remove the virtual environment and everything generated
	@rm -rf $(VENV) .streams .pytest_cache .ruff_cache dist build
