#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches STS benchmark (0.4 MB), or takes your own copy, and makes train.tsv, dev.tsv and test.tsv of it beside
# this script.
#
#   sh data/sts_b/prepare.sh FOLDER            FOLDER holds sts-train.csv, sts-dev.csv and sts-test.csv
#   sh data/sts_b/prepare.sh --accept-terms    fetches them
#
# The files are tab-separated in spite of their name, without header and without quoting; some rows
# have two columns more, about the source, which are cut off. Exits with 3 when there is no network or the
# files are not the ones our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
if [ $# -ne 1 ]; then
  die "some of the sentences ask every user to agree to a research licence: the LICENSE.txt of the archive," \
    "$here/README.md. Say --accept-terms if you do, or name the folder of your own copy"
fi
with_work_folder
from=$1
if [ "$from" = --accept-terms ]; then
  fetch "$work/sts_b.tar.gz" http://ixa2.si.ehu.eus/stswiki/images/4/48/Stsbenchmark.tar.gz
  tar -xzf "$work/sts_b.tar.gz" -C "$work" || die "what arrived is no archive"
  from=$work/stsbenchmark
fi

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
