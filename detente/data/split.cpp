// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/split.h>
#include <detente/data/table_column.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

namespace detente::data {
namespace {

// Rows that stay together, and the rows of all of them.
using Groups = std::vector<RowList>;

std::size_t share_of(double share, std::size_t count) {
  if (share <= 0) return 0;
  const auto rows = static_cast<std::size_t>(std::llround(share * static_cast<double>(count)));
  return std::max<std::size_t>(rows, 1);
}

Rng split_rng(std::int64_t seed) {
  return Rng(static_cast<std::uint64_t>(seed)).fork(0x73706c6974);
}

RowList joined(const Groups& groups, std::size_t begin, std::size_t end) {
  RowList rows;
  for (std::size_t i = begin; i < end; ++i) {
    rows.insert(rows.end(), groups[i].begin(), groups[i].end());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

RowList slice(const RowList& order, std::size_t begin, std::size_t end) {
  RowList rows(order.begin() + static_cast<std::ptrdiff_t>(begin),
               order.begin() + static_cast<std::ptrdiff_t>(end));
  std::sort(rows.begin(), rows.end());
  return rows;
}

// Where the i-th of `folds` parts of `count` begins.
std::size_t fold_begin(std::size_t i, std::size_t folds, std::size_t count) {
  return i * count / folds;
}

// Groups in the order of their names, which is the same whatever the order of the rows.
Groups groups_of(const Table& table, const std::string& name) {
  const std::size_t column = table.column_index(name);
  std::map<std::string, RowList> groups;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = trim(table.cell(i, column));
    DETENTE_CHECK(
        !is_missing(cell),
        ErrorCode::kData,
        "[data::Split] line {} of '{}' has no group in column '{}'; expected one in every "
        "row (data.split.group).",
        table.line(i),
        table.source(),
        name);
    const auto value = parse_cell(cell);
    const bool number = value && std::isfinite(*value);
    groups[number ? number_text(*value + 0.0) : std::string(cell)].push_back(i);
  }
  Groups result;
  for (auto& [word, rows] : groups) result.push_back(std::move(rows));
  return result;
}

// Moments from the first to the last.
Groups moments_of(const Table& table, const std::string& name) {
  const std::size_t column = table.column_index(name);
  std::map<double, RowList> moments;
  bool dates = false;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, column);
    if (i == 0) dates = parse_date(cell).has_value();
    const auto value = dates ? parse_date(cell) : parse_cell(cell);
    DETENTE_CHECK(
        value && std::isfinite(*value) && !is_missing(cell),
        ErrorCode::kData,
        "[data::Split] line {} of '{}', column '{}': '{}' is no {}; expected one in every "
        "row (data.split.time): dates such as 2011-01-31 or 2011-01-31 12:00, or numbers.",
        table.line(i),
        table.source(),
        name,
        cell,
        dates ? "date" : "finite number");
    moments[*value + 0.0].push_back(i);
  }
  Groups result;
  for (auto& [when, rows] : moments) result.push_back(std::move(rows));
  return result;
}

// Takes groups off the end while that brings their rows nearer to `wanted`, at least one; returns
// where they begin.
std::size_t take_last(const Groups& groups, std::size_t end, std::size_t wanted) {
  if (wanted == 0) return end;
  std::size_t begin = end;
  std::size_t taken = 0;
  while (begin > 0) {
    const std::size_t more = taken + groups[begin - 1].size();
    if (taken > 0 && more > wanted && more - wanted >= wanted - std::min(taken, wanted)) break;
    taken = more;
    --begin;
    if (taken >= wanted) break;
  }
  return begin;
}

// Brings groups to the front that together have nearly `wanted` rows, at least one group; returns how
// many. Large ones that would be too much are passed by.
std::size_t take_nearest(Groups& groups, std::size_t begin, std::size_t wanted) {
  if (wanted == 0 || begin >= groups.size()) return begin;
  std::size_t taken = 0;
  std::size_t end = begin;
  for (std::size_t i = begin; i < groups.size() && taken < wanted; ++i) {
    const std::size_t more = taken + groups[i].size();
    if (more > wanted && more - wanted >= wanted - taken) continue;
    std::rotate(groups.begin() + static_cast<std::ptrdiff_t>(end),
                groups.begin() + static_cast<std::ptrdiff_t>(i),
                groups.begin() + static_cast<std::ptrdiff_t>(i + 1));
    taken = more;
    ++end;
  }
  if (end == begin) {  // all are too large: the smallest is the least wrong
    const auto first = groups.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto smallest = std::min_element(
        first, groups.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    std::rotate(first, smallest, smallest + 1);
    ++end;
  }
  return end;
}

// Each group from `begin` on goes to the fold that has the fewest rows so far, the largest first.
// Returns the groups ordered by fold and where each fold begins.
std::vector<std::size_t> deal_folds(Groups& groups, std::size_t begin, std::size_t folds) {
  const auto first = groups.begin() + static_cast<std::ptrdiff_t>(begin);
  std::stable_sort(
      first, groups.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<Groups> dealt(folds);
  std::vector<std::size_t> rows(folds, 0);
  for (auto group = first; group != groups.end(); ++group) {
    const auto least =
        static_cast<std::size_t>(std::min_element(rows.begin(), rows.end()) - rows.begin());
    rows[least] += group->size();
    dealt[least].push_back(std::move(*group));
  }
  std::vector<std::size_t> begins = {begin};
  groups.erase(first, groups.end());
  for (Groups& fold : dealt) {
    for (RowList& group : fold) groups.push_back(std::move(group));
    begins.push_back(groups.size());
  }
  return begins;
}

RowList rows_by_group(const Split& split, Part part, const Table& table) {
  Groups groups = groups_of(table, split.group);
  const std::size_t all = groups.size();
  const auto folds = static_cast<std::size_t>(split.folds);
  const std::size_t needed =
      (split.test > 0 ? 1 : 0) + std::max<std::size_t>(folds, split.dev > 0 ? 2 : 1);
  DETENTE_CHECK(
      all >= needed,
      ErrorCode::kData,
      "[data::Split] column '{}' of '{}' has {} groups; expected at least {}, for no group "
      "is in two parts.",
      split.group,
      table.source(),
      all,
      needed);
  Rng rng = split_rng(split.seed);
  rng.shuffle(groups);
  const std::size_t rows = table.rows();
  const std::size_t test_end = take_nearest(groups, 0, share_of(split.test, rows));
  if (part == Part::kTest) return joined(groups, 0, test_end);
  std::size_t dev_begin = test_end;
  std::size_t dev_end = test_end;
  if (folds > 0) {
    DETENTE_CHECK(
        all - test_end >= folds,
        ErrorCode::kData,
        "[data::Split] the test part leaves {} of the {} groups; expected at least {}, one "
        "a fold.",
        all - test_end,
        all,
        folds);
    const auto begins = deal_folds(groups, test_end, folds);
    dev_begin = begins[static_cast<std::size_t>(split.fold)];
    dev_end = begins[static_cast<std::size_t>(split.fold) + 1];
  } else {
    dev_end = take_nearest(groups, test_end, share_of(split.dev, rows));
  }
  if (part == Part::kDev) return joined(groups, dev_begin, dev_end);
  RowList train = joined(groups, test_end, dev_begin);
  const RowList after = joined(groups, dev_end, groups.size());
  train.insert(train.end(), after.begin(), after.end());
  std::sort(train.begin(), train.end());
  return train;
}

RowList rows_by_time(const Split& split, Part part, const Table& table) {
  const Groups moments = moments_of(table, split.time);
  const std::size_t rows = table.rows();
  const std::size_t test_begin = take_last(moments, moments.size(), share_of(split.test, rows));
  const std::size_t dev_begin = take_last(moments, test_begin, share_of(split.dev, rows));
  if (part == Part::kTest) return joined(moments, test_begin, moments.size());
  if (part == Part::kDev) return joined(moments, dev_begin, test_begin);
  return joined(moments, 0, dev_begin);
}

std::optional<Part> part_named(std::string_view cell) {
  const std::string word = lower_ascii(std::string(trim(cell)));
  if (word == "train" || word == "training") return Part::kTrain;
  if (word == "test" || word == "testing") return Part::kTest;
  for (const char* dev : {"dev", "val", "valid", "validation", "development"}) {
    if (word == dev) return Part::kDev;
  }
  return std::nullopt;
}

RowList rows_by_column(const Split& split, Part part, const Table& table) {
  const std::size_t column = table.column_index(split.column);
  RowList rows;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, column);
    const auto named = part_named(cell);
    DETENTE_CHECK(named.has_value(),
                  ErrorCode::kData,
                  "[data::Split] line {} of '{}', column '{}': '{}' names no part; expected train, "
                  "dev (or val, valid, validation) or test.",
                  table.line(i),
                  table.source(),
                  split.column,
                  cell);
    if (*named == part) rows.push_back(i);
  }
  DETENTE_CHECK(
      !rows.empty(),
      ErrorCode::kData,
      "[data::Split] no row of '{}' is for {}: column '{}' (data.split.column) never says "
      "so.",
      table.source(),
      name_of(part),
      split.column);
  return rows;
}

}  // namespace

