// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/dino_loss.h>
#include <gmock/gmock.h>

#include <cmath>

#include "distill_support.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::error_of;
using test::kAccumulated;
using test::kRounding;

struct Views {
  std::int64_t images, views, globals, outputs;
};

const Views kViews[] = {
    {1, 2, 1, 2}, {3, 4, 1, 5}, {2, 2, 2, 3}, {3, 5, 2, 7}, {2, 3, 3, 4}, {4, 6, 3, 9}};

at::Tensor student_of(const Views& v, std::uint64_t seed = 1) {
  return noise({v.views * v.images, v.outputs}, seed);
}
at::Tensor teacher_of(const Views& v, std::uint64_t seed = 2) {
  return noise({v.globals * v.images, v.outputs}, seed);
}
at::Tensor centre_of(const Views& v) { return noise({1, v.outputs}, 3) * 0.2; }

std::vector<double> softmax_row(const at::Tensor& logits, std::int64_t row, double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (std::int64_t k = 0; k < logits.size(1); ++k) {
    p.push_back(std::exp(logits[row][k].item<double>() / temperature));
    sum += p.back();
  }
  for (double& x : p) x /= sum;
  return p;
}

// The definition, pair by pair, over plain numbers. [0] the whole, [1] global, [2] local pairs.
std::vector<double> pair_by_pair(const Views& v, double student_t, double teacher_t) {
  const at::Tensor student = student_of(v);
  const at::Tensor teacher = teacher_of(v) - centre_of(v);
  double sums[2] = {0, 0};
  double counts[2] = {0, 0};
  for (std::int64_t i = 0; i < v.globals; ++i) {
    for (std::int64_t w = 0; w < v.views; ++w) {
      if (w == i) continue;
      double mean = 0;
      for (std::int64_t n = 0; n < v.images; ++n) {
        const auto p = softmax_row(teacher, i * v.images + n, teacher_t);
        const auto q = softmax_row(student, w * v.images + n, student_t);
        for (std::size_t k = 0; k < p.size(); ++k) mean -= p[k] * std::log(q[k]);
      }
      const int place = w < v.globals ? 0 : 1;
      sums[place] += mean / static_cast<double>(v.images);
      counts[place] += 1;
    }
  }
  return {(sums[0] + sums[1]) / (counts[0] + counts[1]), sums[0] / counts[0], sums[1] / counts[1]};
}

TEST(DinoTerms, AreTheSumOverPairsForAnyNumberOfViews) {
  for (const Views& v : kViews) {
    const DinoTerms terms =
        dino_terms(student_of(v), teacher_of(v), centre_of(v), v.views, v.globals, 0.3, 0.2);
    const auto expected = pair_by_pair(v, 0.3, 0.2);
    EXPECT_NEAR(terms.total.item<double>(), expected[0], kRounding * 100);
    EXPECT_EQ(terms.cross_entropy, terms.total.item<double>());
    EXPECT_EQ(terms.global_pairs, static_cast<double>(v.globals * (v.globals - 1)));
    EXPECT_EQ(terms.local_pairs, static_cast<double>(v.globals * (v.views - v.globals)));
    ASSERT_EQ(terms.global_to_global.defined(), terms.global_pairs > 0);
    ASSERT_EQ(terms.local_to_global.defined(), terms.local_pairs > 0);
    double sum = 0;
    if (terms.global_pairs > 0) {
      EXPECT_NEAR(terms.global_to_global.item<double>(), expected[1], kRounding * 100);
      sum += terms.global_pairs * terms.global_to_global.item<double>();
    }
    if (terms.local_pairs > 0) {
      EXPECT_NEAR(terms.local_to_global.item<double>(), expected[2], kRounding * 100);
      sum += terms.local_pairs * terms.local_to_global.item<double>();
    }
    EXPECT_NEAR(sum / (terms.global_pairs + terms.local_pairs), expected[0], kRounding * 100);
  }
}

