#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What takes too long for every change, once a week: every file compiled by itself (no unity batches,
# debug), all tests on that, the torch-free part under clang-tidy, AddressSanitizer and ThreadSanitizer, its tests again
# and again in random order, the benchmarks compiled, the wheel of the Python package, a million made-up
# inputs for everything that reads
# files of others, a run disturbed at everything it does to its folder, ten thousand damaged slides. Every stage runs even when one before it failed;
# the last lines say which did and how long each took. Two to three hours on two cores.
#
#   scripts/thorough.sh [STAGE...]     tidy asan tsan plain repeat bench wheel fuzz faults; default: all
#   TORCH=PATH JOBS=N                  as with make
#   FUZZ_RUNS=N FAULT_EVERY=N          inputs of each fuzzer (1000000); every N-th operation (1)
#   SLIDE_RUNS=N                       damaged slides (10000)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

jobs="${JOBS:-$(nproc)}"
mkdir -p build
summary=()
failures=0

build() {
  local preset="$1"
  shift
  cmake --preset "$preset" "-DDETENTE_TORCH_ROOT=${TORCH:-}" >"build/$preset-configure.log" 2>&1 \
    || { cat "build/$preset-configure.log"; return 1; }
  cmake --build "build/$preset" --parallel "$jobs" "$@"
}
run_tests() {
  local preset="$1"
  shift
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --parallel "$jobs" "$@"
}

# Go on past a finding, so that one run shows all.
tidy() { build tidy -- -k 0; }
asan() { build asan && run_tests asan; }
tsan() { build tsan && run_tests tsan; }
plain() { scripts/check_headers.py --all && build plain -- -k 0 && run_tests plain; }
repeat() { build numerics && run_tests numerics --repeat until-fail:5 --schedule-random; }
bench() { build bench --target detente_benchmarks; }
wheel() { scripts/wheel.sh; }

# Finds stay below build/fuzz/found; what fuzzers learn, in build/fuzz/corpus, for the next time.
fuzz() {
  build fuzz --target detente_fuzz || return 1
  local program name failed=0
  for program in build/fuzz/tests/fuzz/fuzz_*; do
    name="${program##*/fuzz_}"
    mkdir -p "build/fuzz/corpus/$name" "build/fuzz/found"
    echo "-- $name"
    "$program" "build/fuzz/corpus/$name" -runs="${FUZZ_RUNS:-1000000}" -max_len=4096 -timeout=10 \
      -rss_limit_mb=2048 -dict=tests/fuzz/words.dict -artifact_prefix="build/fuzz/found/$name-" \
      -print_final_stats=1 >"build/fuzz/$name.log" 2>&1 || { failed=1; tail -n 30 "build/fuzz/$name.log"; }
    grep -E 'number_of_executed_units|average_exec_per_sec' "build/fuzz/$name.log"
  done
  return "$failed"
}

# With what scripts/setup.sh installs, where that is there.
venv_python() { if [ -x build/venv/bin/python ]; then echo build/venv/bin/python; else echo python3; fi; }

faults() {
  build release --target detente_app detente_slide_worker slides_reader || return 1
  "${CC:-cc}" -shared -fPIC -O1 -Wall -Wextra tests/attack/file_faults.c -o build/file_faults.so || return 1
  python3 tests/cli/crash_points.py build/release/detente 5 \
    && python3 tests/cli/crash_ranks.py build/release/detente 5 \
    && python3 tests/attack/every_operation.py build/release/detente build/file_faults.so \
      --every "${FAULT_EVERY:-1}" \
    && "$(venv_python)" tests/attack/slides.py build/release/tests/slides/slides_reader "${SLIDE_RUNS:-10000}"
}

declare -A what=([tidy]="clang-tidy on the torch-free part" [asan]="torch-free tests under ASan and UBSan" [tsan]="torch-free tests under TSan"
  [plain]="every file by itself, all tests in debug" [repeat]="torch-free tests, five times, shuffled"
  [bench]="benchmarks compile" [wheel]="the Python package's wheel in a fresh environment" [fuzz]="made-up input for everything that reads files of others"
  [faults]="a run killed and refused at everything it does to its folder; damaged slides")

stages=("$@")
if [ ${#stages[@]} -eq 0 ]; then stages=(tidy asan tsan plain repeat bench wheel fuzz faults); fi
for stage in "${stages[@]}"; do
  if [ -z "${what[$stage]:-}" ]; then
    echo "thorough: no stage '$stage'; there are: tidy asan tsan plain repeat bench wheel fuzz faults" >&2
    exit 2
  fi
done
for stage in "${stages[@]}"; do
  start=$SECONDS
  printf '\n##### %s: %s\n' "$stage" "${what[$stage]}"
  if "$stage"; then result=passed; else result=FAILED; failures=$((failures + 1)); fi
  summary+=("$(printf '%6d s  %s  %s: %s' $((SECONDS - start)) "$result" "$stage" "${what[$stage]}")")
done

printf '\n##### thorough\n'
printf '%s\n' "${summary[@]}"
printf '%6d s  in all; %d of %d stages failed\n' "$SECONDS" "$failures" "${#stages[@]}"
exit $((failures > 0))
