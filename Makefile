# make quickstart    train a small model on the bundled Hebrew sample and show what it learned
# make test          lint, types and tests
# The other targets are told by `make help`.

PYTHON := .venv/bin/python
STACK := src/sparksmith/policy/stacks/train.txt
DATA ?= ../shared/data
.DEFAULT_GOAL := environment
.PHONY: help environment development quickstart test lint format docs lock gpu-kit gpu-check test-kill test-wheels test-old-stack clean

help:
	@echo "make               the environment: .venv with torch and everything that training needs"
	@echo "make quickstart    train a small model on the bundled Hebrew sample and show what it learned"
	@echo "make test          lint, types and tests"
	@echo "make lint          lint and types only      make format   lay the code out"
	@echo "make docs          write docs/reference again"
	@echo "make lock          resolve the requirement files again (needs the network)"
	@echo "make gpu-kit DATA=FOLDER   gather into gpu-kit/ what a CUDA machine without a network needs"
	@echo "make gpu-check     on that machine: train on the GPU and compare with the CPU"
	@echo "make test-kill    60 runs killed with SIGKILL and resumed, compared with whole ones (minutes)"
	@echo "make test-wheels  the audit's verdict on 63 real wheels (fetches 9 GB, deleted as it goes)"
	@echo "make test-old-stack   the suite on TRL 1.14.0"
	@echo "make clean         delete .venv, .tools and gpu-kit"

environment: .venv/.train
development: .venv/.development

# uv checks every hash of the train stack; byte code is written here, because imports take twice as long without it.
.venv/.train: $(STACK) pyproject.toml scripts/bring-uv
	@uv="$$(scripts/bring-uv)" && set -e && \
	{ [ -x $(PYTHON) ] || "$$uv" venv --quiet --python ">=3.11,<3.14" .venv; } && \
	echo "installing the train stack into .venv (3 GB to fetch, 5.5 GB on the disk; a few minutes the first time)" && \
	"$$uv" pip install --quiet --python $(PYTHON) --require-hashes --compile-bytecode -r $(STACK) && \
	"$$uv" pip install --quiet --python $(PYTHON) --no-deps --editable . && \
	PYTHONDONTWRITEBYTECODE= $(PYTHON) -m compileall -q src
	@touch $@

.venv/.development: .venv/.train requirements-dev.txt
	@uv="$$(scripts/bring-uv)" && \
	"$$uv" pip install --quiet --python $(PYTHON) --require-hashes --compile-bytecode -r requirements-dev.txt
	@touch $@

quickstart: .venv/.train
	@.venv/bin/sparksmith train g2p-hebrew

test: lint
	@$(PYTHON) -m pytest -n 2 --dist worksteal

lint: .venv/.development
	@$(PYTHON) -m ruff check src tests benchmarks scripts
	@$(PYTHON) -m ruff format --check src tests benchmarks scripts
	@$(PYTHON) -m mypy
	@$(PYTHON) scripts/reference.py --check
	@$(PYTHON) scripts/faults_reference.py --check
	@$(PYTHON) scripts/facts_schema.py --check

format: .venv/.development
	@$(PYTHON) -m ruff check --fix src tests benchmarks scripts
	@$(PYTHON) -m ruff format src tests benchmarks scripts

docs: .venv/.development
	@$(PYTHON) scripts/reference.py
	@$(PYTHON) scripts/faults_reference.py
	@$(PYTHON) scripts/facts_schema.py

lock: .venv/.development
	@uv="$$(scripts/bring-uv)" && $(PYTHON) scripts/lock.py "$$uv"

gpu-kit: .venv/.train
	@uv="$$(scripts/bring-uv)" && $(PYTHON) scripts/gpu_kit.py "$$uv" "$(DATA)"

gpu-check:
	@bash gpu-kit/check

test-kill: .venv/.development
	@$(PYTHON) tests/kill/kill_test.py --runs 50 --lora-runs 10

test-wheels: .venv/.development
	@$(PYTHON) tests/wheels/check_wheels.py

test-old-stack: .venv/.development
	@uv="$$(scripts/bring-uv)" && set -e && \
	{ [ -x .venv-old/bin/python ] || "$$uv" venv --quiet --python ">=3.11,<3.14" .venv-old; } && \
	"$$uv" pip install --quiet --python .venv-old/bin/python --compile-bytecode -r $(STACK) -r requirements-dev.txt && \
	"$$uv" pip install --quiet --python .venv-old/bin/python --no-deps --editable . trl==1.14.0 && \
	.venv-old/bin/python -m pytest -n 2 --dist worksteal

clean:
	rm -rf .venv .venv-old .tools gpu-kit
