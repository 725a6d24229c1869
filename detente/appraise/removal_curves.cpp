// SPDX-License-Identifier: Apache-2.0
#include <detente/appraise/frozen_features.h>
#include <detente/appraise/removal_curves.h>
#include <detente/core/error.h>
#include <detente/core/spread_rows.h>
#include <detente/valuation/value_summary.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::appraise {
namespace {

constexpr std::size_t kFewestOthers = 50;

// Validation rows that no value was judged by, where there are enough of them.
std::vector<std::size_t> scoring_rows(std::size_t size, std::size_t judging, bool& others) {
  const std::vector<std::size_t> judged = spread_rows(size, judging);
  const std::vector<std::size_t> all = spread_rows(size, size);
  std::vector<std::size_t> rest;
  std::set_difference(
      all.begin(), all.end(), judged.begin(), judged.end(), std::back_inserter(rest));
  others = rest.size() >= kFewestOthers;
  return others ? rest : all;
}

}  // namespace

RemovalCurves removal_curves(const Subject& subject,
                             const Options& options,
                             const valuation::ValueTable& table,
                             const valuation::RemovalOptions& removal) {
  bool others = false;
  const auto rows = scoring_rows(subject.corpus.dev->size(), options.rows, others);
  const FrozenFeatures frozen(subject, rows);
  RemovalCurves found;
  for (const FrozenTask& task : frozen.tasks) {
    auto series = valuation::joined_series(table, task.name);
    if (!series) continue;
    for (std::size_t i = 0; i < task.train.size(); ++i) {
      if (std::isnan(task.train[i])) series->values[i] = std::nan("");
    }
    valuation::Ridge ridge(frozen.train, frozen.width, {{task.train, task.classes}});
    const valuation::Utility score =
        valuation::utility_of(ridge, frozen.dev, {{task.dev, task.classes}});
    valuation::RemovalCurve curve = valuation::removal_curve(
        series->values,
        [&](std::span<const std::size_t> kept) { return score(kept).front(); },
        removal);
    curve.task = task.name;
    curve.metric = task.classes > 0 ? "accuracy" : "minus the squared error";
    found.curves.push_back(std::move(curve));
  }
  DETENTE_CHECK(
      !found.curves.empty(),
      ErrorCode::kInvalidArgument,
      "[appraise] there are no values of a task with one number or class for each example, "
      "which --curve needs.");
  found.notes.push_back(fmt::format(
      "What removing does is measured with ridge models on the run's features and {} validation "
      "rows{}",
      rows.size(),
      others ? ", none of which judged the values."
             : ", those that judge among them: that flatters a method that judges by them. "
               "Fewer --rows leave others."));
  return found;
}

}  // namespace detente::appraise
