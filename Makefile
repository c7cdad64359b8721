# Desirepath: `make help` lists what there is. The work is in scripts/; cargo does the rest.
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(HOME)/.cache/desirepath-target
RELEASE := $(CARGO_TARGET_DIR)/release/desirepath

.PHONY: help demo test serve check  setup setup-test release clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: setup release ## set up, build, load two million events, ask the tour's questions, stop
	@scripts/demo $(RELEASE)

test: setup-test ## set up what the tests need and run every test
	@scripts/run-tests

serve: release ## build and serve on 127.0.0.1:3307 (MySQL) and 127.0.0.1:8307 (HTTP), data in ./data
	@exec $(RELEASE) serve

check: setup-test ## format, lints with warnings denied, tests: what CI runs
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@scripts/run-tests

setup:
	@scripts/setup

setup-test:
	@scripts/setup test

release:
	cargo build --locked --release

clean: ## remove what the demo left in this folder
	rm -rf .demo
