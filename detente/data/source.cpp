// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/data/pair_source.h>
#include <detente/data/source.h>
#include <detente/data/table_source.h>

#include <array>

namespace detente::data {
namespace {

struct SourceKind {
  const char* name;
  std::unique_ptr<Source> (*make)();
};

const auto& source_table() {
  static const std::array kinds = {
      SourceKind{"pairs", [] { return std::unique_ptr<Source>(std::make_unique<PairSource>()); }},
      SourceKind{"table", [] { return std::unique_ptr<Source>(std::make_unique<TableSource>()); }},
  };
  return kinds;
}

}  // namespace

const Array* find_array(const Batch& batch, std::string_view name) {
  for (const Array& array : batch) {
    if (array.name == name) return &array;
  }
  return nullptr;
}

const Array& array_of(const Batch& batch, std::string_view name) {
  const Array* array = find_array(batch, name);
  if (array == nullptr) {
    fail(ErrorCode::kInternal, "[data::array_of] the batch has no array '{}'.", name);
  }
  return *array;
}

void Source::read(const SourceInput& input, const Source* fitted) {
  DETENTE_CHECK(fitted == nullptr || std::string_view(fitted->kind()) == kind(),
                ErrorCode::kInvalidArgument,
                "[data::Source] a source of kind '{}' cannot encode examples of kind '{}'.",
                fitted == nullptr ? "" : fitted->kind(),
                kind());
  targets_.clear();
  warnings_.clear();
  read_rows(input, fitted);
}

Batch Source::target_batch(std::span<const std::size_t> rows) const {
  Batch batch;
  for (const Target& target : targets_) {
    std::vector<double> values;
    values.reserve(rows.size());
    for (const std::size_t row : rows) values.push_back(target.values[row]);
    batch.push_back({target.task, {rows.size()}, std::move(values)});
  }
  return batch;
}

std::vector<std::string> source_kinds() {
  std::vector<std::string> names;
  for (const SourceKind& kind : source_table()) names.emplace_back(kind.name);
  return names;
}

std::unique_ptr<Source> make_source(std::string_view kind) {
  for (const SourceKind& entry : source_table()) {
    if (entry.name == kind) return entry.make();
  }
  const auto names = source_kinds();
  fail(ErrorCode::kInvalidArgument,
       "[data::make_source] '{}' is not a kind of data; {}",
       kind,
       expected_one_of(kind, names));
}

}  // namespace detente::data
