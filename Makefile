# SPDX-License-Identifier: MIT
# The same commands for people and CI. Each installs what it needs into .venv on its first run.
# Without make (Windows): README.md shows the plain venv and pip commands.

VENV ?= .venv
BIN = $(VENV)/bin
CONSTRAINTS ?=
EXAMPLE = examples/shapes_int8.tflite
# A process per core; a file of tests stays in one of them, and what it has built.
PYTEST = $(BIN)/python -m pytest -n logical --dist loadfile

# The first Python that is new enough; override with make PYTHON=...
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; \
	done)
# Where there is no C compiler, one comes from PyPI.
COMPILER := $(shell command -v cc || command -v gcc || command -v clang)
COMMA := ,
DEMO_EXTRAS := $(if $(COMPILER),,[toolchain])
TEST_EXTRAS := $(if $(COMPILER),[dev],[dev$(COMMA)toolchain])

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Install, then plan, generate, simulate and verify the example model
	$(BIN)/tinyeff plan $(EXAMPLE) --sram 256k
	$(BIN)/tinyeff codegen $(EXAMPLE) -o build/shapes --sram 256k --name shapes --labels examples/shapes_labels.txt
	$(BIN)/tinyeff sim build/shapes --input examples/triangle.npy
	$(BIN)/tinyeff verify $(EXAMPLE) --data examples/shapes_eval.npz
	$(BIN)/tinyeff evaluate $(EXAMPLE) --data examples/shapes_eval.npz

setup: $(VENV)/.installed-all ## Install every extra (TensorFlow too) and the developer's tools

test: $(VENV)/.installed-dev ## The tests, slow ones included (15 minutes on two cores at most)
	$(PYTEST) -m "not all"

test-fast: $(VENV)/.installed-dev ## The tests that finish in 2 minutes
	$(PYTEST) -m "not all and not slow"

test-all: $(VENV)/.installed-all ## Every test
	$(PYTEST)

check: $(VENV)/.installed-dev ## Style and types: ruff, mypy, clang-format, compiler warnings
	@$(MAKE) --no-print-directory --keep-going check-style check-types check-c

check-style:
	$(BIN)/ruff check .
check-types:
	$(BIN)/mypy
check-c:
	$(BIN)/python .ci/check_c.py

golden: $(VENV)/.installed-all ## Write tests/golden, docs/operators.md, docs/systems.md and the output in README.md anew
	$(BIN)/python -m tests.golden_files
	$(BIN)/python -m tests.operators_page
	$(BIN)/python -m tests.systems_page
	$(BIN)/python -m tests.readme_blocks

bench: $(VENV)/.installed-all ## The tables of benchmarks/
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.memory --cpu cortex-m4
	$(BIN)/python -m benchmarks.emulation
	$(BIN)/python -m benchmarks.work --json build/bench.json
	$(BIN)/python -m benchmarks.streams
	$(BIN)/python -m benchmarks.zoo --json build/zoo.json
	$(BIN)/python -m benchmarks.quantizer

clean: ## Remove what was built (.venv stays)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "tinyeff needs Python 3.11 or later; none found. Install one, or: make PYTHON=/path/to/python3" >&2; \
		exit 1; fi
	$(PYTHON) -m venv $(VENV)

PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS))

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV): about $(if $(COMPILER),90,190) MB to download, once"
	$(PIP_INSTALL) -e ".$(DEMO_EXTRAS)"
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) with the developer's tools"
	$(PIP_INSTALL) -e ".$(TEST_EXTRAS)"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-all: pyproject.toml | $(BIN)/python
	@echo "Installing everything into $(VENV): about 900 MB to download, once"
	$(PIP_INSTALL) -e ".[all,dev]"
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed

.PHONY: help demo setup test test-fast test-all check check-style check-types check-c golden bench clean
.DEFAULT_GOAL := help
