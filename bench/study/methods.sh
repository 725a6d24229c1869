#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Twelve methods and the single-task baselines on nine of the ready sets, five seeds, each method with the
# same three learning rates (a third of the recipe's, the recipe's, three times it), test rows measured once.
# fashion_two has 8 epochs instead of its recipe's 20.
# Hours on two cores; stopped in any way, the same command goes on.
#
#   sh bench/study/methods.sh OUT [PROGRAM] [SET...]
#
# rf1 and proteins need `detente data get rf1 proteins` first. bench/study/summary.py OUT makes the tables of
# docs/results.md.
set -eu
[ $# -ge 1 ] || { echo "usage: sh bench/study/methods.sh OUT [PROGRAM] [SET...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")/../.." && pwd)
out=$1
program=${2:-$here/build/release/detente}
[ $# -lt 2 ] || shift
shift
methods=ew,rlw,uw,dwa,famo,mgda,pcgrad,cagrad,imtl_g,nash_mtl,upgrad,aligned_mtl

study() {  # SET LEARNING_RATES [MORE]
  name=$1
  rates=$2
  shift 2
  echo "== $name"
  "$program" compare "$here/recipes/$name.yaml" --methods $methods --seeds 5 --jobs 2 --halving \
    --grid "optimizer.lr=$rates" --set train.select=mean "$@" --out "$out/$name" >"$out/$name.txt" ||
    [ $? -eq 5 ]  # some runs failed, the tables are of the others
}

mkdir -p "$out"
for name in ${*:-parkinsons seoul adult bike yeast proteins cora fashion_two rf1}; do
  case $name in
    parkinsons) study "$name" 0.00017,0.0005,0.0015 ;;
    seoul) study "$name" 0.0001,0.0003,0.0009 ;;
    adult) study "$name" 0.0007,0.002,0.006 --set data.split.test=0.1 ;;
    bike) study "$name" 0.0013,0.004,0.012 ;;
    proteins) study "$name" 0.0017,0.005,0.015 ;;
    rf1) study "$name" 0.0007,0.002,0.006 ;;
    yeast) study "$name" 0.0003,0.001,0.003 --set data.split.test=0.15 ;;
    fashion_two) study "$name" 0.0007,0.002,0.006 --set data.split.test=0.15 --set train.epochs=8 ;;
    cora) study "$name" 0.0033,0.01,0.03 ;;
    *) echo "unknown set '$name'" >&2; exit 2 ;;
  esac
done