const char* name_of(Part part) {
  switch (part) {
    case Part::kTrain:
      return "train";
    case Part::kDev:
      return "dev";
    case Part::kTest:
      return "test";
  }
  return "train";
}

void Split::describe(FieldVisitor& visitor) {
  constexpr NumberRule kShare{.min = 0, .max = 1, .max_open = true};
  visitor.number("dev", dev, kShare, "Share of rows for validation, in place of data.dev.");
  visitor.number(
      "test", test, kShare, "Share of rows nobody sees before `detente eval --part test`.");
  visitor.integer("seed", seed, {.min = 0, .max = 9e15}, "Decides which rows, or groups.");
  visitor.text(
      "group", group, "Column of groups (persons, places) that are never in two parts; no input.");
  visitor.text("time",
               time,
               "Column of dates or numbers: the last share of the rows is test, the one before it "
               "dev, in place of a draw.");
  visitor.text("column",
               column,
               "Column whose cells say train, dev (val, valid, validation) or test, in place of "
               "shares; no input.");
  visitor.integer("folds",
                  folds,
                  {.min = 0, .max = 1e6},
                  "So many parts of nearly equal size, of which one is for validation, in place of "
                  "dev; 0: none.");
  visitor.integer("fold", fold, {.min = 0, .max = 1e6}, "Which of them, from 0.");
}

