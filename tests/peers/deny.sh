#!/usr/bin/env bash
# Licences and bans of all dependencies, by cargo-deny; built once where it is missing.
set -euo pipefail

if ! cargo deny --version >/dev/null 2>&1; then
    echo "foreshock: building cargo-deny (some minutes, once): cargo install cargo-deny --locked"
    cargo install -q cargo-deny --locked || {
        echo "foreshock: cargo-deny cannot be built here: licences and bans are NOT checked" >&2
        exit 0
    }
fi
cargo deny --locked check licenses bans
