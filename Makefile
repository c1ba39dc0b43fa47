# A fresh machine needs Python 3.11 to 3.13 with pip, and make. `make` alone lists what there is.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The first of these that runs and is of a version that the lock was made for; or name your own:
# make setup PYTHON=/path/to/python3.12
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$python && break; done)
UV ?= uv
WORKERS ?= logical
WORKSPACE ?= demo
DATA ?= ../shared/bench

# What a machine happens to have set must not reach us, and idle threads must not burn its cores.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_USER := 0
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help demo test check setup lab bench soak lock clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

demo: $(READY) ## make a sample market in demo/, run the job on it, say what it found
	@test -f demo/peakahead.toml || $(BIN)/peakahead init demo
	@$(BIN)/peakahead run -w demo --as-of "$$($(BIN)/python -c \
		'import json; print(json.load(open("demo/market.json"))["as_of"])')"
	@echo "The orders of the three days that followed, served three ways:"
	@$(BIN)/peakahead replay -w demo --orders demo/future.parquet \
		--plan none --plan last-week --plan latest

test: check ## everything that CI runs: check, then the tests
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -m "not soak"

check: $(READY) ## formatting, lint, types, who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports --no-cache

setup: $(READY) ## install into .venv what requirements.lock names

lab: $(READY) ## open the notebooks in JupyterLab on demo/ (or WORKSPACE=dir)
	@test -f $(WORKSPACE)/peakahead.toml || $(BIN)/peakahead init $(WORKSPACE)
	$(BIN)/peakahead lab -w $(WORKSPACE)

bench: $(READY) ## run the benchmarks (public data sets: DATA=dir), figures go to their CSVs
	$(BIN)/python benchmarks/planning/run.py
	$(BIN)/python benchmarks/forecast/run.py $(DATA)

soak: $(READY) ## the long checks, hours rather than minutes
	$(BIN)/python -m pytest -m soak

lock: ## resolve pyproject.toml's dependencies into requirements.lock (needs uv)
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --all-extras \
		--generate-hashes --no-header --no-annotate --quiet $(UPGRADE) -o requirements.lock

clean: ## remove .venv, demo and caches
	rm -rf $(VENV) demo build dist .hypothesis .pytest_cache .mypy_cache .ruff_cache .cache
	find forecast planning tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +

# A system's Python may come without ensurepip; then its own pip installs into .venv.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "peakahead needs Python 3.11, 3.12 or 3.13, and none was found;" \
		"install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@echo "Installing into $(VENV) what requirements.lock names; the first time takes minutes."
	@pip="$(BIN)/python -m pip"; $$pip --version >/dev/null 2>&1 \
		|| pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	$$pip install --quiet --require-hashes -r requirements.lock \
		&& $$pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
