# `make demo` and `make test` need Python 3.11 or newer with pip, and nothing else; they make .venv themselves.

PYTHON ?= python3
VENV ?= .venv
EXTRAS := cpu,compress,export,serve,demo,dev
PACKAGES := replank compress export serve
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint types browser clean

help:  ## Show what can be made.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

demo: $(INSTALLED)  ## The whole chain on a real encoder and real texts, offline after the installation, in minutes.
	$(VENV)/bin/replank quickstart demo

test: $(INSTALLED)  ## Every test that needs no network, GPU or browser.
	$(VENV)/bin/python -m pytest -q -n auto --dist loadfile

browser: $(INSTALLED)  ## The page in headless Chromium (needs the chromium and chromium-driver packages).
	$(VENV)/bin/python -m pytest -q -m browser

lint: $(INSTALLED)  ## Style and common mistakes.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(INSTALLED)  ## mypy, strict, on packages, tests and benchmarks.
	$(VENV)/bin/mypy $(PACKAGES) tests benchmarks

clean:  ## Remove the environment and the caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
