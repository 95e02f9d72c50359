# `make demo` plans gpt2-medium, `make test` checks the project, `make conformance` checks it against the real packages.
# All build .venv first, once, and conformance an environment of its own outside of the checkout; after that they need
# no network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1

.PHONY: demo test conformance lint install benchmark clean

demo: $(INSTALLED)
	$(BIN)/ipu-partition --model gpt2-medium --ipus 8 --output demo/

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

conformance: $(INSTALLED)
	$(BIN)/python -m tests.conformance

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/planners.py
	$(BIN)/python benchmarks/graphs.py
	$(BIN)/python benchmarks/fidelity.py --fit
	$(BIN)/python benchmarks/verify.py

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m planners solve benchmarks/workloads/LayerGraphs_bert24_inference.json --planner ideals --output /dev/null # compiles it
	@touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
