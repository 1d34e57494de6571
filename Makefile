# Two commands for a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-torch test-autogl test-extras chaos lint types bench clean

demo: $(VENV)/installed
	$(BIN)/python -m autohpo.demo

test: $(VENV)/tested
	$(BIN)/python tests/run.py

# Tests with PyTorch: not part of `make test`, because it is large.
test-torch: $(VENV)/tested
	$(BIN)/python tests/run_extras.py --strict torch

# Tests with AutoGL itself, with stand-ins for what it cannot be installed with.
test-autogl: $(VENV)/tested
	$(BIN)/python tests/run_extras.py --strict autogl

# Tests with large packages, each group in an environment of its own: says what ran, what was skipped, and why.
# `make test-extras EXTRAS="trackers torch"` runs some groups.
EXTRAS ?=
test-extras: $(VENV)/tested
	$(BIN)/python tests/run_extras.py $(EXTRAS)

# Every fault of docs/reliability.md at its full number, then with a fault planted that each row must find: some hours.
# `make chaos CHAOS="--rows R1,R5 --long"` runs some rows.
CHAOS ?= --long
chaos: $(VENV)/tested
	$(BIN)/python tests/chaos/run.py $(CHAOS)
	$(BIN)/python tests/chaos/run.py --break all

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/mypy

bench: $(VENV)/installed
	$(BIN)/python benchmarks/ask_tell.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/bohb_quality.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml setup.py
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/tested: $(VENV)/bin/python pyproject.toml setup.py
	$(BIN)/python -m pip install -q -e ".[test]"
	touch $@ $(VENV)/installed

$(VENV)/dev: $(VENV)/tested
	$(BIN)/python -m pip install -q -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .venv-extras build dist *.egg-info
