#!/usr/bin/env bash
# fuzz.sh SECONDS: runs every fuzz target for that long; a crash fails it and leaves its input.
set -euo pipefail

seconds=${1:?usage: fuzz.sh SECONDS}
cd "$(dirname "$0")/../.."
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "foreshock: building cargo-fuzz (once): cargo install cargo-fuzz --locked"
    cargo install -q cargo-fuzz --locked
fi
# The sanitizers are unstable options; this lets the one toolchain that is here take them.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list); do
    echo "foreshock: fuzzing $target for $seconds s"
    cargo fuzz run "$target" -- -max_total_time="$seconds" -rss_limit_mb=2048 -print_final_stats=1
done
