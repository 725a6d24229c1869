#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the multi-label set emotions (0.4 MB), or takes your own copy, and turns it into train.csv and test.csv
# beside this script.
#
#   sh data/emotions/prepare.sh [FOLDER]      FOLDER holds emotions-train.arff and emotions-test.arff
#
# Exits with 3 when there is no network or a file is not the one our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
with_work_folder
for part in train test; do
  if [ $# -gt 0 ]; then
    cp "$1/emotions-$part.arff" "$work/$part.arff" \
      || die "cannot read '$1/emotions-$part.arff'; see $here/README.md for where to get it"
  else
    fetch "$work/$part.arff" \
      "https://raw.githubusercontent.com/tsoumakas/mulan/43f6389095ad71984264db4387a8074b22bc7d4a/data/multi-label/emotions/emotions-$part.arff"
  fi
  arff_to_csv 6 <"$work/$part.arff" >"$here/$part.csv.tmp"
  mv "$here/$part.csv.tmp" "$here/$part.csv"
done

if ! (cd "$here" && sha256sum -c SHA256SUMS); then
  echo "prepare.sh: a file differs from the one our numbers were measured on; it may still be a" >&2
  echo "good copy of another edition, but scores will not compare." >&2
  exit 3
fi
