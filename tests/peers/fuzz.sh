#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: runs fuzz targets for that long each, one a core; a crash fails it and leaves its input.
#
# The fixtures are the seeds. What is found beside them grows under fuzz/corpus, which is nobody's but this machine's.
set -euo pipefail

seconds=${1:?usage: fuzz.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")/../.."
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "foreshock: building cargo-fuzz (once): cargo install cargo-fuzz --locked"
    cargo install -q cargo-fuzz --locked
fi

# Folders that hold what a target's parser reads, valid and hostile.
seeds() {
    case $1 in
        text) echo fixtures/hostile/pages ;;
        remote_write | kafka_remote_write) echo fixtures/hostile/remote_write fixtures/hostile/kafka ;;
        telegraf_json) echo fixtures/hostile/kafka ;;
        query_range) echo fixtures/hostile/query_range fixtures/hostile/recordings ;;
        openmetrics | score_csv) echo fixtures/hostile/recordings fixtures/hostile/pages ;;
        config) echo fixtures/hostile/config deploy ;;
        pack) echo models fixtures/hostile/config ;;
        *) ;;
    esac
    local own=fuzz/seeds/$1
    if [ -d "$own" ]; then echo "$own"; fi
}

fuzz() {
    local target=$1 seconds=$2
    mkdir -p "fuzz/corpus/$target"
    echo "foreshock: fuzzing $target for $seconds s"
    # shellcheck disable=SC2046
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" $(seeds "$target") -- -max_total_time="$seconds" \
        -rss_limit_mb=2048 -timeout=30 -print_final_stats=1 -verbosity=0 2>&1 | sed "s/^/$target: /"
}
export -f fuzz seeds

# Coverage is an unstable option; this lets the one toolchain that is here take it. No address sanitizer: the code
# under test is safe Rust, and librdkafka's configure cannot link a zstd that was built with one.
export RUSTC_BOOTSTRAP=1
cargo fuzz build --sanitizer none
[ $# -gt 0 ] || mapfile -t all < <(cargo fuzz list)
printf '%s\n' "${@:-${all[@]}}" | xargs -P "$(nproc)" -I TARGET bash -euo pipefail -c 'fuzz TARGET '"$seconds"
