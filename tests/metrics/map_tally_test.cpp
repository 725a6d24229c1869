// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/metrics/map_tally.h>
#include <detente/metrics/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

namespace detente::metrics {
namespace {

using ::testing::HasSubstr;

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

struct Made {
  std::vector<double> predictions;
  std::vector<float> targets;
  std::size_t pixels = 6;
};

// Examples with `channels` numbers a pixel, a quarter of the pixels without a target.
Made made(std::size_t examples, std::size_t channels, Rng& rng, double (*number)(Rng&)) {
  Made batch;
  for (std::size_t i = 0; i < examples; ++i) {
    std::vector<bool> missing;
    for (std::size_t p = 0; p < batch.pixels; ++p) missing.push_back(rng.below(4) == 0);
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t p = 0; p < batch.pixels; ++p) {
        batch.predictions.push_back(number(rng));
        batch.targets.push_back(missing[p] ? kMissing : static_cast<float>(number(rng)));
      }
    }
  }
  return batch;
}

double class_of(Rng& rng) { return static_cast<double>(rng.below(4)); }
double depth_of(Rng& rng) { return 0.5 + 4 * rng.uniform(); }
double side_of(Rng& rng) { return rng.normal(); }

void add(MapTally& tally, const Made& batch) {
  tally.add({batch.predictions, batch.targets, batch.pixels});
}

std::vector<Made> batches(std::size_t channels, double (*number)(Rng&)) {
  Rng rng(5);
  std::vector<Made> list;
  for (const std::size_t examples : {3, 1, 7})
    list.push_back(made(examples, channels, rng, number));
  return list;
}

TEST(MapTally, SegmentationIsThatOfTheDefinition) {
  const auto list = batches(1, class_of);
  const auto tally = make_map_tally(TaskKind::kSegmentation, 5);
  double right = 0;
  double all = 0;
  std::map<int, double> both;
  std::map<int, double> either;
  for (const Made& batch : list) {
    add(*tally, batch);
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      if (std::isnan(batch.targets[i])) continue;
      const int target = static_cast<int>(batch.targets[i]);
      const int prediction = static_cast<int>(batch.predictions[i]);
      ++all;
      right += target == prediction ? 1 : 0;
      both[target] += target == prediction ? 1 : 0;
      ++either[target];
      if (prediction != target) ++either[prediction];
    }
  }
  double sum = 0;
  for (const auto& [id, count] : either) sum += both[id] / count;
  const Score miou = tally->score("miou");
  EXPECT_NEAR(miou.value, sum / static_cast<double>(either.size()), 1e-12);
  EXPECT_EQ(miou.note,
            "the mean of 4 classes; the other 1 occur in neither targets nor predictions");
  EXPECT_NEAR(tally->score("pixel_accuracy").value, right / all, 1e-12);
  EXPECT_EQ(tally->score("pixel_accuracy").rows, static_cast<std::size_t>(all));
}

TEST(MapTally, AClassThatIsOnlyPredictedCounts) {
  const auto tally = make_map_tally(TaskKind::kSegmentation, 3);
  const std::vector<double> predictions = {0, 0, 1, 2};
  const std::vector<float> targets = {0, 0, 0, kMissing};
  tally->add({predictions, targets, 4});
  // Class 0: 2 of 3; class 1: 0 of 1; class 2 only where there is no target.
  EXPECT_NEAR(tally->score("miou").value, (2.0 / 3 + 0) / 2, 1e-12);
  EXPECT_THAT(tally->score("miou").note, HasSubstr("2 classes"));
}

TEST(MapTally, DepthIsThatOfTheDefinition) {
  const auto list = batches(1, depth_of);
  const auto tally = make_map_tally(TaskKind::kDepth, 0);
  double absolute = 0, relative = 0, count = 0, absolute_means = 0, relative_means = 0;
  for (const Made& batch : list) {
    add(*tally, batch);
    double a = 0, r = 0, n = 0;
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      if (std::isnan(batch.targets[i])) continue;
      const double error = std::abs(batch.predictions[i] - static_cast<double>(batch.targets[i]));
      a += error;
      r += error / static_cast<double>(batch.targets[i]);
      ++n;
    }
    absolute += a;
    relative += r;
    count += n;
    absolute_means += a / n / 3;
    relative_means += r / n / 3;
  }
  EXPECT_NEAR(tally->score("abs_error").value, absolute / count, 1e-12);
  EXPECT_NEAR(tally->score("rel_error").value, relative / count, 1e-12);
  EXPECT_NEAR(tally->score("abs_error_batch").value, absolute_means, 1e-12);
  EXPECT_NEAR(tally->score("rel_error_batch").value, relative_means, 1e-12);
  EXPECT_NE(tally->score("abs_error").value, tally->score("abs_error_batch").value);
}

