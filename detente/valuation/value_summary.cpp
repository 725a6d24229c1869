// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/valuation/value_summary.h>

#include <algorithm>
#include <cmath>

namespace detente::valuation {
namespace {

std::vector<std::string> names(const ValueTable& table, std::string ValueSeries::*of) {
  std::vector<std::string> found;
  for (const ValueSeries& series : table.series) {
    if (std::find(found.begin(), found.end(), series.*of) == found.end()) {
      found.push_back(series.*of);
    }
  }
  return found;
}

// Those that are named `wanted`; of kAll, where none is, all.
std::vector<const ValueSeries*> chosen(const std::vector<const ValueSeries*>& from,
                                       std::string ValueSeries::*of,
                                       const std::string& wanted) {
  std::vector<const ValueSeries*> exact;
  for (const ValueSeries* series : from) {
    if (series->*of == wanted) exact.push_back(series);
  }
  return exact.empty() && wanted == kAll ? from : exact;
}

double error_of(const ValueSeries& series, std::size_t i) {
  return series.standard_errors.empty() ? kNan : series.standard_errors[i];
}

void add(ValueSeries& total, const ValueSeries& part) {
  for (std::size_t i = 0; i < total.values.size(); ++i) {
    if (std::isnan(part.values[i])) continue;
    const bool first = std::isnan(total.values[i]);
    total.values[i] = first ? part.values[i] : total.values[i] + part.values[i];
    total.standard_errors[i] =
        first ? error_of(part, i) : total.standard_errors[i] + error_of(part, i);
  }
}

}  // namespace

std::vector<std::string> tasks_trained(const ValueTable& table) {
  return names(table, &ValueSeries::task_trained);
}

std::vector<std::string> tasks_judged(const ValueTable& table) {
  return names(table, &ValueSeries::task_judged);
}

std::vector<std::string> modalities(const ValueTable& table) {
  return names(table, &ValueSeries::modality);
}

std::vector<std::string> few_modalities(const ValueTable& table) {
  std::vector<std::string> names = modalities(table);
  std::erase(names, kAll);
  return names.size() >= 2 && names.size() <= 6 ? names : std::vector<std::string>();
}

void check_table(const ValueTable& table) {
  const std::size_t count = table.ids.size();
  for (const ValueSeries& series : table.series) {
    const bool fits = series.values.size() == count &&
                      (series.standard_errors.empty() || series.standard_errors.size() == count) &&
                      (series.counts.empty() || series.counts.size() == count);
    DETENTE_CHECK(fits,
                  ErrorCode::kShape,
                  "[valuation::check_table] the values of '{}' trained on '{}' judged by '{}' are "
                  "{}, with {} standard errors and {} counts; expected {}, one for each example "
                  "(errors and counts may be absent).",
                  series.modality,
                  series.task_trained,
                  series.task_judged,
                  series.values.size(),
                  series.standard_errors.size(),
                  series.counts.size(),
                  count);
  }
}

std::optional<ValueSeries> joined_series(const ValueTable& table,
                                         const std::string& judged,
                                         const std::string& trained,
                                         const std::string& modality) {
  std::vector<const ValueSeries*> found;
  for (const ValueSeries& series : table.series) {
    if (series.task_judged == judged) found.push_back(&series);
  }
  found = chosen(found, &ValueSeries::task_trained, trained);
  found = chosen(found, &ValueSeries::modality, modality);
  if (found.empty()) return std::nullopt;
  if (found.size() == 1) return *found.front();
  ValueSeries total;
  total.task_judged = judged;
  total.task_trained = trained;
  total.modality = modality;
  total.values.assign(table.ids.size(), kNan);
  total.standard_errors.assign(table.ids.size(), kNan);
  for (const ValueSeries* part : found) add(total, *part);
  return total;
}

double ValueSummary::harmful_share() const {
  if (known == 0) return kNan;
  return static_cast<double>(has_errors ? harmful : below_zero) / static_cast<double>(known);
}

ValueSummary summarize(const ValueSeries& series) {
  ValueSummary summary;
  // The mean of numbers near the largest a double holds must not become infinite on the way.
  long double sum = 0;
  for (std::size_t i = 0; i < series.values.size(); ++i) {
    const double value = series.values[i];
    if (!std::isfinite(value)) continue;
    ++summary.known;
    sum += value;
    if (value < 0) ++summary.below_zero;
    const double error = error_of(series, i);
    if (std::isfinite(error)) summary.has_errors = true;
    switch (verdict(value, error)) {
      case Verdict::kHelpful:
        ++summary.helpful;
        break;
      case Verdict::kHarmful:
        ++summary.harmful;
        break;
      case Verdict::kUndecided:
        ++summary.undecided;
        break;
    }
  }
  summary.sum = static_cast<double>(sum);
  if (summary.known > 0) {
    summary.mean = static_cast<double>(sum / static_cast<long double>(summary.known));
  }
  return summary;
}

std::vector<Verdict> verdicts(const ValueSeries& series) {
  std::vector<Verdict> out;
  for (std::size_t i = 0; i < series.values.size(); ++i) {
    out.push_back(verdict(series.values[i], error_of(series, i)));
  }
  return out;
}

}  // namespace detente::valuation
