# `make demo` and `make test` need Python 3.11 or newer with pip, and nothing else; they make .venv themselves.

PYTHON ?= python3
VENV ?= .venv
EXTRAS := cpu,compress,export,serve,tokenizers,telemetry,bench,demo,optimum,docs,dev
# The plugin takes the CPUs of Intel only: elsewhere its tests could not run.
ifneq ($(shell grep -m 1 GenuineIntel /proc/cpuinfo 2>/dev/null),)
EXTRAS := $(EXTRAS),openvino
endif
PACKAGES := replank compress export serve optimum
INSTALLED := $(VENV)/.installed
# Optimum's ONNX part wants an older transformers than replank does.
INTEROP := .venv-interop

.DEFAULT_GOAL := help
.PHONY: help demo test interop lint types docs notebook browser wheels clean

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

$(INTEROP)/.installed: tests/interop/requirements.txt
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --requirement $<
	@touch $@

interop: $(INSTALLED) $(INTEROP)/.installed  ## Folders of ours in Optimum and of Optimum's in replank, in an environment of its own.
	$(VENV)/bin/python -m pytest -q -m interop

browser: $(INSTALLED)  ## The page in headless Chromium (needs the chromium and chromium-driver packages).
	$(VENV)/bin/python -m pytest -q -m browser

lint: $(INSTALLED)  ## Style and common mistakes.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo --no-cache

types: $(INSTALLED)  ## mypy, strict, on packages, tests, benchmarks and the site's hooks.
	$(VENV)/bin/mypy $(PACKAGES) tests benchmarks docs/hooks

docs: $(INSTALLED)  ## The documentation, into build/docs, without the network.
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

notebook: $(INSTALLED)  ## The notebook of the documentation, executed with tiny settings.
	$(VENV)/bin/python -m pytest -q -m notebook

wheels: $(INSTALLED)  ## Wheel and source distribution, into dist, each installed and run elsewhere.
	$(VENV)/bin/hatchling build -d dist
	$(VENV)/bin/python -m pytest -q -m slow tests/house/test_installation.py

clean:  ## Remove the environment and the caches.
	rm -rf dist build/docs $(VENV) $(INTEROP) .mypy_cache .ruff_cache .pytest_cache .hypothesis
