// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/metrics/registry.h>
#include <detente/train/recipe.h>
#include <detente/train/selection.h>

#include <algorithm>
#include <cmath>

namespace detente::train {

namespace {

constexpr std::string_view kMean = "mean";
constexpr std::string_view kBlanks = " \t";

bool more_is_better(const TaskRecipe& task, const std::string& metric) {
  return metrics::get_metric(metric, task.head.kind).higher_is_better;
}

std::vector<SelectedMetric> every_metric(std::span<const TaskRecipe> tasks) {
  std::vector<SelectedMetric> all;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    for (const auto& metric : tasks[t].metrics) {
      all.push_back({t, metric, more_is_better(tasks[t], metric)});
    }
  }
  return all;
}

std::vector<SelectedMetric> one_of_every_task(std::span<const TaskRecipe> tasks) {
  std::vector<SelectedMetric> chosen;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const auto& names = tasks[t].metrics;
    const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
      return more_is_better(tasks[t], name);
    });
    DETENTE_CHECK(found != names.end(),
                  ErrorCode::kInvalidArgument,
                  "[train::selection] 'train.select: mean' averages a metric of every task that is "
                  "1 at best, but task '{}' has none ({}). Name the metrics instead: "
                  "'task.metric, task.metric'.",
                  tasks[t].name,
                  join_names(names));
    chosen.push_back({t, *found});
  }
  return chosen;
}

}  // namespace

std::vector<SelectedMetric> parse_selection(std::string_view select,
                                            std::span<const TaskRecipe> tasks) {
  if (tasks.empty()) {
    DETENTE_CHECK(select.empty(),
                  ErrorCode::kInvalidArgument,
                  "[train::selection] 'train.select' is '{}', and there is no supervised task; "
                  "leave it out: the first probe's knn20 chooses the epoch, or the last is kept.",
                  select);
    return {};
  }
  if (select.empty()) {
    const std::string& metric = tasks.front().metrics.front();
    return {{0, metric, more_is_better(tasks.front(), metric)}};
  }
  if (select == kMean) return one_of_every_task(tasks);
  const auto all = every_metric(tasks);
  std::vector<std::string> names;
  for (const auto& one : all) names.push_back(tasks[one.task].name + "." + one.metric);

  // A task's name may have commas itself: the longest name that fits comes first.
  std::vector<SelectedMetric> chosen;
  std::string_view rest = trim(select, kBlanks);
  while (true) {
    std::size_t best = names.size();
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string_view after =
          rest.starts_with(names[i]) ? trim(rest.substr(names[i].size()), kBlanks) : "?";
      if (!after.empty() && after.front() != ',') continue;
      if (best == names.size() || names[i].size() > names[best].size()) best = i;
    }
    if (best == names.size()) {
      const std::string wrong(trim(rest.substr(0, rest.find(',')), kBlanks));
      auto allowed = names;
      allowed.emplace_back(kMean);
      fail(ErrorCode::kInvalidArgument,
           "[train::selection] 'train.select' must be of: {}; several with commas between them; "
           "got '{}'.{}",
           join_names(allowed),
           wrong,
           did_you_mean(wrong, allowed));
    }
    chosen.push_back(all[best]);
    rest = trim(rest.substr(names[best].size()), kBlanks);
    if (rest.empty()) break;
    rest = trim(rest.substr(1), kBlanks);
  }
  if (chosen.size() == 1) return chosen;
  for (const auto& one : chosen) {
    DETENTE_CHECK(
        one.higher_is_better,
        ErrorCode::kInvalidArgument,
        "[train::selection] 'train.select': {}.{} is an error, of which less is better, "
        "and has no mean with others. Name metrics that are 1 at best, or this one alone.",
        tasks[one.task].name,
        one.metric);
  }
  return chosen;
}

double selected_value(
    std::span<const SelectedMetric> selection,
    std::span<const std::vector<MetricValue>> metrics,
    const std::function<void(const SelectedMetric&, const std::string& reason)>& undefined) {
  double sum = 0;
  std::size_t defined = 0;
  for (const auto& one : selection) {
    const auto& values = metrics[one.task];
    const auto found = std::find_if(values.begin(), values.end(), [&](const MetricValue& value) {
      return value.name == one.metric;
    });
    if (found == values.end() || !std::isfinite(found->value)) {
      undefined(one, found == values.end() ? "" : found->reason);
      continue;
    }
    ++defined;
    sum += one.higher_is_better ? found->value : -found->value;
  }
  return defined == 0 ? std::nan("") : sum / static_cast<double>(selection.size());
}

}  // namespace detente::train
