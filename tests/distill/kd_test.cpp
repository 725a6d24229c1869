// SPDX-License-Identifier: Apache-2.0
#include <detente/core/nan.h>
#include <detente/distill/kd.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "distill_support.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::error_of;
using test::kAccumulated;
using test::kRounding;

constexpr std::int64_t kRows = 5;
constexpr std::int64_t kClassCount = 4;

at::Tensor kd_student() { return noise({kRows, kClassCount}, 1) * 2; }
at::Tensor kd_teacher() { return noise({kRows, kClassCount}, 2) * 2; }

using Distillation =
    std::function<at::Tensor(const at::Tensor& s, const at::Tensor& t, double temperature)>;

at::Tensor of_classes(const at::Tensor& s, const at::Tensor& t, double temperature) {
  return distillation_loss(TaskKind::kClasses, s, t, temperature, nullptr);
}

// How far a function is from d/ds = T (softmax(s/T) − softmax(t/T)) / n.
double off_the_identity(const Distillation& loss, double temperature) {
  const at::Tensor s = kd_student(), t = kd_teacher();
  const at::Tensor expected =
      temperature * (torch::softmax(s / temperature, 1) - torch::softmax(t / temperature, 1)) /
      static_cast<double>(kRows);
  return distance(gradient_of([&](const at::Tensor& x) { return loss(x, t, temperature); }, s),
                  expected);
}

TEST(DistillationLoss, GradientIsTheIdentity) {
  for (const double temperature : {0.5, 1.0, 4.0, 20.0}) {
    EXPECT_LT(off_the_identity(of_classes, temperature), kRounding) << temperature;
    const auto loss = [&](const at::Tensor& x) { return of_classes(x, kd_teacher(), temperature); };
    EXPECT_LT(distance(gradient_of(loss, kd_student()), differences_of(loss, kd_student())), 1e-8);
  }
}

// What others have published in its place fails the same test.
TEST(DistillationLoss, MistakesFailTheIdentity) {
  const auto log_p = [](const at::Tensor& z, double t) { return torch::log_softmax(z / t, 1); };
  const Distillation mean_over_classes = [&](const at::Tensor& s, const at::Tensor& t, double T) {
    return T * T * torch::kl_div(log_p(s, T), log_p(t, T).exp(), at::Reduction::Mean);
  };
  const Distillation other_way_round = [&](const at::Tensor& s, const at::Tensor& t, double T) {
    return T * T * torch::kl_div(log_p(t, T), log_p(s, T).exp(), at::Reduction::Sum) / kRows;
  };
  const Distillation squares = [](const at::Tensor& s, const at::Tensor& t, double) {
    return (s - t).square().mean();
  };
  const Distillation without_square = [&](const at::Tensor& s, const at::Tensor& t, double T) {
    return torch::kl_div(log_p(s, T), log_p(t, T).exp(), at::Reduction::Sum) / kRows;
  };
  const Distillation right = [&](const at::Tensor& s, const at::Tensor& t, double T) {
    return T * T * torch::kl_div(log_p(s, T), log_p(t, T).exp(), at::Reduction::Sum) / kRows;
  };
  EXPECT_LT(off_the_identity(right, 4), kRounding);
  EXPECT_NEAR(right(kd_student(), kd_teacher(), 4).item<double>(),
              of_classes(kd_student(), kd_teacher(), 4).item<double>(),
              kRounding);
  for (const Distillation& wrong : {mean_over_classes, other_way_round, squares, without_square}) {
    EXPECT_GT(off_the_identity(wrong, 4), 1e-2);
  }
}

TEST(DistillationLoss, IsSquaredErrorOfLogitsInTheLimit) {
  const auto centred = [](const at::Tensor& z) { return z - z.mean(1, true); };
  const at::Tensor s = centred(kd_student()), t = centred(kd_teacher());
  const at::Tensor limit = (s - t) / static_cast<double>(kRows * kClassCount);
  double before = 1;
  for (const double temperature : {10.0, 100.0, 1000.0, 10000.0}) {
    const double off = distance(
        gradient_of([&](const at::Tensor& x) { return of_classes(x, t, temperature); }, s), limit);
    EXPECT_LT(off, before / 8);  // of the order of 1/T
    before = off;
  }
}

