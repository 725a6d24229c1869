// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/data/inspect_steps.h>
#include <detente/data/table_column.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace detente::data::internal {
namespace {

constexpr double kManyUnknown = 0.1;  // of the validation rows

double characters_of(std::string_view text) {
  return static_cast<double>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;  // no continuation
  }));
}

InputFindings look_at_input(Parts parts, const InputColumn& input) {
  const Table& train = parts.front().table;
  const std::size_t column = train.column_index(input.name);
  InputFindings findings{input.name, input.kind, 0, 0, {}, 0};
  const bool file = input.kind == "file";
  const bool text = input.kind == "text" || file;
  std::vector<std::uint32_t> ids = cell_ids(train, input);
  std::unordered_set<std::uint32_t> missing;
  for (std::size_t i = 0; i < train.rows(); ++i) {
    const std::string_view cell = train.cell(i, column);
    if (text && !file ? trim(cell).empty() : is_missing(cell)) {
      ++findings.missing;
      missing.insert(ids[i]);
    }
  }
  const std::size_t all = ids.empty() ? 0 : 1 + *std::max_element(ids.begin(), ids.end());
  findings.distinct = all - missing.size();
  if (file) return findings;
  if (text) {
    std::vector<double> lengths;
    for (std::size_t i = 0; i < train.rows(); ++i) {
      lengths.push_back(characters_of(train.cell(i, column)));
    }
    findings.numbers = summarise(lengths);
  } else if (input.kind != "category") {
    findings.numbers = summarise(cell_numbers(train, input));
  } else if (parts.size() > 1 && parts[1].part == Part::kDev) {
    std::unordered_set<std::string> known;
    for (std::size_t i = 0; i < train.rows(); ++i)
      known.insert(category_word(train.cell(i, column)));
    const Table& dev = parts[1].table;
    const std::size_t there = dev.column_index(input.name);
    for (std::size_t i = 0; i < dev.rows(); ++i) {
      const std::string_view cell = dev.cell(i, there);
      if (!is_missing(cell) && !known.contains(category_word(cell))) ++findings.unknown_dev;
    }
  }
  return findings;
}

void warn_of_outliers(const Table& train, DataFindings& findings) {
  std::size_t columns = 0;
  const InputFindings* worst = nullptr;
  for (const InputFindings& input : findings.inputs) {
    if (input.numbers.outliers == 0 || input.kind == "text") continue;
    ++columns;
    if (worst == nullptr || input.numbers.outliers > worst->numbers.outliers) worst = &input;
  }
  if (worst == nullptr) return;
  const std::size_t row = worst->numbers.outlier_row;
  findings.warnings.push_back(
      {"outliers",
       fmt::format(
           "{} numbers more than 10 robust deviations from the median, most of them "
           "'{}': {}, the farthest in line {} ({}). They stretch the scale of all others; see "
           "whether they are slips.",
           columns == 1 ? "1 input has" : fmt::format("{} inputs have", columns),
           worst->name,
           count_text(worst->numbers.outliers, worst->numbers.count, "numbers"),
           line_text(train, row),
           trim(train.cell(row, train.column_index(worst->name))))});
}

}  // namespace

std::vector<double> cell_numbers(const Table& table, const InputColumn& input) {
  const std::size_t column = table.column_index(input.name);
  const bool date = input.kind == "date";
  std::vector<double> values(table.rows(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < table.rows(); ++i) {
    const std::string_view cell = table.cell(i, column);
    if (is_missing(cell)) continue;
    const auto value = date ? parse_date(cell) : parse_cell(cell);
    if (value) values[i] = *value;
  }
  return values;
}

std::vector<std::uint32_t> value_ids(std::span<const double> values) {
  std::unordered_map<std::uint64_t, std::uint32_t> known;
  std::vector<std::uint32_t> ids;
  ids.reserve(values.size());
  for (const double value : values) {
    const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);  // one zero
    ids.push_back(known.emplace(bits, static_cast<std::uint32_t>(known.size())).first->second);
  }
  return ids;
}

std::vector<std::uint32_t> cell_ids(const Table& table, const InputColumn& input) {
  if (input.kind == "number" || input.kind == "date") return value_ids(cell_numbers(table, input));
  const std::size_t column = table.column_index(input.name);
  std::unordered_map<std::string_view, std::uint32_t> known;
  std::vector<std::uint32_t> ids;
  ids.reserve(table.rows());
  for (std::size_t i = 0; i < table.rows(); ++i) {
    std::string_view cell = trim(table.cell(i, column));
    if (input.kind != "text" && is_missing(cell)) cell = "";
    ids.push_back(known.emplace(cell, static_cast<std::uint32_t>(known.size())).first->second);
  }
  return ids;
}

void inspect_inputs(Parts parts, std::span<const InputColumn> inputs, DataFindings& findings) {
  for (const InputColumn& input : inputs) findings.inputs.push_back(look_at_input(parts, input));
  warn_of_outliers(parts.front().table, findings);
  for (const InputFindings& input : findings.inputs) {
    if (input.unknown_dev == 0) continue;
    const std::size_t rows = parts[1].table.rows();
    if (static_cast<double>(input.unknown_dev) < kManyUnknown * static_cast<double>(rows)) continue;
    findings.warnings.push_back(
        {"unknown",
         fmt::format(
             "Input '{}': {} have a word that no training row has. A column that names rows or "
             "groups teaches nothing about others; put it in data.ignore.",
             input.name,
             count_text(input.unknown_dev, rows, "validation rows"))});
  }
}

}  // namespace detente::data::internal
