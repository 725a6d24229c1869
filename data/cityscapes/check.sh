#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whether the files of all 2,975 and 500 examples are here; their content is what `detente data check` looks at.
# Says what is wrong and exits with 1.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
check_numbered "$here/train" 2975 image label_7 depth
check_numbered "$here/val" 500 image label_7 depth
