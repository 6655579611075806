# Everything runs in .venv, which the first target to need it sets up.
PYTHON ?= python3
TORCH ?= torch==2.13.0

BIN := .venv/bin
NATIVE := CMakeLists.txt $(wildcard native/*.cpp native/*.hpp)

.PHONY: demo test test-full bench bench-cuda lint docs clean

demo: .venv/installed
	$(BIN)/crossentropy train digits --out runs/digits
	$(BIN)/crossentropy train breast_cancer --loss "cross_entropy(label_smoothing=0.05)" \
		--weight-decay 0.01 --hidden 64 --out runs/breast_cancer

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-full: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m ""

bench: .venv/installed
	$(BIN)/python benchmarks/run.py

bench-cuda: .venv/installed
	$(BIN)/python benchmarks/run_cuda.py --write

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed
	$(BIN)/pip install --quiet --editable ".[docs]"
	$(BIN)/sphinx-build -q -b html docs docs/_build/html

clean:
	rm -rf .venv build

# torch first and by version, so that no other package's requirement picks its build.
.venv/installed: pyproject.toml $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[train,dev]"
	touch $@
