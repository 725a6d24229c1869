// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/calibration.h>
#include <detente/report/answer_summary.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>

namespace detente::report {
namespace {

constexpr std::size_t kAllPoints = 4000;
constexpr std::size_t kFewestPoints = 60;

std::string answer_name(const AnswerNames& names, std::size_t id) {
  return id < names.size() && !names[id].empty() ? short_name(names[id]) : std::to_string(id);
}

double six_digits(double value) {
  return std::strtod(fmt::format("{:.6g}", value).c_str(), nullptr);
}

// Calls `each(truth, answer, count)` for what was counted; twice, with the same.
template <class ForEach>
ConfusionAnswers confusion_of(std::size_t classes, const AnswerNames& names, ForEach for_each) {
  std::vector<std::uint64_t> wrong(classes, 0);  // in which a class takes part
  std::vector<std::size_t> order(classes);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (classes > kMostClasses) {
    for_each([&](std::size_t truth, std::size_t answer, std::uint64_t count) {
      if (truth == answer) return;
      wrong[truth] += count;
      wrong[answer] += count;
    });
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return wrong[a] > wrong[b];
    });
    order.resize(kMostClasses - 1);
    std::sort(order.begin(), order.end());
  }
  ConfusionAnswers out;
  out.classes = classes;
  std::vector<std::size_t> place(classes, order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    out.names.push_back(answer_name(names, order[i]));
  }
  if (classes > kMostClasses) out.names.push_back(fmt::format("{} others", classes - order.size()));
  const std::size_t side = out.names.size();
  out.counts.assign(side * side, 0);
  for_each([&](std::size_t truth, std::size_t answer, std::uint64_t count) {
    out.counts[place[truth] * side + place[answer]] += count;
    if (truth == answer) out.right += count;
  });
  return out;
}

std::size_t class_id(double value, std::size_t classes) {
  DETENTE_CHECK(value >= 0 && value < static_cast<double>(classes) && value == std::floor(value),
                ErrorCode::kShape,
                "[report::summarize] {} is no class of {}; expected ids from 0 on.",
                value,
                classes);
  return static_cast<std::size_t>(value);
}

// The rows that have a target and a finite answer, and what else is said of them.
struct Answered {
  std::vector<std::size_t> rows;
  std::uint64_t with_target = 0;
};

Answered answered_rows(metrics::Values targets, metrics::Values finite) {
  Answered out;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (std::isnan(targets[i])) continue;
    ++out.with_target;
    if (std::isfinite(finite[i])) out.rows.push_back(i);
  }
  return out;
}

ReliabilityAnswers reliability_of(const std::vector<double>& probabilities,
                                  const std::vector<double>& right) {
  const metrics::Calibration found = metrics::calibration(probabilities, right);
  ReliabilityAnswers out;
  out.error = found.error.value;
  for (const auto& bin : found.bins) {
    out.bins.push_back({bin.rows, std::min(bin.probability, 1.0), std::min(bin.share, 1.0)});
  }
  return out;
}

// Binary ones, too: their answer is 1 where its probability is at least one half.
void summarize_classes(TaskAnswers& task, const metrics::Answers& a, const AnswerNames& names) {
  const bool binary = task.kind == TaskKind::kBinary;
  const std::size_t classes = binary ? 2 : a.classes;
  const metrics::Values probability = binary ? a.predictions : a.confidence;
  DETENTE_CHECK(probability.size() == a.targets.size(),
                ErrorCode::kShape,
                "[report::summarize] {} probabilities for {} targets; expected as many of each.",
                probability.size(),
                a.targets.size());
  const Answered answered = answered_rows(a.targets, probability);
  task.rows = answered.with_target;
  task.not_finite = answered.with_target - answered.rows.size();
  if (answered.rows.empty()) return;
  const auto answer_of = [&](std::size_t row) {
    if (binary) return std::size_t{a.predictions[row] >= 0.5 ? 1U : 0U};
    return class_id(a.predictions[row], classes);
  };
  task.confusion = confusion_of(classes, names, [&](auto&& count) {
    for (const std::size_t row : answered.rows) {
      count(class_id(a.targets[row], classes), answer_of(row), std::uint64_t{1});
    }
  });
  std::vector<double> p;
  std::vector<double> right;
  for (const std::size_t row : answered.rows) {
    p.push_back(probability[row]);
    right.push_back(binary ? a.targets[row] : a.targets[row] == a.predictions[row] ? 1.0 : 0.0);
  }
  task.reliability = reliability_of(p, right);
  if (task.reliability->bins.empty()) task.reliability.reset();
}

// Sorted values; between two of them as if they were evenly spread.
double sorted_quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  // No difference of the two: it may overflow.
  return (1 - part) * sorted[below] + part * sorted[above];
}

