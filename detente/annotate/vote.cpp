// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/vote.h>

#include <algorithm>
#include <vector>

namespace detente::annotate {

Vote count_votes(std::span<const Ballot> ballots) {
  struct Count {
    std::size_t label;
    std::size_t votes = 0;
    double logprob = 0;
    bool all_known = true;
  };
  std::vector<Count> counts;  // in the order of their first ballot
  for (const Ballot& ballot : ballots) {
    if (!ballot.label) continue;
    auto found = std::find_if(
        counts.begin(), counts.end(), [&](const Count& c) { return c.label == *ballot.label; });
    if (found == counts.end()) found = counts.insert(counts.end(), Count{*ballot.label});
    ++found->votes;
    found->logprob += ballot.logprob.value_or(0);
    found->all_known = found->all_known && ballot.logprob.has_value();
  }
  if (counts.empty()) return {};
  std::size_t most = 0;
  for (const Count& count : counts) most = std::max(most, count.votes);
  std::vector<Count> tied;
  std::copy_if(counts.begin(), counts.end(), std::back_inserter(tied), [&](const Count& c) {
    return c.votes == most;
  });
  const Count* winner = &tied[0];
  if (std::all_of(tied.begin(), tied.end(), [](const Count& c) { return c.all_known; })) {
    for (const Count& count : tied) {
      if (count.logprob > winner->logprob) winner = &count;
    }
  }
  return {winner->label, static_cast<double>(most) / static_cast<double>(ballots.size())};
}

}  // namespace detente::annotate