void Split::validate(const std::string& where) const {
  const auto refuse = [&](const char* what, const char* expected) {
    fail(ErrorCode::kInvalidArgument,
         "{}: 'data.split' has {}; expected {}.",
         where,
         what,
         expected);
  };
  const bool shares = dev > 0 || test > 0;
  if (!column.empty() && shares) refuse("both a column and shares", "one of them");
  if (!column.empty() && !group.empty()) refuse("both a column and a group", "one of them");
  if (!column.empty() && !time.empty()) refuse("both a column and a time", "one of them");
  if (!column.empty() && folds > 0) refuse("both a column and folds", "one of them");
  if (!time.empty() && !group.empty()) refuse("both a time and a group", "one of them");
  if (!time.empty() && folds > 0) {
    refuse("both a time and folds", "one of them: later rows teach nothing about earlier ones");
  }
  if (folds > 0 && dev > 0) refuse("both dev and folds", "one of them: a fold is the dev part");
  if (folds == 1) refuse("1 fold", "at least 2, or 0 for none");
  if (folds == 0 && fold > 0) refuse("a fold but no folds", "both");
  if (folds > 0 && fold >= folds) {
    fail(ErrorCode::kInvalidArgument,
         "{}: 'data.split.fold' is {} of {} folds; expected 0 to {}.",
         where,
         fold,
         folds,
         folds - 1);
  }
  if (!group.empty() && !shares && folds == 0)
    refuse("a group but no shares", "dev, test or folds");
  if (!time.empty() && !shares) refuse("a time but no shares", "dev or test");
  DETENTE_CHECK(dev + test < 1,
                ErrorCode::kInvalidArgument,
                "{}: 'data.split' holds out {} and {} of the rows; expected less than 1 together.",
                where,
                number_text(dev),
                number_text(test));
}

bool Split::has(Part part) const {
  if (part == Part::kTrain || !column.empty()) return true;
  return part == Part::kDev ? dev > 0 || folds > 0 : test > 0;
}

bool Split::names(Part part, const Table& table) const {
  const auto cells = table.text_column(column);
  return std::any_of(
      cells.begin(), cells.end(), [&](std::string_view cell) { return part_named(cell) == part; });
}

std::vector<std::string> Split::columns() const {
  std::vector<std::string> names;
  for (const std::string& name : {column, group}) {
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

RowList Split::rows(Part part, const Table& table) const {
  if (!column.empty()) return rows_by_column(*this, part, table);
  if (group.empty() && time.empty()) return rows(part, table.rows());
  RowList rows =
      !group.empty() ? rows_by_group(*this, part, table) : rows_by_time(*this, part, table);
  DETENTE_CHECK(
      !rows.empty() || !has(part),
      ErrorCode::kData,
      "[data::Split] column '{}' of '{}' leaves no row for {}: {} stay together. Give more "
      "rows or smaller shares.",
      group.empty() ? time : group,
      table.source(),
      name_of(part),
      group.empty() ? "rows of one moment" : "groups");
  return rows;
}

RowList Split::rows(Part part, std::size_t count) const {
  const std::size_t test_rows = share_of(test, count);
  const std::size_t dev_rows = share_of(dev, count);
  DETENTE_CHECK(test_rows + dev_rows < count,
                ErrorCode::kData,
                "[data::Split] dev {} and test {} of {} rows leave none for training; expected at "
                "least one. Give more rows or smaller shares.",
                number_text(dev),
                number_text(test),
                count);
  const auto parts = static_cast<std::size_t>(folds);
  DETENTE_CHECK(folds == 0 || count - test_rows >= parts,
                ErrorCode::kData,
                "[data::Split] {} rows are too few for {} folds; expected at least one row a fold.",
                count - test_rows,
                folds);
  RowList order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng = split_rng(seed);
  rng.shuffle(order);
  std::size_t dev_begin = test_rows;
  std::size_t dev_end = test_rows + dev_rows;
  if (folds > 0) {
    const auto which = static_cast<std::size_t>(fold);
    dev_begin = test_rows + fold_begin(which, parts, count - test_rows);
    dev_end = test_rows + fold_begin(which + 1, parts, count - test_rows);
  }
  if (part == Part::kTest) return slice(order, 0, test_rows);
  if (part == Part::kDev) return slice(order, dev_begin, dev_end);
  order.erase(order.begin() + static_cast<std::ptrdiff_t>(dev_begin),
              order.begin() + static_cast<std::ptrdiff_t>(dev_end));
  return slice(order, test_rows, order.size());
}

}  // namespace detente::data
