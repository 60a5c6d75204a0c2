# Everything from a fresh clone, with Rust and make present; `make help` lists it.
#
# What is missing is installed by Debian's packages (as root, or by sudo), and each install is told.
# No system service is started: peers are unpacked under target/peers and run by the tests, on loopback.

CARGO ?= cargo
FUZZ_SECONDS ?= 300
DATA ?= ../shared/data
PEER_BENCH := target/peer-bench

.PHONY: help demo build test unit peers deps deps-peers bench bench-peers fuzz lint

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

demo: build ## build, then watch a simulated Zimbra cluster break and heal
	target/release/foreshock demo --once

build: deps ## the binary, target/release/foreshock
	$(CARGO) build --release --locked

test: deps peers ## all tests, those against real peers included
	$(CARGO) test --locked --no-fail-fast
	$(CARGO) test --release --locked --test instructions
	@if [ -d ../shared/data ]; then $(CARGO) test --release --locked --test score; else \
	echo "foreshock: SKIPPED: no recordings in ../shared/data; nothing was scored whole"; fi

unit: deps ## the tests that need no peer
	$(CARGO) test --locked --lib --test tidy --test check --test packs

peers: deps-peers ## real Prometheus, Alertmanager, node_exporter, VictoriaMetrics and Kafka for tests, and an emulator
	tests/peers/debian.sh
	tests/peers/kafka.sh

deps: ## what the build needs, where it is missing
	tests/peers/deps.sh build

deps-peers: ## what real peers need, where it is missing
	tests/peers/deps.sh peers

bench: deps ## all benches
	$(CARGO) bench --locked

bench-peers: build ## detectors of others beside ours on the recordings in DATA; PEERS chooses (about an hour)
	$(CARGO) build --release --locked --manifest-path benches/peers/rust/Cargo.toml --target-dir $(PEER_BENCH)/forests
	[ -x $(PEER_BENCH)/venv/bin/python ] || python3 -m venv $(PEER_BENCH)/venv
	$(PEER_BENCH)/venv/bin/pip install -q -r benches/peers/requirements.txt
	$(CARGO) bench --locked --bench detect -- rows
	$(PEER_BENCH)/venv/bin/python -B benches/peers/run.py --data $(DATA) --foreshock target/release/foreshock \
	--forests $(PEER_BENCH)/forests/release/forests --out $(PEER_BENCH)/scores $(PEERS)

fuzz: deps ## every fuzz target for FUZZ_SECONDS (300) each
	tests/peers/fuzz.sh $(FUZZ_SECONDS)

lint: deps ## format, clippy, whether the fuzz targets build, licences and bans
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	$(CARGO) check --manifest-path fuzz/Cargo.toml --locked --target-dir target
	tests/peers/deny.sh
