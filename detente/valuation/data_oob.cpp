// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/valuation/data_oob.h>
#include <detente/valuation/internal/tally.h>

#include <algorithm>
#include <cmath>

namespace detente::valuation {

std::vector<Estimate> data_oob(std::size_t n,
                               std::size_t outputs,
                               const FitAndScore& fit_and_score,
                               const OobOptions& options) {
  DETENTE_CHECK(n > 0 && outputs > 0 && options.models > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::data_oob] there are {} examples, {} outputs and {} models; expected "
                "at least one of each",
                n,
                outputs,
                options.models);
  internal::Tallies tallies(n, outputs);
  const Rng seeds(options.seed);
  std::vector<std::size_t> drawn(n);
  std::vector<std::size_t> others;
  for (std::size_t model = 0; model < options.models; ++model) {
    Rng rng = seeds.fork(model);
    for (std::size_t& row : drawn) row = static_cast<std::size_t>(rng.below(n));
    std::sort(drawn.begin(), drawn.end());
    others.clear();
    for (std::size_t row = 0, next = 0; row < n; ++row) {
      const bool in = next < n && drawn[next] == row;
      while (next < n && drawn[next] == row) ++next;
      if (!in) others.push_back(row);
    }
    if (!others.empty()) {
      const std::vector<double> scores = fit_and_score(drawn, others);
      DETENTE_CHECK(scores.size() == others.size() * outputs,
                    ErrorCode::kShape,
                    "[valuation::data_oob] model {} returned {} scores; expected {} for each of {} "
                    "rows that it did not draw",
                    model,
                    scores.size(),
                    outputs,
                    others.size());
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const std::size_t row = others[i / outputs];
        DETENTE_CHECK(!std::isinf(scores[i]),
                      ErrorCode::kNumeric,
                      "[valuation::data_oob] model {} scores {} on row {}, output {}; expected a "
                      "finite number, or NaN where there is no label",
                      model,
                      scores[i],
                      row,
                      i % outputs);
        if (!std::isnan(scores[i])) tallies.at(row, i % outputs).add(scores[i]);
      }
    }
    if (options.progress && !options.progress(model + 1, options.models)) break;
  }
  return tallies.estimates();
}

}  // namespace detente::valuation
