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

#include "tests/support/methods.h"
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

bool is_stateful(const MethodInfo& info) { return info.stateful; }

bool gives_direction(const MethodInfo& info) {
  return info.method_class == MethodClass::kCoordinates;
}

bool keeps_rows(const MethodInfo& info) { return is_stateful(info) && gives_direction(info); }

// A fresh method and what its steps need.
struct Fresh {
  explicit Fresh(const MethodInfo& info) : method(info.make()) {}

  std::vector<double> step(const Matrix& jacobian) {
    return take_step(*method, jacobian, losses_for(jacobian.rows()), &rng, result);
  }
  // Three steps of class J on the same rows; the last direction.
  template <class T>
  std::vector<T> three_steps(const Rows<T>& rows) {
    const auto losses = losses_for(rows.rows);
    std::vector<T> d(rows.cols);
    for (int step = 0; step < 3; ++step) {
      method->direct({.tasks = rows.rows, .losses = losses, .rng = &rng}, rows, d, result);
    }
    return d;
  }

  std::unique_ptr<Method> method;
  Rng rng{kSeed};
  Result result;
};

// Steps of a fresh method, so that states that move are seen too.
struct Steps {
  // Of all steps, one after the other: the weights, or the directions of a method of class J.
  std::vector<double> answers;
  Result last;
  std::vector<double> direction;  // of the last step
};

Steps run_method(const MethodInfo& info,
                 const std::vector<Matrix>& jacobians,
                 const std::vector<double>& losses,
                 Rng* rng) {
  const auto method = info.make();
  Steps run;
  for (const Matrix& jacobian : jacobians) {
    run.direction = take_step(*method, jacobian, losses, rng, run.last);
    const auto& answer = gives_direction(info) ? run.direction : run.last.weights;
    run.answers.insert(run.answers.end(), answer.begin(), answer.end());
  }
  return run;
}

// Three steps on the same problem.
Steps run_method(const MethodInfo& info,
                 const Matrix& jacobian,
                 const std::vector<double>& losses,
                 std::uint64_t seed = kSeed) {
  Rng rng(seed);
  return run_method(info, std::vector<Matrix>(3, jacobian), losses, &rng);
}

Steps run_method(const MethodInfo& info, const Matrix& jacobian) {
  return run_method(info, jacobian, losses_for(jacobian.rows()));
}

std::vector<double> direction(const MethodInfo& info, const Matrix& jacobian) {
  return run_method(info, jacobian).direction;
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

void on_methods(bool (*chosen)(const MethodInfo&),
                const std::function<void(const MethodInfo&)>& check) {
  for (const MethodInfo& info : registry()) {
    if (!chosen(info)) continue;
    SCOPED_TRACE(info.name);
    check(info);
  }
}

class LawsTest : public testing::TestWithParam<MethodInfo> {};

// What holds for every method.

void expect_finite(const Steps& run) {
  for (const double w : run.last.weights) EXPECT_TRUE(std::isfinite(w));
  for (const double x : run.answers) EXPECT_TRUE(std::isfinite(x));
}

TEST_P(LawsTest, GivesFiniteWeightsOnHostileProblems) {
  Rng rng(11);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {1, 2, 3, 8, 33}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Steps run = run_method(GetParam(), problem_of(family, k, rng));
      EXPECT_EQ(run.last.weights.size(), k);
      expect_finite(run);
    }
  }
}

TEST_P(LawsTest, GivesFiniteWeightsWithZeroGradients) {
  for (const auto& rows : std::vector<std::vector<std::vector<double>>>{
           {{0, 0}}, {{0, 0}, {0, 0}, {0, 0}}, {{1, 2}, {0, 0}}, {{0, 0}, {1, 2}, {-1, 1}}}) {
    expect_finite(run_method(GetParam(), matrix_of(rows)));
  }
}