TEST(MapTally, NormalsAreThoseOfTheDefinition) {
  const auto list = batches(3, side_of);
  const auto tally = make_map_tally(TaskKind::kNormals, 0);
  std::vector<double> angles;
  double medians = 0;
  double means = 0;
  double shares[3] = {};
  const double limits[3] = {11.25, 22.5, 30};
  for (const Made& batch : list) {
    add(*tally, batch);
    std::vector<double> here;
    const std::size_t examples = batch.targets.size() / 18;
    for (std::size_t i = 0; i < examples; ++i) {
      for (std::size_t p = 0; p < 6; ++p) {
        double a[3], b[3];
        for (std::size_t c = 0; c < 3; ++c) {
          a[c] = batch.predictions[18 * i + 6 * c + p];
          b[c] = static_cast<double>(batch.targets[18 * i + 6 * c + p]);
        }
        if (std::isnan(b[0])) continue;
        // By the arc tangent, which is exact where the arc cosine is not.
        const double cross = std::hypot(
            a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]);
        here.push_back(std::atan2(cross, a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) * 180 /
                       std::numbers::pi);
      }
    }
    std::sort(here.begin(), here.end());
    medians += (here[(here.size() - 1) / 2] + here[here.size() / 2]) / 2 / 3;
    for (const double angle : here) {
      const double share = 1 / static_cast<double>(here.size()) / 3;
      means += angle * share;
      for (std::size_t i = 0; i < 3; ++i) shares[i] += angle < limits[i] ? share : 0;
    }
    angles.insert(angles.end(), here.begin(), here.end());
  }
  std::sort(angles.begin(), angles.end());
  const auto n = static_cast<double>(angles.size());
  double sum = 0;
  for (const double angle : angles) sum += angle;
  EXPECT_NEAR(tally->score("mean_angle").value, sum / n, 1e-6);
  const double low = angles[(angles.size() - 1) / 2];
  const double high = angles[angles.size() / 2];
  EXPECT_GE(tally->score("median_angle").value, low - kMedianBin);
  EXPECT_LE(tally->score("median_angle").value, high + kMedianBin);
  EXPECT_NEAR(tally->score("median_angle_batch").value, medians, 1e-6);
  const auto share = [&](double limit) {
    return static_cast<double>(std::count_if(
               angles.begin(), angles.end(), [&](double angle) { return angle < limit; })) /
           n;
  };
  EXPECT_NEAR(tally->score("within_11").value, share(11.25), 1e-12);
  EXPECT_NEAR(tally->score("within_22").value, share(22.5), 1e-12);
  EXPECT_NEAR(tally->score("within_30").value, share(30), 1e-12);
  EXPECT_NEAR(tally->score("mean_angle_batch").value, means, 1e-6);
  EXPECT_NE(tally->score("mean_angle_batch").value, tally->score("mean_angle").value);
  EXPECT_NEAR(tally->score("within_11_batch").value, shares[0], 1e-12);
  EXPECT_NEAR(tally->score("within_22_batch").value, shares[1], 1e-12);
  EXPECT_NEAR(tally->score("within_30_batch").value, shares[2], 1e-12);
}

TEST(MapTally, AnglesDoNotDependOnLengthsAndAVectorWithoutOneHasNinety) {
  const auto tally = make_map_tally(TaskKind::kNormals, 0);
  const std::vector<double> predictions = {1e-3, 0, 0, 0, 0, 0};
  const std::vector<float> targets = {5, 1, 0, 0, 0, 0};
  tally->add({predictions, targets, 2});
  EXPECT_NEAR(tally->score("mean_angle").value, 45, 1e-9);
  EXPECT_EQ(tally->score("within_11").value, 0.5);
}

TEST(MapTally, PerfectMapsScoreBest) {
  Rng rng(1);
  for (const auto& info : registry()) {
    if (!is_map(info.kind)) continue;
    SCOPED_TRACE(info.name);
    auto* number = info.kind == TaskKind::kSegmentation ? class_of : depth_of;
    Made batch = made(4, info.kind == TaskKind::kNormals ? 3 : 1, rng, number);
    batch.predictions.assign(batch.targets.begin(), batch.targets.end());
    const auto tally = make_map_tally(info.kind, 4);
    add(*tally, batch);
    EXPECT_TRUE(tally->score(info.name).defined());
    EXPECT_NEAR(tally->score(info.name).value, info.higher_is_better ? 1 : 0, 1e-2);
    EXPECT_EQ(info.compute, nullptr);
  }
}

TEST(MapTally, IsUndefinedWithoutTargetsAndWithPredictionsThatAreNone) {
  for (const auto& info : registry()) {
    if (!is_map(info.kind)) continue;
    SCOPED_TRACE(info.name);
    const std::size_t channels = info.kind == TaskKind::kNormals ? 3 : 1;
    const auto empty = make_map_tally(info.kind, 2);
    EXPECT_FALSE(empty->score(info.name).defined());
    const std::vector<double> ones(2 * channels, 1);
    const std::vector<float> missing(2 * channels, kMissing);
    empty->add({ones, missing, 2});
    EXPECT_THAT(empty->score(info.name).reason, HasSubstr("no pixel has a target"));
    const auto broken = make_map_tally(info.kind, 2);
    const std::vector<double> infinite(2 * channels, std::numeric_limits<double>::infinity());
    const std::vector<float> targets(2 * channels, 1);
    broken->add({infinite, targets, 2});
    EXPECT_THAT(broken->score(info.name).reason, HasSubstr("not finite"));
    EXPECT_TRUE(std::isnan(broken->score(info.name).value));
  }
}

TEST(MapTally, RefusesWhatDoesNotFit) {
  const std::vector<double> two(2, 0);
  const std::vector<float> three(3, 0);
  EXPECT_THROW(make_map_tally(TaskKind::kDepth, 0)->add({two, three, 1}), Error);
  const std::vector<double> predictions(4, 0);
  const std::vector<float> targets(4, 0);
  EXPECT_THROW(make_map_tally(TaskKind::kNormals, 0)->add({predictions, targets, 1}), Error);
  const std::vector<double> beyond(4, 2);
  EXPECT_THROW(make_map_tally(TaskKind::kSegmentation, 2)->add({beyond, targets, 4}), Error);
  EXPECT_THROW(make_map_tally(TaskKind::kBinary, 2), Error);
  EXPECT_THROW(make_map_tally(TaskKind::kDepth, 2)->score("miou"), Error);
}

}  // namespace
}  // namespace detente::metrics
