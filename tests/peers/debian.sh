#!/usr/bin/env bash
# Unpacks the peers that Debian packages under target/peers: nothing is installed, no service starts.
set -euo pipefail

packages=(prometheus prometheus-alertmanager prometheus-node-exporter victoria-metrics qemu-user-static)
cd "$(dirname "$0")/../.."
peers=$PWD/target/peers
stamp=$peers/.debian
version="$(cksum <tests/peers/debian.sh)" # what this script did when it was last here
[ "$(cat "$stamp" 2>/dev/null || true)" != "$version" ] || exit 0

echo "foreshock: unpacking under target/peers: ${packages[*]}"
mkdir -p "$peers"
fetched=$(mktemp -d "$peers/.fetch.XXXXXX")
trap 'rm -rf "$fetched"' EXIT
cd "$fetched"
# Without a list of packages apt-get knows none of them; bringing the list needs root.
if ! apt-get download -qq "${packages[@]}" 2>apt.log; then
    if [ "$(id -u)" -eq 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
    apt-get download -qq "${packages[@]}" 2>apt.log || {
        cat apt.log >&2
        exit 1
    }
fi
for package in ./*.deb; do
    dpkg-deb -x "$package" "$peers"
    dpkg-deb -W --showformat='foreshock: unpacked ${Package} ${Version}\n' "$package"
done
find "$peers/usr/bin" -name 'qemu-*' ! -name 'qemu-x86_64-static' -delete
# Debian's Alertmanager reads its templates by a path from the root, and knows no option for another. The same path
# with a second slash for the first is as long, and is looked for below the folder where the program is started.
share=/usr/share/prometheus/alertmanager
sed -i "s#$share#usr/share//prometheus/alertmanager#g" "$peers/usr/bin/prometheus-alertmanager"
echo "foreshock: Alertmanager reads its templates from target/peers$share"
echo "$version" >"$stamp"
