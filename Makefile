# FleetPrompt: `make demo` shows it, `make test` proves it, `make up` serves it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.PHONY: demo up test check unit lock clean bench
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "FleetPrompt needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing FleetPrompt's dependencies into .venv (once, about a minute) ..."
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch .venv

demo: .venv ## play the main scene on the embedded database: no account, no key
	@$(BIN)/fleetprompt demo

up: .venv ## serve for real: web, worker and listener in one process
	@$(BIN)/fleetprompt up

check: .venv ## ruff, mypy (strict), import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

unit: .venv ## the tests alone
	$(BIN)/pytest -n $(JOBS)

test: check unit ## everything

lock: .venv ## resolve requirements.lock anew (needs a package index)
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml -o requirements.lock

clean: ## remove what make built here (never your data directory)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo
