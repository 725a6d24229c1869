#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the river flow set rf1 (5 MB), or takes your own copy, and turns it into rf1.csv beside this script.
#
#   sh data/rf1/prepare.sh [FILE]      FILE is rf1.arff
#
# The names of the columns come from the @attribute lines; the rows stay as they are, ? for a missing
# number included. Exits with 3 when there is no network or the file is not the one our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
with_work_folder
if [ $# -gt 0 ]; then
  cp "$1" "$work/rf1.arff" || die "cannot read '$1'; see $here/README.md for where to get it"
else
  fetch "$work/rf1.arff" \
    https://raw.githubusercontent.com/Zhendong-Wang/Probabilistic-Conformal-Prediction/e6f505beaf07f208cb496f85ac91fd37482677c6/data/rf1.arff
fi
arff_to_csv 0 <"$work/rf1.arff" >"$here/rf1.csv.tmp"
mv "$here/rf1.csv.tmp" "$here/rf1.csv"
demand_sums "$here"
