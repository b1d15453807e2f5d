# FleetPrompt: `make demo` shows it, `make test` proves it, `make up` serves it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
BIN := .venv/bin
# Written last, so that a broken install is done again.
READY := .venv/.ready
# More than the cores of a small machine: half of the tests wait most of their time.
JOBS ?= 3
CHAOS_MINUTES ?= 15
CHAOS_SEED ?=

# Runs a quiet command and says every few seconds that it still does.
define with_progress
{ $(1); } & pid=$$!; began=$$SECONDS; \
	while kill -0 $$pid 2>/dev/null; do sleep 1; \
		(( (SECONDS - began) % 5 )) || printf '  ... %s s\n' $$((SECONDS - began)); done; \
	wait $$pid
endef

.PHONY: demo up test check unit lock clean bench chaos
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "FleetPrompt needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing FleetPrompt and its dependencies into .venv (once; a minute or two) ..."
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv
	@$(call with_progress,$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock)
	@$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## play the main scene on the embedded database: no account, no key
	@$(BIN)/fleetprompt demo

up: $(READY) ## serve for real: web, worker and listener in one process
	@$(BIN)/fleetprompt up

check: $(READY) ## ruff, mypy (strict), import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

unit: $(READY) ## the tests alone
	$(BIN)/pytest -n $(JOBS) --dist worksteal

test: check unit ## everything

chaos: $(READY) ## attack the service on every transport, about 15 minutes (CHAOS_MINUTES, CHAOS_SEED repeats a run)
	@$(BIN)/python -m tests.chaos --minutes $(CHAOS_MINUTES) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

bench: $(READY) ## measure, each figure beside a floor of the same run
	@$(BIN)/python -m bench

lock: $(READY) ## resolve requirements.lock anew (needs a package index)
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock

clean: ## remove what make built here (never your data directory)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo .chaos
