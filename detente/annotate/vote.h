// SPDX-License-Identifier: Apache-2.0
// Self-consistency: the majority of several answers (Wang et al., "Self-Consistency Improves Chain of Thought Reasoning
// in Language Models", ICLR 2023, arXiv:2203.11171).
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace detente::annotate {

struct Ballot {
  std::optional<std::size_t> label;  // nothing: the sample gave no answer
  std::optional<double> logprob;
};

struct Vote {
  std::optional<std::size_t> label;  // nothing: no sample gave an answer
  double share = 0;  // votes for it over all samples, those without an answer included
};

// Most votes; of a tie the greatest sum of log-probabilities, where every ballot of the tied ones has one, else the one
// that was seen first.
Vote count_votes(std::span<const Ballot> ballots);

}  // namespace detente::annotate
