# demo, test and check work on a machine with Python >= 3.11, make and git alone.
# pip, not uv: it takes the CPU wheel of torch where one is offered locally.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Compiled once: a test run starts some 60 interpreters, each of which would compile anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo fast test test-one check layers docs proto bench wheel wheels clean

# Installed once per change of pyproject.toml; the stamps say which extras are there.
$(VENV)/.simulation: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[simulation]'
	@touch $@

$(VENV)/.dev: $(VENV)/.simulation
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[simulation,dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[simulation,dev,docs]'
	@touch $@

# Extra options for the comparison, as in: make demo DEMO='--seeds 1'
DEMO ?= --seeds 3
demo: $(VENV)/.simulation
	$(BIN)/fedask compare digits --policies global-cut,uniform-random,local-topk \
	    --out runs/demo --overwrite $(DEMO)
	@echo
	@echo "table above; plot: runs/demo/curves.svg; page: runs/demo/report.html"

# Within a minute on two cores: units, and properties on few examples.
FAST := -m "not slow and not flower" --hypothesis-profile=fast
fast: $(VENV)/.docs
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(FAST) tests/unit tests/property

# make test-one T=tests/unit/common, or T="tests/unit -k grid"
test-one: $(VENV)/.docs
	$(BIN)/python -m pytest $(T)

# Three at a time: one has what waits for SuperLinks and Ray, the others all the rest.
test: $(VENV)/.docs
	$(BIN)/python -m pytest -n 3 --dist worksteal --hypothesis-profile=ci
	$(BIN)/python -m pytest -q --doctest-modules client common server simulations

# What protoc makes of the labelling service, below the folder $(1).
PROTO := fedask/client/labelling/grpc/v1/labelling.proto
define generate
$(BIN)/python -m grpc_tools.protoc -Iclient --python_out=$(1) --pyi_out=$(1) \
    --grpc_python_out=$(1) client/$(PROTO)
endef

proto: $(VENV)/.dev
	$(call generate,client)

check: $(VENV)/.dev
	rm -rf build/proto && mkdir -p build/proto
	$(call generate,build/proto)
	cd build/proto && find . -type f | while read -r file; do \
	    cmp "$$file" "../../client/$$file" || { echo "run: make proto"; exit 1; }; done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) layers
	$(BIN)/deptry client common server simulations

# import-linter reads a package from one folder; ours has a part in each of four roots.
layers: $(VENV)/.dev
	rm -rf build/tree && mkdir -p build/tree/fedask
	ln -s $(CURDIR)/*/fedask/[!_]* $(CURDIR)/common/fedask/__init__.py build/tree/fedask
	PYTHONPATH=build/tree $(BIN)/lint-imports

# Strict: a link that leads nowhere, or a page that would load anything, ends it.
docs: $(VENV)/.docs
	$(BIN)/sphinx-build --fresh-env --quiet --fail-on-warning --keep-going docs build/docs
	@echo "open build/docs/index.html"

# make bench: the runtimes. make bench B="crash --runs 40": one of tests/benchmarks.
B ?=
bench: $(VENV)/.simulation
	$(BIN)/$(if $(B),python -m tests.benchmarks $(B),fedask bench runtime)

# In an environment of its own: twine asks for a newer `packaging` than flwr allows.
.venv-build/.done:
	$(PYTHON) -m venv .venv-build
	.venv-build/bin/python -m pip install --quiet --disable-pip-version-check build twine
	@touch $@

wheel: .venv-build/.done
	rm -rf dist
	.venv-build/bin/python -m build --outdir dist
	.venv-build/bin/twine check --strict dist/*

# Whether every dependency of a device has a wheel, per platform and version of Python.
wheels: $(VENV)/.dev
	UV=$(BIN)/uv .ci/wheels

clean:
	rm -rf $(VENV) .venv-build runs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find client common server simulations docs tests -name __pycache__ -prune -exec rm -rf {} +
