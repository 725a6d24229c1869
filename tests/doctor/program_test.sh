#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# program_test.sh PROGRAM CASE: the real program cures its environment by one restart, and nothing
# that a caller can see differs but the speed.
set -uo pipefail
program="$1"
unset OMP_WAIT_POLICY GOMP_SPINCOUNT KMP_BLOCKTIME OPENBLAS_CORETYPE DETENTE_REEXEC DETENTE_VERBOSE
failed() { printf 'FAILED: %s\n' "$*"; exit 1; }

case "$2" in
  restarts_once)
    [ "$(nproc)" -gt 1 ] || exit 77  # one core: nothing to cure
    notes="$(DETENTE_VERBOSE=1 "$program" doctor --json 2>&1 >doctor.json)" || failed "exit code $?"
    [ "$(grep -c 'detente: runs with' <<<"$notes")" = 1 ] || failed "not one restart: $notes"
    grep -q '"applied_at_start": ".*OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=3000' doctor.json || failed "$(cat doctor.json)"
    ;;
  is_silent_in_a_pipe)
    notes="$("$program" doctor --json 2>&1 >doctor.json)" || failed "exit code $?"
    [ -z "$notes" ] || failed "unasked words: $notes"
    ;;
  can_be_told_not_to)
    DETENTE_REEXEC=off DETENTE_VERBOSE=1 "$program" doctor --json >doctor.json 2>notes.txt
    [ ! -s notes.txt ] || failed "$(cat notes.txt)"
    grep -q '"applied_at_start": "off"' doctor.json || failed "$(cat doctor.json)"
    ;;
  keeps_arguments_and_exit_codes)
    "$program" nosuchcommand --x 'a b' 2>with.txt; with=$?
    DETENTE_REEXEC=off "$program" nosuchcommand --x 'a b' 2>without.txt; without=$?
    [ $with = 2 ] && [ $without = 2 ] || failed "exit codes $with, $without"
    cmp with.txt without.txt || failed "messages differ"
    ;;
  dies_of_signals)
    "$program" doctor >/dev/null & pid=$!
    sleep 0.2
    kill -TERM $pid
    wait $pid; code=$?
    [ $code = 143 ] || failed "exit code $code after SIGTERM"
    ;;
  strict_follows_warnings)
    OMP_WAIT_POLICY=active "$program" doctor --strict >out.txt; code=$?
    [ "$(nproc)" -gt 1 ] || exit 77
    [ $code = 1 ] && grep -q 'spinning_threads' out.txt || failed "exit code $code: $(cat out.txt)"
    OMP_WAIT_POLICY=active "$program" doctor >out.txt || failed "fails without --strict"
    ;;
  *) failed "no such case: $2" ;;
esac
