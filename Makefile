# Two commands to learn: `make quickstart` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test check results clean

quickstart: .venv/core  ## from nothing to the quickstart leaderboard
	$(BIN)/rbench run suites/quickstart.yaml --out runs/quickstart

test: .venv/dev  ## from nothing to a passed test-suite
	$(BIN)/python -m pytest

check: .venv/dev  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

results: .venv/core  ## the committed leaderboards, made again from the committed records
	for folder in results/*/; do $(BIN)/rbench report $$folder || exit 1; done

clean:
	rm -rf .venv runs build dist

.venv/core: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("rbench needs Python 3.11 or newer: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/dev: .venv/core tests/plugin_pkg/pyproject.toml
	$(PIP) -e '.[dev]' ./tests/plugin_pkg
	touch $@
