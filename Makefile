# `make help` lists what can be made. Everything runs in a virtual environment of its own, .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS ?= tests
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-kill fuzz lint format test-browser benchmark wheel clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(PIP) install -c constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install -c constraints.txt --editable ".[dev]"
	@touch $@

demo: $(VENV)/installed  ## install, train the default experiment, say where to look
	$(BIN)/isthmus train
	@echo "The command is $(BIN)/isthmus; to type it as isthmus: source $(BIN)/activate"

test: $(VENV)/installed-dev  ## install what tests need, and run them
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not browser and not slow and not kill and not fuzz" $(TESTS)

test-slow: $(VENV)/installed-dev  ## run the tests that take long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow $(TESTS)

test-kill: $(VENV)/installed-dev  ## kill training at random moments, and resume it to the same bits
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m kill tests/crash

fuzz: $(VENV)/installed-dev  ## give mutated files to every reader of data and of run folders; FUZZ_CASES=N sets how many
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m fuzz tests/fuzz

lint: $(VENV)/installed-dev  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-browser: $(VENV)/installed-dev  ## look at TensorBoard in headless Chromium (which must be installed)
	$(PIP) install -c constraints.txt --editable ".[browser]"
	$(BIN)/python -m pytest -m browser tests/browser

benchmark: $(VENV)/installed  ## time isthmus against hand-written loops and other libraries
	$(PIP) install -c constraints.txt --editable ".[benchmark]"
	$(BIN)/python scripts/benchmark

wheel: $(VENV)/installed-dev  ## build dist/*.whl
	$(BIN)/python -m build --wheel

clean:  ## remove what was built and installed; runs in outputs/ stay
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
