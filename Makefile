# Both commands work on a machine that has only Python 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
EXAMPLE := examples/trajectories/alanine_dipeptide

.PHONY: demo test lint clean

$(BIN)/trajvae: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(BIN)/trajvae
	$(PIP) -e '.[test,lint]'
	@touch $@

demo: $(BIN)/trajvae
	$(BIN)/python -m trajvae_cli.demo $(EXAMPLE).xtc -s $(EXAMPLE).pdb -o demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check trajvae cli tests examples benchmarks
	$(BIN)/ruff format --check trajvae cli tests examples benchmarks
	$(BIN)/mypy trajvae cli

clean:
	rm -rf $(VENV) demo build dist *.egg-info
