// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/metrics/map_tally.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace detente::metrics {
namespace {

constexpr double kHalfTurn = 180;
constexpr std::string_view kByBatch = "_batch";

[[noreturn]] void no_such_metric(std::string_view metric) {
  fail(ErrorCode::kInternal, "[metrics::MapTally] there is no map metric '{}' here.", metric);
}

void check_sizes(const MapBatch& batch, std::size_t channels) {
  DETENTE_CHECK(batch.predictions.size() == batch.targets.size() && batch.pixels > 0 &&
                    batch.targets.size() % (channels * batch.pixels) == 0,
                ErrorCode::kShape,
                "[metrics::MapTally] {} predictions and {} targets; expected as many, {} for each "
                "example.",
                batch.predictions.size(),
                batch.targets.size(),
                channels * batch.pixels);
}

// What keeps every score of a tally from being defined.
std::string why_undefined(std::size_t pixels, bool finite) {
  if (!finite) return "a prediction is not finite";
  return pixels == 0 ? "no pixel has a target" : "";
}

class SegmentationTally final : public MapTally {
 public:
  explicit SegmentationTally(std::size_t classes)
      : classes_(classes), counts_(classes * classes, 0) {}

  void add(const MapBatch& batch) override {
    check_sizes(batch, 1);
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      if (std::isnan(batch.targets[i])) continue;
      if (!std::isfinite(batch.predictions[i])) {
        finite_ = false;
        continue;
      }
      ++counts_[id(static_cast<double>(batch.targets[i])) * classes_ + id(batch.predictions[i])];
      ++pixels_;
    }
  }

  Score score(std::string_view metric) const override {
    if (metric != "pixel_accuracy" && metric != "miou") no_such_metric(metric);
    if (const std::string why = why_undefined(pixels_, finite_); !why.empty()) {
      return {kNan, why, pixels_};
    }
    double right = 0;
    double overlap = 0;
    std::size_t seen = 0;
    for (std::size_t c = 0; c < classes_; ++c) {
      const double both = count(c, c);
      double either = -both;
      for (std::size_t other = 0; other < classes_; ++other) {
        either += count(c, other) + count(other, c);
      }
      right += both;
      if (either == 0) continue;
      overlap += both / either;
      ++seen;
    }
    if (metric == "pixel_accuracy") return {right / static_cast<double>(pixels_), "", pixels_};
    Score score{overlap / static_cast<double>(seen), "", pixels_};
    if (seen < classes_) {
      score.note = fmt::format(
          "the mean of {} classes; the other {} occur in neither targets nor "
          "predictions",
          seen,
          classes_ - seen);
    }
    return score;
  }

  std::span<const std::size_t> confusion() const override { return counts_; }

 private:
  std::size_t id(double value) const {
    DETENTE_CHECK(value >= 0 && value < static_cast<double>(classes_) && value == std::floor(value),
                  ErrorCode::kInternal,
                  "[metrics::MapTally] {} is no class of {}.",
                  value,
                  classes_);
    return static_cast<std::size_t>(value);
  }
  double count(std::size_t target, std::size_t prediction) const {
    return static_cast<double>(counts_[target * classes_ + prediction]);
  }

  std::size_t classes_;
  std::vector<std::size_t> counts_;  // target x prediction
  std::size_t pixels_ = 0;
  bool finite_ = true;
};

// A mean over everything, and the mean over batches of their means.
class TwoMeans {
 public:
  void end_batch(double sum, std::size_t count) {
    if (count == 0) return;
    sum_ += sum;
    count_ += static_cast<double>(count);
    of_batches_ += sum / static_cast<double>(count);
    ++batches_;
  }
  double all() const { return sum_ / count_; }
  double by_batch() const { return of_batches_ / batches_; }

 private:
  double sum_ = 0;
  double count_ = 0;
  double of_batches_ = 0;
  double batches_ = 0;
};

class DepthTally final : public MapTally {
 public:
  void add(const MapBatch& batch) override {
    check_sizes(batch, 1);
    double absolute = 0;
    double relative = 0;
    std::size_t count = 0;
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      if (std::isnan(batch.targets[i])) continue;
      const auto target = static_cast<double>(batch.targets[i]);
      const double error = std::abs(batch.predictions[i] - target);
      if (!std::isfinite(error)) {
        finite_ = false;
        continue;
      }
      absolute += error;
      relative += error / target;
      ++count;
    }
    absolute_.end_batch(absolute, count);
    relative_.end_batch(relative, count);
    pixels_ += count;
  }

  Score score(std::string_view metric) const override {
    std::string_view name = metric;
    const bool by_batch = name.ends_with(kByBatch);
    if (by_batch) name.remove_suffix(kByBatch.size());
    if (name != "abs_error" && name != "rel_error") no_such_metric(metric);
    const TwoMeans& means = name == "abs_error" ? absolute_ : relative_;
    if (const std::string why = why_undefined(pixels_, finite_); !why.empty()) {
      return {kNan, why, pixels_};
    }
    return {by_batch ? means.by_batch() : means.all(), "", pixels_};
  }

 private:
  TwoMeans absolute_;
  TwoMeans relative_;
  std::size_t pixels_ = 0;
  bool finite_ = true;
};

