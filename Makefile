# `make demo` and `make test` need cargo, a C compiler for linking and Python 3.11 or newer; all else
# they install themselves, into .venv. Rust is built into target/, once per profile.

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin

# `make bench` makes this one for itself, with torch and jax in it. BENCH_PYTHON is an interpreter to
# run instead: any that has NumPy and SciPy, and whichever of the two is there to compare with.
BENCH_VENV := .venv-bench
BENCH_PYTHON ?=
BENCH_FLAGS ?=
PYTEST_FLAGS ?= -n auto

# maturin refuses to choose between a conda environment and .venv, and it must be .venv.
unexport CONDA_PREFIX
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Without these, clippy and the tests would look for a Python of their own.
USE_VENV := PYTHON=$(BIN)/python PYO3_PYTHON=$(BIN)/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test soak bench accuracy docs lock clean build tools lint-tools \
	check-rust test-rust test-python check-python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build, train a network on handwritten digits, draw the result
	@echo "== training examples/digits.py"
	@$(BIN)/python examples/digits.py

test: lint-tools check-rust docs test-rust build check-python test-python ## run every check and test

bench: build $(if $(BENCH_PYTHON),,$(BENCH_VENV)/installed) ## time logitkit against torch, jax, NumPy and SciPy
	@echo "== benches/compare.py"
	@PYTHONPATH=python $(or $(BENCH_PYTHON),$(BENCH_VENV)/bin/python) benches/compare.py $(BENCH_FLAGS)

soak: build ## call everything 100,000 times, and with arrays of over 2^31 elements
	@echo "== pytest -m soak"
	@$(USE_VENV) $(BIN)/pytest -m soak

accuracy: build ## measure the accuracy table of the README
	@echo "== tests/accuracy.py"
	@$(BIN)/python -m tests.accuracy

docs: tools ## build the documentation of the crate
	@echo "== cargo doc"
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

lock: $(VENV)/installed ## pin the newest tools, and peers of the benchmarks, in requirements/
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@set -e; for pins in tools:dev bench:bench; do \
		file=requirements/$${pins#*:}.txt; \
		echo "== $$file"; \
		$(BIN)/uv pip compile --quiet --upgrade pyproject.toml \
			--group pyproject.toml:$${pins%:*} \
			--universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			--output-file $$file; \
	done

clean: ## remove what was built or installed
	rm -rf target $(VENV) $(BENCH_VENV) python/logitkit/*.so .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

tools:
	@scripts/check-tools rust cc python

lint-tools:
	@scripts/check-tools rust lints cc python

$(VENV)/installed: requirements/dev.txt | tools
	@echo "== installing requirements/dev.txt into $(VENV)"
	@"$$(scripts/find-python)" -m venv $(VENV)
	@# Most of what comes with the libraries is never imported: what is, Python compiles when it is.
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
		-r requirements/dev.txt
	@touch $@

# 6 GB on Linux, for there the package index has torch with CUDA only.
$(BENCH_VENV)/installed: requirements/bench.txt | tools
	@echo "== installing requirements/bench.txt into $(BENCH_VENV)"
	@"$$(scripts/find-python)" -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/bench.txt
	@touch $@

build: $(VENV)/installed
	@echo "== building the extension module (release)"
	@$(BIN)/maturin develop --release --locked

check-rust: $(VENV)/installed
	@echo "== cargo fmt"
	@cargo fmt --check
	@echo "== cargo clippy"
	@$(USE_VENV) cargo clippy --locked --all-targets --features python -- -D warnings
	@echo "== cargo clippy, without features"
	@cargo clippy --locked -- -D warnings

# nextest runs tests side by side, and no doctests; cargo test runs both, one file after the other.
test-rust: $(VENV)/installed
	@if cargo nextest --version >/dev/null 2>&1; then \
		echo "== cargo nextest" && $(USE_VENV) cargo nextest run --locked && \
		echo "== doctests" && $(USE_VENV) cargo test --locked --doc; \
	else \
		echo "== cargo test" && $(USE_VENV) cargo test --locked; \
	fi

check-python: build
	@echo "== ruff"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== stubtest"
	@$(BIN)/python -m mypy.stubtest logitkit --mypy-config-file pyproject.toml

test-python: build
	@echo "== pytest"
	@$(USE_VENV) $(BIN)/pytest $(PYTEST_FLAGS)
