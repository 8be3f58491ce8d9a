# make demo | test | coverage | lint | format | docs | clean
# Each target sets up what it needs: Python >= 3.11 with venv is enough.

PYTHON ?= python3
KERAS_BACKEND ?= tensorflow
# Test processes that run at a time, with one thread each.
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
BACKENDS := tensorflow torch jax
EXTRAS := tensorflow,torch,jax,export,media,scale,app,notebooks,docs,dev
SCORES := $(CURDIR)/build/quickstart_scores.json
# Tests that have a process or an environment of their own.
APART := --ignore=tests/parity --ignore=tests/single_backend
# Modules are compiled when they are first imported, and kept: most of what is installed never is.
INSTALL := -m pip install -qq --no-compile
export PYTHONDONTWRITEBYTECODE :=
# The library is tested on the CPU, and quietly.
export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-all test-parity test-single test-notebooks coverage notebooks lint format docs clean \
  venv environments \
  $(BACKENDS:%=test-%) test-only-torch test-only-jax test-notebooks-tensorflow \
  test-notebooks-torch test-tfio quality

help:
	@echo "make demo      localise a real dog, run the quickstart notebook: trains a model, prints its scores"
	@echo "make test      run the tests for every change, under TensorFlow, PyTorch and JAX"
	@echo "make test-all  run the long ones too: killed processes, clusters, devices, all exports, scripts"
	@echo "make test-tfio run the tests of decoding with TensorFlow 2.16 and tensorflow-io"
	@echo "make coverage  run the tests under PyTorch, and list the lines that none of them reaches"
	@echo "make notebooks run all notebooks at full size, and keep their outputs"
	@echo "make lint      ruff, mypy and the order of the folders"
	@echo "make format    let ruff rewrite the sources"
	@echo "make docs      build the documentation into site/"
	@echo "make quality   lint and docs, side by side"
	@echo "make clean     remove what was built, environments included"

# --- environments ------------------------------------------------------------------------

venv: $(VENV)/.installed

# All environments at a time: much of the work is waiting for downloads.
environments:
	@printf '%s\n' $(VENV) .venv-torch .venv-jax | xargs -P 3 -I ENV $(MAKE) ENV/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -c constraints.txt -e ".[$(EXTRAS)]"
	@# References of the tests; what they require is old or heavy, and not needed.
	$(BIN)/python $(INSTALL) --no-deps aisfx==0.1.2 torchvggish==0.2 torch-vggish-yamnet==0.2.1
	@touch $@

# One backend and no TensorFlow.
.venv-%/.installed: pyproject.toml constraints.txt requirements-no-tensorflow.txt
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python $(INSTALL) -c constraints.txt \
	  -r requirements-no-tensorflow.txt $* pytest pytest-timeout
	.venv-$*/bin/python $(INSTALL) -c constraints.txt --no-deps keras-hub -e .
	@touch $@

# tensorflow-io with the TensorFlow that it loads with; the version of Python is theirs too.
.venv-tfio/.installed: pyproject.toml requirements-tfio.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "tensorflow-io needs Python 3.11 or 3.12; name one with: make PYTHON=/path/to/python3"; exit 1; }
	test -x .venv-tfio/bin/python || $(PYTHON) -m venv .venv-tfio
	.venv-tfio/bin/python $(INSTALL) -r requirements-tfio.txt pytest pytest-timeout
	.venv-tfio/bin/python $(INSTALL) --no-deps -e .
	@touch $@

# --- the quickstart ----------------------------------------------------------------------

demo: $(VENV)/.installed
	@mkdir -p build
	@echo "A real dog and rain, in a simulated room. Where is the dog? It is at 50 degrees; the model says:"
	KERAS_BACKEND=$(KERAS_BACKEND) $(BIN)/keras-avssan localize keras_avssan/examples/dog_and_rain.flac \
	  --prompt keras_avssan/examples/dog.jpg
	@echo "Now the quickstart:"
	KERAS_BACKEND=$(KERAS_BACKEND) AVSSAN_SCORES=$(SCORES) $(BIN)/jupyter nbconvert \
	  --to notebook --execute --ExecutePreprocessor.timeout=-1 \
	  --output-dir build --output quickstart.ipynb notebooks/01_quickstart.ipynb
	$(BIN)/jupyter nbconvert --to html --TagRemovePreprocessor.enabled=True \
	  --TagRemovePreprocessor.remove_cell_tags=remove-cell build/quickstart.ipynb
	@$(BIN)/python -c 'import json, sys; s = json.load(open(sys.argv[1])); \
	  print("\nbackend {backend}, {seconds:.0f} s\n\n{table}\n".format(**s)); \
	  print("The notebook, with its figures and sounds: $(CURDIR)/build/quickstart.html"); \
	  print("The model, with a recording and a picture: {folder}\n".format(**s)); \
	  print("Ask it:\n  {command}".format(**s)); \
	  print("or in the browser:\n  $(BIN)/keras-avssan app --demo --open")' $(SCORES)

# --- tests -------------------------------------------------------------------------------

test: test-single $(BACKENDS:%=test-%) test-parity test-notebooks
# The environments of one backend are small, and tested while the large one is installed.
test: export MEANWHILE := $(VENV)/.installed
test-all: test