TEST(DistillationLoss, IsNoughtForEqualAnswers) {
  for (const double temperature : {1.0, 4.0}) {
    const at::Tensor z = kd_teacher();
    EXPECT_EQ(of_classes(z, z, temperature).item<double>(), 0);
    EXPECT_LT(
        largest(gradient_of([&](const at::Tensor& x) { return of_classes(x, z, temperature); }, z)),
        kRounding);
    EXPECT_GT(of_classes(kd_student(), z, temperature).item<double>(), 0);
  }
}

TEST(DistillationLoss, TheTeacherGetsNoGradient) {
  const at::Tensor s = kd_student().requires_grad_(), t = kd_teacher().requires_grad_();
  of_classes(s, t, 4).backward();
  EXPECT_TRUE(s.grad().defined());
  EXPECT_FALSE(t.grad().defined());
}

TEST(DistillationLoss, LeavesOutWhatTheTeacherDoesNotKnow) {
  at::Tensor t = kd_teacher();
  t[1].fill_(kNan);
  t[3][2] = kNan;  // a class is missing: so is the row
  const at::Tensor kept = torch::tensor({0, 2, 4}, torch::kLong);
  double rows = -1;
  const auto loss = [&](const at::Tensor& s) {
    return distillation_loss(TaskKind::kClasses, s, t, 4, &rows);
  };
  const at::Tensor gradient = gradient_of(loss, kd_student());
  EXPECT_EQ(rows, 3);
  EXPECT_NEAR(
      loss(kd_student()).item<double>(),
      of_classes(kd_student().index_select(0, kept), t.index_select(0, kept), 4).item<double>(),
      kRounding);
  EXPECT_EQ(largest(gradient[1]), 0);
  EXPECT_EQ(largest(gradient[3]), 0);
  EXPECT_GT(largest(gradient[0]), 0);
}

TEST(DistillationLoss, OfNothingIsUndefined) {
  for (const TaskKind kind : {TaskKind::kClasses,
                              TaskKind::kOrdinal,
                              TaskKind::kLabels,
                              TaskKind::kBinary,
                              TaskKind::kRegression}) {
    const at::Tensor s = kind == TaskKind::kBinary ? kd_student().select(1, 0) : kd_student();
    double rows = -1;
    EXPECT_FALSE(distillation_loss(kind, s, torch::full_like(s, kNan), 4, &rows).defined());
    EXPECT_EQ(rows, 0) << name_of(kind);
    const at::Tensor none = s.narrow(0, 0, 0);
    EXPECT_FALSE(distillation_loss(kind, none, none, 4, &rows).defined()) << name_of(kind);
    EXPECT_EQ(rows, 0);
  }
}

TEST(DistillationLoss, BinaryAndLabelsAreCrossEntropyOfSoftTargets) {
  double rows = 0;
  for (const TaskKind kind : {TaskKind::kLabels, TaskKind::kBinary}) {
    const bool one = kind == TaskKind::kBinary;
    const at::Tensor s = one ? kd_student().select(1, 0) : kd_student();
    const at::Tensor t = one ? kd_teacher().select(1, 0) : kd_teacher();
    const auto loss = [&](const at::Tensor& x) { return distillation_loss(kind, x, t, 4, &rows); };
    EXPECT_NEAR(loss(s).item<double>(),
                torch::binary_cross_entropy_with_logits(s, torch::sigmoid(t)).item<double>(),
                kRounding);
    EXPECT_EQ(rows, static_cast<double>(s.numel()));
    EXPECT_LT(distance(gradient_of(loss, s), (torch::sigmoid(s) - torch::sigmoid(t)) / rows),
              kRounding);
    EXPECT_LT(largest(gradient_of(loss, t)), kRounding);
  }
  at::Tensor t = kd_teacher();
  t[1][2] = kNan;
  distillation_loss(TaskKind::kLabels, kd_student(), t, 4, &rows);
  EXPECT_EQ(rows, static_cast<double>(kRows * kClassCount - 1));
}

