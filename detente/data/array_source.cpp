// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>
#include <detente/data/array_source.h>
#include <detente/data/table_column.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kArraysFormat = "detente-arrays-1";
constexpr const char* kExampleColumn = "example";
constexpr double kMostSides = 1e9;

std::filesystem::path arrays_file(const std::filesystem::path& run) { return run / "arrays.json"; }

std::size_t product(std::span<const std::size_t> sides) {
  return std::accumulate(sides.begin(), sides.end(), std::size_t{1}, std::multiplies<>());
}

// What a file has for one part.
class PartArrays {
 public:
  PartArrays(const SourceInput& input, const std::string& inputs)
      : file_(input.files.file(input.part), inputs), part_(input.part) {
    // The training file is asked for another part than its own.
    own_ = input.files.has_own_parts() && part_ != Part::kTrain &&
           (part_ != Part::kDev || input.files.dev.empty());
  }

  const ArrayFile& file() const { return file_; }
  // Empty where there is none.
  std::string find(const std::string& name) const {
    if (own_) return file_.find_part(name, part_);
    if (part_ == Part::kDev) return file_.find(name, {Part::kDev, Part::kTest});
    return file_.find(name, {part_});
  }
  [[noreturn]] void lacks_inputs(const std::string& name) const {
    if (own_) {
      fail(ErrorCode::kInvalidArgument,
           "[data::ArraySource] '{}' does not say which examples are for the {}; expected an array "
           "'{}_{}' in it, or name data.dev, or hold rows out (data.split.{}: 0.1).",
           file_.path(),
           part_ == Part::kDev ? "validation" : "test",
           name,
           name_of(part_),
           name_of(part_));
    }
    lacks(name, "data.inputs");
  }
  [[noreturn]] void lacks(const std::string& name, const std::string& what) const {
    const auto names = file_.names();
    fail(ErrorCode::kData,
         "[data::ArraySource] '{}' has no array '{}', which {} names; {}",
         file_.path(),
         name,
         what,
         expected_one_of(name, names));
  }

 private:
  ArrayFile file_;
  Part part_;
  bool own_ = false;
};

// Columns of arrays beside the inputs, as cells.
class ColumnReader {
 public:
  ColumnReader(const PartArrays& arrays, std::size_t count, const std::string& inputs)
      : arrays_(arrays), count_(count), inputs_(inputs) {
    add(kExampleColumn, [](std::size_t row) { return std::to_string(row); });
  }

  void read(const std::string& column, const std::string& what) {
    if (column.empty() || std::find(names_.begin(), names_.end(), column) != names_.end()) return;
    std::string found = arrays_.find(column);
    std::size_t place = 0;
    bool is_part = false;
    if (const std::size_t dot = column.rfind('.'); found.empty() && dot != std::string::npos) {
      const auto number = whole_number<std::size_t>(std::string_view(column).substr(dot + 1));
      if (number) found = arrays_.find(column.substr(0, dot));
      place = number.value_or(0);
      is_part = true;
    }
    if (found.empty()) arrays_.lacks(column, what);
    const ArrayFile::Loaded loaded = arrays_.file().load(found);
    const NpyContent content = loaded.content();
    const auto& shape = content.shape;
    const std::size_t rows = shape.empty() ? 0 : shape[0];
    DETENTE_CHECK(rows == count_,
                  ErrorCode::kData,
                  "[data::ArraySource] '{}' has the shape {}, the inputs '{}' have {} examples; "
                  "expected as many entries in its first dimension.",
                  loaded.label,
                  npy_shape_text(shape),
                  inputs_,
                  count_);
    const std::size_t width = shape.size() == 1 ? 1 : product(std::span(shape).subspan(1));
    DETENTE_CHECK(shape.size() <= 2 && width > 0,
                  ErrorCode::kData,
                  "[data::ArraySource] '{}' has the shape {}; expected one number an example, [n] "
                  "or [n, k], for {}.",
                  loaded.label,
                  npy_shape_text(shape),
                  what);
    DETENTE_CHECK(is_part || width == 1,
                  ErrorCode::kData,
                  "[data::ArraySource] '{}' has {} numbers an example, and {} names it whole; "
                  "expected one of its columns, '{}.0' to '{}.{}' (a task with several numbers "
                  "takes a list: columns: [{}.0, {}.1]).",
                  loaded.label,
                  width,
                  what,
                  column,
                  column,
                  width - 1,
                  column,
                  column);
    DETENTE_CHECK(place < width,
                  ErrorCode::kData,
                  "[data::ArraySource] '{}' has {} numbers an example; {} names column {} (from "
                  "0).",
                  loaded.label,
                  width,
                  what,
                  place);
    const ArrayEntries entries(content);
    add(column, [&](std::size_t row) { return entries.cell(row * width + place); });
  }

