// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/picked_rows.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace detente::data {

PickedRows::PickedRows(const Source& of, std::vector<std::size_t> rows)
    : of_(of), rows_(std::move(rows)) {
  for (const std::size_t row : rows_) costs_.push_back(of_.costs()[row]);
  for (const Target& all : of_.targets()) {
    Target some{all.task, all.kind, {}, 0, all.columns};
    for (const std::size_t row : rows_) {
      const auto begin = all.values.begin() + static_cast<std::ptrdiff_t>(row * all.columns);
      const auto end = begin + static_cast<std::ptrdiff_t>(all.columns);
      some.values.insert(some.values.end(), begin, end);
      if (std::all_of(begin, end, [](double value) { return std::isnan(value); })) ++some.missing;
    }
    targets_.push_back(std::move(some));
  }
}

void PickedRows::exchange(std::size_t input, std::vector<std::size_t> from) {
  DETENTE_CHECK(from.size() == rows_.size() && input < of_.exchangeable().size(),
                ErrorCode::kInternal,
                "[data::PickedRows] expected a row for each of {}, and one of {} inputs.",
                rows_.size(),
                of_.exchangeable().size());
  input_ = input;
  from_ = std::move(from);
}

Batch PickedRows::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  std::vector<std::size_t> own;
  for (const std::size_t row : rows) own.push_back(rows_[row]);
  Batch batch = of_.batch(own, augment);
  if (from_.empty()) return batch;
  for (std::size_t i = 0; i < rows.size(); ++i) own[i] = from_[rows[i]];
  of_.exchange(input_, of_.batch(own, augment), batch);
  return batch;
}

void PickedRows::save(const std::filesystem::path& run) const { of_.save(run); }

void PickedRows::load(const std::filesystem::path& /*run*/) {
  fail(ErrorCode::kInternal, "[data::PickedRows] has nothing to load.");
}

void PickedRows::read_rows(const SourceInput& /*input*/, const Source* /*fitted*/) {
  fail(ErrorCode::kInternal, "[data::PickedRows] has nothing to read.");
}

std::vector<ShownColumn> PickedRows::shown() const {
  std::vector<ShownColumn> columns = of_.shown();
  for (ShownColumn& column : columns) {
    std::vector<std::string> some;
    for (const std::size_t row : rows_) some.push_back(column.cells[row]);
    column.cells = std::move(some);
  }
  return columns;
}

}  // namespace detente::data
