#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job: two tasks on 11,668 Korean sentence pairs, trained with equal weights and with
# conflict-averse gradients from the same seed, then compared with each task trained alone and with
# no training at all.
#
#   scripts/demo.sh              DETENTE=program  DEMO_OUT=folder  DEMO_SINGLE=no  (skip single tasks)
#   scripts/demo.sh --set K=V    passed on to every run, e.g. --set data.max_rows=2000
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
detente="${DETENTE:-build/release/detente}"
out="${DEMO_OUT:-runs/demo}"
recipe=recipes/klue_sts.yaml
[ -x "$detente" ] || { echo "demo: '$detente' is not built yet; run 'make demo'" >&2; exit 2; }

began=$SECONDS
run() {
  local name="$1"
  shift
  printf '\n== %s\n' "$name"
  "$detente" train "$recipe" --out "$out/$name" --force "$@" >/dev/null
}

run ew --set balance.method=ew "$@"
run cagrad --set balance.method=cagrad "$@"
runs=("$out/ew" "$out/cagrad")
if [ "${DEMO_SINGLE:-yes}" = yes ]; then
  # Alone a task needs no balancing, so equal weights of one task are plain training.
  run score_alone --set balance.method=ew --set 'train.tasks=[score]' "$@"
  run same_alone --set balance.method=ew --set 'train.tasks=[same]' "$@"
  runs+=("$out/score_alone" "$out/same_alone")
fi

printf '\n== the same validation rows for all (KLUE-STS dev, 519 pairs; best epoch of each run)\n\n'
"$detente" compare "${runs[@]}" --baseline --title "KLUE-STS: two tasks, one network" \
  --out "$out/comparison.html"
cat <<EOF

One seed on 519 pairs: a Pearson near 0.67 is known to about ±0.05, an F1 to about ±0.06, so small
differences between columns mean nothing. What is measured on every step is how often the two
gradients conflict; the reports show it over time.
Reports: $out/cagrad/report.html (one run), $out/comparison.html (all of them).
Trained and compared in $((SECONDS - began)) s.
EOF
