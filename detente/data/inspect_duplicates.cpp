// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/data/inspect_steps.h>
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <string_view>
#include <unordered_map>

namespace detente::data::internal {
namespace {

// A part's rows through the inputs that the network sees.
struct SeenRows {
  const Table* table = nullptr;
  std::vector<std::size_t> columns;

  std::string_view cell(std::size_t row, std::size_t j) const {
    const std::string_view cell = trim(table->cell(row, columns[j]));
    return is_missing(cell) ? std::string_view() : cell;
  }
};

struct RowAt {
  const SeenRows* rows;
  std::size_t row;
};

struct HashRow {
  std::size_t operator()(const RowAt& at) const {
    std::size_t hash = 0;
    for (std::size_t j = 0; j < at.rows->columns.size(); ++j) {
      hash = 31 * (hash ^ (hash >> 29U)) + std::hash<std::string_view>()(at.rows->cell(at.row, j));
    }
    return hash;
  }
};

struct SameRow {
  bool operator()(const RowAt& a, const RowAt& b) const {
    for (std::size_t j = 0; j < a.rows->columns.size(); ++j) {
      if (a.rows->cell(a.row, j) != b.rows->cell(b.row, j)) return false;
    }
    return true;
  }
};

// Distinct rows of a part, each with the place of its first.
using RowSet = std::unordered_map<RowAt, std::size_t, HashRow, SameRow>;

// `joined`: a target that one of the rows lacks because of its source tells nothing.
bool same_targets(const std::vector<Target>& targets, std::size_t a, std::size_t b, bool joined) {
  for (const Target& target : targets) {
    const double first = target.values[a];
    const double second = target.values[b];
    if (joined && (std::isnan(first) || std::isnan(second))) continue;
    if (first != second && !(std::isnan(first) && std::isnan(second))) return false;
  }
  return true;
}

std::size_t count_known(const SeenRows& rows, const RowSet& known) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < rows.table->rows(); ++i) count += known.count({&rows, i});
  return count;
}

void warn_of_duplicates(const DataFindings& found, std::vector<DataWarning>& warnings) {
  const DuplicateFindings& duplicates = found.duplicates;
  if (duplicates.within.front() > 0) {
    warnings.push_back(
        {"duplicates",
         fmt::format(
             "{} repeat the inputs of an earlier one, {} of them with another target.",
             count_text(duplicates.within.front(), found.parts.front().rows, "training rows"),
             duplicates.disagree)});
  }
  const auto leak = [&](std::size_t count, Part part, const char* what, const char* where) {
    if (count == 0) return;
    for (const PartFindings& entry : found.parts) {
      if (entry.part != part) continue;
      warnings.push_back(
          {"duplicates",
           fmt::format("{} have the inputs of a {}: what was learnt by heart counts there as "
                       "understood. Where they are copies, remove them or split by group "
                       "(data.split.group).",
                       count_text(count, entry.rows, what),
                       where)});
    }
  };
  leak(duplicates.dev_in_train, Part::kDev, "validation rows", "training row");
  leak(duplicates.test_in_train, Part::kTest, "test rows", "training row");
  leak(duplicates.test_in_dev, Part::kTest, "test rows", "validation row");
}

}  // namespace

void inspect_duplicates(Parts parts, std::span<const InputColumn> inputs, DataFindings& findings) {
  std::vector<SeenRows> seen(parts.size());
  std::vector<RowSet> sets(parts.size());
  DuplicateFindings& duplicates = findings.duplicates;
  duplicates.within.assign(parts.size(), 0);
  for (std::size_t p = 0; p < parts.size(); ++p) {
    seen[p].table = &parts[p].table;
    for (const InputColumn& input : inputs) {
      if (input.kind != "left out") {
        seen[p].columns.push_back(parts[p].table.column_index(input.name));
      }
    }
    if (seen[p].columns.empty()) {
      duplicates.within.clear();  // not looked at, which is not none
      return;
    }
    sets[p].reserve(parts[p].table.rows());
    for (std::size_t i = 0; i < parts[p].table.rows(); ++i) {
      const auto [first, fresh] = sets[p].emplace(RowAt{&seen[p], i}, i);
      if (fresh) continue;
      ++duplicates.within[p];
      const bool joined = !parts[p].sources.empty();
      if (p == 0 && !same_targets(parts[p].targets, first->second, i, joined)) {
        ++duplicates.disagree;
      }
    }
  }
  for (std::size_t p = 1; p < parts.size(); ++p) {
    for (std::size_t q = 0; q < p; ++q) {
      std::size_t& count = parts[p].part == Part::kDev     ? duplicates.dev_in_train
                           : parts[q].part == Part::kTrain ? duplicates.test_in_train
                                                           : duplicates.test_in_dev;
      count = count_known(seen[p], sets[q]);
    }
  }
  warn_of_duplicates(findings, findings.warnings);
}

}  // namespace detente::data::internal
