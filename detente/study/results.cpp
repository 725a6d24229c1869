// SPDX-License-Identifier: Apache-2.0
#include <detente/core/nan.h>
#include <detente/metrics/delta_m.h>
#include <detente/study/results.h>
#include <detente/study/words.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace detente::study {
namespace {

double value_in(const report::NamedTables& tables,
                const std::string& task,
                const std::string& metric) {
  for (const auto& [name, numbers] : tables) {
    if (name != task) continue;
    for (const auto& [key, value] : numbers) {
      if (key == metric) return value;
    }
  }
  return kNan;
}

double mean_of(const std::vector<double>& values) { return metrics::mean_interval(values).mean; }

// Values of one variant, a place per seed.
class Lookup {
 public:
  Lookup(std::span<const std::int64_t> seeds, std::span<const RunResult> results, Measured measured)
      : seeds_(seeds), measured_(measured) {
    for (const RunResult& result : results) runs_[{result.variant, result.seed}] = &result;
  }

  const RunResult* run(std::size_t variant, std::int64_t seed) const {
    const auto found = runs_.find({variant, seed});
    return found == runs_.end() ? nullptr : found->second;
  }

  std::vector<double> values(std::size_t variant,
                             const std::string& task,
                             const std::string& metric) const {
    std::vector<double> values;
    for (const std::int64_t seed : seeds_) {
      const RunResult* result = run(variant, seed);
      const bool usable = result != nullptr && result->failure.empty();
      values.push_back(
          usable ? value_in(measured_ == Measured::kTest ? result->test : result->dev, task, metric)
                 : kNan);
    }
    return values;
  }

  double mean(std::size_t variant, double RunResult::*field) const {
    std::vector<double> values;
    for (const std::int64_t seed : seeds_) {
      const RunResult* result = run(variant, seed);
      if (result != nullptr && result->failure.empty()) values.push_back(result->*field);
    }
    return mean_of(values);
  }

 private:
  std::span<const std::int64_t> seeds_;
  Measured measured_;
  std::map<std::pair<std::size_t, std::int64_t>, const RunResult*> runs_;
};

}  // namespace

Json RunResult::to_json() const {
  Json json{{"variant", variant}, {"seed", seed}, {"dev", report::to_json(dev)}};
  if (!test.empty()) json["test"] = report::to_json(test);
  json["seconds"] = json_number(seconds);
  json["ms_per_step"] = json_number(ms_per_step);
  if (!failure.empty()) json["failure"] = failure;
  return json;
}

std::optional<RunResult> RunResult::from_json(const Json& json) {
  if (!json.is_object() || !json.contains("variant") || !json["variant"].is_number_unsigned() ||
      !json.contains("seed") || !json["seed"].is_number_integer()) {
    return std::nullopt;
  }
  RunResult result;
  result.variant = json["variant"].get<std::size_t>();
  result.seed = json["seed"].get<std::int64_t>();
  result.dev = report::tables_at(json, "dev");
  result.test = report::tables_at(json, "test");
  result.seconds = report::number_at(json, "seconds");
  result.ms_per_step = report::number_at(json, "ms_per_step");
  if (json.contains("failure") && json["failure"].is_string()) {
    result.failure = json["failure"].get<std::string>();
  }
  return result;
}

