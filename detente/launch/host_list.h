// SPDX-License-Identifier: Apache-2.0
// The short lists that SLURM writes into its variables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace detente::launch {

// "node[01-03,7],other" → node01 node02 node03 node7 other. Several groups in one name (rack[1-2]n[0-9]) give
// every combination, the last group running fastest; groups may stand in groups; numbers are as wide as the
// first of their range is written. Throws kInvalidArgument, with the place, where it is no such list or
// names more than 65,536 hosts.
std::vector<std::string> expand_host_list(std::string_view text);

// "2(x3),1" → 2 2 2 1: processes on each machine. Throws kInvalidArgument.
std::vector<int> expand_counts(std::string_view text);

}  // namespace detente::launch
