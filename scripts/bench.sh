#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/bench.sh BUILD [google-benchmark options]: runs every benchmark of a build, prints the table
# and keeps the numbers as BUILD/results/<program>.json. Says how busy the machine is, because that
# decides what the numbers are worth.
set -euo pipefail
build="$1"
shift
mkdir -p "$build/results"
echo "== load average $(cut -d ' ' -f 1 /proc/loadavg) on $(nproc) cores"
for program in "$build"/bench/*/*_bench; do
  name="$(basename "$program")"
  echo "== $name (numbers: $build/results/$name.json)"
  # As `detente` sets them for itself.
  OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-3000}" "$program" \
    --benchmark_out="$build/results/$name.json" --benchmark_out_format=json "$@"
done