  Table table(const std::string& source) { return Table::made(names_, cells_, source); }

 private:
  template <class Cell>
  void add(const std::string& name, const Cell& cell) {
    names_.push_back(name);
    std::vector<std::string>& cells = cells_.emplace_back();
    cells.reserve(count_);
    for (std::size_t row = 0; row < count_; ++row) cells.push_back(cell(row));
  }

  const PartArrays& arrays_;
  std::size_t count_;
  const std::string& inputs_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> cells_;
};

}  // namespace

void ArraySource::describe(FieldVisitor& data) {
  data.text("inputs",
            inputs_,
            "The array of the inputs: a member of a .npz file, a file of a folder, or what a .npy "
            "file's name has where others have those of the targets.");
  data.choice("layout",
              layout_,
              {{"channels_first", Layout::kChannelsFirst},
               {"channels_last", Layout::kChannelsLast},
               {"no_channels", Layout::kNoChannels}},
              "channels_first: [n, d], [n, c, t], [n, c, h, w] or [n, c, t, h, w]; channels_last: "
              "[n, t, c], [n, h, w, c] or [n, t, h, w, c]; no_channels: [n, t], [n, h, w] or [n, "
              "t, h, w], of one channel.");
  data.choice("scale",
              scale_,
              {{"standard", Scale::kStandard}, {"stored", Scale::kStored}},
              "What the network sees: standard: deviations from the mean of the training examples' "
              "column or channel; stored: the file's numbers.");
  data.integer("memory",
               memory_,
               {.min = 1, .max = 1e9},
               "MiB that the inputs of a part may take, four bytes a number; more is an error.");
}

std::unique_ptr<Source> ArraySource::fresh() const {
  auto source = std::make_unique<ArraySource>();
  source->inputs_ = inputs_;
  source->layout_ = layout_;
  source->scale_ = scale_;
  source->memory_ = memory_;
  return source;
}

std::size_t ArraySource::per_example() const { return product(fit_.sides); }