// How far the directions of three different steps are from turning with the gradients, relative.
double rotation_error(const MethodInfo& info, std::size_t k, Rng& rng) {
  std::vector<Matrix> steps;
  Matrix all(0, k + 5);
  for (int step = 0; step < 3; ++step) {
    steps.push_back(problem_of(Family::kGaussian, k, rng));
    for (std::size_t i = 0; i < k; ++i) all = with_row(all, row_of(steps.back(), i));
  }
  Rng draws(kSeed);
  all = rotated(with_row(all, run_method(info, steps, losses_for(k), &draws).direction), rng);
  for (std::size_t i = 0; i < 3 * k; ++i) {
    for (std::size_t p = 0; p < k + 5; ++p) steps[i / k](i % k, p) = all(i, p);
  }
  draws = Rng(kSeed);
  auto d = run_method(info, steps, losses_for(k), &draws).direction;
  const auto expected = row_of(all, 3 * k);
  const double size = norm_of(expected);
  for (std::size_t p = 0; p < d.size(); ++p) d[p] -= expected[p];
  return norm_of(d) / size;
}

TEST_P(LawsTest, DependsOnTheGramMatrixAloneUnlessOfClassJ) {
  Rng rng(12);
  if (!gives_direction(GetParam())) {
    on_posed_problems([&](const Matrix& jacobian) {
      expect_close(run_method(GetParam(), jacobian).answers,
                   run_method(GetParam(), rotated(jacobian, rng)).answers,
                   kCertificate);
    });
    return;
  }
  double worst = 0;
  for (const std::size_t k : {2, 3, 5, 12}) {
    worst = std::max(worst, rotation_error(GetParam(), k, rng));
  }
  if ((GetParam().laws & kRotation) != 0) {
    EXPECT_LE(worst, kCertificate);
  } else {
    EXPECT_GT(worst, kLimit) << "claim kRotation";
  }
}

TEST_P(LawsTest, RepeatsBitForBitWithTheSameSeed) {
  on_posed_problems([&](const Matrix& jacobian) {
    EXPECT_EQ(run_method(GetParam(), jacobian).answers, run_method(GetParam(), jacobian).answers);
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
    const Matrix jacobian = problem_of(Family::kGaussian, 4, problems);
    std::vector<double> losses = losses_for(4);
    for (double& loss : losses) loss *= 0.5 + problems.uniform();
    const auto d = take_step(*whole, jacobian, losses, &rng_whole, a);
    // Through text, as a snapshot would.
    auto next = GetParam().make();
    next->load_state(Json::parse(part->state().dump()));
    next->load_state_arrays(part->state_arrays());
    part = std::move(next);
    EXPECT_EQ(d, take_step(*part, jacobian, losses, &rng_part, b)) << "step " << step;
    EXPECT_EQ(a.weights, b.weights) << "step " << step;
  }
  EXPECT_EQ(GetParam().stateful, !whole->state().is_null());
}

TEST_P(LawsTest, NeedsAtLeastOneTask) {
  Result result;
  const auto method = GetParam().make();
  if (gives_direction(GetParam())) {
    EXPECT_THROW(method->direct({.tasks = 0}, Rows<double>{}, {}, result), Error);
  } else {
    EXPECT_THROW(method->solve({.tasks = 0}, result), Error);
  }
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
    const Steps run = run_method(info, jacobian, losses);
    const Steps after = run_method(info, permuted, permuted_losses);
    std::vector<double> expected(k);
    for (std::size_t i = 0; i < k; ++i) expected[i] = run.last.weights[order[i]];
    expect_close(after.last.weights, expected, kCertificate);
    if (gives_direction(info)) expect_close(after.direction, run.direction, kCertificate);
  });
}

void check_scale_invariant(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    const auto answers = run_method(info, jacobian).answers;
    for (const double s : {1e-150, 1e-6, 1e-3, 1e3, 1e6, 1e150}) {
      auto after = run_method(info, scaled(jacobian, s)).answers;
      if (gives_direction(info)) {
        for (double& x : after) x /= s;
      }
      expect_close(after, answers, kCertificate);
    }
  });
}

void check_non_conflicting(const MethodInfo& info) {
  Rng rng(15);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {2, 3, 6, 20, 64}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      const Matrix jacobian = problem_of(family, k, rng);
      const Matrix gram = gram_of(jacobian);
      const auto w = run_method(info, jacobian).last.weights;
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
  Rng rng(19);
  for (const std::size_t k : {1, 2, 3, 9}) {
    Matrix jacobian(k, k);
    for (std::size_t i = 0; i < k; ++i) jacobian(i, i) = 1.5;
    // Coordinates mean nothing to the other classes, and their Gram matrix stays exact.
    if (gives_direction(info)) jacobian = rotated(jacobian, rng);
    const Steps run = run_method(info, jacobian, std::vector<double>(k, 0.7));
    const auto w = gives_direction(info) ? times(jacobian, run.direction) : run.last.weights;
    EXPECT_GT(w[0], 0.0);
    expect_close(w, std::vector<double>(k, w[0]), kAccumulated);
  }
}

