# Two commands to learn: `make quickstart` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
RUNS := $(sort $(patsubst %/suite.yaml,%,$(wildcard results/*/suite.yaml)))
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# torchattacks pins an old requests and robustbench an old timm, so for the tests they come without what they ask for. torchattacks brings an
# old copy of robustbench, so the real one comes last.
PINNING := torchattacks geotorch torchdiffeq gdown beautifulsoup4 soupsieve

.PHONY: quickstart test soak extras coverage bench gpu check results docs reference screenshots clean

quickstart: .venv/core  ## from nothing to the quickstart leaderboard, verified
	$(BIN)/rbench quickstart

test: .venv/dev  ## from nothing to a passed test-suite, one process a core
	$(BIN)/python -m pytest

soak: .venv/dev  ## the tests that take hours: all crash points, 50 kills, 5,000 cases a format, committed folders judged again; into runs/soak.txt
	mkdir -p runs
	{ date; $(BIN)/python -m pytest -v -m soak; echo $$? > runs/soak.exit; } 2>&1 | tee runs/soak.txt
	exit $$(cat runs/soak.exit)

extras: .venv/dev  ## whether every extra installs alone beside the core on Python 3.11 to 3.13, and `all`, by what the package index has today
	$(BIN)/python -m pytest -v -n1 -m index

# Tests of limits of time and of what a file makes Python do are left out: counting lines costs as much again, and writes files of its own.
coverage: .venv/coverage  ## branches of suite loader, store, judge and verifying that the tests reach; fails below 95 %
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest tests/suite tests/results tests/faults tests/verifying tests/running tests/bundles \
	tests/engine/test_judge.py tests/engine/test_judged_known_answers.py tests/test_committed_results.py \
	--ignore tests/faults/test_malicious_files.py -k 'not within_a_second'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: .venv/bench  ## how fast rbench is, each figure beside its bar, into results/bench; wants an idle machine for hours: BENCH=--quick, CIFAR=FILE.parquet
	above=0; for page in start_up report_speed checkpointing audit; do $(BIN)/python bench/$$page.py || above=1; done; \
	$(BIN)/python -m bench $(CIFAR:%=--cifar %) $(BENCH) || above=1; exit $$above

gpu: .venv/bench  ## the same on a CUDA GPU in at most eight minutes; ends with 3 where there is none: CIFAR=FILE.parquet
	$(BIN)/python -m bench.gpu $(CIFAR:%=--cifar %)

check: .venv/dev  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools docs/notebooks
	$(BIN)/lint-imports

results: .venv/core  ## all committed leaderboards, the page of all and the figures, made again from the committed records
	for folder in $(RUNS); do $(BIN)/rbench report $$folder > /dev/null || exit 1; done
	$(BIN)/rbench report results/quickstart --to figures > /dev/null
	$(BIN)/rbench report $(RUNS) --to html,figures --out results

docs: .venv/docs  ## the documentation as a site, into build/site; a link that leads nowhere is an error
	$(BIN)/python -m tools.site

reference: .venv/core  ## what the documentation has from the code, made again
	$(BIN)/python -m tools.reference

screenshots: .venv/dev docs  ## those of the documentation, from the page of all results and the front page of the site
	$(BIN)/python docs/screenshots.py results/leaderboard.html docs
	$(BIN)/python -m tools.front_page

clean:
	rm -rf .venv runs build dist

.venv/core: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("rbench needs Python 3.11 or newer: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/bench: .venv/dev bench/constraints.txt
	PIP_CONSTRAINT=bench/constraints.txt PIP_BUILD_CONSTRAINT=bench/constraints.txt $(PIP) -e '.[bench]' \
	|| echo 'foolbox or adv-lib cannot be installed here; the rows of the bench say so'
	touch $@

.venv/coverage: .venv/dev
	$(PIP) -e '.[coverage]'
	touch $@

.venv/docs: .venv/core
	$(PIP) -e '.[docs]'
	touch $@

.venv/dev: .venv/core tests/plugin_pkg/pyproject.toml
	$(PIP) -e '.[dev]' ./tests/plugin_pkg
	$(PIP) --no-deps $(PINNING) && $(PIP) --no-deps robustbench
	touch $@
