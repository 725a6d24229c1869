// SPDX-License-Identifier: Apache-2.0
// What a player is worth in a game v: the mean of v(S ∪ {i}) − v(S) over sets S of the others. The
// values differ in how likely each size of S is; sets of one size are equally likely.
//
//   Shapley         every size from 0 to n − 1 alike: values sum to v(all) − v(∅)
//   Beta(α, β)      mass of size k: C(n − 1, k) B(k + β, n − 1 − k + α) / B(α, β); Beta(1, 1) is
//                   Shapley, α > β looks at small sets, where one example shows (Kwon and Zou,
//                   AISTATS 2022), α < β at nearly full ones
//   Banzhaf         every set alike: C(n − 1, k) / 2^(n − 1); orders players most steadily under a
//                   noisy v (Wang and Jia, AISTATS 2023)
//   leave-one-out   all on the set of all others
#pragma once

#include <cstddef>
#include <vector>

namespace detente::valuation {

class Semivalue {
 public:
  Semivalue() = default;  // Shapley
  static Semivalue shapley() { return {}; }
  static Semivalue beta(double alpha, double beta);  // kInvalidArgument unless both > 0
  static Semivalue banzhaf();
  static Semivalue leave_one_out();

  // The logarithm of each size's mass among n players: n numbers, whose exponentials sum to 1.
  // Without overflow for any n: the factors are added as logarithms.
  std::vector<double> log_masses(std::size_t n) const;

 private:
  enum class Kind { kBeta, kBanzhaf, kLeaveOneOut };
  Kind kind_ = Kind::kBeta;
  double alpha_ = 1;
  double beta_ = 1;
};

}  // namespace detente::valuation
