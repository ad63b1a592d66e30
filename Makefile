# make lab    the course: environment, data, JupyterLab on chapter 00
# make test   everything is checked: code, tests, notebooks, browser
# make build  chapters/source -> chapters and chapters/solutions      make bench  timings against peers

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: lab test bench build format clean
.DEFAULT_GOAL := lab

lab: $(VENV)/.lab
	@$(BIN)/mmcourse lab

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(VENV)/.test
	@for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

build: $(VENV)/.test
	$(BIN)/mmcourse build

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "mmcourse needs Python 3.10 or newer; name one with: make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python could not make $(VENV); on Debian and Ubuntu install python3-venv"; exit 1; }

# Stamps: installing again is only needed when the list of dependencies changed.
$(VENV)/.lab: $(BIN)/python pyproject.toml
	$(PIP) install --editable .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(PIP) install --editable '.[test]'
	@touch $(VENV)/.lab $@
