# Everything a newcomer needs: `make demo` and `make test`. Python 3.11 or newer and make are all that is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo up test check bench record lock clean

help:
	@echo "make demo    a month at a small SaaS, played end to end on private engines  (ARGS=--serve leaves it running)"
	@echo "make up      all processes on this machine"
	@echo "make test    the whole test suite (ARGS='-k name' narrows it)"
	@echo "make check   ruff, mypy --strict, import-linter, migration drift"
	@echo "make bench   the benchmarks, side by side with the textbook way"
	@echo "make record  record the cassettes anew"
	@echo "make lock    compile the hashed lock file from pyproject.toml"

# One venv for all targets, built from the hashed lock file alone.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "billingbot needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=python3.x.")'
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary=:all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(BIN)/billingbot demo $(ARGS)

up: $(STAMP)
	@$(BIN)/billingbot up $(ARGS)

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=src $(BIN)/lint-imports
	@$(BIN)/billingbot db check

bench: $(STAMP)
	@$(BIN)/python -m benchmarks $(ARGS)

record: $(STAMP)
	@$(BIN)/python -m pytest -p no:xdist tests/gateway --record $(ARGS)

lock: $(STAMP)
	@$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 --group dev pyproject.toml -o requirements.lock $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
