# Everything runs in a virtual environment of its own, .venv, which the first target that needs it creates.
# Another interpreter:  make test PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed
SITE := build/site
# one BLAS thread a process, where several processes run or where the time of one core is measured
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-slow test-everywhere bench notebooks docs lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## create .venv and install noiseaug with all extras into it

# Written only after everything succeeded, so that an interrupted set-up is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "noiseaug needs Python 3.11 or newer, '$(PYTHON)' is not; try: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "==> Setting up $(VENV): noiseaug and the tested versions of all it uses (constraints.txt)."
	@echo "    The first time pip fetches and unpacks several hundred MB, most of it PyTorch (some GB where the index"
	@echo "    serves PyTorch with CUDA), which takes a few minutes."
	@rm -f $@
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "could not create $(VENV); on Debian and Ubuntu install the package python3-venv" >&2; exit 2; }
	$(PY) -m pip --disable-pip-version-check install -c constraints.txt -e '.[vision,tensorboard,notebooks,dask,dev]'
	@touch $@
	@echo "==> $(VENV) is ready."

demo: $(STAMP) ## run the default study: when does training with noise help, and by how much
	@echo "==> The default study (python -m noiseaug.synthetic): some two minutes on two cores."
	@echo "    Its table and pictures land in noiseaug-results/ ; the last lines name every file."
	$(PY) -m noiseaug.synthetic
	@echo "==> A classifier on the bundled digits, certified from end to end (python -m noiseaug.demo)."
	$(PY) -m noiseaug.demo

test: $(STAMP) ## check style and types, then run all fast tests on two cores
	@echo "==> 1/3 style (ruff), 2/3 types (mypy), 3/3 the fast tests (pytest on two cores): a few minutes in all."
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(ONE_THREAD) $(PY) -m pytest -n 2 --dist loadfile

test-slow: $(STAMP) ## run the tests that are marked slow
	@echo "==> The tests marked slow."
	$(ONE_THREAD) $(PY) -m pytest -n 2 -m slow --timeout 3600

test-everywhere: $(STAMP) ## run the fast tests as on other processors, on one core, without a home, on other Pythons
	@echo "==> The fast tests in each setting that this machine can make, some five minutes each."
	$(PY) -m tests.everywhere

bench: $(STAMP) ## time noiseaug beside the obvious implementations
	@echo "==> Benchmarks, one BLAS thread."
	$(ONE_THREAD) $(PY) -m benchmarks

notebooks: $(STAMP) ## execute the notebooks in place (MNIST from $NOISEAUG_DATA, where it is there)
	@echo "==> The notebooks, some minutes on two cores; only their outputs change."
	$(ONE_THREAD) $(PY) -m notebooks

# What only the site needs; `make test` works without it.
$(DOCS_STAMP): $(STAMP)
	$(PY) -m pip --disable-pip-version-check install -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(DOCS_STAMP) ## build the documentation into build/site; a warning or a broken link is an error
	@echo "==> The site, from docs/, the notebooks, the command line and the docstrings: a minute or two."
	$(ONE_THREAD) $(PY) -m sphinx -b html -W --keep-going -E -q docs $(SITE)
	@echo "==> Open $(SITE)/index.html"

lint: $(STAMP) ## check style and types only
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

clean: ## remove .venv, caches, the site and build outputs; results and data stay
	rm -f docs/tutorials/*.ipynb
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .ipynb_checkpoints
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
