// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json_text.h>
#include <detente/metrics/calibration.h>
#include <detente/report/answers.h>
#include <detente/report/internal/strict_json.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace detente::report {
namespace {

using internal::Damaged;
using internal::demand;
using internal::entry_at;
using internal::list_at;
using internal::name_from;
using internal::optional_at;
using internal::real_at;
using internal::real_from;
using internal::share_at;
using internal::whole_at;
using internal::whole_from;

constexpr const char* kAnswersFormat = "detente-answers-1";
constexpr const char* kEllipsis = "…";

// `used` sums up the pictures of a file.
std::string picture_at(const Json& object, const char* key, std::size_t& used) {
  return internal::picture_at(object, key, used, kMostPictures);
}

Json confusion_json(const ConfusionAnswers& confusion) {
  return {{"names", confusion.names},
          {"counts", confusion.counts},
          {"classes", confusion.classes},
          {"right", confusion.right}};
}

ConfusionAnswers confusion_from(const Json& json) {
  ConfusionAnswers out;
  for (const Json& name : list_at(json, "names", kMostClasses))
    out.names.push_back(name_from(name));
  const Json& counts = list_at(json, "counts", kMostClasses * kMostClasses);
  for (const Json& count : counts) out.counts.push_back(whole_from(count));
  demand(!out.names.empty() && out.counts.size() == out.names.size() * out.names.size());
  out.classes = whole_at(json, "classes");
  out.right = whole_at(json, "right");
  demand(out.classes >= out.names.size() && out.right <= out.total());
  return out;
}

Json reliability_json(const ReliabilityAnswers& reliability) {
  Json bins = Json::array();
  for (const auto& bin : reliability.bins) {
    bins.push_back({{"rows", bin.rows},
                    {"probability", json_number(bin.probability)},
                    {"share", json_number(bin.share)}});
  }
  return {{"error", json_number(reliability.error)}, {"bins", std::move(bins)}};
}

ReliabilityAnswers reliability_from(const Json& json) {
  ReliabilityAnswers out;
  out.error = real_at(json, "error");
  for (const Json& bin : list_at(json, "bins", metrics::kCalibrationBins)) {
    out.bins.push_back(
        {whole_at(bin, "rows"), share_at(bin, "probability"), share_at(bin, "share")});
  }
  return out;
}

Json output_json(const OutputAnswers& output) {
  Json residuals = Json::array();
  for (const double value : output.residuals) residuals.push_back(json_number(value));
  Json truth = Json::array();
  Json answer = Json::array();
  for (const auto& [t, p] : output.points) {
    truth.push_back(json_number(t));
    answer.push_back(json_number(p));
  }
  return {{"name", output.name},
          {"rows", output.rows},
          {"r2", json_number(output.r2)},
          {"mean_residual", json_number(output.mean_residual)},
          {"residuals", std::move(residuals)},
          {"true", std::move(truth)},
          {"predicted", std::move(answer)}};
}

OutputAnswers output_from(const Json& json) {
  OutputAnswers out;
  out.name = name_from(entry_at(json, "name"));
  out.rows = whole_at(json, "rows");
  out.r2 = real_at(json, "r2");
  out.mean_residual = real_at(json, "mean_residual");
  for (const Json& value : list_at(json, "residuals", std::size(kResidualQuantiles))) {
    out.residuals.push_back(real_from(value));
  }
  demand(out.residuals.empty() || out.residuals.size() == std::size(kResidualQuantiles));
  const Json& truth = list_at(json, "true", kMostPoints);
  const Json& answer = list_at(json, "predicted", kMostPoints);
  demand(truth.size() == answer.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    out.points.emplace_back(real_from(truth[i]), real_from(answer[i]));
  }
  return out;
}

Json label_json(const LabelAnswers& label) {
  return {{"name", label.name},
          {"rows", label.rows},
          {"there", label.there},
          {"predicted", label.predicted},
          {"both", label.both}};
}

LabelAnswers label_from(const Json& json) {
  LabelAnswers out;
  out.name = name_from(entry_at(json, "name"));
  out.rows = whole_at(json, "rows");
  out.there = whole_at(json, "there", out.rows);
  out.predicted = whole_at(json, "predicted", out.rows);
  out.both = whole_at(json, "both", std::min(out.there, out.predicted));
  return out;
}

Json maps_json(const MapAnswers& maps) {
  Json pairs = Json::array();
  for (const auto& pair : maps.pairs) {
    pairs.push_back({{"true", pair.truth}, {"predicted", pair.answer}});
  }
  Json json{{"pairs", std::move(pairs)}};
  if (std::isfinite(maps.low)) json["low"] = maps.low;
  if (std::isfinite(maps.high)) json["high"] = maps.high;
  for (const auto& one : maps.classes) {
    json["classes"].push_back({{"id", one.id}, {"name", one.name}});
  }
  return json;
}

MapAnswers maps_from(const Json& json, std::size_t& used) {
  MapAnswers out;
  for (const Json& pair : list_at(json, "pairs", kMostExamples)) {
    MapAnswers::Pair& to = out.pairs.emplace_back();
    to.truth = picture_at(pair, "true", used);
    to.answer = picture_at(pair, "predicted", used);
  }
  if (optional_at(json, "low") != nullptr) out.low = real_at(json, "low");
  if (optional_at(json, "high") != nullptr) out.high = real_at(json, "high");
  if (optional_at(json, "classes") != nullptr) {
    for (const Json& one : list_at(json, "classes", kMostLegend)) {
      out.classes.push_back({whole_at(one, "id", 1U << 30U), name_from(entry_at(one, "name"))});
    }
  }
  return out;
}

Json task_json(const TaskAnswers& task) {
  Json json{{"task", task.task}, {"kind", name_of(task.kind)}, {"rows", task.rows}};
  if (task.not_finite > 0) json["not_finite"] = task.not_finite;
  if (task.confusion) json["confusion"] = confusion_json(*task.confusion);
  if (task.reliability) json["reliability"] = reliability_json(*task.reliability);
  for (const auto& output : task.outputs) json["outputs"].push_back(output_json(output));
  if (task.all_outputs > 0) json["all_outputs"] = task.all_outputs;
  for (const auto& label : task.labels) json["labels"].push_back(label_json(label));
  if (task.all_labels > 0) json["all_labels"] = task.all_labels;
  if (task.maps) json["maps"] = maps_json(*task.maps);
  return json;
}

TaskAnswers task_from(const Json& json, std::size_t examples, std::size_t& used) {
  TaskAnswers out;
  out.task = name_from(entry_at(json, "task"));
  const std::string kind = name_from(entry_at(json, "kind"));
  const auto kinds = task_kind_names();
  const auto known = std::find_if(
      kinds.begin(), kinds.end(), [&](const auto& entry) { return entry.first == kind; });
  demand(known != kinds.end());
  out.kind = known->second;
  out.rows = whole_at(json, "rows");
  if (optional_at(json, "not_finite") != nullptr) {
    out.not_finite = whole_at(json, "not_finite", out.rows);
  }
  if (const Json* found = optional_at(json, "confusion")) out.confusion = confusion_from(*found);
  if (const Json* found = optional_at(json, "reliability")) {
    out.reliability = reliability_from(*found);
  }
  if (optional_at(json, "outputs") != nullptr) {
    for (const Json& one : list_at(json, "outputs", kMostOutputs)) {
      out.outputs.push_back(output_from(one));
    }
    out.all_outputs = whole_at(json, "all_outputs");
    demand(out.all_outputs >= out.outputs.size());
  }
  if (optional_at(json, "labels") != nullptr) {
    for (const Json& one : list_at(json, "labels", kMostLabels)) {
      out.labels.push_back(label_from(one));
    }
    out.all_labels = whole_at(json, "all_labels");
    demand(out.all_labels >= out.labels.size());
  }
  if (const Json* found = optional_at(json, "maps")) {
    out.maps = maps_from(*found, used);
    demand(out.maps->pairs.size() == examples);
  }
  return out;
}

RunAnswers answers_from(const Json& json) {
  demand(entry_at(json, "format") == kAnswersFormat);
  RunAnswers out;
  out.epoch = static_cast<std::int64_t>(whole_at(json, "epoch"));
  out.rows = whole_at(json, "rows");
  out.all_tasks = whole_at(json, "all_tasks");
  std::size_t used = 0;
  for (const Json& example : list_at(json, "examples", kMostExamples)) {
    RunAnswers::Example& to = out.examples.emplace_back();
    to.row = whole_at(example, "row");
    if (const Json* name = optional_at(example, "name")) to.name = name_from(*name);
    to.input = picture_at(example, "input", used);
  }
  for (const Json& task : list_at(json, "tasks", kMostAnswerTasks)) {
    out.tasks.push_back(task_from(task, out.examples.size(), used));
  }
  demand(out.all_tasks >= out.tasks.size());
  return out;
}

double part_of(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? kNoNumber : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::uint64_t ConfusionAnswers::total() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counts) sum += count;
  return sum;
}