OutputAnswers output_of(std::vector<std::pair<double, double>> pairs, std::size_t points) {
  OutputAnswers out;
  out.rows = pairs.size();
  if (pairs.empty()) return out;
  std::sort(pairs.begin(), pairs.end());
  std::vector<double> truth;
  std::vector<double> answer;
  std::vector<double> residuals;
  for (const auto& [t, p] : pairs) {
    truth.push_back(t);
    answer.push_back(p);
    residuals.push_back(p - t);
  }
  std::sort(residuals.begin(), residuals.end());
  out.r2 = metrics::r2(answer, truth).value;
  const auto n = static_cast<double>(pairs.size());
  for (const double residual : residuals) {
    out.mean_residual = (std::isnan(out.mean_residual) ? 0 : out.mean_residual) + residual / n;
  }
  for (const double share : kResidualQuantiles)
    out.residuals.push_back(sorted_quantile(residuals, share));
  const std::size_t shown = std::min({points, kMostPoints, pairs.size()});
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t at = shown == 1 ? 0 : i * (pairs.size() - 1) / (shown - 1);
    out.points.emplace_back(six_digits(pairs[at].first), six_digits(pairs[at].second));
  }
  return out;
}

void summarize_numbers(TaskAnswers& task,
                       const metrics::Answers& a,
                       const AnswerNames& names,
                       std::size_t points) {
  for (std::size_t c = 0; c < a.columns; ++c) {
    std::vector<std::pair<double, double>> pairs;
    for (std::size_t i = c; i < a.targets.size(); i += a.columns) {
      if (std::isnan(a.targets[i])) continue;
      ++task.rows;
      if (std::isfinite(a.predictions[i]) && std::isfinite(a.targets[i])) {
        pairs.emplace_back(a.targets[i], a.predictions[i]);
      } else {
        ++task.not_finite;
      }
    }
    OutputAnswers& output = task.outputs.emplace_back(output_of(std::move(pairs), points));
    if (a.columns > 1) output.name = answer_name(names, c);
  }
  task.all_outputs = task.outputs.size();
  // Those of which nothing can be said come last.
  std::stable_sort(task.outputs.begin(), task.outputs.end(), [](const auto& x, const auto& y) {
    if (std::isnan(x.r2) || std::isnan(y.r2)) return !std::isnan(x.r2) && std::isnan(y.r2);
    return x.r2 < y.r2;
  });
  if (task.outputs.size() > kMostOutputs) task.outputs.resize(kMostOutputs);
  for (std::size_t i = kMostScatters; i < task.outputs.size(); ++i) task.outputs[i].points.clear();
}

void summarize_labels(TaskAnswers& task, const metrics::Answers& a, const AnswerNames& names) {
  for (std::size_t c = 0; c < a.columns; ++c) {
    LabelAnswers& label = task.labels.emplace_back();
    label.name = answer_name(names, c);
    for (std::size_t i = c; i < a.targets.size(); i += a.columns) {
      if (std::isnan(a.targets[i])) continue;
      ++task.rows;
      if (!std::isfinite(a.predictions[i])) {
        ++task.not_finite;
        continue;
      }
      const bool there = a.targets[i] >= 0.5;
      const bool predicted = a.predictions[i] >= 0.5;
      ++label.rows;
      label.there += there ? 1 : 0;
      label.predicted += predicted ? 1 : 0;
      label.both += there && predicted ? 1 : 0;
    }
  }
  task.all_labels = task.labels.size();
  std::stable_sort(task.labels.begin(), task.labels.end(), [](const auto& x, const auto& y) {
    const double first = x.f1();
    const double second = y.f1();
    if (std::isnan(first) || std::isnan(second)) return !std::isnan(first) && std::isnan(second);
    return first < second;
  });
  if (task.labels.size() > kMostLabels) task.labels.resize(kMostLabels);
}

}  // namespace

TaskAnswers summarize(const std::string& task,
                      TaskKind kind,
                      const metrics::Answers& answers,
                      const AnswerNames& names,
                      std::size_t points) {
  DETENTE_CHECK(!is_map(kind),
                ErrorCode::kInternal,
                "[report::summarize] task '{}' has maps, of which there are pictures.",
                task);
  DETENTE_CHECK(
      answers.predictions.size() == answers.targets.size() && answers.columns > 0 &&
          answers.targets.size() % answers.columns == 0,
      ErrorCode::kShape,
      "[report::summarize] {} answers and {} targets of task '{}'; expected as many, {} in "
      "each row.",
      answers.predictions.size(),
      answers.targets.size(),
      task,
      answers.columns);
  TaskAnswers out;
  out.task = short_name(task);
  out.kind = kind;
  switch (kind) {
    case TaskKind::kRegression:
      summarize_numbers(out, answers, names, points);
      break;
    case TaskKind::kLabels:
      summarize_labels(out, answers, names);
      break;
    default:
      summarize_classes(out, answers, names);
  }
  return out;
}

ConfusionAnswers pixel_confusion(std::span<const std::size_t> counts, const AnswerNames& names) {
  const auto classes =
      static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(counts.size()))));
  DETENTE_CHECK(classes > 0 && classes * classes == counts.size(),
                ErrorCode::kShape,
                "[report::pixel_confusion] {} counts are no square table.",
                counts.size());
  return confusion_of(classes, names, [&](auto&& count) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > 0) count(i / classes, i % classes, std::uint64_t{counts[i]});
    }
  });
}

std::size_t points_of_each(std::size_t scatters) {
  return std::clamp(kAllPoints / std::max<std::size_t>(1, scatters), kFewestPoints, kMostPoints);
}

}  // namespace detente::report
