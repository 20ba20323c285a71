# The one list of commands. Needs make and Python >= 3.11 (PYTHON=python3.12 make test chooses another one);
# everything else goes into .venv with pip, and nothing but pip uses the network. pip takes the versions in
# constraints.txt, so that a release of tomorrow breaks nothing today; `make newest` tries those of tomorrow.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := --constraint constraints.txt
WORKERS := 2
SAMPLE := 200
NAMES :=
FOLDERS := audit clients models privacy server simulations
SOURCES := $(shell find $(FOLDERS) -type f ! -path '*/__pycache__/*')

.DEFAULT_GOAL := help
.PHONY: help demo federation test prove mutants soak coverage bench bench-federation bench-privacy newest wheelhouse lint ruff mypy pyright imports docs messages clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | awk -F': ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## install into .venv and run a federation of simulated holders
	$(BIN)/ringfence-simulate demo

federation: $(VENV)/.demo ## run a coordinator and three holders as processes, some killed in mid-study: out/federation
	rm -rf out/federation
	$(BIN)/ringfence-simulate federation

test: $(VENV)/.test ## run all tests against the installed wheel (not the checkout); they have to reach 90 % of the lines that guard
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --cov --cov-report=
	@for folder in privacy audit clients; do \
		echo "percent of the lines of $$folder that tests reach, of which 90 are needed:"; \
		$(BIN)/coverage report --include="*/ringfence/$$folder/*" --fail-under=90 --format=total || exit 1; \
	done

prove: $(VENV)/.test ## check every privacy claim against evidence, and that every known way to break one is noticed
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m prove

mutants: $(VENV)/.mutants ## put one-line faults by chance into the modules that guard and see whether tests notice (SAMPLE, NAMES)
	PYTHONPATH=tests $(BIN)/python -m mutate --sample $(SAMPLE) $(NAMES)

soak: $(VENV)/.test mutants ## run the long forms of the tests
	$(BIN)/pytest -m "" --hypothesis-profile=soak

coverage: $(VENV)/.test ## list the lines that the last `make test` did not reach
	$(BIN)/coverage report

bench: $(VENV)/.test ## measure the public cases (needs their tables, RINGFENCE_DATA) into out/bench
	mkdir -p out/bench
	$(BIN)/python -m ringfence.simulations.benchmarks.cases --splits 10 --json out/bench/cases.json

bench-federation: $(VENV)/.test ## measure phases over a link and gateway beside stock Flower: out/bench/federation.json
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore -m ringfence.simulations.benchmarks.federation --json out/bench/federation.json

bench-privacy: $(VENV)/.bench ## measure the privacy engine beside its peers: out/bench/privacy.json and a page
	OMP_NUM_THREADS=1 $(BIN)/python -m ringfence.simulations.benchmarks.privacy --folder out/bench

newest: ## try the newest versions of everything in .venv-newest and say what they break (out/newest)
	$(PYTHON) docs/tools/newest.py

wheelhouse: dist/.built ## collect all wheels, with hashes and a bill of materials, for machines without a network: out/wheelhouse
	$(BIN)/python docs/tools/wheelhouse.py dist/ringfence-*.whl

lint: ruff mypy pyright imports docs ## run every static check

ruff: $(VENV)/.test ## style and simple faults
	$(BIN)/ruff check .

mypy: $(VENV)/.test ## types, strict
	$(BIN)/mypy

pyright: $(VENV)/.test ## types once more, by another checker (its node comes as a wheel)
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

imports: $(VENV)/.test ## the layers of the house
	$(BIN)/python docs/tools/layers.py

docs: ## links, and the generated pages of the reference
	$(PYTHON) docs/tools/links.py
	$(PYTHON) docs/tools/errors.py --check

messages: $(VENV)/.test ## collect sentences for the translators and compile what they wrote
	$(BIN)/python docs/tools/messages.py update
	$(BIN)/python docs/tools/messages.py compile

clean: ## remove what these commands made
	rm -rf $(VENV) .venv-newest build dist ringfence.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# --- how .venv is made ------------------------------------------------------------------------------------

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet $(PINNED) setuptools

# A stale build/ would bring deleted modules back into the wheel, so each build starts without one.
dist/.built: $(BIN)/python $(SOURCES) pyproject.toml constraints.txt README.md LICENSE
	rm -rf build dist ringfence.egg-info
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build ringfence.egg-info
	touch $@

# pip keeps an installed wheel of the same version, hence the second, forced step.
$(VENV)/.demo: dist/.built
	$(PIP) install --quiet $(PINNED) "$$(echo dist/ringfence-*.whl)[simulate]"
	$(PIP) install --quiet --no-deps --force-reinstall dist/ringfence-*.whl
	touch $@

$(VENV)/.test: dist/.built
	$(PIP) install --quiet $(PINNED) "$$(echo dist/ringfence-*.whl)[simulate,server,test]"
	$(PIP) install --quiet --no-deps --force-reinstall dist/ringfence-*.whl
	cd $(VENV) && bin/python -c "import sys, ringfence.privacy as p; sys.exit('site-packages' not in p.__file__)"
	touch $@

# The peers that benchmarks compare with.
$(VENV)/.bench: $(VENV)/.test
	$(PIP) install --quiet $(PINNED) "$$(echo dist/ringfence-*.whl)[bench]"
	touch $@

$(VENV)/.mutants: $(VENV)/.test
	$(PIP) install --quiet $(PINNED) "$$(echo dist/ringfence-*.whl)[mutants]"
	touch $@
