# Nothing but Python 3.11 or later is needed:  make run  ·  make test
#
# Each target makes .venv from requirements.lock first, and again only when that file, one of
# PyTorch's or pyproject.toml has changed.

PYTHON = python3
VENV = .venv
STUDY = quickstart
TRIALS = 50
PYTEST_ARGS =
# Files side by side, in their order: studies with real servers wait as much as they compute.
SIDE_BY_SIDE = -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
PIP = $(BIN)/python -m pip --disable-pip-version-check

.PHONY: run test test-quick campaign newest-optuna lint docs lock clean help

run: $(INSTALLED)  ## a first search: 50 trials on the embedded data and model
	@$(BIN)/python -m hpo.run $(STUDY) --trials $(TRIALS)

test: $(INSTALLED)  ## every test but the fault campaign, the newest Optuna, and those that need Docker
	@$(BIN)/python -m pytest -m "not compose and not campaign and not newest_optuna" $(SIDE_BY_SIDE) $(PYTEST_ARGS)

campaign: $(INSTALLED)  ## kill, stop and starve a study in every way; takes long
	@$(BIN)/python -m pytest -m campaign $(PYTEST_ARGS)

newest-optuna: $(INSTALLED)  ## what we write into Optuna's tables, held against its newest release
	@$(BIN)/python -m pytest -m newest_optuna $(PYTEST_ARGS)

test-quick: $(INSTALLED)  ## the tests that take seconds
	@$(BIN)/python -m pytest -m "not slow and not compose and not newest_optuna" $(PYTEST_ARGS)

lint: $(INSTALLED)  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(INSTALLED)  ## write the tables in README.md and docs/ anew from the code
	@$(BIN)/python -m hpo.spec.reference

lock: $(INSTALLED)  ## write down the versions that are installed in .venv, with the hashes of all their files
	@$(PIP) install -qq uv
	@PATH="$(BIN):$$PATH" $(BIN)/python .ci/lock.py requirements.lock dashboard postgres server test
	@PATH="$(BIN):$$PATH" $(BIN)/python .ci/lock.py deploy/requirements.lock dashboard postgres server

clean:  ## remove .venv and the tools' caches; studies and results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

$(INSTALLED): requirements.lock torch-cpu.lock torch-cuda.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null || \
		{ echo "There is no $(PYTHON) here. Install Python 3.11 or later, or name it: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); 3.11 or later is needed. Name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "$(PYTHON) lacks its venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), once; this downloads PyTorch and takes some minutes …"
	@$(PIP) install -qq --no-deps -r torch-cpu.lock 2> /dev/null || $(PIP) install -qq --no-deps -r torch-cuda.lock
	@$(PIP) install -qq --no-deps -r requirements.lock
	@$(PIP) install -qq --no-deps --editable .
	@touch $@
