.DEFAULT_GOAL := help
.PHONY: help setup demo quick test generation wheel reliability bench lint format asan fuzz clean

export PATH := $(CURDIR)/.venv/bin:$(PATH)

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup:  ## .venv with torch, the tools, and coldframe built and installed, editable
	@tools/setup

demo: setup  ## compile a BERT once, serve it in another process without a compiler, and compare
	@OMP_NUM_THREADS=1 python examples/demo.py

quick: setup  ## what is worth running before each commit, in less than five minutes
	@tools/quick

test: setup  ## every test, C++ and Python
	@tools/test

TORCH ?= 2.14.1
CPYTHON ?= 3.11
generation: setup  ## what hangs on them with TORCH (2.14.1) on CPYTHON (3.11), which are installed outside of this folder
	@tools/test-generation $(TORCH) $(CPYTHON)

wheel: setup  ## build the wheel that others install, and show that it is whole
	@tools/wheel

reliability: setup  ## the long run of the store's tests: 2,000 processes killed, 10,000 power losses, every call failing
	@tools/reliability

bench: setup  ## side-by-side tables of time and size
	@OMP_NUM_THREADS=1 python -m bench.run

lint: setup  ## format, lint, type and layer checks
	@tools/lint

format: setup  ## rewrite the sources in the house format
	@tools/format

asan: setup  ## C++ tests, and those of the extension, under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --preset asan && cmake --build --preset asan && ctest --preset asan --parallel $$(nproc)
	@tools/test-asan

FUZZ_SECONDS ?= 60
fuzz:  ## libFuzzer looks for inputs that break a parser, FUZZ_SECONDS (60) for each
	@tools/setup fuzz && tools/fuzz $(FUZZ_SECONDS)

clean:  ## remove build trees and caches, keep .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
