// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/value_text.h>
#include <detente/core/error.h>
#include <detente/report/html_page.h>
#include <detente/report/run_data.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/train/run_directory.h>
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>

namespace detente::cli {
namespace {

constexpr std::size_t kShownPairs = 3;
constexpr std::size_t kListedPairs = 10;

std::size_t with_other_target(const std::vector<data::RepeatedRow>& rows) {
  return static_cast<std::size_t>(std::count_if(
      rows.begin(), rows.end(), [](const data::RepeatedRow& row) { return row.other_target; }));
}

// "validation row 3 is training row 7, 5 is 2, ..."
std::string pairs_text(const char* first_words, const std::vector<data::RepeatedRow>& rows) {
  std::string text = first_words;
  const std::size_t shown = std::min(rows.size(), kShownPairs);
  for (std::size_t i = 0; i < shown; ++i) {
    text += i == 0 ? fmt::format(" {} is training row {}", rows[i].row, rows[i].first)
                   : fmt::format(", {} is {}", rows[i].row, rows[i].first);
  }
  return text + (shown < rows.size() ? ", ..." : "");
}

Json pairs_json(const std::vector<data::RepeatedRow>& rows) {
  Json list = Json::array();
  for (std::size_t i = 0; i < std::min(rows.size(), kListedPairs); ++i) {
    list.push_back(Json::array({rows[i].row, rows[i].first}));
  }
  return Json{{"count", rows.size()}, {"other_target", with_other_target(rows)}, {"rows", list}};
}

}  // namespace

void check_value_folder(const std::filesystem::path& folder,
                        const std::vector<const char*>& names,
                        bool force) {
  // A recipe alone is what `value clean` wrote.
  const bool run = std::filesystem::exists(folder / report::kRunMark) ||
                   std::filesystem::exists(train::RunDirectory{folder}.metrics());
  DETENTE_CHECK(!run,
                ErrorCode::kInvalidArgument,
                "[cli::value] --out '{}' is a run's folder; choose another.",
                folder.string());
  for (const char* name : names) {
    std::error_code ignored;
    const std::filesystem::file_status status =
        std::filesystem::symlink_status(folder / name, ignored);
    if (!std::filesystem::exists(status)) continue;
    DETENTE_CHECK(force && std::filesystem::is_regular_file(status),
                  ErrorCode::kInvalidArgument,
                  "[cli::value] '{}' is there already{}.",
                  (folder / name).string(),
                  force ? " and is no plain file; move it away" : "; --force writes over it");
  }
}

void print_curves(const std::vector<valuation::RemovalCurve>& curves, std::ostream& out) {
  for (const valuation::RemovalCurve& curve : curves) {
    std::vector<report::Column> columns = {{curve.metric + " of " + curve.task + " without"}};
    for (const double share : curve.lines.front().shares) {
      columns.push_back({report::percent_text(share), report::Align::kRight});
    }
    report::Table table(columns);
    for (const valuation::RemovalLine& line : curve.lines) {
      std::vector<std::string> cells = {line.name};
      for (const double score : line.scores) cells.push_back(fmt::format("{:.3g}", score));
      table.add_row(cells);
    }
    out << text::printable_lines(table.text()) << "\n";
  }
}

Json curves_json(const std::vector<valuation::RemovalCurve>& curves) {
  Json all = Json::array();
  for (const valuation::RemovalCurve& curve : curves) {
    Json lines = Json::array();
    for (const valuation::RemovalLine& line : curve.lines) {
      Json one{{"order", line.name}, {"shares", line.shares}, {"removed", line.removed}};
      one["scores"] = line.scores;
      if (!line.low.empty()) {
        one["low"] = line.low;
        one["high"] = line.high;
      }
      lines.push_back(std::move(one));
    }
    all.push_back(
        Json{{"task", curve.task}, {"metric", curve.metric}, {"lines", std::move(lines)}});
  }
  return all;
}

std::vector<std::string> repeated_warnings(const data::RepeatedRows& repeated, std::size_t dev) {
  std::vector<std::string> warnings;
  if (!repeated.dev.empty()) {
    warnings.push_back(fmt::format(
        "{} of {} validation rows have the very inputs of a training row ({}), {} of them with "
        "another "
        "target. A training row that judges itself looks worth more, or less, than it is: take the "
        "copies out, or split by group (data.split.group).",
        repeated.dev.size(),
        dev,
        pairs_text("validation row", repeated.dev),
        with_other_target(repeated.dev)));
  }
  if (!repeated.train.empty()) {
    warnings.push_back(
        fmt::format("{} training rows repeat the inputs of an earlier one ({}), {} of them with "
                    "another target. "
                    "Equal rows share what they are worth: each looks worth less than if it were "
                    "there alone, and "
                    "its copy stands in for it where it is left out.",
                    repeated.train.size(),
                    pairs_text("row", repeated.train),
                    with_other_target(repeated.train)));
  }
  return warnings;
}

Json repeated_json(const data::RepeatedRows& repeated) {
  return Json{{"validation", pairs_json(repeated.dev)}, {"training", pairs_json(repeated.train)}};
}

}  // namespace detente::cli