double LabelAnswers::precision() const { return part_of(both, predicted); }
double LabelAnswers::recall() const { return part_of(both, there); }
double LabelAnswers::f1() const { return part_of(2 * both, there + predicted); }

Json RunAnswers::to_json() const {
  Json shown = Json::array();
  for (const auto& example : examples) {
    Json& one = shown.emplace_back(Json{{"row", example.row}, {"input", example.input}});
    if (!example.name.empty()) one["name"] = example.name;
  }
  Json list = Json::array();
  for (const auto& task : tasks) list.push_back(task_json(task));
  return {{"format", kAnswersFormat},
          {"epoch", epoch},
          {"rows", rows},
          {"all_tasks", all_tasks},
          {"examples", std::move(shown)},
          {"tasks", std::move(list)}};
}

std::optional<RunAnswers> RunAnswers::from_json(const Json& json) {
  try {
    return answers_from(json);
  } catch (const Damaged&) {
    return std::nullopt;
  }
}

std::string answers_text(const RunAnswers& answers) {
  return json_text(answers.to_json(), -1) + "\n";
}

std::optional<RunAnswers> parse_answers(std::string_view text) {
  return RunAnswers::from_json(Json::parse(text, nullptr, false));
}

std::string short_name(std::string_view name) {
  std::string out;
  for (std::string_view rest = name; !rest.empty();) {
    const std::size_t bad = text::find_invalid_utf8(rest);
    out += rest.substr(0, bad);
    if (bad == std::string_view::npos) break;
    out += "\uFFFD";
    rest.remove_prefix(bad + 1);
  }
  if (out.size() <= kMostName) return out;
  return std::string(text::whole_letters(out, kMostName - std::string_view(kEllipsis).size())) +
         kEllipsis;
}

}  // namespace detente::report
