# make demo    a small fleet with a bug in it, and the page to find it with
# make test    every test, on every CPython of 3.11-3.13 that is here
# make check   format, lint, types, import rules
# make bench   the figures, side by side with a peer in the same run
#
# PYTHON=/path/to/python3.12 chooses the interpreter of .venv.

SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
WEB := $(shell find viewer/web -type f -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: help demo test check bench lock clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then
		echo "Sonde needs Python 3.11 or newer, and none was found. On Debian: apt-get install python3 python3-venv" >&2; exit 1
	fi
	echo "== a virtual environment in $(VENV), of $$($(PYTHON) --version)"
	if ! $(PYTHON) -m venv $(VENV); then
		rm -rf $(VENV); echo "Python's venv module is incomplete. On Debian: apt-get install python3-venv" >&2; exit 1
	fi

# The page is built by the packaging hook (viewer/web/hatch_build.py), with Node from PATH or from PyPI.
$(VENV)/.runtime: $(BIN)/python pyproject.toml requirements.lock $(WEB)
	@echo "== installing Sonde and building its page (a minute or two the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "== installing what tests and checks need"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

demo: $(VENV)/.runtime
	@exec $(BIN)/sonde demo

test: $(VENV)/.dev
	@exec $(BIN)/python -m tests

check: $(VENV)/.dev
	@echo "== ruff"
	$(BIN)/ruff format --check --quiet . || { echo "run: .venv/bin/ruff format" >&2; exit 1; }
	$(BIN)/ruff check --quiet .
	echo "== mypy"
	$(BIN)/mypy
	echo "== pyright"
	$(BIN)/pyright --warnings
	echo "== import rules"
	$(BIN)/lint-imports --no-cache
	echo "== the page's types"
	$(BIN)/python -m tests.page check

bench: $(VENV)/.dev
	@exec $(BIN)/python -m bench --all

# Universal locks with hashes, for every interpreter and platform.
lock: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet uv
	compile() { $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url pyproject.toml "$$@"; }
	compile --extra agent --extra broker --extra postgres --extra viewer -o requirements.lock
	compile --extra agent --group test -c requirements.lock -o requirements-test.lock
	compile --extra agent --extra broker --extra postgres --extra viewer --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf .venv .venvs viewer/web/node_modules viewer/sonde_viewer/static
