// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/moments.h>
#include <detente/data/inspect.h>
#include <detente/data/inspect_steps.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

namespace detente::data {
namespace {

constexpr double kOutlier = 10;     // robust deviations
constexpr double kNormal = 1.4826;  // a normal's deviation, in median distances from its median

// Mean of the middle two where there are two; of finite numbers.
double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  const double below = *std::max_element(values.begin(), middle);
  return 0.5 * below + 0.5 * *middle;  // halves: the sum of huge ones is no number
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json summary_json(const NumberSummary& numbers) {
  return {{"count", numbers.count},
          {"min", number_or_null(numbers.min)},
          {"median", number_or_null(numbers.median)},
          {"mean", number_or_null(numbers.mean)},
          {"max", number_or_null(numbers.max)},
          {"deviation", number_or_null(numbers.deviation)},
          {"robust_deviation", number_or_null(numbers.robust_deviation)},
          {"outliers", numbers.outliers}};
}

Json task_json(const TaskFindings& task, const std::vector<PartFindings>& parts) {
  Json json = {{"name", task.name}, {"column", task.column}, {"kind", name_of(task.kind)}};
  if (!task.source.empty()) json["source"] = task.source;
  for (std::size_t i = 0; i < task.parts.size(); ++i) {
    const LabelFindings& labels = task.parts[i];
    Json part = {{"rows", parts[i].rows_of(task.source)}, {"labelled", labels.labelled}};
    if (task.kind == TaskKind::kRegression) {
      part["numbers"] = summary_json(labels.numbers);
    } else {
      Json classes = Json::array();
      for (std::size_t id = 0; id < labels.counts.size(); ++id) {
        classes.push_back({{"class", task.class_names[id]}, {"rows", labels.counts[id]}});
      }
      part["classes"] = std::move(classes);
    }
    json[name_of(parts[i].part)] = std::move(part);
  }
  return json;
}

Json map_json(const MapFindings& map, const std::vector<PartFindings>& parts) {
  Json json = {{"name", map.task}, {"column", map.column}, {"kind", name_of(map.kind)}};
  for (std::size_t i = 0; i < map.parts.size(); ++i) {
    const MapPartFindings& found = map.parts[i];
    Json part = {{"examples", found.examples},
                 {"without", found.without},
                 {"pixels", found.pixels},
                 {"all_pixels", found.all_pixels}};
    if (found.counts.empty()) {
      part["min"] = number_or_null(found.min);
      part["mean"] = number_or_null(found.mean);
      part["max"] = number_or_null(found.max);
    }
    if (map.kind == TaskKind::kDepth) part["lower_to_upper"] = number_or_null(found.lower_to_upper);
    if (map.kind == TaskKind::kNormals) part["other_length"] = found.other_length;
    for (std::size_t id = 0; id < found.counts.size(); ++id) {
      part["classes"].push_back({{"class", map.class_names[id]},
                                 {is_map(map.kind) ? "pixels" : "examples", found.counts[id]}});
    }
    json[name_of(parts[i].part)] = std::move(part);
  }
  return json;
}

Json input_json(const InputFindings& input) {
  Json json = {{"name", input.name},
               {"kind", input.kind},
               {"missing", input.missing},
               {"distinct", input.distinct}};
  if (input.numbers.count > 0) json["numbers"] = summary_json(input.numbers);
  if (input.kind == "category") json["unknown_dev"] = input.unknown_dev;
  return json;
}

// Where no cell of a table is an input (images, recordings, graphs) there may be no table at all.
Table rows_of(const Source& read, const SourceFiles& files, Part part, const Source& train) {
  const std::vector<ShownColumn> shown = read.shown();
  if (!train.input_columns().empty() || shown.empty()) return files.read_table(part);
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> columns;
  for (const ShownColumn& column : shown) {
    names.push_back(column.name);
    columns.push_back(column.cells);
  }
  return Table::made(std::move(names), columns, files.file(part));
}

}  // namespace

std::size_t PartFindings::rows_of(const std::string& source) const {
  if (source.empty()) return rows;
  for (const auto& [name, count] : sources) {
    if (name == source) return count;
  }
  return 0;
}

namespace internal {

std::string line_text(const Table& table, std::size_t row) {
  const std::string line = fmt::format("line {}", table.line(row));
  return table.origins().empty() ? line : fmt::format("{} of '{}'", line, table.source(row));
}

std::string count_text(std::size_t count, std::size_t of, const char* what) {
  const double share = of == 0 ? 0 : 100.0 * static_cast<double>(count) / static_cast<double>(of);
  return fmt::format("{} of {} {} ({:.{}f} %)", count, of, what, share, share < 1 ? 2 : 1);
}

}  // namespace internal

NumberSummary summarise(std::span<const double> values) {
  NumberSummary summary;
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](double value) {
    return std::isfinite(value);
  });
  summary.count = finite.size();
  if (finite.empty()) return summary;
  const auto [low, high] = std::minmax_element(finite.begin(), finite.end());
  summary.min = *low;
  summary.max = *high;
  const Moments moments = finite_moments(finite);
  summary.mean = moments.mean;
  summary.deviation = moments.deviation;
  summary.median = median_of(finite);
  // Distances in halves, for the difference of two huge numbers may be no number.
  const auto distance = [&](double value) { return std::abs(0.5 * value - 0.5 * summary.median); };
  std::transform(finite.begin(), finite.end(), finite.begin(), distance);
  const double spread = kNormal * median_of(finite);
  summary.robust_deviation = 2.0 * spread;
  if (!(spread > 0)) return summary;
  double farthest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || distance(values[i]) / spread <= kOutlier) continue;
    ++summary.outliers;
    if (distance(values[i]) <= farthest) continue;
    farthest = distance(values[i]);
    summary.outlier_row = i;
  }
  return summary;
}

