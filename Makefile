# `make demo` and `make test` work on a machine that has only Python 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
ALANINE := ../examples/trajectories/alanine_dipeptide
TRAJVAE := ../$(BIN)/trajvae

.PHONY: demo test lint docs docs-figures figures bench picture clean

$(BIN)/trajvae: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(BIN)/trajvae
	$(PIP) -e '.[test,lint]'
	@touch $@

$(VENV)/.docs: $(BIN)/trajvae
	$(PIP) -e '.[docs]'
	@touch $@

# the wheel of manify asks for packages that its manifolds, all that it holds, do not use
$(VENV)/.bench: $(BIN)/trajvae
	$(PIP) -e '.[bench]'
	$(PIP) --no-deps manify
	@touch $@

demo: $(BIN)/trajvae
	@rm -rf demo && mkdir demo
	@echo "== embed: train on alanine dipeptide, latent coordinates of every frame"
	@cd demo && $(TRAJVAE) embed $(ALANINE).xtc -s $(ALANINE).pdb
	@echo "== generate: 1000 new conformations"
	@cd demo && $(TRAJVAE) generate -n 1000
	@echo "== marginals: simulation against model"
	@cd demo && $(TRAJVAE) marginals $(ALANINE).xtc -s $(ALANINE).pdb
	@echo "== optimize: the most compact structure"
	@cd demo && $(TRAJVAE) optimize --objective rg
	@echo "== the same in internal coordinates: conformations that a simulator would accept"
	@cd demo && $(TRAJVAE) train $(ALANINE).xtc -s $(ALANINE).pdb --select all --features auto -o internal.h5
	@cd demo && $(TRAJVAE) generate -n 1000 -m internal.h5 -o internal_generate.h5md
	@cd demo && $(TRAJVAE) marginals $(ALANINE).xtc -s $(ALANINE).pdb -m internal.h5 -o internal_marginals.h5
	@echo "== the files are in demo/; 'trajvae info FILE' says what each holds"
	@ls -l demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy trajvae cli

# the pages of docs/, as docs/_build/html/index.html; any warning is an error
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

# the pictures of docs/, by the commands that stand beside them: two minutes
docs-figures: $(VENV)/.test
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/run_blocks.py

# the figures that docs/benchmarks.md states
figures: $(VENV)/.test
	$(BIN)/python benchmarks/figures.py
	$(BIN)/python benchmarks/ensembles.py

# speed and memory beside peers and bounds, and the table of docs/benchmarks.md: a quarter of an hour on two cores
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/bench.py; status=$$?; $(BIN)/python benchmarks/bench_table.py && exit $$status

# the picture of README, demo/demo.png: from what `make demo` left, or what it would leave is made first
picture: $(BIN)/trajvae
	$(BIN)/python examples/plot_demo.py demo demo/demo.png

clean:
	rm -rf $(VENV) demo build dist docs/_build *.egg-info
