// SPDX-License-Identifier: Apache-2.0
#include <detente/appraise/frozen_features.h>
#include <detente/core/error.h>
#include <detente/core/spread_rows.h>
#include <detente/train/probe.h>

#include <algorithm>
#include <cmath>

namespace detente::appraise {
namespace {

void check_finite(const train::FeatureTable& table, const char* part) {
  for (std::size_t i = 0; i < table.values.size(); ++i) {
    DETENTE_CHECK(std::isfinite(table.values[i]),
                  ErrorCode::kNumeric,
                  "[appraise] the features of {} row {} are not finite; the model has diverged.",
                  part,
                  i / table.width);
  }
}

bool any_label(const std::vector<double>& labels) {
  return std::any_of(labels.begin(), labels.end(), [](double y) { return !std::isnan(y); });
}

// Of those that are known.
bool all_alike(const std::vector<double>& labels) {
  const auto known = [](double y) { return !std::isnan(y); };
  const auto first = std::find_if(labels.begin(), labels.end(), known);
  return std::all_of(first, labels.end(), [&](double y) { return std::isnan(y) || y == *first; });
}

// 0: numbers.
std::size_t classes_of(const train::TaskRecipe& task) {
  switch (task.head.kind) {
    case TaskKind::kBinary:
      return 2;
    case TaskKind::kClasses:
    case TaskKind::kOrdinal:
      return static_cast<std::size_t>(task.head.classes);
    default:
      return 0;
  }
}

bool has_one_answer(const train::TaskRecipe& task) {
  switch (task.head.kind) {
    case TaskKind::kBinary:
    case TaskKind::kClasses:
    case TaskKind::kOrdinal:
      return true;
    case TaskKind::kRegression:
      return task.columns.empty();
    default:
      return false;
  }
}

}  // namespace

FrozenFeatures::FrozenFeatures(const Subject& subject, std::size_t most_rows)
    : FrozenFeatures(subject, spread_rows(subject.corpus.dev->size(), most_rows)) {}

FrozenFeatures::FrozenFeatures(const Subject& subject, const std::vector<std::size_t>& rows) {
  const train::Recipe& recipe = subject.run.recipe;
  const std::int64_t batch = 4 * recipe.loop.batches.batch_size;
  train::FeatureTable table =
      train::feature_table(*subject.run.model, *subject.corpus.train, batch);
  check_finite(table, "training");
  width = table.width;
  train = std::move(table.values);
  table = train::feature_table(*subject.run.model, *subject.corpus.dev, batch);
  check_finite(table, "validation");
  for (const std::size_t row : rows) {
    const auto begin = table.values.begin() + static_cast<std::ptrdiff_t>(row * width);
    dev.insert(dev.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  for (const train::TaskRecipe& task : recipe.tasks) {
    if (!has_one_answer(task)) {
      notes.push_back(
          fmt::format("Task '{}' has no one number or class for each example, which this "
                      "method needs; it is left out.",
                      task.name));
      continue;
    }
    FrozenTask one{.name = task.name, .classes = classes_of(task)};
    one.train = subject.corpus.train->target(task.name).values;
    const auto& labels = subject.corpus.dev->target(task.name).values;
    for (const std::size_t row : rows) one.dev.push_back(labels[row]);
    if (any_label(one.train) && any_label(one.dev)) {
      if (all_alike(one.train)) {
        notes.push_back(fmt::format(
            "All training labels of task '{}' are the same: its values tell no label from another.",
            task.name));
      }
      tasks.push_back(std::move(one));
    } else {
      notes.push_back(
          fmt::format("Task '{}' has no label among the training rows or those that "
                      "judge; it is left out.",
                      task.name));
    }
  }
  std::string words;
  for (const auto& note : notes) words += " " + note;
  DETENTE_CHECK(
      !tasks.empty(),
      ErrorCode::kInvalidArgument,
      "[appraise] no task of the run can be judged by this method.{} in_run and tracin take "
      "every task.",
      words);
}

std::vector<valuation::RidgeTask> FrozenFeatures::train_tasks() const {
  std::vector<valuation::RidgeTask> all;
  for (const FrozenTask& task : tasks) all.push_back({task.train, task.classes});
  return all;
}

std::vector<valuation::RidgeTask> FrozenFeatures::dev_tasks() const {
  std::vector<valuation::RidgeTask> all;
  for (const FrozenTask& task : tasks) all.push_back({task.dev, task.classes});
  return all;
}

Appraisal FrozenFeatures::appraisal(const char* method,
                                    std::vector<valuation::Estimate> estimates) const {
  const auto n = static_cast<std::int64_t>(train.size() / std::max<std::size_t>(width, 1));
  Appraisal result{.table = {.method = method, .ids = valuation::all_ids(n)}, .notes = notes};
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    result.table.series.push_back(
        valuation::series_of(std::move(estimates[t]), tasks[t].name, tasks[t].name));
  }
  return result;
}

}  // namespace detente::appraise
