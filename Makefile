# `make` lists what there is to do.

MAKEFLAGS += --no-print-directory
CARGO ?= cargo
# What `make demo` shows; `make demo DRILL="drill --help"` lists the choices.
DRILL ?= drill --fault kill,freeze,planned
# How `make bench` measures: --quick, --json or both.
BENCH ?=
# Where a model has too many orders for all of them, those are tried in which a thread is interrupted
# no more often than this: 3 takes some 15 seconds, 4 a minute and a half.
export LOOM_MAX_PREEMPTIONS ?= 3

.PHONY: help setup demo test models tsan bench doc lint msrv

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Install redis-server and redis-sentinel when they are missing (Debian, Ubuntu)
	@tests/setup

demo: setup ## Fail a throw-away cluster over, three ways, under load, and show the timeline
	$(CARGO) run --release --features cli -- $(DRILL)

test: setup ## Run every test; the last line is "N passed, N failed"
	@tests/run

models: ## Run the gate in every order in which its threads can meet (part of `make test`)
	@RUSTFLAGS="--cfg loom" $(CARGO) test --release --package switchmaster-models --target-dir target/models

tsan: setup ## Run the tests under ThreadSanitizer (five minutes); any report is a failure
	@tests/tsan

bench: setup ## Measure what switchmaster costs (BENCH=--quick: less exactly)
	$(CARGO) bench --bench overhead -- $(BENCH)

doc: ## Build the documentation; a broken link is an error
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps

lint: msrv ## Check formatting, clippy's lints, the scripts and the oldest Rust
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	for script in .ci/run tests/msrv tests/run tests/setup tests/tsan; do bash -n $$script || exit 1; done

msrv: ## Check that the oldest Rust that Cargo.toml promises is enough
	@tests/msrv