# What says nothing about the backend runs under PyTorch, which traces nothing and is soonest done.
test-torch: MARKS := not tensorflow
test-tensorflow: MARKS := (not backend_agnostic or tensorflow)
test-jax: MARKS := not backend_agnostic and not tensorflow
# Files whose tests all say nothing about the backend are not even read elsewhere.
AGNOSTIC := $(shell grep -rlE '^pytestmark.*backend_agnostic|^    pytest.mark.backend_agnostic,$$' tests --include='test_*.py')
test-tensorflow: SKIPPED = $(filter-out $(shell grep -l 'pytest.mark.tensorflow' $(AGNOSTIC)),$(AGNOSTIC))
test-jax: SKIPPED = $(AGNOSTIC)
# Left out by all but `make test-all`.
test-torch: LONG := and not extensive
test-tensorflow test-jax: LONG := and not extensive and not one_backend
test-all: export ALL := yes
# Eager JAX compiles each operation in each process: here without optimising, shared by a cache.
test-jax test-only-jax test-parity: export JAX_DISABLE_MOST_OPTIMIZATIONS := 1
test-jax test-only-jax test-parity: export XLA_FLAGS := --xla_cpu_use_fusion_emitters=false
test-jax test-only-jax test-parity: export JAX_COMPILATION_CACHE_DIR := $(CURDIR)/build/jax_cache
test-jax test-only-jax test-parity: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS := 0
test-jax test-only-jax test-parity: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES := -1
$(BACKENDS:%=test-%): test-%: $(VENV)/.installed
	@echo "== tests under $*"
	KERAS_BACKEND=$* OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q -m "$(MARKS) $(if $(ALL),,$(LONG))" \
	  $(APART) $(SKIPPED:%=--ignore=%) tests

test-parity: $(VENV)/.installed
	@echo "== the same weights under every backend"
	KERAS_BACKEND=torch $(BIN)/python -m pytest -q tests/parity

test-single:
	@printf '%s\n' $(MEANWHILE) test-only-torch test-only-jax | xargs -P 3 -I TARGET $(MAKE) TARGET

test-only-torch test-only-jax: test-only-%: .venv-%/.installed
	@echo "== an environment with $* alone"
	KERAS_BACKEND=$* OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest -q tests/single_backend

# Not a part of `test`: its environment is 2 GB of packages that nothing else needs.
test-tfio: .venv-tfio/.installed
	@echo "== decoding with tensorflow-io"
	KERAS_BACKEND=tensorflow .venv-tfio/bin/python -c 'import tensorflow_io'
	KERAS_BACKEND=tensorflow OMP_NUM_THREADS=1 .venv-tfio/bin/python -m pytest -q \
	  tests/data/media/test_tf_audio.py tests/data/media/test_fit_audio.py

# What `make test-torch` reaches of the library, as a table and in build/coverage.xml. COVERED names
# other tests: make coverage COVERED=tests/doa
COVERED ?= $(APART) tests
coverage: $(VENV)/.installed
	rm -rf build/coverage build/coverage.xml
	@mkdir -p build/coverage
	KERAS_BACKEND=torch OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q \
	  -m "not tensorflow and not extensive" --cov --cov-report=term --cov-report=xml $(COVERED)

# Each under one backend. `make test-all` runs all under TensorFlow, and those that train under
# PyTorch too.
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
TRAINING := $(sort $(shell grep -lE 'fit_scenes|run_benchmark' $(NOTEBOOKS)))
UNDER_TORCH := $(filter notebooks/02% notebooks/04% notebooks/06% notebooks/07% notebooks/08%,$(NOTEBOOKS))
BACKENDS_OF_NOTEBOOKS := tensorflow torch
test-notebooks-tensorflow: CHOSEN = $(if $(ALL),$(NOTEBOOKS),$(filter-out $(UNDER_TORCH),$(NOTEBOOKS)))
test-notebooks-torch: CHOSEN = $(if $(ALL),$(TRAINING),$(UNDER_TORCH))
$(BACKENDS_OF_NOTEBOOKS:%=test-notebooks-%): test-notebooks-%: $(VENV)/.installed
	@echo "== notebooks under $*"
	KERAS_BACKEND=$* AVSSAN_NOTEBOOK_SIZE=small OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q \
	  --timeout 900 --nbval-lax -p no:cacheprovider $(CHOSEN)

test-notebooks: $(VENV)/.installed
	@printf '%s\n' $(BACKENDS_OF_NOTEBOOKS) | xargs -P $(JOBS) -I BACKEND $(MAKE) test-notebooks-BACKEND

# At full size, with their outputs written anew.
notebooks: $(VENV)/.installed
	KERAS_BACKEND=$(KERAS_BACKEND) $(BIN)/python docs/run_notebooks.py $(NOTEBOOKS)

# --- quality -----------------------------------------------------------------------------

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Both at a time: each has one process.
quality: $(VENV)/.installed
	@printf '%s\n' lint docs | xargs -P $(JOBS) -I TARGET $(MAKE) TARGET

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed
	$(BIN)/mkdocs build --strict
	$(BIN)/python docs/check_site.py site

clean:
	rm -rf .venv .venv-torch .venv-jax .venv-tfio build dist site .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
