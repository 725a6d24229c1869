// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/labelled_rows.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace detente::data {
namespace {

constexpr std::uint64_t kStream = 0x6c6162656c;

bool is_by_class(const Target& target) {
  return has_classes(target.kind) || target.kind == TaskKind::kBinary;
}

}  // namespace

void LabelledRows::describe(FieldVisitor& visitor) {
  visitor.integer("rows",
                  rows,
                  {.min = 0, .max = 1e9},
                  "So many training rows keep their labels, as many of each class of the first "
                  "task that has classes; the others take part without. 0: all.");
  visitor.integer("batch",
                  batch,
                  {.min = 0, .max = 1e9},
                  "So many labelled rows are in every step, beside train.batch_size of the others; "
                  "0: as they come.");
  visitor.integer("seed", seed, {.min = 0, .max = 9e15}, "Decides which rows.");
}

RowList LabelledRows::chosen(std::span<const Target> targets) const {
  DETENTE_CHECK(!targets.empty(),
                ErrorCode::kData,
                "[data::LabelledRows] 'data.labelled' keeps the labels of some rows, but no task "
                "has any; expected a task with labels.");
  const auto first = std::find_if(targets.begin(), targets.end(), is_by_class);
  const Target& target = first == targets.end() ? targets.front() : *first;
  std::map<double, RowList> members;  // by class; else all as one
  for (std::size_t row = 0; row < target.rows(); ++row) {
    const double value = target.values[row * target.columns];
    if (std::isnan(value)) continue;
    members[first == targets.end() ? 0 : value].push_back(row);
  }
  const auto wanted = static_cast<std::size_t>(rows);
  const std::size_t classes = std::max<std::size_t>(members.size(), 1);
  RowList all;
  std::size_t place = 0;
  for (auto& [id, those] : members) {
    const std::size_t count = wanted / classes + (place < wanted % classes ? 1 : 0);
    DETENTE_CHECK(count <= those.size(),
                  ErrorCode::kData,
                  "[data::LabelledRows] 'data.labelled.rows: {}' takes {} rows of class {} of task "
                  "'{}', which has {} in training; expected fewer.",
                  rows,
                  count,
                  id,
                  target.task,
                  those.size());
    // A stream for each class, so that more rows of one change nothing in another.
    Rng rng = Rng(static_cast<std::uint64_t>(seed)).fork(kStream).fork(place);
    for (std::size_t i = 0; i < count; ++i) {
      std::swap(those[i], those[i + rng.below(those.size() - i)]);
      all.push_back(those[i]);
    }
    ++place;
  }
  std::sort(all.begin(), all.end());
  return all;
}

void LabelledRows::hide(std::vector<Target>& targets) const {
  const RowList kept = chosen(targets);
  for (Target& target : targets) {
    make_missing(target, [&](std::size_t row) {
      return !std::binary_search(kept.begin(), kept.end(), row);
    });
  }
}

}  // namespace detente::data
