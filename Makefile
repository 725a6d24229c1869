# SPDX-License-Identifier: Apache-2.0
# Thin doors over scripts/setup.sh and the presets of CMakePresets.json, which work alone too.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help setup build test demo install wheel bench lint thorough clean distclean

# The engine: empty (the PyTorch of python3, else build/venv), "system", or a folder.
TORCH ?=
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

PRESET := release
BUILD := build/release
ENGINE := -DDETENTE_TORCH_ROOT=$(if $(filter-out system,$(TORCH)),$(abspath $(TORCH)),$(TORCH))
SETUP := scripts/setup.sh --torch "$(or $(TORCH),auto)"
CMAKE_BUILD := cmake --build $(BUILD) --parallel $(JOBS)

help:
	@echo "Detente: training one network on several tasks at once."
	@echo
	@echo "  make demo       build, then train two tasks with and without balancing; prints a table"
	@echo "  make test       build everything and run the tests"
	@echo "  make build      the program: $(BUILD)/detente"
	@echo "  make install    program, library and CMake package below PREFIX=$(PREFIX)"
	@echo "  make wheel      the Python package for this PyTorch: build/wheels, tried in a fresh environment"
	@echo "  make bench      build and run the benchmarks"
	@echo "  make lint       the checks of scripts/lint.sh"
	@echo "  make thorough   what takes hours: every file alone, clang-tidy, TSan, repeated tests"
	@echo "  make clean      remove what was built (distclean: also build/venv)"
	@echo
	@echo "  TORCH=PATH|system   the LibTorch to use (docs/engines.md)    JOBS=N   parallel compilers"
	@echo "  BUILD=FOLDER        where to build ($(BUILD))"
	@echo
	@echo "What is missing is installed first: packages through apt, PyTorch into build/venv."

setup:
	@$(SETUP)

# Configures and lets Ninja decide what is out of date.
define configure
	@echo "== configuring $(BUILD) (log: $(BUILD)-configure.log)"
	@cmake --preset $(PRESET) -B $(BUILD) $(ENGINE) >$(BUILD)-configure.log 2>&1 \
	  || { cat $(BUILD)-configure.log; exit 1; }
	@grep -E '^-- LibTorch' $(BUILD)-configure.log || true
	@grep -A 6 'CMake Warning' $(BUILD)-configure.log || true
endef

build: setup
	$(configure)
	@echo "== building the program"
	@$(CMAKE_BUILD) --target detente_app
	@echo "== done: $(BUILD)/detente"

test: setup
	$(configure)
	@echo "== building everything with its tests"
	@$(CMAKE_BUILD)
	@echo "== running the tests"
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error --parallel $(JOBS)

demo: build
	@echo "== running the demo (scripts/demo.sh)"
	@DETENTE=$(BUILD)/detente scripts/demo.sh

install: build
	@echo "== installing below $(PREFIX)"
	@$(CMAKE_BUILD) --target detente_products
	@cmake --install $(BUILD) --prefix "$(PREFIX)" >$(BUILD)-install.log
	@echo "== done: $(PREFIX)/bin/detente (list of files: $(BUILD)/install_manifest.txt)"

wheel: setup
	@TORCH="$(if $(filter system,$(TORCH)),,$(TORCH))" scripts/wheel.sh

bench: setup
	@echo "== building the benchmarks (build/bench)"
	@cmake --preset bench $(ENGINE) >build/bench-configure.log 2>&1 \
	  || { cat build/bench-configure.log; exit 1; }
	@cmake --build build/bench --parallel $(JOBS) --target detente_benchmarks
	@scripts/bench.sh build/bench

lint:
	@scripts/setup.sh --torch none --lint
	@scripts/lint.sh

thorough:
	@$(SETUP) --tidy
	@TORCH="$(TORCH)" JOBS="$(JOBS)" scripts/thorough.sh

clean:
	@echo "== removing everything in build/ but the virtual environment"
	@find build -mindepth 1 -maxdepth 1 ! -name venv ! -name '.venv-begun' -exec rm -rf {} + 2>/dev/null || true

distclean:
	@echo "== removing build/"
	@rm -rf build
