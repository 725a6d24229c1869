// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/core/suggest.h>
#include <detente/valuation/clean.h>
#include <detente/valuation/value_summary.h>

#include <algorithm>
#include <cmath>

namespace detente::valuation {
namespace {

void demand_name(const char* what, const std::string& name, const std::vector<std::string>& there) {
  DETENTE_CHECK(std::find(there.begin(), there.end(), name) != there.end(),
                ErrorCode::kInvalidArgument,
                "[valuation::clean] no value is of {} '{}'; {}",
                what,
                name,
                expected_one_of(name, there));
}

ValueSeries series_of(const ValueTable& table,
                      const std::string& judged,
                      const std::string& trained,
                      const std::string& modality) {
  demand_name("the judged task", judged, tasks_judged(table));
  if (trained != kAll) demand_name("the trained task", trained, tasks_trained(table));
  if (modality != kAll) demand_name("the modality", modality, modalities(table));
  auto series = joined_series(table, judged, trained, modality);
  DETENTE_CHECK(series.has_value(),
                ErrorCode::kInvalidArgument,
                "[valuation::clean] there are no values of task '{}' trained, judged by '{}', with "
                "modality '{}' together; expected a combination that values.csv has.",
                trained,
                judged,
                modality);
  return std::move(*series);
}

void check_rule(const CleanRule& rule) {
  DETENTE_CHECK(
      rule.quantile || rule.below || rule.harmful,
      ErrorCode::kInvalidArgument,
      "[valuation::clean] nothing says which examples go; expected a quantile, a bound on "
      "the value, or the verdict harmful.");
  DETENTE_CHECK(!rule.quantile || (*rule.quantile > 0 && *rule.quantile < 1),
                ErrorCode::kInvalidArgument,
                "[valuation::clean] the quantile is {}; expected a share between 0 and 1, such as "
                "0.1 for the lowest tenth.",
                rule.quantile.value_or(0));
  DETENTE_CHECK(!rule.below || !std::isnan(*rule.below),
                ErrorCode::kInvalidArgument,
                "[valuation::clean] the bound on the value is NaN; expected a number.");
}

double quantile_of(const std::vector<double>& values, double share) {
  std::vector<double> known;
  for (const double value : values) {
    if (std::isfinite(value)) known.push_back(value);
  }
  if (known.empty()) return std::numeric_limits<double>::quiet_NaN();
  // Half a unit in the last place more, so that 0.3 of 10 is 3.
  const auto at =
      std::min(static_cast<std::size_t>(share * static_cast<double>(known.size()) * (1 + 1e-12)),
               known.size() - 1);
  std::nth_element(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(at), known.end());
  return known[at];
}

}  // namespace

Cleaning choose_removed(const ValueTable& table, const CleanRule& rule) {
  check_table(table);
  check_rule(rule);
  const ValueSeries series = series_of(table, rule.judged, rule.trained, rule.modality);
  std::vector<ValueSeries> spared;
  for (const std::string& task : rule.spare) {
    spared.push_back(series_of(table, task, kAll, kAll));
  }
  const ValueSummary summary = summarize(series);
  Cleaning out;
  out.known = summary.known;
  out.has_errors = summary.has_errors;
  if (rule.quantile) out.threshold = quantile_of(series.values, *rule.quantile);
  const std::vector<Verdict> judged = verdicts(series);
  for (std::size_t i = 0; i < table.ids.size(); ++i) {
    const double value = series.values[i];
    const bool goes =
        std::isfinite(value) && (!out.threshold || value < *out.threshold) &&
        (!rule.below || value < *rule.below) && (!rule.harmful || judged[i] == Verdict::kHarmful) &&
        std::none_of(
            spared.begin(), spared.end(), [&](const ValueSeries& of) { return of.values[i] > 0; });
    if (goes) out.ids.push_back(table.ids[i]);
  }
  DETENTE_CHECK(out.ids.empty() || out.ids.size() < table.ids.size(),
                ErrorCode::kInvalidArgument,
                "[valuation::clean] all {} examples would go; expected a rule that leaves some.",
                table.ids.size());
  std::sort(out.ids.begin(), out.ids.end());
  out.ids.erase(std::unique(out.ids.begin(), out.ids.end()), out.ids.end());
  return out;
}

std::vector<std::int64_t> random_removed(const ValueTable& table,
                                         const CleanRule& rule,
                                         std::size_t count,
                                         std::uint64_t seed) {
  check_table(table);
  const ValueSeries series = series_of(table, rule.judged, rule.trained, rule.modality);
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < table.ids.size(); ++i) {
    if (std::isfinite(series.values[i])) ids.push_back(table.ids[i]);
  }
  DETENTE_CHECK(count == 0 || (count <= ids.size() && count < table.ids.size()),
                ErrorCode::kInvalidArgument,
                "[valuation::clean] {} of {} examples are to go; expected fewer than there are.",
                count,
                ids.size());
  // A stream of its own: the same seed elsewhere draws other numbers.
  Rng rng = Rng(seed).fork(0x636c65616e);
  rng.shuffle(ids);
  ids.resize(count);
  std::sort(ids.begin(), ids.end());
  return ids;
}

}  // namespace detente::valuation
