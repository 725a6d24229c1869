// SPDX-License-Identifier: Apache-2.0
#include <detente/study/halving.h>
#include <detente/study/written_study.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace detente::study {
namespace {

constexpr std::size_t kMostRuns = 20'000;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

bool is_sound(const WrittenStudy& study) {
  if (study.tasks.empty() || study.variants.empty() || study.seeds.empty() ||
      study.variants.size() > kMostRuns || study.seeds.size() > kMostRuns ||
      study.variants.size() * study.seeds.size() > kMostRuns) {
    return false;
  }
  std::set<std::string> tasks;
  for (const StudyTask& task : study.tasks) {
    if (task.metrics.empty() || !tasks.insert(task.name).second) return false;
  }
  std::set<std::string> folders;
  for (const Variant& variant : study.variants) {
    if (!is_plain_name(variant.folder) || !folders.insert(variant.folder).second) return false;
    if (variant.single_task() && !tasks.contains(variant.task)) return false;
  }
  return std::set<std::int64_t>(study.seeds.begin(), study.seeds.end()).size() ==
         study.seeds.size();
}

}  // namespace

Json to_json(const Variant& variant) {
  return {{"method", variant.method},
          {"setting", variant.setting},
          {"task", variant.task},
          {"folder", variant.folder},
          {"overrides", variant.overrides}};
}

Variant variant_from(const Json& json) {
  Variant variant;
  json.at("method").get_to(variant.method);
  json.at("setting").get_to(variant.setting);
  json.at("task").get_to(variant.task);
  json.at("folder").get_to(variant.folder);
  json.at("overrides").get_to(variant.overrides);
  return variant;
}

Json WrittenStudy::to_json() const {
  Json tasks_json = Json::array();
  for (const StudyTask& task : tasks) {
    Json metrics = Json::array();
    for (const StudyMetric& metric : task.metrics) {
      metrics.push_back({{"name", metric.name}, {"higher_is_better", metric.higher_is_better}});
    }
    tasks_json.push_back({{"name", task.name}, {"metrics", std::move(metrics)}});
  }
  Json variants_json = Json::array();
  for (const Variant& variant : variants) variants_json.push_back(study::to_json(variant));
  return {{"title", facts.title},
          {"command", facts.command},
          {"test_rows", facts.test_rows},
          {"tasks", std::move(tasks_json)},
          {"variants", std::move(variants_json)},
          {"seeds", seeds},
          {"halving", halving}};
}

std::optional<WrittenStudy> WrittenStudy::from_json(const Json& json) {
  WrittenStudy study;
  try {
    json.at("title").get_to(study.facts.title);
    json.at("command").get_to(study.facts.command);
    json.at("test_rows").get_to(study.facts.test_rows);
    for (const Json& told : json.at("tasks")) {
      StudyTask task{told.at("name").get<std::string>(), {}};
      for (const Json& metric : told.at("metrics")) {
        task.metrics.push_back(
            {metric.at("name").get<std::string>(), metric.at("higher_is_better").get<bool>()});
      }
      study.tasks.push_back(std::move(task));
    }
    for (const Json& told : json.at("variants")) study.variants.push_back(variant_from(told));
    json.at("seeds").get_to(study.seeds);
    json.at("halving").get_to(study.halving);
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  if (!is_sound(study)) return std::nullopt;
  return study;
}

StudyFindings findings_of(const WrittenStudy& study, std::span<const RunResult> results) {
  StudyFindings findings;
  findings.ended = results.size();
  findings.failed = static_cast<std::size_t>(std::count_if(
      results.begin(), results.end(), [](const auto& result) { return !result.failure.empty(); }));
  findings.runs = study.variants.size() * study.seeds.size();
  if (study.halving) {
    Halving halving = halve(study.variants, study.tasks, study.seeds, results);
    findings.chosen = std::move(halving.chosen);
    findings.runs = results.size() + halving.next.size() + halving.later;
  } else {
    findings.chosen = chosen_variants(study.variants, study.tasks, results);
  }
  findings.analysis = analyse(study.variants, findings.chosen, study.tasks, study.seeds, results);
  findings.untested = study.facts.test_rows && findings.analysis.measured == Measured::kDev;
  return findings;
}

std::string study_page(const WrittenStudy& study,
                       const StudyFindings& findings,
                       const PageRuns& runs) {
  PageFacts facts = study.facts;
  if (findings.ended < findings.runs) {
    facts.so_far = fmt::format("{} of {} runs so far", findings.ended, findings.runs);
  }
  return study_page(
      facts, findings.analysis, study.variants, findings.chosen, study.tasks, study.seeds, runs);
}

}  // namespace detente::study
