# make lab      the course: environment, data, JupyterLab on chapter 00
# make test     every test, every notebook at the smoke budget, a browser      make test-all   before a release: the standard budget, too
# make build    chapters/source -> chapters and chapters/solutions                      make bench      timings against peers
#
# Installed is the set of versions that was tested, constraints.txt; LATEST=1 asks for the newest that the ranges allow.
# make test STRICT=1 also fails by warnings that other packages raise.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
SET    := $(if $(LATEST),latest,tested)
PYTEST := OMP_NUM_THREADS=1 MMCOURSE_STRICT=$(STRICT) $(BIN)/python -m pytest -n 2 --dist worksteal --durations=20

.PHONY: lab test test-all bench build constraints format clean
.DEFAULT_GOAL := lab

lab: $(VENV)/.lab-$(SET)
	@$(BIN)/mmcourse lab

test: $(VENV)/.test-$(SET)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST)

test-all: $(VENV)/.test-$(SET)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m ''

bench: $(VENV)/.test-$(SET)
	@for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

build: $(VENV)/.test-$(SET)
	$(BIN)/mmcourse build

# The newest versions that go together, for every Python that the course promises: install them, test, then commit.
constraints: $(BIN)/python
	$(PIP) install --quiet uv
	@echo '# The exact versions that the course was tested with. Written by `make constraints`; pyproject.toml has the ranges.' > constraints.new
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.10 --all-extras --no-annotate --no-header \
	  pyproject.toml >> constraints.new
	@mv constraints.new constraints.txt

format: $(VENV)/.test-$(SET)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "mmcourse needs Python 3.10 or newer; name one with: make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python could not make $(VENV); on Debian and Ubuntu install python3-venv"; exit 1; }

# $(call install,.[test]): the tested set; where it cannot be had, the open ranges.
ifeq ($(SET),latest)
install = $(PIP) install --upgrade --upgrade-strategy eager --editable '$(1)'
else
install = $(PIP) install --constraint constraints.txt --editable '$(1)' || { \
  echo "The tested set of versions could not be installed (the reason stands above); now the newest that should do."; \
  $(PIP) install --editable '$(1)'; }
endif

# Stamps: installing again is only needed when the list of dependencies changed, or the other set is asked for.
$(VENV)/.lab-$(SET): $(BIN)/python pyproject.toml constraints.txt
	@rm -f $(VENV)/.lab-* $(VENV)/.test-*
	$(call install,.)
	@touch $@

$(VENV)/.test-$(SET): $(BIN)/python pyproject.toml constraints.txt
	@rm -f $(VENV)/.lab-* $(VENV)/.test-*
	$(call install,.[test])
	@touch $(VENV)/.lab-$(SET) $@
