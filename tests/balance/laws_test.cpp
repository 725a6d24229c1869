// SPDX-License-Identifier: Apache-2.0
// Every method of the registry against every law it claims, and against what holds for all.
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <string>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

constexpr std::uint64_t kSeed = 7;

// Well-posed problems, in which even methods that need independent gradients have an answer.
const std::vector<Family>& posed_families() {
  static const std::vector<Family> all = {
      Family::kGaussian, Family::kConflicting, Family::kAligned};
  return all;
}

std::vector<double> losses_for(std::size_t k) {
  std::vector<double> losses(k);
  for (std::size_t i = 0; i < k; ++i) losses[i] = 0.5 + 0.25 * static_cast<double>(i);
  return losses;
}

// Three steps of a fresh method on the same problem, so that states that move are seen too.
struct Steps {
  std::vector<double> weights;  // of all steps, one after the other
  Result last;
};

Steps run_method(const MethodInfo& info,
                 const Matrix& gram,
                 const std::vector<double>& losses,
                 std::uint64_t seed = kSeed,
                 int steps = 3) {
  const auto method = info.make();
  Rng rng(seed);
  Steps run;
  for (int step = 0; step < steps; ++step) {
    method->solve({.tasks = gram.rows(), .gram = gram, .losses = losses, .rng = &rng}, run.last);
    run.weights.insert(run.weights.end(), run.last.weights.begin(), run.last.weights.end());
  }
  return run;
}

Steps run_method(const MethodInfo& info, const Matrix& gram) {
  return run_method(info, gram, losses_for(gram.rows()));
}

std::vector<double> direction(const MethodInfo& info, const Matrix& jacobian) {
  return direction_of(jacobian, run_method(info, gram_of(jacobian)).last.weights);
}

void expect_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  double size = 0;
  for (const double x : a) size = std::max(size, std::abs(x));
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance * size) << i;
}

void on_posed_problems(const std::function<void(const Matrix&)>& check) {
  Rng rng(kSeed);
  for (const Family family : posed_families()) {
    for (const std::size_t k : {2, 3, 5, 12}) {
      SCOPED_TRACE(testing::Message() << "family " << static_cast<int>(family) << " k=" << k);
      check(problem_of(family, k, rng));
    }
  }
}

class LawsTest : public testing::TestWithParam<MethodInfo> {};

// What holds for every method.

TEST_P(LawsTest, GivesFiniteWeightsOnHostileProblems) {
  Rng rng(11);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {1, 2, 3, 8, 33}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Steps run = run_method(GetParam(), gram_of(problem_of(family, k, rng)));
      EXPECT_EQ(run.last.weights.size(), k);
      for (const double w : run.weights) EXPECT_TRUE(std::isfinite(w));
    }
  }
}

TEST_P(LawsTest, GivesFiniteWeightsWithZeroGradients) {
  for (const auto& rows : std::vector<std::vector<std::vector<double>>>{
           {{0, 0}}, {{0, 0}, {0, 0}, {0, 0}}, {{1, 2}, {0, 0}}, {{0, 0}, {1, 2}, {-1, 1}}}) {
    const Steps run = run_method(GetParam(), gram_of(matrix_of(rows)));
    for (const double w : run.weights) EXPECT_TRUE(std::isfinite(w));
  }
}

TEST_P(LawsTest, DependsOnTheGramMatrixAlone) {
  Rng rng(12);
  on_posed_problems([&](const Matrix& jacobian) {
    expect_close(run_method(GetParam(), gram_of(jacobian)).weights,
                 run_method(GetParam(), gram_of(rotated(jacobian, rng))).weights,
                 kCertificate);
  });
}

TEST_P(LawsTest, RepeatsBitForBitWithTheSameSeed) {
  on_posed_problems([&](const Matrix& jacobian) {
    const Matrix gram = gram_of(jacobian);
    EXPECT_EQ(run_method(GetParam(), gram).weights, run_method(GetParam(), gram).weights);
  });
}

TEST_P(LawsTest, ContinuesFromASavedState) {
  Rng problems(13);
  const auto whole = GetParam().make();
  auto part = GetParam().make();
  Rng rng_whole(kSeed);
  Rng rng_part(kSeed);
  Result a;
  Result b;
  for (int step = 0; step < 8; ++step) {
    const Matrix gram = gram_of(problem_of(Family::kGaussian, 4, problems));
    std::vector<double> losses = losses_for(4);
    for (double& loss : losses) loss *= 0.5 + problems.uniform();
    whole->solve({.tasks = 4, .gram = gram, .losses = losses, .rng = &rng_whole}, a);
    // Through text, as a snapshot would.
    auto next = GetParam().make();
    next->load_state(Json::parse(part->state().dump()));
    part = std::move(next);
    part->solve({.tasks = 4, .gram = gram, .losses = losses, .rng = &rng_part}, b);
    EXPECT_EQ(a.weights, b.weights) << "step " << step;
  }
  EXPECT_EQ(GetParam().stateful, !whole->state().is_null());
}

