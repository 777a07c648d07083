# `make demo` and `make test` need cargo, a C compiler for linking and Python 3.11 or newer; all else
# they install themselves, into .venv. Rust is built into target/, once per profile.

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin

# `make bench` makes this one for itself, with torch and jax in it. BENCH_PYTHON is an interpreter to
# run instead: any that has NumPy and SciPy, and whichever of the two is there to compare with.
BENCH_VENV := .venv-bench
BENCH_PYTHON ?=
BENCH_FLAGS ?=

# `make test-torch` makes this one for itself, with torch and jax in it.
TORCH_VENV := .venv-torch
TORCH_TESTS := tests/test_torch_losses.py tests/test_torch_training.py tests/test_torch_documentation.py \
	tests/test_interop_torch.py tests/test_interop_jax.py
PYTEST_FLAGS ?= -n auto

# How long `make fuzz` goes on, and the seed of a run to repeat; without one it draws one, and tells it.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?=

# `make docs` makes this one for itself, with Sphinx in it.
DOCS_VENV := .venv-docs
SITE := target/site

# What makes and checks a release, and the interpreters that its wheel is tried in: the oldest and the
# newest that are supported, or whichever there are.
RELEASE_VENV := .venv-release
RELEASE_BIN := $(CURDIR)/$(RELEASE_VENV)/bin
OLDEST_PYTHON ?= $(BIN)/python
NEWEST_PYTHON ?= $(BIN)/python

# maturin refuses to choose between a conda environment and .venv, and it must be .venv.
unexport CONDA_PREFIX
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Without these, clippy and the tests would look for a Python of their own.
USE_VENV := PYTHON=$(BIN)/python PYO3_PYTHON=$(BIN)/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test test-torch bench-torch bench-boosting bench-dask soak fuzz sanitize bench accuracy docs \
	rustdoc lock clean build tools lint-tools wheel test-wheel test-crate public-api audit \
	lint-workflows release-check \
	check-rust test-rust test-python check-python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build, train a network on handwritten digits, draw the result
	@echo "== training examples/digits.py"
	@$(BIN)/python examples/digits.py

test: lint-tools check-rust rustdoc test-rust build check-python test-python ## run every check and test

bench: build $(if $(BENCH_PYTHON),,$(BENCH_VENV)/installed) ## time logitkit against torch, jax, NumPy and SciPy
	@echo "== benches/compare.py"
	@PYTHONPATH=python $(or $(BENCH_PYTHON),$(BENCH_VENV)/bin/python) benches/compare.py $(BENCH_FLAGS)

test-torch: build $(TORCH_VENV)/installed ## run the tests of logitkit.torch, and those with tensors of torch and arrays of jax
	@echo "== pytest, with torch and jax"
	@PYTHONPATH=python $(TORCH_VENV)/bin/python -m pytest $(TORCH_TESTS)

bench-torch: build $(if $(BENCH_PYTHON),,$(BENCH_VENV)/installed) ## time a step of training in torch
	@echo "== benches/torch_step.py"
	@PYTHONPATH=python $(or $(BENCH_PYTHON),$(BENCH_VENV)/bin/python) benches/torch_step.py

bench-dask: build ## time an evaluation on a cluster of processes, and count what they exchange
	@echo "== benches/dask_evaluate.py"
	@$(BIN)/python benches/dask_evaluate.py

bench-boosting: build ## time an objective for boosted trees
	@echo "== benches/boosting.py"
	@$(BIN)/python benches/boosting.py

soak: build ## call everything 100,000 times, and with arrays of over 2^31 elements
	@echo "== pytest -m soak"
	@$(USE_VENV) $(BIN)/pytest -m soak

# Two thirds of the time for Python, which has more ways to be hostile. Building comes on top.
fuzz: build ## call everything with hostile input; FUZZ_SECONDS=60, FUZZ_SEED= to repeat a run
	@echo "== tests/fuzz.py"
	@FUZZ_SEED=$(FUZZ_SEED) FUZZ_SECONDS=$$(($(FUZZ_SECONDS) * 2 / 3)) $(BIN)/python -m tests.fuzz
	@echo "== tests/fuzz.rs"
	@FUZZ_SEED=$(FUZZ_SEED) FUZZ_SECONDS=$$(($(FUZZ_SECONDS) / 3)) $(USE_VENV) \
		cargo test --locked --test fuzz -- --ignored --nocapture

# Sanitizers are not stable, but the stable compiler brings them along. With a target of its own, build
# scripts and macros stay as they are. Allocations that no memory holds are to fail, not to end the run.
sanitize: tools ## run the tests of Rust and some fuzzing with AddressSanitizer
	@for tests in "--lib --tests" "--test fuzz -- --ignored --nocapture"; do \
		echo "== cargo test $$tests, with AddressSanitizer" && \
		RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitize \
			ASAN_OPTIONS=allocator_may_return_null=1 \
			FUZZ_SEED=$(FUZZ_SEED) FUZZ_SECONDS=$(FUZZ_SECONDS) \
			cargo test --locked --target $$(rustc -vV | sed -n 's/^host: //p') $$tests || exit; \
	done

accuracy: build ## measure the table of docs/accuracy.md
	@echo "== tests/accuracy.py"
	@$(BIN)/python -m tests.accuracy

