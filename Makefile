# Everything that is done with this repository. `make` alone prints what there is.
# Needs Rust (rustup) and Python 3.10 or newer with pip; what else it needs it installs under CACHE.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/wharfinger
VENV := $(CACHE)/venv
PYTHON_OF_VENV := $(VENV)/bin/python

# One folder for all builds, outside the checkout: it survives a fresh clone.
export CARGO_TARGET_DIR ?= $(CACHE)/target
# Cargo takes what another checkout has built for its own, by the age of the files: what this one has must be newer.
OTHER_CHECKOUT := $(shell mkdir -p "$(CARGO_TARGET_DIR)" && cd "$(CARGO_TARGET_DIR)" && \
	[ "$$(cat checkout 2>/dev/null)" = "$(CURDIR)" ] || { find "$(CURDIR)" -path '*/.*' -prune -o \
		\( -name '*.rs' -o -name Cargo.toml \) -exec touch {} + && printf '%s' "$(CURDIR)" >checkout; })
export SAM_CLI_TELEMETRY := 0
export CARGO_TERM_COLOR ?= auto

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

# The functions run on this machine in the demo and the tests. For AWS, `sam build` takes the template's default: arm64.
ARCHITECTURE ?= $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
FUNCTIONS := $(notdir $(wildcard functions/*))

SEEDS ?= 1000

# The event corpus lies beside the repository, where it lies at all.
ifeq ($(WHARFINGER_EVENT_CORPUS)$(wildcard ../shared/events/.),)
export WHARFINGER_EVENT_CORPUS := none
endif
NO_CORPUS := $(filter none,$(WHARFINGER_EVENT_CORPUS))

# In the order in which they fail: what takes seconds first.
PHASES := check-format check-template lint docs unit simulate deny local-cloud functions story churn scaling delivery capacity storage

.PHONY: help demo test test-fast simulate day bench lint fmt deny docs build clean distclean \
	check-format check-template unit local-cloud functions binaries story churn scaling delivery capacity storage venv

help: ## Print this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' Makefile
	@printf '\n  Built files and tools are kept in %s.\n' '$(CACHE)'

# ------------------------------------------------------------------------------------------------------------- to see it

demo: functions ## Deploy to a local cloud and play a story on it. KEEP=1 leaves it up.
	@$(PYTHON_OF_VENV) -m tests.local.story $(if $(KEEP),--keep)

# --------------------------------------------------------------------------------------------------------------- to test

test: ## Run every check and test, quick failures first.
	@began=$$SECONDS; summary=; \
	for phase in $(PHASES); do \
		printf '\n==== %s\n' "$$phase"; at=$$SECONDS; \
		if ! $(MAKE) "$$phase"; then \
			printf '\n==== %s FAILED after %d s; `make %s` runs it alone.\n' "$$phase" $$((SECONDS - at)) "$$phase"; exit 1; \
		fi; \
		summary+=$$(printf '  %-16s %5d s\n_' "$$phase" $$((SECONDS - at))); summary=$${summary%_}; \
	done; \
	printf '\n==== all passed\n%s  %-16s %5d s\n' "$$summary" together $$((SECONDS - began)); \
	$(if $(NO_CORPUS),printf '\n==== WITHOUT THE EVENT CORPUS: set WHARFINGER_EVENT_CORPUS to its folder to test it too.\n',:)

test-fast: ## Run the unit tests of every crate.
	cargo test --workspace --lib --bins

simulate: ## Run SEEDS=1000 simulated histories; SEED=n replays one with its trace.
	cargo run --package wharfinger-tests --bin simulate -- $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS))
	$(if $(SEED),,cargo run --package wharfinger-tests --bin simulate -- --hosts --seeds 60)
	$(if $(SEED),,cargo run --package wharfinger-tests --bin simulate -- --hosts --instances 100 --tasks 1000 --seeds 2)
	$(if $(SEED),,cargo run --package wharfinger-tests --bin simulate -- --snapshots --seeds 300)
	$(if $(SEED),,cargo run --package wharfinger-tests --bin simulate -- --stateful --seeds 100)

day: ## Write the table and the picture of docs/scaling.md anew.
	UPDATE_EXPECT=1 cargo test --package wharfinger-tests --test day

bench: venv ## Measure size, start, memory and calls of each function.
	PATH="$(VENV)/bin:$$PATH" cargo run --package wharfinger-tests --bin bench

lint: ## Compile with every lint, warnings being errors.
	cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the Rust code.
	cargo fmt --all

deny: $(CARGO_DENY) ## Check licences, sources and duplicates of the dependencies.
	PATH="$(dir $(CARGO_DENY)):$$PATH" cargo deny --locked check -D warnings bans licenses sources

docs: ## Build the documentation of the crates, warnings being errors.
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

check-format:
	cargo fmt --all --check

check-template: venv
	$(VENV)/bin/cfn-lint template.yaml
	$(VENV)/bin/sam validate --lint --template-file template.yaml --region eu-west-1

unit:
	$(if $(NO_CORPUS),@printf '\n==== The event corpus is ABSENT: its tests are left out.\n\n')
	cargo test --workspace

local-cloud: venv
	$(PYTHON_OF_VENV) -m unittest discover --start-directory tests/local --top-level-directory .

# Also a part of `unit`: the test builds the binaries itself.
binaries:
	cargo test --package wharfinger-tests --test binaries

story: functions
	@$(PYTHON_OF_VENV) -m tests.local.story

churn: functions
	@$(PYTHON_OF_VENV) -m tests.local.churn

scaling: functions
	@$(PYTHON_OF_VENV) -m tests.local.scaling

delivery: functions
	@$(PYTHON_OF_VENV) -m tests.local.delivery

capacity: functions
	@$(PYTHON_OF_VENV) -m tests.local.capacity

storage: functions
	@$(PYTHON_OF_VENV) -m tests.local.storage

# -------------------------------------------------------------------------------------------------------------- to build

build: venv ## Build the functions as they are deployed. ARCHITECTURE=arm64 cross-compiles.
	PATH="$(VENV)/bin:$$PATH" sam build --parameter-overrides Architecture=$(ARCHITECTURE)

# What `sam build` runs per function, but showing what Cargo does; `sam build` then finds everything built.
# One function at a time, as it does: together they would share features, and be built once more. The command comes along.
# Without link-time optimisation, which takes over a minute for each: these run on this machine and go nowhere.
demo story churn scaling delivery capacity storage functions: export CARGO_PROFILE_RELEASE_LTO := off
functions: venv
	@for folder in $(addprefix functions/,$(FUNCTIONS)) cli; do \
		printf 'building %s for %s\n' "$$folder" $(ARCHITECTURE); \
		(cd "$$folder" && PATH="$(VENV)/bin:$$PATH" \
			cargo lambda build --release $(if $(filter arm64,$(ARCHITECTURE)),--arm64)) || exit 1; \
	done

venv:
	@tests/local/setup.sh >/dev/null

$(CARGO_DENY):
	CARGO_TARGET_DIR="$(CACHE)/cargo-deny-build" \
		cargo install --locked --version $(CARGO_DENY_VERSION) --root "$(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)" cargo-deny
	rm -rf "$(CACHE)/cargo-deny-build"

clean: ## Remove what was built, in the checkout and in the cache.
	rm -rf .aws-sam "$(CARGO_TARGET_DIR)"

distclean: clean ## Remove the installed tools, too.
	rm -rf "$(CACHE)"
