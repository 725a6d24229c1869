// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/moments.h>
#include <detente/data/table_column.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace detente::data {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// `digits` digits at the front of the text, which lose their place there.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = 10 * value + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// Seconds of "23:59", "23:59:59" or "23:59:59.9", maybe with Z; the whole text.
std::optional<double> parse_time(std::string_view text) {
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  double seconds = 3600.0 * *hour + 60.0 * *minute;
  if (take(text, ':')) {
    const auto second = take_digits(text, 2);
    if (!second || *second > 59) return std::nullopt;
    seconds += *second;
    if (!text.empty() && text.front() == '.') {
      double fraction = 0;
      const auto [end, error] = std::from_chars(
          text.data(), text.data() + text.size(), fraction, std::chars_format::fixed);
      if (error != std::errc()) return std::nullopt;
      seconds += fraction;
      text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    }
  }
  take(text, 'Z');
  if (!text.empty()) return std::nullopt;
  return seconds;
}

std::optional<double> parse_as(TableColumn::Kind kind, std::string_view cell) {
  return kind == TableColumn::Kind::kDate ? parse_date(cell) : parse_cell(cell);
}

bool is_whole(double value) { return value == std::floor(value); }

// How the cells that are not missing look.
struct Census {
  std::size_t filled = 0;
  std::size_t missing = 0;
  std::size_t numbers = 0;
  std::size_t dates = 0;
  bool whole = true;
  std::size_t first_odd = 0;  // the first row that holds no number, when `numbers` < `filled`
};

Census count_cells(const Table& table, std::size_t column) {
  Census census;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, column);
    if (is_missing(cell)) {
      ++census.missing;
      continue;
    }
    ++census.filled;
    if (const auto value = parse_cell(cell)) {
      ++census.numbers;
      census.whole = census.whole && is_whole(*value);
      continue;
    }
    if (census.numbers + 1 == census.filled) census.first_odd = i;
    if (parse_date(cell)) ++census.dates;
  }
  return census;
}

}  // namespace

std::string category_word(std::string_view cell) {
  if (is_missing(cell)) return "";
  const std::string_view text = trim(cell);
  const auto value = parse_cell(text);
  return value && std::isfinite(*value) ? number_text(*value) : std::string(text);
}

const char* name_of(TableColumn::Kind kind) {
  switch (kind) {
    case TableColumn::Kind::kNumber:
      return "number";
    case TableColumn::Kind::kDate:
      return "date";
    case TableColumn::Kind::kCategory:
      return "category";
  }
  return "number";
}

std::optional<double> parse_date(std::string_view cell) {
  std::string_view text = trim(cell);
  const auto year = take_digits(text, 4);
  if (!year || text.empty()) return std::nullopt;
  const char separator = text.front();
  if (separator != '-' && separator != '/') return std::nullopt;
  take(text, separator);
  const auto month = take_digits(text, 2);
  if (!month || !take(text, separator)) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  const auto days = static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
  if (text.empty()) return days;
  if (!take(text, 'T') && !take(text, ' ')) return std::nullopt;
  const auto seconds = parse_time(text);
  if (!seconds) return std::nullopt;
  return days + *seconds / 86400.0;
}