class NormalsTally final : public MapTally {
 public:
  NormalsTally() : histogram_(static_cast<std::size_t>(kHalfTurn / kMedianBin) + 1, 0) {}

  void add(const MapBatch& batch) override {
    check_sizes(batch, 3);
    std::vector<double> angles;
    for (std::size_t begin = 0; begin < batch.targets.size(); begin += 3 * batch.pixels) {
      for (std::size_t p = 0; p < batch.pixels; ++p) {
        const std::size_t at = begin + p;
        if (std::isnan(batch.targets[at])) continue;
        const double angle = angle_at(batch, at);
        if (!std::isfinite(angle)) {
          finite_ = false;
          continue;
        }
        angles.push_back(angle);
      }
    }
    double sum = 0;
    double within[kLimits] = {};
    for (const double angle : angles) {
      sum += angle;
      ++histogram_[static_cast<std::size_t>(angle / kMedianBin)];
      for (std::size_t i = 0; i < kLimits; ++i) within[i] += angle < kLimit[i] ? 1 : 0;
    }
    pixels_ += angles.size();
    means_.end_batch(sum, angles.size());
    for (std::size_t i = 0; i < kLimits; ++i) within_[i].end_batch(within[i], angles.size());
    if (!angles.empty()) medians_.end_batch(middle_of(angles), 1);
  }

  Score score(std::string_view metric) const override {
    std::string_view name = metric;
    const bool by_batch = name.ends_with(kByBatch);
    if (by_batch) name.remove_suffix(kByBatch.size());
    const auto of = [&](const TwoMeans& means) {
      return by_batch ? means.by_batch() : means.all();
    };
    double value = 0;
    const std::string why = why_undefined(pixels_, finite_);
    if (name == "mean_angle") {
      value = of(means_);
    } else if (name == "median_angle") {
      value = by_batch ? medians_.all() : why.empty() ? median() : kNan;
    } else {
      std::size_t i = 0;
      while (i < kLimits && name != kWithin[i]) ++i;
      if (i == kLimits) no_such_metric(metric);
      value = of(within_[i]);
    }
    return {why.empty() ? value : kNan, why, pixels_};
  }

 private:
  static constexpr std::size_t kLimits = 3;
  static constexpr double kLimit[kLimits] = {11.25, 22.5, 30};
  static constexpr std::string_view kWithin[kLimits] = {"within_11", "within_22", "within_30"};

  // Of two middle ones their mean, as numpy.median has it.
  static double middle_of(std::vector<double>& angles) {
    const auto middle = angles.begin() + static_cast<std::ptrdiff_t>(angles.size() / 2);
    std::nth_element(angles.begin(), middle, angles.end());
    if (angles.size() % 2 == 1) return *middle;
    return 0.5 * (*middle + *std::max_element(angles.begin(), middle));
  }

  static double angle_at(const MapBatch& batch, std::size_t at) {
    double product = 0;
    double first = 0;
    double second = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      const double a = batch.predictions[at + c * batch.pixels];
      const auto b = static_cast<double>(batch.targets[at + c * batch.pixels]);
      product += a * b;
      first += a * a;
      second += b * b;
    }
    const double lengths = std::sqrt(first) * std::sqrt(second);
    const double cosine = lengths == 0 ? 0 : std::clamp(product / lengths, -1.0, 1.0);
    // clamp lets NaN through.
    return std::acos(cosine) * kHalfTurn / std::numbers::pi;
  }

  // Where half of the pixels lie below, as if those of a bin were spread evenly over it.
  double median() const {
    const double half = 0.5 * static_cast<double>(pixels_);
    double below = 0;
    for (std::size_t bin = 0; bin < histogram_.size(); ++bin) {
      const auto here = static_cast<double>(histogram_[bin]);
      if (here > 0 && below + here >= half) {
        return kMedianBin * (static_cast<double>(bin) + (half - below) / here);
      }
      below += here;
    }
    return kNan;
  }

  std::vector<std::size_t> histogram_;
  TwoMeans within_[kLimits];
  TwoMeans means_;
  TwoMeans medians_;
  std::size_t pixels_ = 0;
  bool finite_ = true;
};

}  // namespace

std::unique_ptr<MapTally> make_map_tally(TaskKind kind, std::size_t classes) {
  switch (kind) {
    case TaskKind::kSegmentation:
      return std::make_unique<SegmentationTally>(classes);
    case TaskKind::kDepth:
      return std::make_unique<DepthTally>();
    case TaskKind::kNormals:
      return std::make_unique<NormalsTally>();
    default:
      fail(ErrorCode::kInternal, "[metrics::make_map_tally] {} has no maps.", name_of(kind));
  }
}

}  // namespace detente::metrics
