// SPDX-License-Identifier: Apache-2.0
// What preset = official_code changes, by closed forms.
#include <detente/balance/cagrad_fast.h>
#include <detente/balance/fairgrad.h>
#include <detente/balance/mgda.h>
#include <detente/balance/nash_mtl.h>
#include <detente/balance/pcgrad.h>
#include <detente/balance/registry.h>
#include <gtest/gtest.h>

#include "tests/support/methods.h"
#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

const Settings kOfficial = {{"preset", "official_code"}};

void expect_multiple(const std::vector<double>& a, const std::vector<double>& b, double factor) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], factor * b[i], kAccumulated * std::abs(factor * b[i])) << i;
  }
}

double length_of(const Matrix& jacobian, const std::vector<double>& w) {
  return norm_of(direction_of(jacobian, w));
}

bool has_preset(const std::string& name) {
  const auto method = make_method(name);
  for (const FieldInfo& field : list_fields([&](FieldVisitor& v) { method->describe(v); })) {
    if (field.name == "preset") return true;
  }
  return false;
}

Json options_of(Method& method) {
  return fields_to_json([&](FieldVisitor& v) { method.describe(v); });
}

TEST(Preset, ChangesOptionsThatCanBeSetBesideItAndBack) {
  int with_preset = 0;
  for (const std::string& name : method_names()) {
    if (!has_preset(name)) continue;
    SCOPED_TRACE(name);
    ++with_preset;
    const Json paper = options_of(*make_method(name));
    const auto method = make_with(name, kOfficial);
    const Json official = options_of(*method);
    EXPECT_NE(paper, official);
    int changed = 0;
    for (const auto& [key, value] : official.items()) {
      if (key == "preset" || value == paper.at(key)) continue;
      ++changed;
      const Json& other = paper.at(key);
      const std::string text = other.is_string() ? other.get<std::string>() : other.dump();
      const auto mixed = make_with(name, {{"preset", "official_code"}, {key, text}});
      Json expected = official;
      expected[key] = other;
      EXPECT_EQ(options_of(*mixed), expected) << key;
    }
    EXPECT_GE(changed, 1);
    set_field([&](FieldVisitor& v) { method->describe(v); }, "preset", "paper", "[test]");
    EXPECT_EQ(options_of(*method), paper);
  }
  EXPECT_GE(with_preset, 8);
}

TEST(Preset, CagradMultipliesByTheNumberOfTasksAndDividesByOnePlusCSquared) {
  Rng rng(971);
  const Matrix gram = gram_of(problem_of(Family::kAligned, 5, rng));
  const auto code = make_with("cagrad", {{"preset", "official_code"}, {"c", "0.5"}});
  expect_multiple(solve_gram(*code, gram).weights, cagrad(gram, {.c = 0.5}).weights, 5 / 1.25);
}

TEST(Preset, CagradFastDividesByOnePlusC) {
  Rng rng(972);
  const Matrix gram = gram_of(problem_of(Family::kAligned, 4, rng));
  const auto code = make_with("cagrad_fast", {{"preset", "official_code"}, {"c", "0.5"}});
  expect_multiple(solve_gram(*code, gram).weights, cagrad(gram, {.c = 0.5}).weights, 1 / 1.5);
}

TEST(Preset, MgdaKeepsAThousandthForADominatedTask) {
  for (const char* name : {"mgda", "mgda_ub"}) {
    const auto code = make_with(name, kOfficial);
    // The short row is the nearest point of the segment: g₁₂ = 2 >= g₁₁ = 1.
    const auto w = solve_gram(*code, gram_of(matrix_of({{1, 0}, {2, 1}}))).weights;
    EXPECT_NEAR(w[0], 0.999, kRounding);
    EXPECT_NEAR(w[1], 0.001, kRounding);
    const auto v = solve_gram(*code, gram_of(matrix_of({{2, 1}, {1, 0}}))).weights;
    EXPECT_NEAR(v[0], 0.001, kRounding);
    // Inside the segment, and for more tasks, the weights are exact.
    const Matrix inside = gram_of(matrix_of({{1, 0}, {0, 2}}));
    EXPECT_EQ(solve_gram(*code, inside).weights, mgda(inside).weights);
    const Matrix three = gram_of(matrix_of({{1, 0}, {2, 1}, {3, 0}}));
    EXPECT_EQ(solve_gram(*code, three).weights, mgda(three).weights);
  }
}

TEST(Preset, MgdaMovesOnBesideATaskWithoutGradient) {
  const auto w = solve_gram(*make_with("mgda", kOfficial), gram_of(matrix_of({{0, 0}, {1, 3}})));
  EXPECT_NEAR(w.weights[0], 0.999, kRounding);
  EXPECT_NEAR(w.weights[1], 0.001, kRounding);
}