std::optional<TableColumn> TableColumn::fit(const Table& table,
                                            const std::string& name,
                                            bool category,
                                            const ColumnOptions& options,
                                            std::string& note) {
  const std::size_t index = table.column_index(name);
  const Census census = count_cells(table, index);
  note.clear();
  const auto drop = [&](const std::string& why) {
    note = fmt::format("Column '{}' is left out: {}.", name, why);
    return std::nullopt;
  };
  if (census.filled == 0) return drop("every training row misses it");

  TableColumn column;
  column.name_ = name;
  column.missing_ = census.missing > 0;
  if (!category && census.numbers == census.filled) {
    std::set<std::string> values;
    if (options.few_values > 0 && census.whole) {
      const auto limit = static_cast<std::size_t>(options.few_values);
      for (std::size_t i = 0; i < table.rows() && values.size() <= limit; ++i) {
        if (!is_missing(table.cell(i, index))) values.insert(category_word(table.cell(i, index)));
      }
      category = values.size() <= limit;
    }
    column.kind_ = Kind::kNumber;
  } else if (!category && census.dates == census.filled) {
    column.kind_ = Kind::kDate;
  } else if (!category) {
    category = true;
    // Nearly all numbers: a slip of the file rather than words.
    if (10 * census.numbers >= 9 * census.filled) {
      note = fmt::format(
          "Column '{}' is read as words, not numbers, for line {} holds '{}'. If that should be a "
          "missing cell, leave it empty.",
          name,
          table.line(census.first_odd),
          table.cell(census.first_odd, index));
    }
  }

  if (category) {
    column.kind_ = Kind::kCategory;
    std::map<std::string, std::size_t> counts;
    for (std::size_t i = 0; i < table.rows(); ++i) ++counts[category_word(table.cell(i, index))];
    if (counts.size() == 1) return drop(fmt::format("every row holds '{}'", counts.begin()->first));
    std::vector<std::pair<std::size_t, std::string>> frequent;
    for (const auto& [word, count] : counts) {
      if (count >= static_cast<std::size_t>(options.min_count)) frequent.emplace_back(count, word);
    }
    if (frequent.empty()) {
      return drop(
          fmt::format("none of its {} words occurs in {} rows, so that it names rows rather "
                      "than describing them",
                      counts.size(),
                      options.min_count));
    }
    // The most frequent first, equals in order of their bytes.
    std::stable_sort(frequent.begin(), frequent.end(), [](const auto& a, const auto& b) {
      return a.first > b.first;
    });
    if (frequent.size() > static_cast<std::size_t>(options.max_categories)) {
      frequent.resize(static_cast<std::size_t>(options.max_categories));
    }
    for (auto& [count, word] : frequent) column.categories_.push_back(std::move(word));
    std::sort(column.categories_.begin(), column.categories_.end());
    if (column.categories_.size() < counts.size() && note.empty()) {
      note = fmt::format(
          "Column '{}' has {} words, of which {} are known by themselves; the others "
          "count as unknown (data.min_count {}, data.max_categories {}).",
          name,
          counts.size(),
          column.categories_.size(),
          options.min_count,
          options.max_categories);
    }
    column.missing_ = false;
    column.index_categories();
    return column;
  }

  std::vector<double> values;
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, index);
    if (is_missing(cell)) continue;
    values.push_back(*parse_as(column.kind_, cell));
    DETENTE_CHECK(std::isfinite(values.back()),
                  ErrorCode::kData,
                  "[data::TableSource] line {} of '{}', column '{}': '{}' is not a finite number; "
                  "expected a number, or nothing, ?, NA, NaN or null for a missing one.",
                  table.line(i),
                  table.source(i),
                  name,
                  trim(cell));
  }
  const Moments moments = finite_moments(values);
  column.mean_ = moments.mean;
  if (moments.deviation > 0) {
    column.deviation_ = moments.deviation;
  } else if (!column.missing_) {
    return drop(fmt::format("every row holds {}", trim(table.cell(0, index))));
  }
  return column;
}

std::vector<double> TableColumn::numbers(const Table& table) const {
  const std::size_t index = table.column_index(name_);
  std::vector<double> values(table.rows(), kMissing);
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, index);
    if (is_missing(cell)) continue;
    const auto value = parse_as(kind_, cell);
    DETENTE_CHECK(
        value && std::isfinite(*value),
        ErrorCode::kData,
        "[data::TableSource] line {} of '{}', column '{}': '{}' is no {}; in the training "
        "rows every cell was one. A missing one is empty, ?, NA, NaN or null.",
        table.line(i),
        table.source(i),
        name_,
        trim(cell),
        kind_ == Kind::kDate ? "date" : "finite number");
    // Halves: the difference of two huge numbers may be no number any more.
    const double scaled = (0.5 * *value - 0.5 * mean_) / deviation_;
    values[i] = 2.0 * std::clamp(scaled, -0.5 * kLargestStandardised, 0.5 * kLargestStandardised);
  }
  return values;
}

std::vector<std::int32_t> TableColumn::category_ids(const Table& table) const {
  const std::size_t index = table.column_index(name_);
  std::vector<std::int32_t> ids(table.rows(), 0);
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const auto found = ids_.find(category_word(table.cell(i, index)));
    if (found != ids_.end()) ids[i] = found->second;
  }
  return ids;
}

void TableColumn::index_categories() {
  ids_.clear();
  for (const std::string& word : categories_) {
    ids_.emplace(word, static_cast<std::int32_t>(ids_.size() + 1));
  }
}

Json TableColumn::to_json() const {
  Json json{{"name", name_}, {"kind", detente::data::name_of(kind_)}};
  if (kind_ == Kind::kCategory) {
    json["categories"] = categories_;
  } else {
    json["mean"] = mean_;
    json["deviation"] = deviation_;
    json["missing"] = missing_;
  }
  return json;
}

TableColumn TableColumn::from_json(const Json& json) {
  TableColumn column;
  try {
    json.at("name").get_to(column.name_);
    const auto kind = json.at("kind").get<std::string>();
    for (const Kind candidate : {Kind::kNumber, Kind::kDate, Kind::kCategory}) {
      if (kind == detente::data::name_of(candidate)) column.kind_ = candidate;
    }
    if (kind != detente::data::name_of(column.kind_)) {
      fail(ErrorCode::kData,
           "[data::TableColumn] column '{}' is of an unknown kind '{}'.",
           column.name_,
           kind);
    }
    if (column.kind_ == Kind::kCategory) {
      json.at("categories").get_to(column.categories_);
      column.index_categories();
    } else {
      json.at("mean").get_to(column.mean_);
      json.at("deviation").get_to(column.deviation_);
      json.at("missing").get_to(column.missing_);
    }
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kData, "[data::TableColumn] a column cannot be read ({}).", error.what());
  }
  return column;
}

}  // namespace detente::data