void check_deterministic(const MethodInfo& info) {
  on_posed_problems([&](const Matrix& jacobian) {
    const auto losses = losses_for(jacobian.rows());
    const auto answers = run_method(info, jacobian, losses, 1).answers;
    EXPECT_EQ(answers, run_method(info, jacobian, losses, 2).answers);
    const auto first = run_method(info, {jacobian}, losses, nullptr).answers;
    EXPECT_EQ(first, std::vector<double>(answers.begin(), answers.begin() + first.size()));
  });
}

void check_simplex(const MethodInfo& info) {
  Rng rng(16);
  for (const auto& [family, name] : families()) {
    for (const std::size_t k : {1, 2, 7, 20}) {
      SCOPED_TRACE(testing::Message() << name << " k=" << k);
      expect_on_simplex(run_method(info, problem_of(family, k, rng)).last.weights);
    }
  }
}

void check_single_task_identity(const MethodInfo& info) {
  expect_close(direction(info, matrix_of({{3, 4}})), {3, 4}, kRounding);
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

TEST(Registry, GivesTheSameDirectionInFloat32) {
  on_methods(&gives_direction, [](const MethodInfo& info) {
    on_posed_problems([&](const Matrix& jacobian) {
      const std::size_t k = jacobian.rows();
      const std::size_t p = jacobian.cols();
      Matrix rounded = jacobian;
      std::vector<float> single(k * p);
      for (std::size_t i = 0; i < single.size(); ++i) {
        single[i] = static_cast<float>(jacobian.data()[i]);
        rounded.data()[i] = single[i];
      }
      Fresh run(info);
      const auto d = run.three_steps(Rows<float>{single.data(), k, p, p});
      const Steps expected = run_method(info, rounded);
      expect_close(expected.direction, {d.begin(), d.end()}, kFloat32);
      expect_close(expected.last.weights, run.result.weights, kFloat32);
    });
  });
}

TEST(Registry, ReadsRowsThatLieApart) {
  // More coordinates than one block of the passes over them, and a stride larger than their number.
  Rng rng(20);
  const Matrix wide = random_jacobian(3, 1400, rng);
  constexpr std::size_t kCols = 1300;
  Matrix tight(3, kCols);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t p = 0; p < kCols; ++p) tight(i, p) = wide(i, p);
  }
  on_methods(&gives_direction, [&](const MethodInfo& info) {
    EXPECT_EQ(Fresh(info).three_steps(Rows<double>{wide.data(), 3, kCols, 1400}),
              run_method(info, tight).direction);
  });
}

TEST(Registry, RefusesForeignStates) {
  on_methods(&is_stateful, [](const MethodInfo& info) {
    const auto method = info.make();
    EXPECT_THROW(method->load_state(Json{{"colour", "red"}}), Error);
    EXPECT_THROW(method->load_state(Json(3)), Error);
  });
}

TEST(Registry, RefusesAChangedNumberOfTasks) {
  on_methods(&is_stateful, [](const MethodInfo& info) {
    Rng rng(kSeed);
    Fresh run(info);
    run.step(problem_of(Family::kGaussian, 3, rng));
    EXPECT_THROW(run.step(problem_of(Family::kGaussian, 4, rng)), Error);
  });
}

TEST(Registry, RefusesAChangedNumberOrTypeOfCoordinates) {
  on_methods(&keeps_rows, [](const MethodInfo& info) {
    Rng rng(kSeed);
    Fresh run(info);
    run.step(random_jacobian(3, 6, rng));
    EXPECT_THROW(run.step(random_jacobian(3, 7, rng)), Error);
    const std::vector<float> single(18, 1.0F);
    EXPECT_THROW(run.three_steps(Rows<float>{single.data(), 3, 6, 6}), Error);
  });
}