std::vector<std::size_t> ranked(std::span<const std::size_t> family,
                                std::span<const Variant> variants,
                                std::span<const StudyTask> tasks,
                                std::span<const RunResult> results) {
  std::vector<std::int64_t> seeds;
  for (const RunResult& result : results) {
    if (std::find(seeds.begin(), seeds.end(), result.seed) == seeds.end())
      seeds.push_back(result.seed);
  }
  const Lookup dev(seeds, results, Measured::kDev);
  std::vector<std::pair<double, std::size_t>> scored;
  for (const std::size_t variant : family) {
    double sum = 0;
    std::size_t count = 0;
    for (const StudyTask& task : tasks) {
      if (variants[variant].single_task() && task.name != variants[variant].task) continue;
      const StudyMetric& metric = task.metrics.front();
      const double value = mean_of(dev.values(variant, task.name, metric.name));
      // In units of the first variant that has one, so that tasks of any unit count alike.
      double base = kNan;
      for (const std::size_t other : family) {
        base = mean_of(dev.values(other, task.name, metric.name));
        if (std::isfinite(base)) break;
      }
      if (!std::isfinite(value) || !std::isfinite(base)) continue;
      const double unit = base == 0 ? 1 : std::abs(base);
      sum += (metric.higher_is_better ? value - base : base - value) / unit;
      ++count;
    }
    scored.emplace_back(count == 0 ? -HUGE_VAL : sum / static_cast<double>(count), variant);
  }
  std::stable_sort(
      scored.begin(), scored.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::size_t> order;
  for (const auto& [score, variant] : scored) order.push_back(variant);
  return order;
}

std::vector<std::size_t> chosen_variants(std::span<const Variant> variants,
                                         std::span<const StudyTask> tasks,
                                         std::span<const RunResult> results) {
  std::vector<std::size_t> chosen;
  for (const auto& family : families(variants)) {
    chosen.push_back(ranked(family, variants, tasks, results).front());
  }
  return chosen;
}

Analysis analyse(std::span<const Variant> variants,
                 std::span<const std::size_t> chosen,
                 std::span<const StudyTask> tasks,
                 std::span<const std::int64_t> seeds,
                 std::span<const RunResult> results) {
  Analysis analysis;
  analysis.seeds.assign(seeds.begin(), seeds.end());
  const bool tested = std::any_of(
      results.begin(), results.end(), [](const RunResult& result) { return !result.test.empty(); });
  analysis.measured = tested ? Measured::kTest : Measured::kDev;
  const Lookup lookup(seeds, results, analysis.measured);

  std::vector<std::size_t> methods;
  std::map<std::string, std::size_t> singles;
  for (const std::size_t v : chosen) {
    if (variants[v].single_task()) {
      singles[variants[v].task] = v;
    } else {
      methods.push_back(v);
    }
  }
  std::size_t reference = methods.empty() ? 0 : methods.front();
  for (const std::size_t v : methods) {
    if (variants[v].method == "ew") reference = v;
  }
  if (!methods.empty()) analysis.reference = variants[reference].method;

  for (const StudyTask& task : tasks) {
    for (const StudyMetric& metric : task.metrics) {
      const auto add = [&](std::size_t v) {
        MetricRow row{variants[v].method, task.name, metric.name, {}, {}};
        row.by_seed = lookup.values(v, task.name, metric.name);
        row.estimate = metrics::mean_interval(row.by_seed);
        analysis.rows.push_back(std::move(row));
      };
      if (const auto single = singles.find(task.name); single != singles.end()) add(single->second);
      for (const std::size_t v : methods) add(v);
    }
  }

  std::vector<std::vector<double>> means;
  for (const std::size_t v : methods) {
    MethodSummary summary;
    summary.method = variants[v].method;
    summary.setting = variants[v].setting;
    std::vector<std::vector<metrics::ComparedMetric>> compared;
    std::vector<double> first;
    for (const StudyTask& task : tasks) {
      compared.emplace_back();
      for (const StudyMetric& metric : task.metrics) {
        const auto single = singles.find(task.name);
        compared.back().push_back(
            {mean_of(lookup.values(v, task.name, metric.name)),
             single == singles.end()
                 ? kNan
                 : mean_of(lookup.values(single->second, task.name, metric.name)),
             metric.higher_is_better});
      }
      const double mean = compared.back().front().value;
      first.push_back(task.metrics.front().higher_is_better ? mean : -mean);
    }
    summary.delta_m_metric = metrics::delta_m_metric(compared);
    summary.delta_m_task = metrics::delta_m_task(compared);
    summary.seconds = lookup.mean(v, &RunResult::seconds);
    summary.ms_per_step = lookup.mean(v, &RunResult::ms_per_step);
    std::vector<double> step_changes;
    for (const std::int64_t seed : seeds) {
      const RunResult* run = lookup.run(v, seed);
      if (run == nullptr) continue;
      ++(run->failure.empty() ? summary.finished : summary.failed);
      const RunResult* other = lookup.run(reference, seed);
      if (v == reference || other == nullptr || !run->failure.empty() || !other->failure.empty()) {
        continue;
      }
      const double change = 100 * (run->ms_per_step / other->ms_per_step - 1);
      if (std::isfinite(change)) step_changes.push_back(change);
    }
    summary.step_change = metrics::mean_interval(step_changes);
    means.push_back(std::move(first));
    analysis.methods.push_back(std::move(summary));
  }
  const auto ranks = metrics::mean_ranks(means);
  for (std::size_t m = 0; m < methods.size(); ++m) analysis.methods[m].mean_rank = ranks[m];

  std::vector<double> p;
  for (const std::size_t v : methods) {
    if (v == reference) continue;
    for (const StudyTask& task : tasks) {
      const StudyMetric& metric = task.metrics.front();
      Verdict verdict{variants[v].method, analysis.reference, task.name, metric.name};
      verdict.higher_is_better = metric.higher_is_better;
      const auto own = lookup.values(v, task.name, metric.name);
      const auto other = lookup.values(reference, task.name, metric.name);
      verdict.test = metrics::paired_test(own, other);
      verdict.detectable =
          metrics::detectable_difference(verdict.test.deviation, verdict.test.difference.n);
      p.push_back(verdict.test.p);
      analysis.verdicts.push_back(std::move(verdict));
    }
  }
  const auto adjusted = metrics::holm(p);
  const auto family = static_cast<std::size_t>(
      std::count_if(p.begin(), p.end(), [](double value) { return !std::isnan(value); }));
  for (std::size_t i = 0; i < analysis.verdicts.size(); ++i) {
    analysis.verdicts[i].p_holm = adjusted[i];
    analysis.verdicts[i].text = verdict_text(analysis.verdicts[i], family);
  }
  analysis.sentences = sentences_of(analysis);
  if (seeds.size() == 1) {
    analysis.notes.push_back(
        "One seed: no intervals, no tests. Three are the least that say anything, five are "
        "better.");
  }
  for (std::string& note : edge_notes(variants, chosen)) analysis.notes.push_back(std::move(note));
  for (const StudyTask& task : tasks) {
    for (const MetricRow& row : analysis.rows) {
      if (row.method != "single" || row.task != task.name) continue;
      if (row.estimate.n < 2 || row.estimate.low > 0 || row.estimate.high < 0) continue;
      analysis.notes.push_back(fmt::format(
          "{} of {} trained alone is 0 within its interval ({} to {}): Δm divides by it, so "
          "that its part of Δm says nothing.",
          row.metric,
          row.task,
          score_text(row.estimate.low),
          score_text(row.estimate.high)));
    }
  }
  for (const RunResult& result : results) {
    // Of a setting that was not chosen a failure counts as well: it may be why.
    const bool is_chosen = std::find(chosen.begin(), chosen.end(), result.variant) != chosen.end();
    std::string what = result.failure;
    if (what.empty() && is_chosen && tested && result.test.empty()) what = "it has no test result";
    if (what.empty()) continue;
    analysis.notes.push_back(
        fmt::format("{}, seed {}: {}", variants[result.variant].name(), result.seed, what));
  }
  return analysis;
}

Json Analysis::to_json() const {
  Json rows_json = Json::array();
  for (const MetricRow& row : rows) {
    Json by_seed_json = Json::array();
    for (const double value : row.by_seed) by_seed_json.push_back(json_number(value));
    rows_json.push_back({{"method", row.method},
                         {"task", row.task},
                         {"metric", row.metric},
                         {"mean", json_number(row.estimate.mean)},
                         {"low", json_number(row.estimate.low)},
                         {"high", json_number(row.estimate.high)},
                         {"seeds", row.estimate.n},
                         {"by_seed", by_seed_json}});
  }
  Json delta_json = Json::array();
  Json methods_json = Json::array();
  for (const MethodSummary& m : methods) {
    delta_json.push_back({{"method", m.method},
                          {"delta_m_metric", json_number(m.delta_m_metric)},
                          {"delta_m_task", json_number(m.delta_m_task)}});
    methods_json.push_back({{"method", m.method},
                            {"setting", m.setting},
                            {"mean_rank", json_number(m.mean_rank)},
                            {"seconds", json_number(m.seconds)},
                            {"ms_per_step", json_number(m.ms_per_step)},
                            {"step_change",
                             {{"percent", json_number(m.step_change.mean)},
                              {"low", json_number(m.step_change.low)},
                              {"high", json_number(m.step_change.high)},
                              {"seeds", m.step_change.n}}},
                            {"finished", m.finished},
                            {"failed", m.failed}});
  }
  Json verdicts_json = Json::array();
  for (const Verdict& v : verdicts) {
    verdicts_json.push_back({{"method", v.method},
                             {"reference", v.reference},
                             {"task", v.task},
                             {"metric", v.metric},
                             {"difference", json_number(v.test.difference.mean)},
                             {"low", json_number(v.test.difference.low)},
                             {"high", json_number(v.test.difference.high)},
                             {"pairs", v.test.difference.n},
                             {"p", json_number(v.test.p)},
                             {"p_holm", json_number(v.p_holm)},
                             {"detectable", json_number(v.detectable)},
                             {"text", v.text}});
  }
  return {{"format", "detente-comparison-1"},
          {"measured", measured == Measured::kTest ? "test" : "dev"},
          {"reference", reference},
          {"seeds", seeds},
          {"rows", rows_json},
          {"delta_m", delta_json},
          {"methods", methods_json},
          {"verdicts", verdicts_json},
          {"sentences", sentences},
          {"notes", notes}};
}

}  // namespace detente::study