TEST(DinoTerms, GradientIsTheClosedFormAndThatOfDifferences) {
  for (const Views& v : kViews) {
    const auto loss = [&](const at::Tensor& s) {
      return dino_terms(s, teacher_of(v), centre_of(v), v.views, v.globals, 0.3, 0.2).total;
    };
    const at::Tensor student = student_of(v);
    const at::Tensor gradient = gradient_of(loss, student);
    EXPECT_LT(distance(gradient, differences_of(loss, student)), 1e-8);
    const double pairs = static_cast<double>(v.globals * (v.views - 1));
    at::Tensor expected = torch::zeros_like(student);
    const auto aims = torch::softmax((teacher_of(v) - centre_of(v)) / 0.2, 1).chunk(v.globals);
    for (std::int64_t w = 0; w < v.views; ++w) {
      at::Tensor rows = expected.narrow(0, w * v.images, v.images);
      const at::Tensor own = torch::softmax(student.narrow(0, w * v.images, v.images) / 0.3, 1);
      for (std::int64_t i = 0; i < v.globals; ++i) {
        if (i != w) rows += (own - aims[static_cast<std::size_t>(i)]);
      }
    }
    expected /= 0.3 * static_cast<double>(v.images) * pairs;
    EXPECT_LT(distance(gradient, expected), kAccumulated);
  }
}

// The mistake of comparing a view with itself, or of leaving the local ones out, is another number.
TEST(DinoTerms, DiffersFromTheSumsThatMistakesMake) {
  const Views v{3, 4, 2, 5};
  const at::Tensor p = torch::softmax((teacher_of(v) - centre_of(v)) / 0.2, 1).view({2, 3, 5});
  const at::Tensor q = torch::log_softmax(student_of(v) / 0.3, 1).view({4, 3, 5});
  const at::Tensor all = -torch::einsum("ink,vnk->iv", {p, q}) / 3;
  const double right =
      dino_terms(student_of(v), teacher_of(v), centre_of(v), 4, 2, 0.3, 0.2).total.item<double>();
  EXPECT_NEAR((all.sum() - all[0][0] - all[1][1]).item<double>() / 6, right, kRounding * 100);
  EXPECT_GT(std::abs(all.mean().item<double>() - right), 1e-3);
  EXPECT_GT(std::abs((all[0][1] + all[1][0]).item<double>() / 2 - right), 1e-3);
}

TEST(DinoTerms, TheTeacherGetsNoGradient) {
  const Views v{3, 5, 2, 7};
  const at::Tensor student = student_of(v).requires_grad_();
  const at::Tensor teacher = teacher_of(v).requires_grad_();
  const at::Tensor centre = centre_of(v).requires_grad_();
  dino_terms(student, teacher, centre, 5, 2, 0.1, 0.04).total.backward();
  EXPECT_TRUE(student.grad().defined());
  EXPECT_GT(largest(student.grad()), 0);
  EXPECT_FALSE(teacher.grad().defined());
  EXPECT_FALSE(centre.grad().defined());
}

// A student that answers exactly as the teacher loses the teacher's entropy and has no gradient.
TEST(DinoTerms, IsTheEntropyWhereBothAgree) {
  const at::Tensor one = noise({3, 6}, 5);
  const at::Tensor student = one.repeat({4, 1}).requires_grad_();
  const at::Tensor teacher = one.repeat({2, 1});
  const DinoTerms terms =
      dino_terms(student, teacher, torch::zeros({1, 6}, torch::kDouble), 4, 2, 0.3, 0.3);
  EXPECT_NEAR(terms.cross_entropy, terms.mean_entropy, kRounding);
  terms.total.backward();
  EXPECT_LT(largest(student.grad()), kRounding);
}

