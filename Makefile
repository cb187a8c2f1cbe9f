# Every target does its own set-up: a fresh machine needs only Python 3.11+ and this file.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := artifacts/demo

export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow lint train-mini score-mini clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[cpu,build,dev]"
	touch $(INSTALLED)

demo: $(INSTALLED)  ## build the INT8 bundle of the small model, validate it, make a chair
	$(BIN)/t3export build recipes/shape_e_int8.yaml --target cpu
	$(BIN)/t3export validate artifacts/shape_e_int8/cpu --prompts 24
	mkdir -p $(DEMO)
	$(BIN)/t3export run artifacts/shape_e_int8/cpu --prompt "a red chair" -o $(DEMO)/chair.glb \
		--image $(DEMO)/chair.png --turntable $(DEMO)/chair.gif
	@echo "Open $(DEMO)/chair.glb, $(DEMO)/chair.png and $(DEMO)/chair.gif"

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint, then all tests but the slow ones
	$(BIN)/pytest -m "not slow"

test-slow: $(INSTALLED)  ## the full-size checks
	$(BIN)/pytest -m slow

train-mini: $(INSTALLED)  ## make the small model again, from nothing (hours on two cores; resumes)
	$(BIN)/python -m training all

score-mini: $(INSTALLED)  ## measure the small model and write its model card
	$(BIN)/python -m training score

clean:  ## remove the virtual environment and what was built
	rm -rf $(VENV) artifacts/*/ .pytest_cache .mypy_cache .ruff_cache