Json DataFindings::to_json() const {
  Json json = {{"kind", kind}};
  json["parts"] = Json::array();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    json["parts"].push_back({{"part", name_of(parts[i].part)},
                             {"file", parts[i].file},
                             {"rows", parts[i].rows},
                             {"duplicates", duplicates.within.empty() ? 0 : duplicates.within[i]}});
    for (const auto& [name, rows] : parts[i].sources) {
      json["parts"].back()["sources"].push_back({{"name", name}, {"rows", rows}});
    }
  }
  json["tasks"] = Json::array();
  for (const TaskFindings& task : tasks) json["tasks"].push_back(task_json(task, parts));
  if (!maps.empty()) json["maps"] = Json::array();
  for (const MapFindings& map : maps) json["maps"].push_back(map_json(map, parts));
  json["pairs"] = Json::array();
  for (const TaskPair& pair : pairs) {
    json["pairs"].push_back({{"first", pair.first}, {"second", pair.second}, {"rows", pair.rows}});
  }
  json["inputs"] = Json::array();
  for (const InputFindings& input : inputs) json["inputs"].push_back(input_json(input));
  json["duplicates"] = {{"disagree", duplicates.disagree},
                        {"dev_in_train", duplicates.dev_in_train},
                        {"test_in_train", duplicates.test_in_train},
                        {"test_in_dev", duplicates.test_in_dev}};
  json["given_away"] = Json::array();
  for (const GivenAway& leak : given_away) {
    json["given_away"].push_back({{"task", leak.task}, {"input", leak.input}, {"how", leak.how}});
  }
  json["notes"] = notes;
  json["warnings"] = Json::array();
  for (const DataWarning& warning : warnings) {
    json["warnings"].push_back({{"about", warning.about}, {"text", warning.text}});
  }
  return json;
}

DataFindings inspect_parts(std::span<const InspectedPart> parts,
                           std::span<const TargetColumn> targets,
                           std::span<const InputColumn> inputs) {
  DETENTE_CHECK(!parts.empty() && parts[0].part == Part::kTrain,
                ErrorCode::kInvalidArgument,
                "[data::inspect_parts] the first part are the training rows; got {} parts.",
                parts.size());
  DataFindings findings;
  for (const InspectedPart& part : parts) {
    findings.parts.push_back({part.part, part.table.source(), part.table.rows(), part.sources});
  }
  internal::inspect_targets(parts, targets, findings);
  internal::inspect_inputs(parts, inputs, findings);
  internal::inspect_leaks(parts, inputs, findings);
  internal::inspect_duplicates(parts, inputs, findings);
  return findings;
}

DataFindings inspect_data(const Source& source,
                          const SourceFiles& files,
                          const std::vector<TargetColumn>& targets) {
  const auto has_map = [](const TargetColumn& target) { return is_map(target.kind); };
  if (std::any_of(targets.begin(), targets.end(), has_map)) {
    const auto* dense = dynamic_cast<const DenseSource*>(&source);
    DETENTE_CHECK(dense != nullptr,
                  ErrorCode::kUnsupported,
                  "[data::inspect_data] a task has an answer for each pixel of an example, which "
                  "data of kind '{}' do not have. Use data.kind: dense.",
                  source.kind());
    DataFindings findings = internal::inspect_maps(*dense, files, targets);
    findings.kind = source.kind();
    return findings;
  }
  std::vector<InspectedPart> parts;
  std::vector<DataWarning> warnings;
  std::vector<std::string> notes;
  const std::unique_ptr<Source> train = source.fresh();
  for (const Part part : {Part::kTrain, Part::kDev, Part::kTest}) {
    if (!files.has_rows(part)) continue;
    const std::unique_ptr<Source> other = part == Part::kTrain ? nullptr : source.fresh();
    Source& read = other ? *other : *train;
    read.read({files, part, targets, {}}, other ? train.get() : nullptr);
    for (const std::string& warning : read.warnings()) warnings.push_back({"reading", warning});
    for (const std::string& note : read.notes()) {
      notes.push_back(fmt::format("{}: {}", name_of(part), note));
    }
    parts.push_back(
        {part, rows_of(read, files, part, *train), single_targets(read.targets(), targets)});
    for (const std::string& name : read.origin_names()) parts.back().sources.emplace_back(name, 0);
    for (const std::uint32_t origin : read.origins()) ++parts.back().sources[origin].second;
  }
  std::vector<TargetColumn> named = targets;
  for (TargetColumn& target : named) {
    if (target.class_names.empty()) target.class_names = train->class_names(target.column);
  }
  DataFindings findings = inspect_parts(parts, single_columns(named), train->input_columns());
  findings.kind = source.kind();
  findings.notes = std::move(notes);
  findings.warnings.insert(findings.warnings.begin(), warnings.begin(), warnings.end());
  return findings;
}

}  // namespace detente::data