TEST(DinoTerms, EntropiesAreThoseOfTheTeachersAnswers) {
  const Views v{3, 4, 2, 5};
  const DinoTerms terms = dino_terms(student_of(v), teacher_of(v), centre_of(v), 4, 2, 0.3, 0.2);
  double mean_entropy = 0;
  std::vector<double> mean(5, 0.0);
  for (std::int64_t row = 0; row < 6; ++row) {
    const auto p = softmax_row(teacher_of(v) - centre_of(v), row, 0.2);
    for (std::size_t k = 0; k < 5; ++k) {
      mean_entropy -= p[k] * std::log(p[k]) / 6;
      mean[k] += p[k] / 6;
    }
  }
  double entropy_of_mean = 0;
  for (const double p : mean) entropy_of_mean -= p * std::log(p);
  EXPECT_NEAR(terms.mean_entropy, mean_entropy, kRounding);
  EXPECT_NEAR(terms.entropy_of_mean, entropy_of_mean, kRounding);
  EXPECT_LE(terms.mean_entropy, terms.entropy_of_mean);
  EXPECT_LE(terms.entropy_of_mean, std::log(5.0) + kRounding);
  EXPECT_GE(terms.cross_entropy, 0.0);
  // Equal answers: nothing in between; one-hot ones: no entropy, and no NaN from 0 ln 0.
  const at::Tensor flat = torch::zeros({6, 5}, torch::kDouble);
  const DinoTerms uniform = dino_terms(student_of(v), flat, centre_of(v) * 0, 4, 2, 0.3, 0.2);
  EXPECT_NEAR(uniform.mean_entropy, std::log(5.0), kRounding);
  at::Tensor sharp = torch::zeros({6, 5}, torch::kDouble);
  sharp.select(1, 2).fill_(1e4);
  const DinoTerms peaked = dino_terms(student_of(v), sharp, centre_of(v) * 0, 4, 2, 0.3, 0.04);
  EXPECT_EQ(peaked.mean_entropy, 0);
  EXPECT_EQ(peaked.entropy_of_mean, 0);
  EXPECT_TRUE(std::isfinite(peaked.cross_entropy));
}

// One number more in all outputs of a row, or in both teacher and centre, changes nothing.
TEST(DinoTerms, IsBlindToOffsets) {
  const Views v{2, 3, 2, 6};
  const auto total = [&](const at::Tensor& s, const at::Tensor& t, const at::Tensor& c) {
    return dino_terms(s, t, c, 3, 2, 0.1, 0.04).total.item<double>();
  };
  const at::Tensor s = student_of(v), t = teacher_of(v), c = centre_of(v), d = noise({1, 6}, 9);
  const double value = total(s, t, c);
  EXPECT_NEAR(total(s + noise({6, 1}, 8), t, c), value, kAccumulated);
  EXPECT_NEAR(total(s, t + d, c + d), value, kAccumulated);
  EXPECT_GT(std::abs(total(s, t + d, c) - value), 1e-3);
}

TEST(DinoTerms, HalfPrecisionIsWidened) {
  const Views v{2, 3, 2, 6};
  const DinoTerms terms = dino_terms(student_of(v).to(torch::kBFloat16),
                                     teacher_of(v).to(torch::kBFloat16),
                                     centre_of(v).to(torch::kFloat),
                                     3,
                                     2,
                                     0.1,
                                     0.04);
  EXPECT_EQ(terms.total.scalar_type(), torch::kFloat);
  EXPECT_TRUE(std::isfinite(terms.cross_entropy));
}

