#!/usr/bin/env bash
# Installs the servers that tests talk to, where they are missing, and runs every test of the workspace.
set -euo pipefail
cd "$(dirname "$0")/.."

# The program that must be there, and the Debian package that brings it.
servers=(
  "prometheus prometheus"
  "promtool prometheus"
  "prometheus-alertmanager prometheus-alertmanager"
)
missing=()
for server in "${servers[@]}"; do
  read -r program package <<<"$server"
  command -v "$program" >/dev/null || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || {
    echo "these are needed and can only be installed by hand here: ${missing[*]}" >&2
    exit 1
  }
  root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  # Only the programs are wanted: each test starts its own server, on a free port of the loopback interface.
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

cargo test --workspace --all-features --locked -- --include-ignored