TEST_P(LawsTest, NeedsAtLeastOneTask) {
  Result result;
  EXPECT_THROW(GetParam().make()->solve({.tasks = 0}, result), Error);
}

TEST_P(LawsTest, SetsEveryOptionFromItsOwnDefault) {
  const auto method = GetParam().make();
  const Describe describe = [&](FieldVisitor& v) { method->describe(v); };
  const Json before = fields_to_json(describe);
  for (const FieldInfo& field : list_fields(describe)) {
    set_field(describe, field.name, field.default_value, "[test]");
    EXPECT_FALSE(field.doc.empty()) << field.name;
  }
  EXPECT_EQ(fields_to_json(describe), before);
  EXPECT_THROW(set_field(describe, "no_such_option", "1", "[test]"), Error);
}

TEST_P(LawsTest, IsDescribedInTheRegistryAndItsPage) {
  const MethodInfo& info = GetParam();
  const auto method = info.make();
  EXPECT_EQ(info.name, method->name());
  EXPECT_EQ(info.method_class, method->method_class());
  for (const auto* text : {&info.title, &info.summary, &info.when, &info.paper}) {
    EXPECT_FALSE(text->empty());
  }
  const auto page =
      std::filesystem::path(DETENTE_SOURCE_DIR) / "docs" / "methods" / (info.name + ".md");
  ASSERT_TRUE(std::filesystem::exists(page)) << page;
  const std::string text = read_file(page);
  for (const char* heading : {"## Formula",
                              "## Why the plain thing fails",
                              "## When to choose",
                              "## Options",
                              "## Degenerate input",
                              "## Cost",
                              "## Differences",
                              "## Reference"}) {
    EXPECT_NE(text.find(heading), std::string::npos) << page << " lacks " << heading;
  }
  for (const auto& field : list_fields([&](FieldVisitor& v) { method->describe(v); })) {
    EXPECT_NE(text.find("`" + field.name + "`"), std::string::npos)
        << page << " does not explain option " << field.name;
  }
}

// The claimed laws, one check each.

void check_permutation(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    const std::size_t k = jacobian.rows();
    Rng rng(14);
    std::vector<std::size_t> order(k);
    std::iota(order.begin(), order.end(), std::size_t{0});
    rng.shuffle(order);
    Matrix permuted(k, jacobian.cols());
    const auto losses = losses_for(k);
    std::vector<double> permuted_losses(k);
    for (std::size_t i = 0; i < k; ++i) {
      permuted_losses[i] = losses[order[i]];
      for (std::size_t p = 0; p < jacobian.cols(); ++p) permuted(i, p) = jacobian(order[i], p);
    }
    const auto w = run_method(info, gram_of(jacobian), losses).last.weights;
    std::vector<double> expected(k);
    for (std::size_t i = 0; i < k; ++i) expected[i] = w[order[i]];
    expect_close(
        run_method(info, gram_of(permuted), permuted_losses).last.weights, expected, kCertificate);
  });
}

void check_scale_invariant(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    const auto w = run_method(info, gram_of(jacobian)).weights;
    for (const double s : {1e-150, 1e-6, 1e-3, 1e3, 1e6, 1e150}) {
      expect_close(run_method(info, gram_of(scaled(jacobian, s))).weights, w, kCertificate);
    }
  });
}

void check_non_conflicting(const MethodInfo& info) {
  Rng rng(15);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 6, 20, 64}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix gram = gram_of(problem_of(family, k, rng));
      const auto w = run_method(info, gram).last.weights;
      const auto inner = times(gram, w);
      double size = 0;
      for (std::size_t i = 0; i < k; ++i) size += std::abs(w[i]) * std::sqrt(gram(i, i));
      for (std::size_t i = 0; i < k; ++i) {
        EXPECT_GE(inner[i], -kCertificate * std::sqrt(gram(i, i)) * size) << "task " << i;
      }
    }
  }
}

