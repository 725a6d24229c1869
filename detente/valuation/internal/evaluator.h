// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/valuation/game.h>

#include <cstddef>
#include <span>
#include <vector>

namespace detente::valuation::internal {

// Asks a game's function, and sees to what game.h demands of its answers.
class Evaluator {
 public:
  Evaluator(std::size_t n, const Utility& utility, const char* who);

  const std::vector<double>& none() const { return none_; }
  const std::vector<double>& all() const { return all_; }
  std::size_t outputs() const { return none_.size(); }
  std::size_t evaluations() const { return evaluations_; }

  // Of members in increasing order; all and none are asked once, at the beginning.
  std::vector<double> operator()(std::span<const std::size_t> members);
  // Again, although it is known.
  std::vector<double> ask(std::span<const std::size_t> members);
  std::vector<double> ask_all() { return ask(everyone_); }

  GameValues result(std::vector<Estimate> outputs, GameStop stop) const;

 private:
  const Utility& utility_;
  const char* who_;
  std::vector<std::size_t> everyone_;
  std::vector<double> none_;
  std::vector<double> all_;
  std::size_t evaluations_ = 0;
};

}  // namespace detente::valuation::internal
