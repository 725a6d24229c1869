#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Turns your own copy of STS benchmark into train.tsv, dev.tsv and test.tsv beside this script.
#
#   sh data/sts_b/prepare.sh FOLDER      FOLDER holds sts-train.csv, sts-dev.csv and sts-test.csv
#
# The files are tab-separated in spite of their name, without header and without quoting; some rows
# have two columns more, about the source, which are cut off.
set -eu

if [ $# -ne 1 ]; then
  echo "usage: sh data/sts_b/prepare.sh FOLDER (with sts-train.csv, sts-dev.csv, sts-test.csv)" >&2
  exit 2
fi
from=$1
here=$(cd "$(dirname "$0")" && pwd)

for part in train dev test; do
  if [ ! -r "$from/sts-$part.csv" ]; then
    echo "prepare.sh: cannot read '$from/sts-$part.csv'; see $here/README.md for where to get it" >&2
    exit 3
  fi
  {
    printf 'genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n'
    tr -d '\r' < "$from/sts-$part.csv" | cut -f1-7
  } > "$here/$part.tsv.tmp"
  mv "$here/$part.tsv.tmp" "$here/$part.tsv"
done

if ! (cd "$here" && sha256sum -c SHA256SUMS); then
  echo "prepare.sh: the files differ from the ones our numbers were measured on; they may still" >&2
  echo "be a good copy of another edition, but scores will not compare." >&2
  exit 3
fi