void check_mean_when_aligned(const MethodInfo& info) {
  for (const std::size_t k : {1, 2, 5}) {
    const Matrix jacobian = matrix_of(std::vector<std::vector<double>>(k, {1, -2, 3}));
    const auto d = direction(info, jacobian);
    EXPECT_GT(d[0], 0.0);
    EXPECT_NEAR(d[1] / d[0], -2.0, kAccumulated);
    EXPECT_NEAR(d[2] / d[0], 3.0, kAccumulated);
  }
}

void check_uniform_when_orthonormal(const MethodInfo& info) {
  for (const std::size_t k : {1, 2, 3, 9}) {
    Matrix gram(k, k);
    for (std::size_t i = 0; i < k; ++i) gram(i, i) = 2.5;
    const auto w = run_method(info, gram, std::vector<double>(k, 0.7)).last.weights;
    EXPECT_GT(w[0], 0.0);
    expect_close(w, std::vector<double>(k, w[0]), kAccumulated);
  }
}

void check_deterministic(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    const Matrix gram = gram_of(jacobian);
    const auto losses = losses_for(jacobian.rows());
    const auto w = run_method(info, gram, losses, 1).weights;
    EXPECT_EQ(w, run_method(info, gram, losses, 2).weights);
    Result result;
    info.make()->solve({.tasks = jacobian.rows(), .gram = gram, .losses = losses, .rng = nullptr},
                       result);
    EXPECT_EQ(result.weights, std::vector<double>(w.begin(), w.begin() + jacobian.rows()));
  });
}

void check_simplex(const MethodInfo& info) {
  Rng rng(16);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {1, 2, 7, 20}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const auto w = run_method(info, gram_of(problem_of(family, k, rng))).last.weights;
      double sum = 0;
      for (const double x : w) {
        EXPECT_GE(x, 0.0);
        sum += x;
      }
      EXPECT_NEAR(sum, 1.0, kRounding);
    }
  }
}

void check_single_task_identity(const MethodInfo& info) {
  const auto w = run_method(info, gram_of(matrix_of({{3, 4}}))).last.weights;
  EXPECT_NEAR(w[0], 1.0, kRounding);
}

void check_identical_rows_identity(const MethodInfo& info) {
  for (const std::size_t k : {1, 2, 5}) {
    const std::vector<double> row = {1, -2, 3};
    expect_close(
        direction(info, matrix_of(std::vector<std::vector<double>>(k, row))), row, kAccumulated);
  }
}

void check_duplicate_invariant(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    expect_close(direction(info, with_row(jacobian, row_of(jacobian, 1))),
                 direction(info, jacobian),
                 kCertificate);
  });
}

void check_row_scale_linear(const MethodInfo& info) {
  Rng rng(17);
  on_posed_problems([&](const Matrix& jacobian) {
    std::vector<double> a(jacobian.rows()), b(jacobian.rows()), sum(jacobian.rows());
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = std::pow(10.0, 4 * rng.uniform() - 2);
      b[i] = std::pow(10.0, 4 * rng.uniform() - 2);
      sum[i] = a[i] + b[i];
    }
    auto total = direction(info, scaled_rows(jacobian, a));
    const auto second = direction(info, scaled_rows(jacobian, b));
    for (std::size_t p = 0; p < total.size(); ++p) total[p] += second[p];
    expect_close(direction(info, scaled_rows(jacobian, sum)), total, kCertificate);
  });
}

void check_row_scale_invariant(const MethodInfo& info) {
  Rng rng(18);
  on_posed_problems([&](const Matrix& jacobian) {
    std::vector<double> c(jacobian.rows());
    for (double& x : c) x = std::pow(10.0, 12 * rng.uniform() - 6);
    expect_close(
        direction(info, scaled_rows(jacobian, c)), direction(info, jacobian), kCertificate);
  });
}

void check_zero_row_ignored(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    const Matrix padded = with_row(jacobian, std::vector<double>(jacobian.cols(), 0.0));
    // One order of random projections differs from another, so compare methods without chance.
    if ((info.laws & kDeterministic) == 0 && jacobian.rows() > 2) return;
    auto with = direction(info, padded);
    auto without = direction(info, jacobian);
    const double a = norm_of(with);
    const double b = norm_of(without);
    for (double& x : with) x /= a;
    for (double& x : without) x /= b;
    expect_close(with, without, kCertificate);
  });
}

struct LawCheck {
  Law law;
  void (*check)(const MethodInfo& info);
};

