# Everything a new user needs: `make demo` and `make test` each make the environment first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
READY  := $(VENV)/.ready
N      ?= 20000

.PHONY: demo test lint bench fuzz kills docs clean

demo: $(READY)
	$(BIN)/astrocnn demo --out runs/demo

# One thread a process: with more they would take the cores from each other.
test: lint
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	  $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m tests.benchmarks

# Damaged files for every reader; N trials, each in a process that may hang or die.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz $(N)

docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m sphinx -b html -W --keep-going docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Kill commands at random moments and compare what they leave: make kills N=500
kills: N = 500
kills: $(READY)
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 \
	  $(BIN)/python -m tests.kills $(N)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "astrocnn needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $(READY)

clean:
	rm -rf $(VENV) runs docs/_build docs/reference/generated docs/_static/figures docs/tutorials/*.ipynb
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