TEST(Preset, PcgradProjectsInTheOrderOfTheTasksAndOnTheTaskItself) {
  Rng rng(973);
  for (const std::size_t k : {2, 3, 6}) {
    const Matrix jacobian = problem_of(Family::kConflicting, k, rng);
    std::vector<double> expected(jacobian.cols(), 0.0);
    for (std::size_t i = 0; i < k; ++i) {
      auto v = row_of(jacobian, i);
      for (std::size_t j = 0; j < k; ++j) {
        const auto g = row_of(jacobian, j);
        const double part = std::min(0.0, dot(v, g) / dot(g, g));
        for (std::size_t p = 0; p < v.size(); ++p) v[p] -= part * g[p];
      }
      for (std::size_t p = 0; p < v.size(); ++p) expected[p] += v[p];
    }
    // No generator: the order is fixed.
    const auto w = solve_gram(*make_with("pcgrad", kOfficial), gram_of(jacobian)).weights;
    const auto d = direction_of(jacobian, w);
    for (std::size_t p = 0; p < d.size(); ++p) {
      EXPECT_NEAR(d[p], expected[p], kAccumulated * norm_of(expected));
    }
  }
}

TEST(Preset, PcgradTurnsBackToATaskThatTheOthersTurnedAgainst) {
  // Angles 100, -175 and 0 degrees: projecting the third across the first leaves 10 degrees, then
  // across the second 95, more than a right angle from where it began.
  const Matrix jacobian = matrix_of({{-0.17364818, 0.98480775}, {-0.9961947, -0.08715574}, {1, 0}});
  const Matrix gram = gram_of(jacobian);
  const auto with = solve_gram(*make_with("pcgrad", kOfficial), gram).weights;
  const auto without =
      solve_gram(*make_with("pcgrad", {{"preset", "official_code"}, {"include_self", "false"}}),
                 gram)
          .weights;
  EXPECT_NE(with, without);
}

TEST(Preset, NashHasTheScaleOfTheGradientsUpToLengthOne) {
  Rng rng(974);
  const Matrix jacobian = problem_of(Family::kAligned, 4, rng);
  const Matrix gram = gram_of(jacobian);
  double frobenius = 0;
  for (std::size_t i = 0; i < 16; ++i) frobenius += gram.data()[i] * gram.data()[i];
  frobenius = std::sqrt(frobenius);
  const auto paper = nash_mtl(gram).weights;
  EXPECT_NEAR(length_of(jacobian, paper), 2.0, kAccumulated);
  const auto normalized = nash_mtl(gram, {.normalize = true}).weights;
  expect_multiple(normalized, paper, std::sqrt(frobenius));

  const auto code = make_with("nash_mtl", kOfficial);
  const auto clipped = solve_gram(*code, gram).weights;
  EXPECT_NEAR(length_of(jacobian, clipped), 1.0, kAccumulated);
  expect_multiple(clipped, paper, 0.5);
  // Small gradients are not clipped: ‖d‖ = √(k‖G‖_F).
  for (const double s : {1e-2, 1e-6}) {
    const Matrix small = scaled(jacobian, s);
    EXPECT_NEAR(length_of(small, solve_gram(*code, gram_of(small)).weights) / s,
                2.0 * std::sqrt(frobenius),
                kAccumulated * frobenius);
  }
}

TEST(Preset, AlignedMtlAddsInsteadOfAveraging) {
  Rng rng(976);
  const Matrix gram = gram_of(problem_of(Family::kAligned, 6, rng));
  const auto code = make_with("aligned_mtl", kOfficial);
  expect_multiple(
      solve_gram(*code, gram).weights, solve_gram(*make_method("aligned_mtl"), gram).weights, 6.0);
}

TEST(Preset, FairgradMultipliesByTheNumberOfTasksThenClips) {
  Rng rng(975);
  const Matrix jacobian = problem_of(Family::kAligned, 3, rng);
  const Matrix gram = gram_of(jacobian);
  const auto paper = fairgrad(gram, {.alpha = 2}).weights;
  const auto code = make_with("fairgrad", {{"preset", "official_code"}, {"alpha", "2"}});
  const auto unclipped =
      make_with("fairgrad", {{"preset", "official_code"}, {"alpha", "2"}, {"max_norm", "0"}});
  expect_multiple(solve_gram(*unclipped, gram).weights, paper, 3.0);
  const double length = 3 * length_of(jacobian, paper);
  const auto clipped = solve_gram(*code, gram).weights;
  expect_multiple(clipped, paper, 3.0 * std::min(1.0, 1.0 / length));
}

}  // namespace
}  // namespace detente::balance