void ArraySource::read_rows(const SourceInput& input, const Source* fitted) {
  DETENTE_CHECK(!inputs_.empty(),
                ErrorCode::kInvalidArgument,
                "[data::ArraySource] 'data.inputs' is empty; name the array of the inputs.");
  DETENTE_CHECK(input.files.split.column.empty(),
                ErrorCode::kInvalidArgument,
                "[data::ArraySource] data.split.column is for tables; expected shares or folds, or "
                "arrays of each part ('{}_train', '{}_dev', '{}_test').",
                inputs_,
                inputs_,
                inputs_);
  const PartArrays arrays(input, inputs_);
  const std::string found = arrays.find(inputs_);
  if (found.empty()) arrays.lacks_inputs(inputs_);
  const ArrayFile::Loaded loaded = arrays.file().load(found);
  const NpyContent content = loaded.content();
  const std::vector<std::size_t> sides = sides_of(content.shape, loaded.label);
  if (fitted == nullptr) {
    fit_ = {};
    fit_.sides = sides;
  } else {
    fit_ = dynamic_cast<const ArraySource&>(*fitted).fit_;
    DETENTE_CHECK(sides == fit_.sides,
                  ErrorCode::kData,
                  "[data::ArraySource] '{}' has the shape {}, examples of {}; those of the "
                  "training are of {}. Expected the same.",
                  loaded.label,
                  npy_shape_text(content.shape),
                  npy_shape_text(sides),
                  npy_shape_text(fit_.sides));
  }
  const std::size_t count = content.shape[0];
  ColumnReader columns(arrays, count, loaded.label);
  for (const TargetColumn& target : input.targets) {
    for (const std::string& column : target.file_columns()) {
      columns.read(column, "task '" + target.task + "'");
    }
  }
  if (fitted == nullptr || input.files.split.any()) {
    columns.read(input.files.split.group, "data.split.group");
    columns.read(input.files.split.time, "data.split.time");
  }
  const Table table = columns.table(input.files.file(input.part));
  const RowList chosen = input.files.chosen_rows(input.part, table);
  table_ = table.select(chosen);
  take_places(*table_);
  costs_.assign(chosen.size(), 1);
  read_values(content, loaded.label, chosen);
  if (fitted == nullptr) fit_scale();
  for (const TargetColumn& target : input.targets) {
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
}

std::vector<std::size_t> ArraySource::sides_of(const std::vector<std::size_t>& shape,
                                               const std::string& label) const {
  const bool no_channels = layout_ == Layout::kNoChannels;
  const std::size_t most = no_channels ? 4 : 5;
  const std::size_t least = no_channels ? 2 : 1;
  DETENTE_CHECK(shape.size() >= least && shape.size() <= most,
                ErrorCode::kData,
                "[data::ArraySource] '{}' has the shape {}; expected {} to {} dimensions, the "
                "first over the examples{}.",
                label,
                npy_shape_text(shape),
                least,
                most,
                no_channels ? ", with layout: no_channels" : "");
  DETENTE_CHECK(std::find(shape.begin(), shape.end(), 0U) == shape.end(),
                ErrorCode::kData,
                "[data::ArraySource] '{}' has the shape {}, which holds nothing; expected at least "
                "one example and one number in each.",
                label,
                npy_shape_text(shape));
  std::vector<std::size_t> sides(shape.begin() + 1, shape.end());
  if (no_channels) sides.insert(sides.begin(), 1);
  if (sides.empty()) sides = {1};
  if (layout_ == Layout::kChannelsLast) {
    std::rotate(sides.rbegin(), sides.rbegin() + 1, sides.rend());
  }
  return sides;
}

void ArraySource::read_values(const NpyContent& content,
                              const std::string& label,
                              const RowList& rows) {
  const ArrayEntries entries(content);
  DETENTE_CHECK(!entries.is_text(),
                ErrorCode::kData,
                "[data::ArraySource] '{}' holds texts ({}); expected numbers as inputs.",
                label,
                content.dtype);
  const std::size_t size = per_example();
  const double mib =
      std::ldexp(4.0 * static_cast<double>(rows.size()) * static_cast<double>(size), -20);
  DETENTE_CHECK(mib <= static_cast<double>(memory_),
                ErrorCode::kData,
                "[data::ArraySource] {} examples of '{}' take {:.0f} MiB; data.memory allows {}. "
                "Choose a smaller data.max_rows, or allow more.",
                rows.size(),
                label,
                std::ceil(mib),
                memory_);
  const bool columns = fit_.sides.size() == 1;
  const std::size_t channels = fit_.sides.front();
  const std::size_t plane = size / channels;
  const bool last = layout_ == Layout::kChannelsLast;
  values_.resize(rows.size() * size);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      const double value = entries.number(rows[i] * size + j);
      const auto as_float = static_cast<float>(value);
      DETENTE_CHECK(std::isfinite(as_float) || (columns && std::isnan(value)),
                    ErrorCode::kData,
                    "[data::ArraySource] '{}' holds {} in example {} at number {} (from 0); "
                    "expected finite numbers of float32's range{}.",
                    label,
                    value,
                    rows[i],
                    j,
                    columns ? ", or NaN for a missing one" : "");
      values_[i * size + (last ? j % channels * plane + j / channels : j)] = as_float;
    }
  }
}