const std::vector<LawCheck>& law_checks() {
  static const std::vector<LawCheck> all = {
      {kPermutation, &check_permutation},
      {kScaleInvariant, &check_scale_invariant},
      {kNonConflicting, &check_non_conflicting},
      {kMeanWhenAligned, &check_mean_when_aligned},
      {kUniformWhenOrthonormal, &check_uniform_when_orthonormal},
      {kDeterministic, &check_deterministic},
      {kSimplex, &check_simplex},
      {kSingleTaskIdentity, &check_single_task_identity},
      {kIdenticalRowsIdentity, &check_identical_rows_identity},
      {kDuplicateInvariant, &check_duplicate_invariant},
      {kRowScaleLinear, &check_row_scale_linear},
      {kRowScaleInvariant, &check_row_scale_invariant},
      {kZeroRowIgnored, &check_zero_row_ignored},
  };
  return all;
}

struct Claim {
  MethodInfo method;
  LawCheck law;
};

void PrintTo(const Claim& claim, std::ostream* out) {
  *out << claim.method.name << " claims " << name_of(claim.law.law);
}

std::vector<Claim> claims() {
  std::vector<Claim> all;
  for (const MethodInfo& method : registry()) {
    for (const LawCheck& law : law_checks()) {
      if ((method.laws & law.law) != 0) all.push_back({method, law});
    }
  }
  return all;
}

class ClaimTest : public testing::TestWithParam<Claim> {};

TEST_P(ClaimTest, Holds) { GetParam().law.check(GetParam().method); }

INSTANTIATE_TEST_SUITE_P(Registry, ClaimTest, testing::ValuesIn(claims()), [](const auto& info) {
  return info.param.method.name + "_" + name_of(info.param.law.law);
});

INSTANTIATE_TEST_SUITE_P(Registry,
                         LawsTest,
                         testing::ValuesIn(registry().begin(), registry().end()),
                         [](const auto& info) { return info.param.name; });

// The table itself.

TEST(Registry, RefusesForeignStates) {
  for (const MethodInfo& info : registry()) {
    if (!info.stateful) continue;
    SCOPED_TRACE(info.name);
    const auto method = info.make();
    EXPECT_THROW(method->load_state(Json{{"colour", "red"}}), Error);
    EXPECT_THROW(method->load_state(Json(3)), Error);
  }
}

TEST(Registry, RefusesAChangedNumberOfTasks) {
  for (const MethodInfo& info : registry()) {
    if (!info.stateful) continue;
    SCOPED_TRACE(info.name);
    const auto method = info.make();
    Rng rng(kSeed);
    Result result;
    const auto step = [&](std::size_t k) {
      const Matrix gram = gram_of(problem_of(Family::kGaussian, k, rng));
      const auto losses = losses_for(k);
      method->solve({.tasks = k, .gram = gram, .losses = losses, .rng = &rng}, result);
    };
    step(3);
    EXPECT_THROW(step(4), Error);
  }
}

TEST(Registry, NamesTheTaskWhoseGradientIsNotFinite) {
  const double nan = std::nan("");
  const Matrix gram = matrix_of({{1, 0, nan}, {0, 1, nan}, {nan, nan, nan}});
  const std::vector<std::string> names = {"depth", "normals", "seg"};
  const auto losses = losses_for(3);
  for (const MethodInfo& info : registry()) {
    if (info.method_class == MethodClass::kLoss) continue;  // looks at no gradient
    SCOPED_TRACE(info.name);
    Rng rng;
    Result result;
    try {
      info.make()->solve({.tasks = 3, .gram = gram, .losses = losses, .names = names, .rng = &rng},
                         result);
      ADD_FAILURE() << "NaN was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNumeric);
      EXPECT_NE(std::string(error.what()).find("'seg'"), std::string::npos) << error.what();
    }
  }
}

TEST(Registry, HasNoNameTwice) {
  auto names = method_names();
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST(Registry, SuggestsTheNearestName) {
  try {
    make_method("cagrd");
    FAIL() << "an unknown method was made";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(std::string(error.what()).find("Did you mean 'cagrad'?"), std::string::npos)
        << error.what();
  }
}

TEST(Registry, NamesEveryLaw) {
  for (unsigned bit = 1; bit <= kZeroRowIgnored; bit <<= 1) {
    EXPECT_STRNE(name_of(static_cast<Law>(bit)), "?") << bit;
  }
  EXPECT_EQ(law_names(kPermutation | kSimplex),
            (std::vector<std::string>{"permutation", "simplex"}));
}

}  // namespace

// Printed by GoogleTest instead of the struct's bytes.
void PrintTo(const MethodInfo& info, std::ostream* out) { *out << info.name; }

}  // namespace detente::balance
