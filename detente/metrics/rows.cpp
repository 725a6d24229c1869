// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/internal/rows.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace detente::metrics::internal {

Rows take_rows(const char* name, Values predictions, Values targets) {
  DETENTE_CHECK(predictions.size() == targets.size(),
                ErrorCode::kShape,
                "[metrics::{}] {} predictions for {} targets; expected as many of each.",
                name,
                predictions.size(),
                targets.size());
  Rows rows;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (std::isnan(targets[i])) continue;
    if (!std::isfinite(predictions[i]) && rows.reason.empty()) {
      rows.reason = fmt::format("the prediction of row {} is not finite", i);
    }
    if (!std::isfinite(targets[i]) && rows.reason.empty()) {
      rows.reason = fmt::format("the target of row {} is not finite", i);
    }
    rows.predictions.push_back(predictions[i]);
    rows.targets.push_back(targets[i]);
  }
  if (rows.size() == 0) rows.reason = "no row has a target";
  return rows;
}

Score undefined(const Rows& rows, std::string reason) {
  return {std::numeric_limits<double>::quiet_NaN(), std::move(reason), rows.size()};
}

Score defined(const Rows& rows, double value) { return {value, "", rows.size()}; }

double mean(const std::vector<double>& values) {
  const double n = static_cast<double>(values.size());
  const double first = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double rest = 0.0;
  for (const double v : values) rest += v - first;
  return first + rest / n;
}

}  // namespace detente::metrics::internal
