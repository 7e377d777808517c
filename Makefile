# `make` does everything: environment, installation, compilation, demo. Needs python3 (3.10 or newer, with venv), a C
# compiler and this file. Nothing is installed twice: stamps in .venv remember what was installed from which sources.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What an installation is made from. Python and templates are read in place; C and the build's own files are compiled.
SOURCES := pyproject.toml setup.py $(wildcard derive/toolchain/compiler.py) \
           $(shell find generated \( -name '*.c' -o -name '*.h' -o -name manifest.json \) 2>/dev/null)

.DEFAULT_GOAL := demo
.PHONY: demo test slow exhaustive campaign mutants sanitize lint types generate check bench wheel clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed-demo
	$(BIN)/derive demo

# On all processors. Tests that share a fixture are neighbours, and a worker takes neighbours until it has to steal.
test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST)

# What takes a minute each, the notebook among it; .ci/run runs it after the tests.
slow: $(VENV)/installed-notebook
	$(BIN)/python -m pytest -m slow -n auto --dist worksteal $(PYTEST)

# sigmoid, tanh and exp at every float32 there is, on every instruction set of this processor, and every cell with every
# compiler at every level of optimisation: half an hour.
exhaustive: $(VENV)/installed-test
	$(BIN)/python -m pytest -m exhaustive -s $(PYTEST)

# Random cells through notation, every pass, C and back, against the interpreter: two seconds of a processor for each.
# SEED is the first seed; CAMPAIGN takes further options, such as CAMPAIGN='--jobs 1'. Failures go to build/campaign/.
N ?= 3000
SEED ?= 0
campaign: $(VENV)/installed-test
	$(BIN)/python tests/campaign/campaign.py --count $(N) --seed $(SEED) $(CAMPAIGN)

# Mutants of templates, passes and runtime against all these checks, 200 of them unless N says otherwise; about two hours,
# and it goes on where it was interrupted. Survivors are listed at the end.
mutants: $(VENV)/installed-test
	$(BIN)/python tests/mutants/survey.py --count $(if $(filter file,$(origin N)),200,$(N)) --seed $(SEED) $(MUTANTS)

# All shipped cells under ASan, UBSan and Valgrind, and with guard pages at full optimisation; then CELLS random cells
# under the sanitizers and with guard pages: half an hour, before a release.
CELLS ?= 60
sanitize: $(VENV)/installed-test
	$(BIN)/python -m pytest -m sanitize -n auto --dist worksteal $(PYTEST)
	$(BIN)/python tests/campaign/sanitize.py --count $(CELLS) --seed $(SEED)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .

types: $(VENV)/installed-test
	$(BIN)/mypy

generate: $(VENV)/installed-demo
	$(BIN)/derive build
	$(BIN)/python -m derive.cli.reference

check: $(VENV)/installed-test
	$(BIN)/derive build --check
	$(BIN)/derive check

# Half an hour at most: peers are installed (a gigabyte), then everything is measured, about 15 minutes.
# Options after BENCH=, such as BENCH='--quick' or BENCH='--threads 1 --cells none'; benchmarks/README.md has more.
bench: $(VENV)/installed-bench
	$(BIN)/python -m benchmarks run $(BENCH)

# A wheel into dist/; what an earlier build left behind must not end up in it.
wheel: $(VENV)/installed-demo
	rm -rf build dist
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

# The tests' installation contains the demo's.
$(VENV)/installed-test: $(SOURCES) | $(VENV)/made
	@echo "Installing what pyproject.toml asks for and compiling the committed C (7 cells, 2 types, 3 instruction sets): a minute or two."
	$(PIP) install --quiet --editable '.[demo,test]'
	touch $(VENV)/installed-demo $@

$(VENV)/installed-notebook: $(VENV)/installed-test
	$(PIP) install --quiet --editable '.[test,notebook]'
	touch $(VENV)/installed-demo $(VENV)/installed-test $@

$(VENV)/installed-bench: $(SOURCES) | $(VENV)/made
	@echo "Installing the libraries to compare with: PyTorch, JAX, ONNX Runtime."
	$(PIP) install --quiet --editable '.[demo,bench]'
	touch $(VENV)/installed-demo $@

$(VENV)/installed-demo: $(SOURCES) | $(VENV)/made
	@echo "Installing what pyproject.toml asks for and compiling the committed C (7 cells, 2 types, 3 instruction sets): a minute or two."
	$(PIP) install --quiet --editable '.[demo]'
	touch $@

$(VENV)/made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "lstm-derive needs Python 3.10 or newer; $(PYTHON) is $$("$(PYTHON)" -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find derive generated tests -name __pycache__ -type d -prune -exec rm -rf {} +
	find generated \( -name '*.so' -o -name '*.o' -o -name '*.pyd' \) -delete
