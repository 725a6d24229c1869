#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the multi-label set scene (6 MB), or takes your own copy, and turns it into train.csv and test.csv
# beside this script.
#
#   sh data/scene/prepare.sh [FOLDER]      FOLDER holds scene-train.arff and scene-test.arff
#
# Exits with 3 when there is no network or a file is not the one our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
with_work_folder
for part in train test; do
  if [ $# -gt 0 ]; then
    cp "$1/scene-$part.arff" "$work/$part.arff" \
      || die "cannot read '$1/scene-$part.arff'; see $here/README.md for where to get it"
  else
    fetch "$work/$part.arff" \
      "https://raw.githubusercontent.com/tsoumakas/mulan/43f6389095ad71984264db4387a8074b22bc7d4a/data/multi-label/scene/scene-$part.arff"
  fi
  arff_to_csv 6 <"$work/$part.arff" >"$here/$part.csv.tmp"
  mv "$here/$part.csv.tmp" "$here/$part.csv"
done

if ! (cd "$here" && sha256sum -c SHA256SUMS); then
  echo "prepare.sh: a file differs from the one our numbers were measured on; it may still be a" >&2
  echo "good copy of another edition, but scores will not compare." >&2
  exit 3
fi