# What is missing, ambiguous or in no table of contents is a warning to Sphinx, and an error here.
docs: build rustdoc $(DOCS_VENV)/installed ## build the documentation, and follow its links
	@echo "== sphinx"
	@rm -rf $(SITE)
	@PYTHONPATH=python:docs $(DOCS_VENV)/bin/sphinx-build -n -W --keep-going --quiet docs $(SITE)
	@cp -R target/doc $(SITE)/rust
	@echo "== links"
	@$(DOCS_VENV)/bin/python scripts/check_links.py $(SITE)
	@echo "The site is $(SITE)/index.html"

rustdoc: tools ## build the documentation of the crate alone
	@echo "== cargo doc"
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

wheel: $(RELEASE_VENV)/installed ## build and check the wheel and the sdist, in dist/
	@echo "== building the sdist, and the wheel from it (release)"
	@rm -rf dist
	@PATH=$(RELEASE_BIN):$$PATH VIRTUAL_ENV=$(CURDIR)/$(RELEASE_VENV) $(RELEASE_BIN)/maturin build \
		--release --locked --zig --compatibility manylinux_2_17 --sdist --out dist \
		--interpreter $(RELEASE_BIN)/python
	@echo "== scripts/check_distributions.py"
	@$(RELEASE_BIN)/python scripts/check_distributions.py dist
	@echo "== twine"
	@$(RELEASE_BIN)/twine check --strict dist/*
	@echo "== auditwheel"
	@$(RELEASE_BIN)/auditwheel show dist/*.whl | tee /dev/stderr | grep -q '"manylinux_2_17_x86_64"'
	@echo "== abi3audit"
	@$(RELEASE_BIN)/abi3audit --strict --summary dist/*.whl

test-wheel: $(VENV)/installed ## run the tests on the wheel and the sdist in dist/, installed in clean environments
	@PYTEST_FLAGS="$(PYTEST_FLAGS)" scripts/test-installed oldest $(OLDEST_PYTHON) dist/*.whl
	@PYTEST_FLAGS="$(PYTEST_FLAGS)" scripts/test-installed newest $(NEWEST_PYTHON) dist/*.whl
	@PYTEST_FLAGS="$(PYTEST_FLAGS)" scripts/test-installed sdist $(NEWEST_PYTHON) dist/*.tar.gz

test-crate: tools ## pack the crate as for crates.io, and build it from what is packed
	@echo "== cargo publish --dry-run"
	@# As [profile.test]: unoptimised vector code takes longer to compile, and 16 GB of memory.
	@CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_DEV_CODEGEN_UNITS=16 \
		CARGO_INCREMENTAL=0 cargo publish --dry-run --locked

# The list is made from what rustdoc knows, which only nightly compilers tell unasked.
public-api: tools ## compare the crate's public items with tests/data/public-api.txt
	@scripts/check-tools public-api
	@echo "== cargo public-api"
	@RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/public-api cargo rustdoc --locked --quiet --lib -- \
		-Z unstable-options --output-format json
	@cargo public-api --rustdoc-json target/public-api/doc/logitkit.json -sss --color never \
		>target/public-api.txt
	@diff -u tests/data/public-api.txt target/public-api.txt || { \
		echo "The public items have changed. If they are meant to, run" \
			"cp target/public-api.txt tests/data/ and raise the version if something is gone." >&2; \
		exit 1; \
	}

audit: $(RELEASE_VENV)/installed ## look for known vulnerabilities and unwanted licences
	@scripts/check-tools deny
	@echo "== cargo deny"
	@cargo deny --locked --all-features check $(DENY_CHECKS)
	@for pins in requirements/*.txt; do \
		echo "== pip-audit of $$pins" && \
		$(RELEASE_BIN)/pip-audit --strict --progress-spinner off --require-hashes --disable-pip \
			--requirement $$pins || exit; \
	done

lint-workflows: $(RELEASE_VENV)/installed ## lint .github/workflows
	@scripts/check-tools actionlint
	@echo "== actionlint"
	@actionlint
	@echo "== zizmor"
	@$(RELEASE_BIN)/zizmor --offline --no-progress --quiet --persona pedantic .github

release-check: wheel test-wheel test-crate public-api audit lint-workflows ## all that must pass before a release, but `make test`

lock: $(VENV)/installed ## pin the newest tools, peers of the benchmarks and makers of pages and releases, in requirements/
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@set -e; for pins in tools:dev bench:bench torch:torch docs:docs release:release; do \
		file=requirements/$${pins#*:}.txt; \
		echo "== $$file"; \
		$(BIN)/uv pip compile --quiet --upgrade pyproject.toml \
			--group pyproject.toml:$${pins%:*} \
			--universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			--output-file $$file; \
	done

clean: ## remove what was built or installed
	rm -rf target dist $(VENV) $(BENCH_VENV) $(TORCH_VENV) $(DOCS_VENV) $(RELEASE_VENV) docs/api python/logitkit/*.so .hypothesis .mypy_cache .pytest_cache .ruff_cache
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

# Those with torch have 6 GB on Linux, for there the package index has it with CUDA only.
.venv-%/installed: requirements/%.txt | tools
	@echo "== installing $< into $(@D)"
	@"$$(scripts/find-python)" -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $<
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
	@$(BIN)/python -m mypy.stubtest logitkit --mypy-config-file pyproject.toml \
		--allowlist scripts/stubtest-left-out --ignore-unused-allowlist

test-python: build
	@echo "== pytest"
	@$(USE_VENV) $(BIN)/pytest $(PYTEST_FLAGS)
