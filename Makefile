# Everything a person or CI runs. `make demo` and `make test` set up all they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SUDO   := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: demo test test-full bench check fix docs screenshots clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "metier needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { $(SUDO) apt-get update -q && $(SUDO) apt-get install -qy python3-venv; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@ $(VENV)/.installed

.PHONY: system
system:  # PostgreSQL and a browser from Debian, for the tests that use the real thing
	@sh tests/install_system.sh

demo: $(VENV)/.installed  ## A whole cycle on the bundled base and made data, to the report
	$(BIN)/metier demo

test: $(VENV)/.installed-dev system  ## All tests but the full-size ones (under 25 minutes on 2 cores)
	$(BIN)/python -m pytest -m "not slow" --durations=20

test-full: $(VENV)/.installed-dev system  ## Every test, at full size
	$(BIN)/python -m pytest

bench: $(VENV)/.installed-dev  ## Benchmarks beside named peers; appends to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/real_data.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/preferences.py
	$(BIN)/python benchmarks/forecast.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/annotation.py

check: $(VENV)/.installed-dev  ## Lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.installed-dev  ## Apply lint fixes and the formatter
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev  ## Regenerate the reference pages from the code
	$(BIN)/python docs/generate.py

screenshots: $(VENV)/.installed-dev system  ## Photograph every page of a made-up project into docs/screenshots
	$(BIN)/python docs/screenshots.py

clean:  ## Remove what the targets made
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
