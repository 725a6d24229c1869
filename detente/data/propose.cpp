// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/propose.h>
#include <detente/data/propose_steps.h>
#include <detente/data/split.h>
#include <detente/data/table_column.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace detente::data {
namespace {

constexpr std::size_t kRowsForTest = 50;  // below, a test part tells nothing
constexpr std::int64_t kSeedsTried = 100;

bool has_label(const Table& table, std::size_t column, const RowList& rows) {
  return std::any_of(rows.begin(), rows.end(), [&](std::size_t row) {
    return !is_missing(table.cell(row, column));
  });
}

// Whether training would find an input that tells rows apart.
bool has_input(const Table& train, const RecipeProposal& proposal) {
  std::set<std::string> others;
  for (const ProposedTask& task : proposal.tasks) others.insert(task.column);
  for (const ProposedColumn& column : proposal.ignored) others.insert(column.name);
  const std::set<std::string> categories(proposal.categories.begin(), proposal.categories.end());
  return std::any_of(
      train.column_names().begin(), train.column_names().end(), [&](const std::string& name) {
        std::string note;
        return !others.contains(name) &&
               TableColumn::fit(train, name, categories.contains(name), {}, note).has_value();
      });
}

// A part without any target of a task, or without an input, is an error of the recipe; the seed can
// prevent it where rows are few.
void choose_seed(const Table& table, RecipeProposal& proposal) {
  Split split{.dev = proposal.dev, .test = proposal.test, .seed = 0, .group = proposal.group};
  for (; split.seed < kSeedsTried; ++split.seed) {
    bool usable = true;
    for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
      if (!split.has(part)) continue;
      const RowList rows = split.rows(part, table);
      for (const ProposedTask& task : proposal.tasks) {
        usable = usable && has_label(table, table.column_index(task.column), rows);
      }
      if (part == Part::kTrain) usable = usable && has_input(table.select(rows), proposal);
    }
    proposal.split_seed = split.seed;
    if (usable) return;
  }
  fail(
      ErrorCode::kData,
      "[data::propose_recipe] no split of the {} rows of '{}' leaves an input that differs between "
      "training rows and a target of every task in each part; expected more rows, or name fewer "
      "targets.",
      table.rows(),
      table.source());
}

}  // namespace

namespace internal {

// Sizes that suit small networks on so many rows; nothing is measured.
void choose_sizes(RecipeProposal& proposal) {
  const auto rows = static_cast<double>(proposal.rows);
  if (rows < 1000) {
    proposal.widths = {64, 32};
    proposal.dropout = 0.2;
    proposal.batch_size = 16;
  } else if (rows < 10000) {
    proposal.widths = {128, 64};
    proposal.dropout = 0.1;
    proposal.batch_size = 32;
  } else {
    proposal.widths = {256, 128};
    proposal.batch_size = rows < 100000 ? 64 : 256;
  }
  proposal.lr = 0.002;
  // About as many steps whatever the number of rows.
  const double epochs = 4000.0 * static_cast<double>(proposal.batch_size) / rows;
  proposal.epochs = std::llround(std::clamp(epochs, 3.0, 60.0));
}

}  // namespace internal

RecipeProposal propose_recipe(const Table& table, const std::vector<std::string>& targets) {
  DETENTE_CHECK(table.rows() >= 2,
                ErrorCode::kData,
                "[data::propose_recipe] '{}' has {} row; expected at least 2, one to train on and "
                "one to choose the epoch by.",
                table.source(),
                table.rows());
  DETENTE_CHECK(table.columns() >= 2,
                ErrorCode::kData,
                "[data::propose_recipe] '{}' has one column, '{}'; expected at least one more, to "
                "predict one from the other.{}",
                table.source(),
                table.column_names()[0],
                table.unsplit_hint());
  const std::vector<ColumnSurvey> columns = survey_columns(table);
  RecipeProposal proposal;
  proposal.rows = table.rows();
  proposal.tasks = internal::propose_targets(table, columns, targets, proposal.why_targets);
  internal::propose_inputs(table, columns, proposal);
  if (proposal.inputs == 0) {
    std::string reasons;
    for (const ProposedColumn& column : proposal.ignored) {
      reasons += fmt::format("\n  Column '{}': {}.", column.name, column.why);
    }
    fail(ErrorCode::kData,
         "[data::propose_recipe] '{}' has no column to predict {} from; expected at least one more "
         "that tells something about its rows.{}",
         table.source(),
         proposal.tasks.size() == 1 ? fmt::format("'{}'", proposal.tasks[0].column) : "the targets",
         reasons);
  }
  proposal.dev = 0.15;
  proposal.test = table.rows() >= kRowsForTest ? 0.15 : 0;
  choose_seed(table, proposal);
  internal::choose_sizes(proposal);
  return proposal;
}

}  // namespace detente::data