TEST(DinoTerms, SaysWhatIsWrong) {
  const at::Tensor s = torch::zeros({6, 4}), t = torch::zeros({4, 4}), c = torch::zeros({1, 4});
  struct Case {
    at::Tensor s, t, c;
    std::int64_t views, globals;
    double student_t, teacher_t;
    const char* words;
  };
  const std::vector<Case> cases = {
      {s, torch::zeros({6, 4}), c, 1, 1, 0.1, 0.04, "one view"},
      {s, t, c, 3, 0, 0.1, 0.04, "1 <= globals <= views"},
      {s, t, c, 3, 4, 0.1, 0.04, "1 <= globals <= views"},
      {torch::zeros({7, 4}), t, c, 3, 2, 0.1, 0.04, "as many rows for each of 3 views"},
      {torch::zeros({0, 4}), torch::zeros({0, 4}), c, 3, 2, 0.1, 0.04, "N >= 1"},
      {torch::zeros({6, 1}),
       torch::zeros({4, 1}),
       torch::zeros({1, 1}),
       3,
       2,
       0.1,
       0.04,
       "always 1"},
      {s, torch::zeros({4, 5}), c, 3, 2, 0.1, 0.04, "expected [4, 4]"},
      {s, torch::zeros({6, 4}), c, 3, 2, 0.1, 0.04, "expected [4, 4]"},
      {s, t, torch::zeros({4}), 3, 2, 0.1, 0.04, "the centre has shape [4]"},
      {s, t, torch::zeros({1, 5}), 3, 2, 0.1, 0.04, "expected [1, 4]"},
      {s, t, c, 3, 2, 0, 0.04, "temperature must be > 0"},
      {s, t, c, 3, 2, 0.1, -1, "temperature must be > 0"},
      {at::Tensor(), t, c, 3, 2, 0.1, 0.04, "of none"},
  };
  for (const Case& c : cases) {
    const Error error =
        error_of([&] { dino_terms(c.s, c.t, c.c, c.views, c.globals, c.student_t, c.teacher_t); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << c.words;
    EXPECT_THAT(error.what(), testing::HasSubstr("[distill::dino_terms]"));
    EXPECT_THAT(error.what(), testing::HasSubstr(c.words));
  }
}

// Processes with batches of unequal size: the centre of all rows, which the mean of means is not.
TEST(MovedCentre, IsThatOfAllRowsWhateverTheProcessesHave) {
  const at::Tensor first = noise({5, 4}, 1), second = noise({2, 4}, 2), centre = noise({1, 4}, 3);
  const at::Tensor moved =
      moved_centre(centre, first.sum(0, true) + second.sum(0, true), 5 + 2, 0.9);
  const at::Tensor all = torch::cat({first, second});
  EXPECT_LT(distance(moved, 0.9 * centre + 0.1 * all.mean(0, true)), kRounding);
  const at::Tensor of_means = (first.mean(0, true) + second.mean(0, true)) / 2;
  EXPECT_GT(distance(moved, 0.9 * centre + 0.1 * of_means), 1e-3);
}

TEST(MovedCentre, StaysWithMomentumOneAndJumpsWithNought) {
  const at::Tensor centre = noise({1, 4}, 3).to(torch::kFloat).requires_grad_();
  const at::Tensor sum = noise({1, 4}, 4);
  EXPECT_TRUE(torch::equal(moved_centre(centre, sum, 3, 1), centre));
  const at::Tensor jumped = moved_centre(centre, sum, 4, 0);
  EXPECT_TRUE(torch::allclose(jumped, (sum / 4).to(torch::kFloat)));
  EXPECT_EQ(jumped.scalar_type(), torch::kFloat);
  EXPECT_FALSE(jumped.requires_grad());
}

TEST(MovedCentre, SaysWhatIsWrong) {
  const at::Tensor c = torch::zeros({1, 4});
  for (const Error& error : {error_of([&] {
                               moved_centre(c, torch::zeros({1, 5}), 1, 0.9);
                             }),
                             error_of([&] { moved_centre(c, torch::zeros({4}), 1, 0.9); }),
                             error_of([&] { moved_centre(c, c, 0, 0.9); }),
                             error_of([&] { moved_centre(c, c, 1, 1.5); }),
                             error_of([&] { moved_centre(c, c, 1, std::nan("")); })}) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("[distill::moved_centre]"));
  }
}

TEST(FeatureDeviation, IsOneWithoutOrderAndNoughtInOneDirection) {
  EXPECT_NEAR(feature_deviation(noise({4000, 16}, 1)), 1, 0.02);
  const at::Tensor direction = noise({1, 16}, 2);
  const at::Tensor lengths = noise({50, 1}, 3).abs() + 0.1;
  EXPECT_LT(feature_deviation(lengths * direction), kAccumulated);
  EXPECT_EQ(feature_deviation(torch::zeros({3, 4})), 0);
  EXPECT_THROW(feature_deviation(torch::zeros({0, 4})), Error);
}

}  // namespace
}  // namespace detente::distill
