// SPDX-License-Identifier: Apache-2.0
// The direction with equal cosines to all gradients, for imtl_g and config.
#pragma once

#include <detente/balance/internal/eigen_gram.h>
#include <detente/balance/internal/unit_gram.h>

#include <vector>

namespace detente::balance::internal {

class EqualAngle {
 public:
  // a = D⁻¹C⁺1 for the rows of `unit` (at least one).
  void solve(const UnitGram& unit);

  const std::vector<double>& a() const { return a_; }
  double sum() const { return sum_; }               // Σa
  double length_factor() const { return length_; }  // (nᵀCy)/(1ᵀy): config's w = a · factor
  // Whether all cosines are equal to within rounding, as they are for independent gradients.
  bool equal() const { return equal_; }

 private:
  void solve_ones(const UnitGram& unit);

  EigenGram eigen_;  // for rows that depend on each other
  std::vector<double> factor_;
  std::vector<double> y_, reached_, correction_;
  std::vector<double> a_;
  double sum_ = 0;
  double length_ = 0;
  bool equal_ = true;
};

}  // namespace detente::balance::internal
