// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/ranking.h>
#include <detente/report/table.h>
#include <detente/valuation/suspects.h>
#include <detente/valuation/value_summary.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

namespace detente::valuation {
namespace {

// From 0, ascending; of equal numbers the mean of their places, of NaN the middle.
std::vector<double> places(const std::vector<double>& numbers) {
  std::vector<std::size_t> known;
  std::vector<double> values;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (std::isnan(numbers[i])) continue;
    known.push_back(i);
    values.push_back(numbers[i]);
  }
  std::vector<double> out(numbers.size(), (static_cast<double>(numbers.size()) - 1) / 2);
  if (known.size() < 2) return out;
  // Places among the known are stretched to those of all, so that an unknown one is no favour.
  const double stretch =
      (static_cast<double>(numbers.size()) - 1) / (static_cast<double>(known.size()) - 1);
  const std::vector<double> ranks = metrics::average_ranks(values);
  for (std::size_t i = 0; i < known.size(); ++i) out[known[i]] = stretch * (ranks[i] - 1);
  return out;
}

void check_labels(const ValueTable& table, const TaskLabels& labels) {
  const bool fits = labels.given.size() == table.ids.size() &&
                    (labels.disagreement.empty() || labels.disagreement.size() == table.ids.size());
  DETENTE_CHECK(fits,
                ErrorCode::kShape,
                "[valuation::suspects] task '{}' has {} labels and {} disagreements; expected {}, "
                "one for each example (disagreements may be absent).",
                labels.task,
                labels.given.size(),
                labels.disagreement.size(),
                table.ids.size());
}

std::optional<ValueSeries> own_values(const ValueTable& table, const std::string& task) {
  if (auto own = joined_series(table, task, task)) return own;
  return joined_series(table, task);
}

std::string number_or_nothing(double value) {
  return std::isnan(value) ? std::string() : fmt::format("{}", value);
}

}  // namespace

std::vector<Suspect> suspects(const ValueTable& table,
                              const std::vector<TaskLabels>& labels,
                              std::size_t most) {
  check_table(table);
  std::vector<Suspect> found;
  std::set<std::string> seen;
  for (const TaskLabels& of : labels) {
    check_labels(table, of);
    DETENTE_CHECK(seen.insert(of.task).second,
                  ErrorCode::kInvalidArgument,
                  "[valuation::suspects] labels of task '{}' are given twice; expected once.",
                  of.task);
    const auto series = own_values(table, of.task);
    if (!series) continue;
    std::vector<std::size_t> at;
    std::vector<double> values;
    std::vector<double> agreement;
    for (std::size_t i = 0; i < table.ids.size(); ++i) {
      if (of.given[i].empty() || !std::isfinite(series->values[i])) continue;
      at.push_back(i);
      values.push_back(series->values[i]);
      agreement.push_back(of.disagreement.empty() ? std::nan("") : -of.disagreement[i]);
    }
    std::vector<double> place = places(values);
    const bool both = std::any_of(
        agreement.begin(), agreement.end(), [](double number) { return !std::isnan(number); });
    if (both) {
      const std::vector<double> other = places(agreement);
      for (std::size_t i = 0; i < place.size(); ++i) place[i] += other[i];
    }
    std::vector<std::size_t> order(at.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(place[a], table.ids[at[a]]) < std::pair(place[b], table.ids[at[b]]);
    });
    for (std::size_t r = 0; r < std::min(most, order.size()); ++r) {
      const std::size_t i = order[r];
      found.push_back(
          {table.ids[at[i]], of.task, of.given[at[i]], values[i], -agreement[i], r + 1});
    }
  }
  return found;
}

std::string suspects_csv(const std::vector<Suspect>& suspects) {
  report::Table table({{"id"}, {"task"}, {"label"}, {"value"}, {"disagreement"}, {"rank"}});
  for (const Suspect& suspect : suspects) {
    table.add_row({fmt::format("{}", suspect.id),
                   suspect.task,
                   suspect.label,
                   number_or_nothing(suspect.value),
                   number_or_nothing(suspect.disagreement),
                   fmt::format("{}", suspect.rank)});
  }
  return table.csv();
}

}  // namespace detente::valuation
