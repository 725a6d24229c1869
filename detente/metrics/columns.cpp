// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/metrics/columns.h>
#include <detente/metrics/internal/rows.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace detente::metrics {
namespace {

void check_table(const char* name, Values table, std::size_t rows, std::size_t columns) {
  DETENTE_CHECK(columns > 0 && table.size() == rows * columns,
                ErrorCode::kShape,
                "[metrics::{}] {} numbers for {} rows of {}; expected one for each.",
                name,
                table.size(),
                rows,
                columns);
}

std::size_t rows_of(const char* name, Values predictions, Values targets, std::size_t columns) {
  const std::size_t rows = columns == 0 ? 0 : targets.size() / columns;
  check_table(name, targets, rows, columns);
  check_table(name, predictions, rows, columns);
  return rows;
}

std::vector<double> take_column(Values table, std::size_t columns, std::size_t column) {
  std::vector<double> values;
  for (std::size_t i = column; i < table.size(); i += columns) values.push_back(table[i]);
  return values;
}

Score no_score(std::string reason, std::size_t rows) {
  return {std::numeric_limits<double>::quiet_NaN(), std::move(reason), rows};
}

std::size_t rows_with_target(Values targets, std::size_t columns) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < targets.size(); i += columns) {
    bool known = false;
    for (std::size_t c = 0; c < columns; ++c) known = known || !std::isnan(targets[i + c]);
    count += known ? 1 : 0;
  }
  return count;
}

}  // namespace

Score mean_over_columns(Metric metric, Values predictions, Values targets, std::size_t columns) {
  rows_of("mean_over_columns", predictions, targets, columns);
  if (columns == 1) return metric(predictions, targets);
  const std::size_t rows = rows_with_target(targets, columns);
  double sum = 0.0;
  for (std::size_t c = 0; c < columns; ++c) {
    const Score score =
        metric(take_column(predictions, columns, c), take_column(targets, columns, c));
    if (!score.defined()) {
      return no_score(fmt::format("column {} of {}: {}", c + 1, columns, score.reason), rows);
    }
    sum += score.value;
  }
  return {sum / static_cast<double>(columns), "", rows};
}

Score mean_over_defined(Metric metric, Values predictions, Values targets, std::size_t columns) {
  rows_of("mean_over_defined", predictions, targets, columns);
  const std::size_t rows = rows_with_target(targets, columns);
  double sum = 0.0;
  double count = 0.0;
  std::string reason;
  for (std::size_t c = 0; c < columns; ++c) {
    const Score score =
        metric(take_column(predictions, columns, c), take_column(targets, columns, c));
    if (!score.defined()) {
      if (reason.empty()) reason = score.reason;
      continue;
    }
    sum += score.value;
    count += 1.0;
  }
  if (count == 0.0) {
    return no_score(
        fmt::format("undefined for each of the {} labels; of the first, {}", columns, reason),
        rows);
  }
  return {sum / count, "", rows};
}

Score one_vs_rest(Metric metric, Values probabilities, Values targets, std::size_t classes) {
  check_table("one_vs_rest", probabilities, targets.size(), classes);
  double sum = 0.0;
  std::size_t rows = 0;
  std::vector<double> ones(targets.size());
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const bool known = !std::isnan(targets[i]);
      ones[i] = !known ? targets[i] : targets[i] == static_cast<double>(c) ? 1.0 : 0.0;
    }
    const Score score = metric(take_column(probabilities, classes, c), ones);
    rows = score.rows;
    if (!score.defined()) {
      return no_score(fmt::format("class {} against the rest: {}", c, score.reason), rows);
    }
    sum += score.value;
  }
  return {sum / static_cast<double>(classes), "", rows};
}

Score micro_f1(Values predictions, Values targets, double threshold) {
  Score score = f1(predictions, targets, threshold);
  if (score.reason == "no target is positive") score.reason = "no row has a label";
  return score;
}

Score macro_f1_of_labels(Values predictions,
                         Values targets,
                         std::size_t columns,
                         double threshold) {
  rows_of("macro_f1_of_labels", predictions, targets, columns);
  const std::size_t rows = rows_with_target(targets, columns);
  double sum = 0.0;
  double count = 0.0;
  for (std::size_t c = 0; c < columns; ++c) {
    const internal::Rows known = internal::take_rows("macro_f1_of_labels",
                                                     take_column(predictions, columns, c),
                                                     take_column(targets, columns, c));
    if (known.size() == 0) continue;
    if (!known.reason.empty()) return no_score(known.reason, rows);
    double both = 0.0;
    double either_side = 0.0;
    for (std::size_t i = 0; i < known.size(); ++i) {
      const bool predicted = known.predictions[i] >= threshold;
      const bool there = known.targets[i] == 1.0;
      both += predicted && there ? 1.0 : 0.0;
      either_side += (predicted ? 1.0 : 0.0) + (there ? 1.0 : 0.0);
    }
    if (either_side == 0.0) continue;
    sum += 2.0 * both / either_side;
    count += 1.0;
  }
  if (count == 0.0) {
    return no_score(rows == 0 ? "no row has a target" : "no label is there or predicted", rows);
  }
  return {sum / count, "", rows};
}

Score exact_match(Values predictions, Values targets, std::size_t columns, double threshold) {
  const std::size_t rows = rows_of("exact_match", predictions, targets, columns);
  double right = 0.0;
  double count = 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    bool known = false;
    bool all = true;
    for (std::size_t c = i * columns; c < (i + 1) * columns; ++c) {
      if (std::isnan(targets[c])) continue;
      if (!std::isfinite(predictions[c])) {
        return no_score(fmt::format("the prediction of row {} is not finite", i), rows);
      }
      known = true;
      all = all && (predictions[c] >= threshold) == (targets[c] == 1.0);
    }
    if (!known) continue;
    count += 1.0;
    right += all ? 1.0 : 0.0;
  }
  if (count == 0.0) return no_score("no row has a target", 0);
  return {right / count, "", static_cast<std::size_t>(count)};
}

}  // namespace detente::metrics
