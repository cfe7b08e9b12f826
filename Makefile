# Everything a newcomer needs: `make demo` and `make test`. Python 3.11 or newer and make are all that is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip install --quiet
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Set on some machines, and then every one of our many processes compiles all our sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo up test pictures torture check bench record lock clean

help:
	@echo "make demo    a month at a small SaaS, played end to end on private engines  (ARGS=--serve leaves it running)"
	@echo "make up      all processes on this machine"
	@echo "make test    the whole test suite (ARGS='-k name' narrows it)"
	@echo "make pictures  every page of the console, light, dark and on a phone, in .pytest_cache/pages"
	@echo "make torture everything breaks at once, then the books are compared  (ARGS='--minutes 5 --seed 7')"
	@echo "make check   ruff, mypy --strict, import-linter, migration drift"
	@echo "make bench   the benchmarks, side by side with the textbook way"
	@echo "make record  record the cassettes anew"
	@echo "make lock    compile the hashed lock file from pyproject.toml"

# One venv for all targets, built from the hashed lock files alone: what runs it first, what tests it on top.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "billingbot needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.x.")'
	@echo "Installing into $(VENV) (about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --only-binary=:all: -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(STAMP)
	@echo "Installing the test tools ..."
	@$(PIP) --require-hashes --only-binary=:all: -r requirements-dev.lock
	@touch $@

demo: $(STAMP)
	@$(BIN)/billingbot demo $(ARGS)

up: $(STAMP)
	@$(BIN)/billingbot up $(ARGS)

test: $(DEV_STAMP)
	@$(BIN)/python -m pytest -n auto $(ARGS)

pictures: $(DEV_STAMP)
	@BILLINGBOT_TEST_PICTURES=all $(BIN)/python -m pytest -n auto tests/console/browser $(ARGS)

torture: $(DEV_STAMP)
	@$(BIN)/python -m tests.torture $(ARGS)

check: $(DEV_STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=src $(BIN)/lint-imports
	@$(BIN)/billingbot db check

bench: $(DEV_STAMP)
	@$(BIN)/python -m benchmarks $(ARGS)

record: $(DEV_STAMP)
	@$(BIN)/python -m pytest -p no:xdist tests/gateway --record $(ARGS)

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11
lock: $(DEV_STAMP)
	@$(COMPILE) --group build pyproject.toml -o requirements.lock $(ARGS)
	@$(COMPILE) --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
