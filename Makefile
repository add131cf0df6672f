# The one interface to this repository; the continuous integration calls nothing else.
# `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The targets share one target directory and one engine: one thing at a time. Cargo is parallel by itself.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# One profile for build, tests and demo, so that nothing is compiled twice; packages get the release profile.
PROFILE := ci
export CARGO_INCREMENTAL := 0
export CARGO_TERM_COLOR ?= auto
# What a test claims stands in its message; forty lines of the runtime's frames only push it out of a log that is cut.
# For once: make test RUST_BACKTRACE=1
export RUST_BACKTRACE := 0

CARGO_FLAGS := --locked --profile $(PROFILE)
# cargo-nextest where it is installed (time limits and groups of .config/nextest.toml), else cargo's own runner.
NEXTEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)
# What needs an engine, by binary or by name.
DOCKER_TESTS := (binary(/docker|^tidy$$/) - binary(tidy)) + test(/docker/)
# Rustdoc links a program per example: only when there are any.
DOCTESTS = $(shell grep -rlE --include='*.rs' '^\s*//[/!] ```(rust|no_run|should_panic|compile_fail|$$)' crates/*/src)

.PHONY: help doctor setup all check lint fmt fmt-check test doctest e2e planted api-check fuzz agent-python bench bench-scheduling chaos seeds proto fixtures docs images demo up down release clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | \
		while IFS=$$'\t' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

doctor: ## tell what this machine lacks; changes nothing
	@scripts/doctor.sh

setup: ## install what this machine lacks (apt; CLOUDAI_NO_INSTALL=1 only tells), start an engine
	@scripts/doctor.sh --install
	@scripts/engine.sh start

all: ## build the binary: target/ci/cloudai
	cargo build $(CARGO_FLAGS) -p cloudai

check: fmt-check lint doctest ## everything that needs no container engine: format, lints, tests
ifeq ($(NEXTEST),yes)
	cargo nextest run --locked --workspace --cargo-profile $(PROFILE) -E 'not ($(DOCKER_TESTS))'
else
	cargo test $(CARGO_FLAGS) --workspace --lib --bins --tests -- --skip docker
endif

planted: ## the simulator catches every fault that is planted on purpose
	cargo test $(CARGO_FLAGS) --quiet -p cloudai-sim --features planted --test planted

api-check: all ## what the OpenAPI document allows and does not, against a running master (API_SECONDS=90)
	@scripts/schemathesis.sh $(or $(API_SECONDS),90) "$(or $(CARGO_TARGET_DIR),target)/$(PROFILE)/cloudai"

fuzz: ## what all readers claim of any bytes (crates/fuzzing; wants nightly), then api-check for long (FUZZ_SECONDS=1200 each)
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),1200)
	@$(MAKE) api-check API_SECONDS=$(or $(FUZZ_SECONDS),1200)

# Each measures fresh processes of what users get; nothing else should run beside it.
BENCHES := dispatch latency docker submit list logs memory placing

bench: setup images release ## measures the release build (quarter of an hour, keep the machine quiet), writes docs/performance.md
	@mkdir -p target/bench
	@for bench in $(BENCHES); do target/release/cloudai bench $$bench --json target/bench/$$bench.json; echo; done
	@target/release/cloudai bench report $(BENCHES:%=target/bench/%.json) > target/bench/performance.md
	@mv target/bench/performance.md docs/performance.md
	@echo 'docs/performance.md was written'

bench-scheduling: all ## every strategy on every workload of a folder (WORKLOADS=...), writes the tables of docs/scheduling.md
	@target/$(PROFILE)/cloudai bench scheduling --workloads $(or $(WORKLOADS),crates/sim/tests/data) --write docs/scheduling.md
	@echo 'docs/scheduling.md was written'

# What must have happened before it ends is in crates/cloudai/tests/chaos/forms.rs. Not under nextest: it ends long tests.
chaos: setup images ## real processes under kills, pauses and cuts (CHAOS_SECONDS=600, CHAOS_DOCKER_SECONDS=120, CHAOS_SEED)
	cargo test $(CARGO_FLAGS) -p cloudai --test chaos -- --ignored --nocapture --test-threads 1

seeds: ## many more seeds of the simulator (SEEDS=20000)
	SEEDS=$(or $(SEEDS),20000) cargo test $(CARGO_FLAGS) -p cloudai-sim --test faults

# The runner comes last, so that its summary is the last thing printed.
test: setup images agent-python fmt-check lint doctest planted api-check ## everything, containers included; installs what the tests need
ifeq ($(NEXTEST),yes)
	@echo 'tests run by cargo-nextest'
	cargo nextest run --locked --workspace --cargo-profile $(PROFILE)
else
	@echo 'tests run by cargo test (cargo-nextest is not installed)'
	cargo test $(CARGO_FLAGS) --workspace --lib --bins --tests
endif

e2e: setup images agent-python ## the real binary as real processes, containers included
	cargo test $(CARGO_FLAGS) -p cloudai --test e2e

doctest:
ifneq ($(DOCTESTS),)
	cargo test $(CARGO_FLAGS) --workspace --doc
endif

lint: ## clippy on everything, warnings are errors
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings
	@# Alone, as users build it: what only the dependencies of tests switch on is not there.
	cargo check $(CARGO_FLAGS) -p cloudai

fmt: ## format the code
	cargo fmt --all

fmt-check:
	cargo fmt --all -- --check

proto: ## generate crates/proto/src/gen from proto/ again
	UPDATE_GENERATED=1 cargo test $(CARGO_FLAGS) -p cloudai-proto --test generated_is_current

fixtures: ## when a version is released: keep the data and the frames that it writes, for later ones to read
	cargo test $(CARGO_FLAGS) -p cloudai-proto --test released -- --ignored make_the_frames_of_this_version
	cargo test $(CARGO_FLAGS) -p cloudai --test e2e -- --ignored make_the_fixture_of_this_version

docs: ## write the tables of docs/configuration.md and docs/roles.md again, docs/job.schema.json and docs/openapi.json
	UPDATE_GENERATED=1 cargo test $(CARGO_FLAGS) -p cloudai --bin cloudai -- the_document_has_every_setting the_schema_of_the_documentation
	UPDATE_GENERATED=1 cargo test $(CARGO_FLAGS) -p cloudai-master --lib -- the_document_says_what_each_role_may the_committed_document_is_what_the_routes_say

images: ## make the sample images; no registry needed
	@scripts/images.sh

agent-python: ## what the samples in Python run with: their packages (pip) and stubs, in .run/agent-python
	@scripts/agent-python.sh

demo: ## a cluster of three workers runs two tasks before your eyes, then everything is stopped
	@scripts/demo.sh

up: ## leave a cluster running on 127.0.0.1:8080 (WORKERS=1)
	@scripts/up.sh

down: ## stop what `make up` started (ENGINE=1: also an engine started from here)
	@scripts/down.sh

release: ## build the optimised binary: target/release/cloudai (takes long)
	cargo build --locked --release -p cloudai

clean: ## remove the build; data of clusters (.run/) stays
	cargo clean
