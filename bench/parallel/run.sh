#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The table of docs/parallel.md: `detente bench parallel` on loopback as it is, and on a loopback of 1 Gbit/s in a
# network namespace of its own (needs root, ip and tc; left out without them).
#
#   bench/parallel/run.sh PROGRAM OUT     JSON files into OUT
set -euo pipefail
program="$(realpath "${1:?usage: bench/parallel/run.sh PROGRAM OUT}")"
out="${2:?usage: bench/parallel/run.sh PROGRAM OUT}"
mkdir -p "$out"
for world in 2 4; do
  "$program" bench parallel --world "$world" --tasks 8 --steps 15 --json >"$out/loopback_$world.json"
done
"$program" bench parallel --world 2 --tasks 8 --input multi --batch 32 --steps 15 --json >"$out/loopback_multi.json"

space="detente-bench-$$"
if ! ip netns add "$space" 2>/dev/null; then
  echo "bench: no network namespaces here; the limited network is left out" >&2
  exit 0
fi
trap 'ip netns del "$space"' EXIT
ip -n "$space" link set lo up
ip netns exec "$space" tc qdisc add dev lo root tbf rate 1gbit burst 256kb latency 100ms
for world in 2 4; do
  ip netns exec "$space" "$program" bench parallel --world "$world" --tasks 8 --steps 10 --json \
    >"$out/gbit_$world.json"
done