TEST(DistillationLoss, OrderedClassesAreTheirStepsAndNumbersTheirSquares) {
  double rows = 0;
  const at::Tensor s = kd_student(), t = kd_teacher();
  EXPECT_NEAR(distillation_loss(TaskKind::kOrdinal, s, t, 4, &rows).item<double>(),
              torch::binary_cross_entropy_with_logits(s, torch::sigmoid(t)).item<double>() *
                  static_cast<double>(kClassCount),
              kRounding);
  EXPECT_EQ(rows, static_cast<double>(kRows));
  EXPECT_NEAR(distillation_loss(TaskKind::kRegression, s, t, 4, &rows).item<double>(),
              (s - t).square().mean().item<double>(),
              kRounding);
  EXPECT_EQ(rows, static_cast<double>(kRows * kClassCount));
  const at::Tensor a = s.select(1, 0), b = t.select(1, 0);
  EXPECT_NEAR(distillation_loss(TaskKind::kRegression, a, b, 4, &rows).item<double>(),
              (a - b).square().mean().item<double>(),
              kRounding);
}

TEST(DistillationLoss, OfMapsIsThatOfTheirPixels) {
  const at::Tensor s = noise({2, 3, 4, 5}, 1);
  at::Tensor t = noise({2, 3, 4, 5}, 2);
  const auto pixels = [](const at::Tensor& x) {
    return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)});
  };
  double rows = 0;
  EXPECT_NEAR(distillation_loss(TaskKind::kSegmentation, s, t, 4, &rows).item<double>(),
              of_classes(pixels(s), pixels(t), 4).item<double>(),
              kRounding);
  EXPECT_EQ(rows, 40);
  EXPECT_NEAR(distillation_loss(TaskKind::kNormals, s, t, 4, &rows).item<double>(),
              1 - torch::cosine_similarity(s, t, 1).mean().item<double>(),
              1e-9);
  EXPECT_EQ(rows, 40);
  const at::Tensor one = s.narrow(1, 0, 1), other = t.narrow(1, 0, 1);
  EXPECT_NEAR(distillation_loss(TaskKind::kDepth, one, other, 4, &rows).item<double>(),
              (one - other).square().mean().item<double>(),
              kRounding);
  t.select(0, 1).select(1, 2).fill_(kNan);  // a row of pixels of the second map
  EXPECT_TRUE(
      std::isfinite(distillation_loss(TaskKind::kSegmentation, s, t, 4, &rows).item<double>()));
  EXPECT_EQ(rows, 35);
  EXPECT_TRUE(std::isfinite(distillation_loss(TaskKind::kNormals, s, t, 4, &rows).item<double>()));
  EXPECT_EQ(rows, 35);
}

TEST(DistillationLoss, SaysWhatIsWrong) {
  const at::Tensor z = torch::zeros({3, 4});
  const auto expect = [](TaskKind kind,
                         const at::Tensor& s,
                         const at::Tensor& t,
                         double temperature,
                         ErrorCode code,
                         const char* words) {
    const Error error = error_of([&] { distillation_loss(kind, s, t, temperature, nullptr); });
    EXPECT_EQ(error.code(), code) << words;
    EXPECT_THAT(error.what(), testing::HasSubstr("[distill::distillation_loss]"));
    EXPECT_THAT(error.what(), testing::HasSubstr(words));
  };
  constexpr auto kBad = ErrorCode::kInvalidArgument;
  expect(TaskKind::kClasses, z, torch::zeros({3, 5}), 4, kBad, "the teacher's [3, 5]");
  expect(TaskKind::kClasses, torch::zeros({3}), torch::zeros({3}), 4, kBad, "of a classes head");
  expect(TaskKind::kClasses, torch::zeros({3, 1}), torch::zeros({3, 1}), 4, kBad, "two or more");
  expect(TaskKind::kSegmentation, z, z, 4, kBad, "[b, channels, h, w]");
  expect(TaskKind::kClasses, z, z, 0, kBad, "temperature must be > 0");
  expect(TaskKind::kClasses, z, z, kNan, kBad, "temperature must be > 0");
  const at::Tensor infinite = torch::full({3, 4}, std::numeric_limits<float>::infinity());
  expect(TaskKind::kClasses, z, infinite, 4, ErrorCode::kNumeric, "infinite");
}

}  // namespace
}  // namespace detente::distill