TEST(Registry, RefusesForeignArrays) {
  on_methods(&keeps_rows, [](const MethodInfo& info) {
    Rng rng(kSeed);
    Fresh run(info);
    run.step(random_jacobian(3, 6, rng));
    const Json state = run.method->state();
    const auto good = run.method->state_arrays();
    ASSERT_FALSE(good.empty());
    const auto refused = [&](const std::function<void(std::vector<StateArray>&)>& spoil) {
      auto arrays = good;
      spoil(arrays);
      const auto other = info.make();
      other->load_state(state);
      try {
        other->load_state_arrays(arrays);
        ADD_FAILURE() << "foreign arrays were accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kData);
      }
    };
    refused([](auto& arrays) { arrays.clear(); });
    refused([](auto& arrays) { arrays.push_back(arrays.front()); });
    refused([](auto& arrays) { arrays.front().name = "colour"; });
    refused([](auto& arrays) { arrays.front().shape = {2, 9}; });
    refused([](auto& arrays) { arrays.front().shape = {3}; });
    refused([](auto& arrays) { arrays.front().shape[1] += 1; });
    refused([](auto& arrays) {
      std::get<std::vector<double>>(arrays.front().values)[4] = std::nan("");
    });
    // A state whose arrays were forgotten.
    Fresh other(info);
    other.method->load_state(state);
    EXPECT_THROW(other.step(random_jacobian(3, 6, rng)), Error);
    // Arrays without the state.
    EXPECT_THROW(info.make()->load_state_arrays(good), Error);
  });
}

TEST(Registry, KeepsTheStateOfAbsentTasks) {
  // Two steps with task 1 absent in between equal two steps without the one in between, for the
  // arrays of task 1.
  on_methods(&keeps_rows, [](const MethodInfo& info) {
    Rng rng(kSeed);
    Fresh run(info);
    run.step(random_jacobian(3, 6, rng));
    const auto before = run.method->state_arrays();
    const Matrix two = random_jacobian(2, 6, rng);
    const auto losses = losses_for(2);
    const std::vector<std::size_t> ids = {0, 2};
    std::vector<double> d(6);
    run.method->direct({.tasks = 2, .losses = losses, .rng = &run.rng, .ids = ids, .all_tasks = 3},
                       Rows<double>{two.data(), 2, 6, 6},
                       d,
                       run.result);
    EXPECT_EQ(run.result.weights.size(), 2u);
    const auto after = run.method->state_arrays();
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t a = 0; a < before.size(); ++a) {
      if (before[a].shape[0] != 3) continue;
      const auto& old_values = std::get<std::vector<double>>(before[a].values);
      const auto& new_values = std::get<std::vector<double>>(after[a].values);
      for (std::size_t i = 0; i < 3; ++i) {
        const std::vector<double> old_row(&old_values[6 * i], &old_values[6 * i] + 6);
        const std::vector<double> new_row(&new_values[6 * i], &new_values[6 * i] + 6);
        EXPECT_EQ(old_row == new_row, i == 1) << before[a].name << " of task " << i;
      }
    }
  });
}

TEST(Registry, NamesTheTaskWhoseGradientIsNotFinite) {
  const double nan = std::nan("");
  const Matrix gram = matrix_of({{1, 0, nan}, {0, 1, nan}, {nan, nan, nan}});
  const Matrix jacobian = matrix_of({{1, 0}, {0, 1}, {nan, 0}});
  const std::vector<std::string> names = {"depth", "normals", "seg"};
  const auto losses = losses_for(3);
  for (const MethodInfo& info : registry()) {
    if (info.method_class == MethodClass::kLoss) continue;  // looks at no gradient
    SCOPED_TRACE(info.name);
    Rng rng;
    Result result;
    const Problem problem = {
        .tasks = 3, .gram = gram, .losses = losses, .names = names, .rng = &rng};
    std::vector<double> d(2);
    try {
      if (gives_direction(info)) {
        info.make()->direct(problem, Rows<double>{jacobian.data(), 3, 2, 2}, d, result);
      } else {
        info.make()->solve(problem, result);
      }
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
  for (unsigned bit = 1; bit <= kRotation; bit <<= 1) {
    EXPECT_STRNE(name_of(static_cast<Law>(bit)), "?") << bit;
  }
  EXPECT_EQ(law_names(kPermutation | kSimplex),
            (std::vector<std::string>{"permutation", "simplex"}));
}

}  // namespace

}  // namespace detente::balance