void ArraySource::fit_scale() {
  const std::size_t size = per_example();
  const std::size_t channels = fit_.sides.front();
  const std::size_t plane = this->plane();
  const auto mean_of = [&](const auto& term) {
    std::vector<double> sums(channels, 0);
    std::vector<double> counts(channels, 0);
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (std::isnan(values_[i])) continue;
      const std::size_t c = i % size / plane;
      sums[c] += term(static_cast<double>(values_[i]), c);
      ++counts[c];
    }
    for (std::size_t c = 0; c < channels; ++c) sums[c] /= std::max(counts[c], 1.0);
    return sums;
  };
  for (std::size_t c = 0; c < channels && size == channels; ++c) {
    bool any = false;
    for (std::size_t i = c; i < values_.size() && !any; i += size) any = std::isnan(values_[i]);
    if (any) fit_.marked.push_back(c);
  }
  fit_.means = mean_of([](double value, std::size_t) { return value; });
  fit_.deviations = mean_of([&](double value, std::size_t c) {
    return (value - fit_.means[c]) * (value - fit_.means[c]);
  });
  std::size_t constant = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    double& deviation = fit_.deviations[c];
    deviation = std::sqrt(deviation);
    // Rounding may leave a trace of one where all are equal.
    if (deviation > 1e-7 * std::abs(fit_.means[c])) continue;
    deviation = 1;
    ++constant;
  }
  if (constant > 0) {
    warnings_.push_back(fmt::format("{} of {} {} of '{}' never change; there is nothing to see.",
                                    constant,
                                    channels,
                                    size == channels ? "columns" : "channels",
                                    table_->source()));
  }
  if (scale_ == Scale::kStored) {
    fit_.means.assign(channels, 0);
    fit_.deviations.assign(channels, 1);
  }
}

Batch ArraySource::batch(std::span<const std::size_t> rows, const Rng* /*augment*/) const {
  const std::size_t size = per_example();
  const std::size_t plane = this->plane();
  std::vector<float> values(rows.size() * size);
  std::vector<std::uint8_t> missing;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const float* from = values_.data() + rows[i] * size;
    for (std::size_t j = 0; j < size; ++j) {
      const std::size_t c = j / plane;
      const double value = (static_cast<double>(from[j]) - fit_.means[c]) / fit_.deviations[c];
      values[i * size + j] =
          std::isnan(value)
              ? 0.0F
              : static_cast<float>(std::clamp(value, -kLargestStandardised, kLargestStandardised));
    }
    for (const std::size_t c : fit_.marked) missing.push_back(std::isnan(from[c]) ? 1 : 0);
  }
  static constexpr const char* kNames[] = {"numbers", "series", "image", "clip"};
  std::vector<std::size_t> shape = {rows.size()};
  shape.insert(shape.end(), fit_.sides.begin(), fit_.sides.end());
  Batch batch;
  batch.push_back({kNames[fit_.sides.size() - 1], std::move(shape), std::move(values)});
  if (!fit_.marked.empty()) {
    batch.push_back({"missing", {rows.size(), fit_.marked.size()}, std::move(missing)});
  }
  return batch;
}

void ArraySource::save(const std::filesystem::path& run) const {
  const Json json{{"format", kArraysFormat},
                  {"sides", fit_.sides},
                  {"means", fit_.means},
                  {"deviations", fit_.deviations},
                  {"marked", fit_.marked}};
  write_own_file(arrays_file(run), json.dump(1) + "\n");
}

void ArraySource::load(const std::filesystem::path& run) {
  const std::string path = arrays_file(run).string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  Fit fit;
  bool good = json.is_object() && json.value("format", Json()) == kArraysFormat;
  const auto list = [&](const char* key, double least, double most, auto& values) {
    using Value = typename std::decay_t<decltype(values)>::value_type;
    good = good && json.contains(key) && json[key].is_array();
    if (!good) return;
    for (const Json& entry : json[key]) {
      const double value = entry.is_number() ? entry.get<double>() : std::nan("");
      good = good && value >= least && value <= most;
      if (good) values.push_back(static_cast<Value>(value));
    }
  };
  constexpr double kLargest = 1e300;
  list("sides", 1, kMostSides, fit.sides);
  list("means", -kLargest, kLargest, fit.means);
  list("deviations", 1e-300, kLargest, fit.deviations);
  list("marked", 0, kMostSides, fit.marked);
  good = good && !fit.sides.empty() && fit.sides.size() <= 4 &&
         fit.means.size() == fit.sides.front() && fit.deviations.size() == fit.means.size() &&
         (fit.marked.empty() || (fit.sides.size() == 1 && fit.marked.back() < fit.sides.front())) &&
         std::is_sorted(fit.marked.begin(), fit.marked.end());
  DETENTE_CHECK(
      good,
      ErrorCode::kData,
      "[data::ArraySource] '{}' is damaged or of another version; expected {} with sides, "
      "means, deviations and marked columns.",
      path,
      kArraysFormat);
  fit_ = std::move(fit);
}

std::vector<ShownColumn> ArraySource::shown() const { return shown_columns(table_); }

}  // namespace detente::data
