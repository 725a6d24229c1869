// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/collapse.h>
#include <detente/distill/dino_options.h>

#include <cmath>

namespace detente::distill {
namespace {

constexpr double kFlat = 0.99;   // h1 / ln K above it
constexpr double kPeaked = 0.1;  // h2 / ln K below it
constexpr double kAlike = 0.05;  // features' deviation below which they say nothing either
constexpr double kTold = 1e-3;   // (h2 − h1) / ln K below it
constexpr std::size_t kNumbers = 6;

bool is_count(double value) { return value >= 0 && value == std::floor(value) && value < 1e15; }

}  // namespace

CollapseMonitor::CollapseMonitor(std::int64_t outputs, std::int64_t patience)
    : log_outputs_(std::log(static_cast<double>(outputs))), patience_(patience) {
  DETENTE_CHECK(outputs >= 2,
                ErrorCode::kInvalidArgument,
                "[distill::CollapseMonitor] there are {} outputs; expected two or more.",
                outputs);
  DETENTE_CHECK(patience >= 1,
                ErrorCode::kInvalidArgument,
                "[distill::CollapseMonitor] patience must be >= 1, got {}.",
                patience);
}

CollapseMonitor::State CollapseMonitor::add(double mean_entropy,
                                            double entropy_of_mean,
                                            double feature_deviation) {
  mean_entropy_ = mean_entropy;
  entropy_of_mean_ = entropy_of_mean;
  feature_deviation_ = feature_deviation;
  uniform_steps_ = mean_entropy > kFlat * log_outputs_ ? uniform_steps_ + 1 : 0;
  one_prototype_steps_ = entropy_of_mean < kPeaked * log_outputs_ ? one_prototype_steps_ + 1 : 0;
  one_answer_steps_ =
      entropy_of_mean - mean_entropy < kTold * log_outputs_ ? one_answer_steps_ + 1 : 0;
  if (uniform_steps_ >= patience_) return State::kUniform;
  if (one_prototype_steps_ >= patience_) return State::kOnePrototype;
  if (one_answer_steps_ >= patience_) return State::kOneAnswer;
  return State::kFine;
}

std::string CollapseMonitor::remedy(State state, const DinoOptions& options) const {
  if (state == State::kFine) return "";
  std::string text;
  if (state == State::kUniform) {
    text = fmt::format(
        "the teacher's answers are uniform: their mean entropy is {:.4g}, of at most ln K = "
        "{:.4g}. Sharpen it: lower teacher_temperature (now {}, student_temperature {}; 0.04 is "
        "safe) or let it rise more slowly (teacher_warmup_epochs {})",
        mean_entropy_,
        log_outputs_,
        options.teacher_temperature,
        options.student_temperature,
        options.teacher_warmup_epochs);
  } else if (state == State::kOneAnswer) {
    text = fmt::format(
        "the teacher gives every image the same answer: the entropy of the mean answer, {:.4g}, is "
        "the answers' own mean entropy, of at most ln K = {:.4g}. Sharpen it and let the centre "
        "follow: lower teacher_temperature (now {}, student_temperature {}; 0.04 is safe) and "
        "centre_momentum (now {}; 0.9 is usual)",
        entropy_of_mean_,
        log_outputs_,
        options.teacher_temperature,
        options.student_temperature,
        options.centre_momentum);
  } else {
    text = fmt::format(
        "one output takes the whole batch: the entropy of the teacher's mean answer is {:.4g}, of "
        "at most ln K = {:.4g}. Let the centre follow faster: lower centre_momentum (now {}; 0.9 "
        "is usual), or raise teacher_temperature (now {})",
        entropy_of_mean_,
        log_outputs_,
        options.centre_momentum,
        options.teacher_temperature);
  }
  text += ", lower the learning rate, or make the head smaller.";
  if (std::isfinite(feature_deviation_)) {
    text += fmt::format(" The features {} (deviation {:.3g}): {}.",
                        feature_deviation_ < kAlike ? "are all alike as well" : "still differ",
                        feature_deviation_,
                        feature_deviation_ < kAlike
                            ? "start anew"
                            : "a snapshot from before may be worth going on from");
  }
  return text;
}

std::vector<double> CollapseMonitor::state() const {
  return {static_cast<double>(uniform_steps_),
          static_cast<double>(one_prototype_steps_),
          static_cast<double>(one_answer_steps_),
          mean_entropy_,
          entropy_of_mean_,
          feature_deviation_};
}

void CollapseMonitor::load_state(std::span<const double> numbers) {
  DETENTE_CHECK(numbers.size() == kNumbers && is_count(numbers[0]) && is_count(numbers[1]) &&
                    is_count(numbers[2]),
                ErrorCode::kData,
                "[distill::CollapseMonitor] the saved state has {} numbers; expected {}, three "
                "counts of steps first.",
                numbers.size(),
                kNumbers);
  uniform_steps_ = static_cast<std::int64_t>(numbers[0]);
  one_prototype_steps_ = static_cast<std::int64_t>(numbers[1]);
  one_answer_steps_ = static_cast<std::int64_t>(numbers[2]);
  mean_entropy_ = numbers[3];
  entropy_of_mean_ = numbers[4];
  feature_deviation_ = numbers[5];
}

const char* name_of(CollapseMonitor::State state) {
  switch (state) {
    case CollapseMonitor::State::kFine:
      return "fine";
    case CollapseMonitor::State::kUniform:
      return "uniform";
    case CollapseMonitor::State::kOnePrototype:
      return "one_prototype";
    case CollapseMonitor::State::kOneAnswer:
      return "one_answer";
  }
  return "fine";
}

}  // namespace detente::distill
