// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/suggest.h>
#include <detente/data/table_source.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kColumnsFormat = "detente-columns-1";

std::filesystem::path columns_file(const std::filesystem::path& run) {
  return run / "columns.json";
}

using Names = std::unordered_set<std::string_view>;  // of strings that live elsewhere

// An input that a source lacks would say which source a row is from, and nothing else there.
void demand_everywhere(const Table& table, const std::string& input) {
  const auto& names = table.origins();
  for (std::size_t origin = 0; origin < names.size(); ++origin) {
    DETENTE_CHECK(
        table.origin_has(origin, input),
        ErrorCode::kData,
        "source '{}': [data::TableSource] '{}' has no column '{}', which other sources have; "
        "expected the same inputs in all. Put it in data.ignore, or name the columns to use "
        "in data.inputs.",
        names[origin],
        table.of_origin(origin).source(),
        input);
  }
}

// The chosen rows of a rows × width matrix; nothing without columns.
template <class T>
void add_rows(Batch& batch,
              const char* name,
              const std::vector<T>& all,
              std::size_t width,
              std::span<const std::size_t> rows) {
  if (width == 0) return;
  std::vector<T> values;
  values.reserve(rows.size() * width);
  for (const std::size_t row : rows) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * width);
    values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  batch.push_back({name, {rows.size(), width}, std::move(values)});
}

// Column `column` of the array `name` of two batches of as many rows.
template <class T>
void take_column(const char* name, std::size_t column, const Batch& from, Batch& to) {
  const auto& source = std::get<std::vector<T>>(array_of(from, name).values);
  for (Array& array : to) {
    if (array.name != name) continue;
    auto& values = std::get<std::vector<T>>(array.values);
    const std::size_t width = array.shape[1];
    for (std::size_t i = column; i < values.size(); i += width) values[i] = source[i];
  }
}

}  // namespace

void TableSource::describe(FieldVisitor& data) {
  data.texts("inputs",
             inputs_,
             {},
             "Tables: the input columns; default: every column that is no task's target and not in "
             "data.ignore.");
  data.texts("ignore", ignore_, {}, "Tables: columns that are no inputs.");
  data.texts("categories",
             categories_,
             {},
             "Tables: columns whose cells are names even where they look like numbers.");
  data.integer("few_values",
               options_.few_values,
               {.min = 0, .max = 1e6},
               "Tables: columns of whole numbers with at most so many different ones count as "
               "categories; 0: none.");
  data.integer("min_count",
               options_.min_count,
               {.min = 1, .max = 1e9},
               "Tables: categories in fewer training rows count as unknown.");
  data.integer("max_categories",
               options_.max_categories,
               {.min = 1, .max = 1e6},
               "Tables: so many categories of a column are known, the most frequent ones.");
}

void TableSource::leave_out(const std::vector<std::string>& columns) {
  if (!inputs_.empty()) return;  // whoever names the inputs means them
  for (const std::string& column : columns) {
    if (std::find(ignore_.begin(), ignore_.end(), column) == ignore_.end()) {
      ignore_.push_back(column);
    }
  }
}

std::unique_ptr<Source> TableSource::fresh() const {
  auto source = std::make_unique<TableSource>();
  source->inputs_ = inputs_;
  source->ignore_ = ignore_;
  source->categories_ = categories_;
  source->options_ = options_;
  return source;
}

std::vector<std::string> TableSource::input_names(const Table& table,
                                                  const std::vector<TargetColumn>& targets) const {
  for (const auto* list : {&inputs_, &ignore_, &categories_}) {
    // A column that one source has to do without (a target left out) may be in none that is read.
    if (list == &ignore_ && !table.origins().empty()) continue;
    for (const std::string& name : *list) table.column_index(name);
  }
  std::unordered_map<std::string_view, const TargetColumn*> tasks;
  std::vector<std::pair<std::string, const TargetColumn*>> asked;
  for (const TargetColumn& target : targets) {
    for (std::string& name : target.file_columns()) asked.emplace_back(std::move(name), &target);
  }
  for (const auto& [name, target] : asked) tasks.emplace(name, target);
  const Names ignored(ignore_.begin(), ignore_.end());
  Names taken;
  std::vector<std::string> names;
  const bool named = !inputs_.empty();
  for (const std::string& name : named ? inputs_ : table.column_names()) {
    const auto target = tasks.find(name);
    DETENTE_CHECK(!named || target == tasks.end(),
                  ErrorCode::kInvalidArgument,
                  "[data::TableSource] data.inputs names '{}', the target of task '{}'; expected "
                  "columns that are not asked for.",
                  name,
                  target == tasks.end() ? "" : target->second->task);
    DETENTE_CHECK(!named || !ignored.contains(name),
                  ErrorCode::kInvalidArgument,
                  "[data::TableSource] '{}' is in data.inputs and in data.ignore; expected one of "
                  "them.",
                  name);
    if (target != tasks.end() || ignored.contains(name)) continue;
    DETENTE_CHECK(taken.insert(name).second,
                  ErrorCode::kInvalidArgument,
                  "[data::TableSource] data.inputs names '{}' twice.",
                  name);
    demand_everywhere(table, name);
    names.push_back(name);
  }
  for (const std::string& name : categories_) {
    DETENTE_CHECK(taken.contains(name),
                  ErrorCode::kInvalidArgument,
                  "[data::TableSource] data.categories names '{}', which is no input; {}",
                  name,
                  expected_one_of(name, names));
  }
  return names;
}

