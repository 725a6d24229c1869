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
prepare_mulan "$here" 6 "$@"
