#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the four files of MNIST (11 MB) into this folder, or takes them from one, and checks them.
#
#   sh data/mnist/prepare.sh [FOLDER]      FOLDER has the .gz files already
#
# Exits with 3 when there is no network or the files are not the ones our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
with_work_folder
for name in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  file=$name-ubyte.gz
  if [ $# -gt 0 ]; then
    cp "$1/$file" "$work/$file" || die "cannot read '$1/$file'"
  else
    fetch "$work/$file" "https://storage.googleapis.com/cvdf-datasets/mnist/$file" \
      "https://ossci-datasets.s3.amazonaws.com/mnist/$file"
  fi
done
cp "$here/SHA256SUMS" "$work/"
wrong=$(check_sums "$work") || die "$wrong"
mv "$work"/*.gz "$here/"