void TableSource::fit(const Table& table, const std::vector<TargetColumn>& targets) {
  columns_.clear();
  left_out_.clear();
  const Names categories(categories_.begin(), categories_.end());
  for (const std::string& name : input_names(table, targets)) {
    std::string note;
    auto column = TableColumn::fit(table, name, categories.contains(name), options_, note);
    if (!note.empty()) warnings_.push_back(std::move(note));
    if (column) {
      columns_.push_back(std::move(*column));
    } else {
      left_out_.push_back(name);
    }
  }
  if (columns_.empty()) {
    std::string notes;
    for (const std::string& note : warnings_) notes += "\n  " + note;
    fail(ErrorCode::kData,
         "[data::TableSource] '{}' has no input column left; expected at least one that differs "
         "between rows and is neither a target nor in data.ignore.{}",
         table.source(),
         notes);
  }
}

void TableSource::encode(const Table& table) {
  const std::size_t rows = table.rows();
  const std::size_t numbers = number_columns();
  const std::size_t marks = missing_columns();
  const std::size_t words = category_counts().size();
  numbers_.assign(rows * numbers, 0.0F);
  missing_.assign(rows * marks, 0);
  ids_.assign(rows * words, 0);
  costs_.assign(rows, 1);
  std::size_t number = 0;
  std::size_t mark = 0;
  std::size_t word = 0;
  for (const TableColumn& column : columns_) {
    if (column.kind() == TableColumn::Kind::kCategory) {
      const auto ids = column.category_ids(table);
      for (std::size_t i = 0; i < rows; ++i) ids_[i * words + word] = ids[i];
      ++word;
      continue;
    }
    const auto values = column.numbers(table);
    for (std::size_t i = 0; i < rows; ++i) {
      const bool missing = std::isnan(values[i]);
      if (!missing) numbers_[i * numbers + number] = static_cast<float>(values[i]);
      if (missing && column.marks_missing()) missing_[i * marks + mark] = 1;
    }
    ++number;
    if (column.marks_missing()) ++mark;
  }
}

void TableSource::read_rows(const SourceInput& input, const Source* fitted) {
  table_ = input.files.read_table(input.part);
  take_places(*table_);
  for (const TargetColumn& target : input.targets) {
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
  if (fitted == nullptr) {
    fit(*table_, input.targets);
  } else {
    columns_ = dynamic_cast<const TableSource&>(*fitted).columns_;
  }
  encode(*table_);
}

Batch TableSource::batch(std::span<const std::size_t> rows, const Rng* /*augment*/) const {
  Batch batch;
  add_rows(batch, "numbers", numbers_, number_columns(), rows);
  add_rows(batch, "missing", missing_, missing_columns(), rows);
  add_rows(batch, "categories", ids_, category_counts().size(), rows);
  return batch;
}

void TableSource::save(const std::filesystem::path& run) const {
  Json columns = Json::array();
  for (const TableColumn& column : columns_) columns.push_back(column.to_json());
  write_own_file(columns_file(run),
                 Json{{"format", kColumnsFormat}, {"columns", std::move(columns)}}.dump(1) + "\n");
}

void TableSource::load(const std::filesystem::path& run) {
  const std::string path = columns_file(run).string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  DETENTE_CHECK(
      json.is_object() && json.value("format", "") == kColumnsFormat && json.contains("columns") &&
          json["columns"].is_array() && !json["columns"].empty(),
      ErrorCode::kData,
      "[data::TableSource] '{}' is damaged or of another version; expected {} with a list "
      "of columns.",
      path,
      kColumnsFormat);
  columns_.clear();
  for (const Json& column : json["columns"]) columns_.push_back(TableColumn::from_json(column));
}

std::vector<ShownColumn> TableSource::shown() const { return shown_columns(table_); }

std::vector<InputColumn> TableSource::input_columns() const {
  std::vector<InputColumn> inputs;
  for (const TableColumn& column : columns_) {
    inputs.push_back({column.name(), name_of(column.kind())});
  }
  for (const std::string& name : left_out_) inputs.push_back({name, "left out"});
  return inputs;
}

std::vector<std::string> TableSource::exchangeable() const {
  std::vector<std::string> names;
  for (const TableColumn& column : columns_) names.push_back(column.name());
  return names;
}

void TableSource::exchange(std::size_t input, const Batch& others, Batch& batch) const {
  std::size_t number = 0;
  std::size_t mark = 0;
  std::size_t word = 0;
  for (std::size_t c = 0; c < input; ++c) {
    const bool category = columns_[c].kind() == TableColumn::Kind::kCategory;
    category ? ++word : ++number;
    if (!category && columns_[c].marks_missing()) ++mark;
  }
  const TableColumn& column = columns_.at(input);
  if (column.kind() == TableColumn::Kind::kCategory) {
    take_column<std::int32_t>("categories", word, others, batch);
    return;
  }
  take_column<float>("numbers", number, others, batch);
  if (column.marks_missing()) take_column<std::uint8_t>("missing", mark, others, batch);
}

std::size_t TableSource::number_columns() const {
  return columns_.size() - category_counts().size();
}

std::size_t TableSource::missing_columns() const {
  return static_cast<std::size_t>(std::count_if(
      columns_.begin(), columns_.end(), [](const auto& column) { return column.marks_missing(); }));
}

std::vector<std::size_t> TableSource::category_counts() const {
  std::vector<std::size_t> counts;
  for (const TableColumn& column : columns_) {
    if (column.kind() == TableColumn::Kind::kCategory) counts.push_back(column.category_count());
  }
  return counts;
}

}  // namespace detente::data
