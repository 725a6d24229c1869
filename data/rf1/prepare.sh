#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Turns your own copy of the river flow set rf1 into rf1.csv beside this script.
#
#   sh data/rf1/prepare.sh FILE      FILE is rf1.arff
#
# The names of the columns come from the @attribute lines; the rows stay as they are, ? for a missing
# number included.
set -eu

if [ $# -ne 1 ]; then
  echo "usage: sh data/rf1/prepare.sh FILE (rf1.arff)" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -r "$1" ]; then
  echo "prepare.sh: cannot read '$1'; see $here/README.md for where to get it" >&2
  exit 3
fi
tr -d '\r' < "$1" | awk -F"'" '
  /^%/ || /^ *$/ { next }
  tolower($1) ~ /^@attribute/ { header = header (count++ ? "," : "") $2; next }
  tolower($0) ~ /^@data/ { print header; rows = 1; next }
  rows' > "$here/rf1.csv.tmp"
mv "$here/rf1.csv.tmp" "$here/rf1.csv"

if ! (cd "$here" && sha256sum -c SHA256SUMS); then
  echo "prepare.sh: the file differs from the one our numbers were measured on; it may still be a" >&2
  echo "good copy of another edition, but scores will not compare." >&2
  exit 3
fi
