# Set-up, chapters, pages and tests. `make help` lists the targets.

# Any Python from 3.10 on; used once, to make the environment.
PYTHON ?= python3
# Chapters, or test processes, at the same time.
JOBS ?= 2
# Parameters of the chapters: a file of book/profiles.
PROFILE ?= toy
# Checked by `make check-gpu`.
MODELS ?= sd-v1-5
# Passed on to pytest, e.g. `make test TESTS=tests/test_space.py`.
TESTS ?=

# For glibc's malloc: what a step of the sampler frees is kept for the next one, 32 MB at a time and
# 1 GB in all. On a CPU a search is then 8% faster.
export MALLOC_MMAP_THRESHOLD_ ?= 33554432
export MALLOC_TRIM_THRESHOLD_ ?= 1073741824

# Compiled modules are kept, whatever the shell says: without them every process that imports torch and
# diffusers starts six seconds later.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help book quick test lint types wheel check-wheel check-gpu records lock clean

help:
	@echo 'make book         execute every chapter and build the book (PROFILE=toy|gpu, JOBS=2)'
	@echo 'make quick        the same with the quickstart as the only chapter'
	@echo 'make test         run the tests (TESTS=path, JOBS=2)'
	@echo 'make lint         check style of code and prose, and that notebooks hold no outputs'
	@echo 'make types        check the types of the package'
	@echo 'make wheel        build the wheel and the source archive into dist'
	@echo 'make check-wheel  run every notebook from the installed wheel, outside of this folder'
	@echo 'make check-gpu    run all of the package on published weights (MODELS="sd-v1-5 sdxl")'
	@echo 'make records      record start, headroom and verified searches anew (a night; JOBS=2)'
	@echo 'make lock         compile requirements.txt anew from pyproject.toml'
	@echo 'make clean        remove what was built; the environment stays'

book: $(READY)
	$(BIN)/python -m book.build --profile $(PROFILE) --jobs $(JOBS)
	$(BIN)/python book/check_pages.py --optional

quick: $(READY)
	$(BIN)/python -m book.build --profile $(PROFILE) --only 01_quickstart

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
		--durations=15 --durations-min=1 $(TESTS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify notebooks/*.ipynb
	$(BIN)/python -m book.style

types: $(READY)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

wheel: $(READY)
	rm -rf dist
	$(BIN)/python -m hatchling build --directory dist

check-wheel: wheel
	$(BIN)/python -m book.check_wheel dist/*.whl

check-gpu: $(READY)
	$(BIN)/python -m book.check_gpu --models $(MODELS)

# Each goes on where it was stopped.
records: $(READY)
	$(BIN)/python book/record_start.py --workers $(JOBS)
	$(BIN)/python book/record_landscape.py --images runs/landscape --workers $(JOBS)
	$(BIN)/python book/record_claims.py --workers $(JOBS)

lock: $(BIN)/uv
	$(BIN)/uv pip compile --quiet --extra dev --universal --python-version 3.10 \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' pyproject.toml -o requirements.txt

clean:
	rm -rf _build dist .pytest_cache .ruff_cache .hypothesis

# The pinned versions with their hashes, then the package itself.
$(READY): requirements.txt pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
