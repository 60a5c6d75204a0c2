#!/usr/bin/env bash
# deps.sh build|peers: installs the Debian packages that are missing, and says which.
#
# Asks for the tool itself and not for its package: a compiler from elsewhere is as good.
set -euo pipefail

missing=()
need() { # need PACKAGE COMMAND...: the package is missing where the command fails
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

case ${1:-} in
build)
    need gcc command -v gcc
    need g++ command -v g++
    need make command -v make
    need pkg-config command -v pkg-config
    need libssl-dev pkg-config --exists openssl
    need zlib1g-dev pkg-config --exists zlib
    ;;
peers)
    need default-jre-headless command -v java
    need maven command -v mvn
    need dpkg command -v dpkg-deb
    ;;
*)
    echo "usage: $0 build|peers" >&2
    exit 2
    ;;
esac

[ ${#missing[@]} -gt 0 ] || exit 0
echo "foreshock: missing for $1: ${missing[*]}"

if ! command -v apt-get >/dev/null; then
    echo "foreshock: this is not Debian: install the like of these yourself, then run make again" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "foreshock: neither root nor sudo: ask for apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi
echo "foreshock: installing by apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
