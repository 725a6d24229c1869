// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/report/inspection.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace detente::report {
namespace {

using Rows = std::vector<std::size_t>;

std::vector<double> finite(const std::vector<double>& values) {
  std::vector<double> result;
  for (const double v : values) {
    if (std::isfinite(v)) result.push_back(v);
  }
  return result;
}

// Of the finite values; NaN without any.
double quantile(const std::vector<double>& values, double share) {
  std::vector<double> sorted = finite(values);
  if (sorted.empty()) return kNan;
  std::sort(sorted.begin(), sorted.end());
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double median(const std::vector<double>& values) { return quantile(values, 0.5); }

// The 97.5 % point of Student's distribution with 1 to 19 degrees of freedom.
double student(std::size_t freedom) {
  constexpr std::array kPoints = {12.706,
                                  4.303,
                                  3.182,
                                  2.776,
                                  2.571,
                                  2.447,
                                  2.365,
                                  2.306,
                                  2.262,
                                  2.228,
                                  2.201,
                                  2.179,
                                  2.160,
                                  2.145,
                                  2.131,
                                  2.120,
                                  2.110,
                                  2.101,
                                  2.093};
  return kPoints[std::min(freedom, kPoints.size()) - 1];
}

// A curve at some rows; NaN for a curve that is missing.
std::vector<double> at_rows(const Curves& curves, const std::string& name, const Rows& rows) {
  const std::vector<double>* values = curves.find(name);
  std::vector<double> result(rows.size(), kNan);
  if (values == nullptr) return result;
  for (std::size_t i = 0; i < rows.size(); ++i) result[i] = (*values)[rows[i]];
  return result;
}

// The share of finite values that are below zero; NaN without any.
double share_below_zero(const std::vector<double>& values) {
  const std::vector<double> known = finite(values);
  if (known.empty()) return kNan;
  const auto below = std::count_if(known.begin(), known.end(), [](double v) { return v < 0; });
  return static_cast<double>(below) / static_cast<double>(known.size());
}

template <class F>
std::vector<double> combined(const std::vector<double>& a, const std::vector<double>& b, F f) {
  std::vector<double> result(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) result[i] = f(a[i], b[i]);
  return result;
}

double similarity(double a, double b) {
  return a > 0 || b > 0 ? 2 * a * b / (a * a + b * b) : kNan;
}

Rows measured_rows(const RunData& run, std::size_t last) {
  Rows rows;
  for (std::size_t row = 0; row < run.steps.size(); ++row) {
    const bool any = std::any_of(run.cosines.values.begin(),
                                 run.cosines.values.end(),
                                 [&](const auto& pair) { return std::isfinite(pair[row]); });
    if (any) rows.push_back(row);
  }
  if (last > 0 && rows.size() > last) {
    rows.erase(rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(last));
  }
  return rows;
}

std::vector<TaskFinding> find_tasks(const RunData& run, const Rows& rows) {
  std::vector<TaskFinding> tasks;
  std::vector<std::vector<double>> pulls;
  std::vector<double> total(rows.size(), 0);
  for (const std::string& name : run.grad_norms.names) {
    const auto norms = at_rows(run.grad_norms, name, rows);
    const auto weights = at_rows(run.weights, name, rows);
    tasks.push_back({.name = name,
                     .gradient_norm = median(norms),
                     .weight = median(weights),
                     .weight_low = quantile(weights, 0.05),
                     .weight_high = quantile(weights, 0.95)});
    pulls.push_back(combined(norms, weights, [](double n, double w) { return n * std::abs(w); }));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (std::isfinite(pulls.back()[i])) total[i] += pulls.back()[i];
    }
  }
  for (std::size_t k = 0; k < tasks.size(); ++k) {
    tasks[k].pull =
        median(combined(pulls[k], total, [](double p, double t) { return t > 0 ? p / t : kNan; }));
  }
  return tasks;
}

std::vector<PairFinding> find_pairs(const RunData& run, const Rows& rows) {
  std::vector<PairFinding> pairs;
  for (const std::string& name : run.cosines.names) {
    const std::size_t bar = name.find('|');
    if (bar == std::string::npos) continue;
    PairFinding pair{.first = name.substr(0, bar), .second = name.substr(bar + 1)};
    const auto cosines = at_rows(run.cosines, name, rows);
    pair.cosine = mean_interval(cosines);
    if (pair.cosine.count == 0) continue;
    pair.conflict_share = share_below_zero(cosines);
    const auto a = at_rows(run.grad_norms, pair.first, rows);
    const auto b = at_rows(run.grad_norms, pair.second, rows);
    pair.magnitude_similarity = finite_mean(combined(a, b, similarity));
    pair.size_ratio = median(combined(a, b, [](double x, double y) { return x / y; }));
    pair.xi = median(at_rows(run.xi, name, rows));
    pairs.push_back(std::move(pair));
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const PairFinding& a, const PairFinding& b) {
    return a.cosine.mean < b.cosine.mean;
  });
  return pairs;
}

std::vector<GroupFinding> find_groups(const RunData& run, const Rows& rows) {
  std::vector<GroupFinding> groups;
  double total = 0;
  for (const GroupCurves& curves : run.groups) {
    GroupFinding group{.name = curves.name};
    for (const std::string& task : curves.grad_norms.names) {
      for (const double n : at_rows(curves.grad_norms, task, rows)) {
        if (std::isfinite(n)) group.size += n * n;
      }
    }
    total += group.size;
    std::vector<double> all;
    group.worst_cosine = std::numeric_limits<double>::infinity();
    for (const std::string& pair : curves.cosines.names) {
      const auto cosines = finite(at_rows(curves.cosines, pair, rows));
      all.insert(all.end(), cosines.begin(), cosines.end());
      if (!cosines.empty() && finite_mean(cosines) < group.worst_cosine) {
        group.worst_cosine = finite_mean(cosines);
        group.worst_pair = pair;
      }
    }
    if (all.empty()) continue;
    group.cosine = finite_mean(all);
    group.conflict_share = share_below_zero(all);
    groups.push_back(std::move(group));
  }
  for (GroupFinding& group : groups) group.size = total > 0 ? group.size / total : kNan;
  return groups;
}

TriadFinding find_triad(const RunData& run, const Rows& rows) {
  std::vector<double> dominated;
  std::vector<double> curved;
  std::vector<double> large;
  std::vector<double> all;
  for (const std::string& pair : run.dominated.names) {
    const auto a = at_rows(run.dominated, pair, rows);
    const auto b = at_rows(run.curved, pair, rows);
    const auto c = at_rows(run.large_step, pair, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      dominated.push_back(a[i]);
      curved.push_back(b[i]);
      large.push_back(c[i]);
      all.push_back(a[i] * b[i] * c[i]);
    }
  }
  return {finite_mean(dominated),
          finite_mean(curved),
          finite_mean(large),
          finite_mean(all),
          finite(all).size()};
}

CurvatureFinding find_curvature(const RunData& run, const Rows& rows) {
  const auto squared = at_rows(run.curvature, "squared_norm", rows);
  const auto relative = [&](const char* name) {
    return mean_interval(combined(at_rows(run.curvature, name, rows),
                                  squared,
                                  [](double h, double s) { return s > 0 ? h / s : kNan; }));
  };
  return {relative("gradients"), relative("losses"), median(at_rows(run.curvature, "step", rows))};
}

Json interval_json(const MeanInterval& interval) {
  return {{"mean", json_number(interval.mean)},
          {"low", json_number(interval.low)},
          {"high", json_number(interval.high)},
          {"steps", interval.count}};
}

}  // namespace

MeanInterval mean_interval(const std::vector<double>& values) {
  constexpr std::size_t kBlocks = 20;
  const std::vector<double> known = finite(values);
  MeanInterval result{finite_mean(known), kNan, kNan, known.size()};
  const std::size_t blocks = std::min(kBlocks, known.size());
  if (blocks < 2) return result;
  double squares = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    const auto begin = static_cast<std::ptrdiff_t>(b * known.size() / blocks);
    const auto end = static_cast<std::ptrdiff_t>((b + 1) * known.size() / blocks);
    const double mean = finite_mean({known.begin() + begin, known.begin() + end});
    squares += (mean - result.mean) * (mean - result.mean);
  }
  const auto n = static_cast<double>(blocks);
  const double half = student(blocks - 1) * std::sqrt(squares / (n - 1) / n);
  result.low = result.mean - half;
  result.high = result.mean + half;
  return result;
}

const char* name_of(Advice::Topic topic) {
  switch (topic) {
    case Advice::Topic::kData:
      return "data";
    case Advice::Topic::kConflict:
      return "conflict";
    case Advice::Topic::kPlace:
      return "place";
    case Advice::Topic::kSize:
      return "size";
    case Advice::Topic::kWeights:
      return "weights";
    case Advice::Topic::kTriad:
      return "triad";
  }
  return "?";
}

bool method_uses_gradients(std::string_view method) {
  const balance::MethodInfo* info = balance::find_method(method);
  return info == nullptr || info->method_class != balance::MethodClass::kLoss;
}

Inspection inspect_run(const RunData& run, const InspectOptions& options) {
  DETENTE_CHECK(run.losses.names.size() != 1,
                ErrorCode::kData,
                "[report::inspect_run] '{}' trained one task, '{}'; how tasks stand to each other "
                "needs two.{}",
                run.folder,
                run.losses.names[0],
                run.monitor.empty() ? ""
                                    : " What its loss says of itself is on the run's page, "
                                      "which `detente report` makes again.");
  const double counted = run.number("steps");
  DETENTE_CHECK(!run.steps.empty() || !(counted > 0),
                ErrorCode::kData,
                "[report::inspect_run] metrics.jsonl of '{}' holds no step, but the run's summary "
                "counts {:.0f}: the log was emptied or lost, and what was measured went with it. "
                "Bring it back, or train again.",
                run.folder,
                counted);
  DETENTE_CHECK(!run.steps.empty(),
                ErrorCode::kData,
                "[report::inspect_run] metrics.jsonl of '{}' holds no step. A run that has just "
                "begun has none yet: look again when it has trained a while. Otherwise the log was "
                "emptied or lost: bring it back, or train again.",
                run.folder);
  const Rows rows = measured_rows(run, options.last);
  DETENTE_CHECK(!rows.empty(),
                ErrorCode::kData,
                "[report::inspect_run] none of the {} steps of '{}' has the tasks' gradients. "
                "Train with --set engine.diagnose_every=10 (every tenth step measures them) or "
                "with a method that needs them.",
                run.steps.size(),
                run.folder);
  Inspection inspection;
  inspection.name = run.text("name", run.folder);
  inspection.method = run.text("method", options.method);
  inspection.steps = run.steps.size();
  inspection.of_agent = run.of_agent();
  inspection.measured = rows.size();
  inspection.first_step = run.steps[rows.front()];
  inspection.last_step = run.steps[rows.back()];
  inspection.tasks = find_tasks(run, rows);
  inspection.pairs = find_pairs(run, rows);
  inspection.groups = find_groups(run, rows);
  inspection.triad = find_triad(run, rows);
  inspection.curvature = find_curvature(run, rows);
  inspection.advice = advise(inspection, options.method_uses_gradients);
  return inspection;
}

Json Inspection::json() const {
  Json json{{"name", name},
            {"method", method},
            {"steps", steps},
            {"measured", measured},
            {"first_step", json_number(first_step)},
            {"last_step", json_number(last_step)}};
  json["tasks"] = Json::array();
  for (const TaskFinding& task : tasks) {
    json["tasks"].push_back({{"name", task.name},
                             {"gradient_norm", json_number(task.gradient_norm)},
                             {"weight", json_number(task.weight)},
                             {"weight_low", json_number(task.weight_low)},
                             {"weight_high", json_number(task.weight_high)},
                             {"pull", json_number(task.pull)}});
  }
  json["pairs"] = Json::array();
  for (const PairFinding& pair : pairs) {
    json["pairs"].push_back({{"first", pair.first},
                             {"second", pair.second},
                             {"cosine", interval_json(pair.cosine)},
                             {"conflict_share", json_number(pair.conflict_share)},
                             {"magnitude_similarity", json_number(pair.magnitude_similarity)},
                             {"size_ratio", json_number(pair.size_ratio)},
                             {"xi", json_number(pair.xi)}});
  }
  json["groups"] = Json::array();
  for (const GroupFinding& group : groups) {
    json["groups"].push_back({{"name", group.name},
                              {"size", json_number(group.size)},
                              {"cosine", json_number(group.cosine)},
                              {"conflict_share", json_number(group.conflict_share)},
                              {"worst_pair", group.worst_pair},
                              {"worst_cosine", json_number(group.worst_cosine)}});
  }
  json["triad"] = {{"dominated", json_number(triad.dominated)},
                   {"curved", json_number(triad.curved)},
                   {"large_step", json_number(triad.large_step)},
                   {"all", json_number(triad.all)},
                   {"measured", triad.measured}};
  json["curvature"] = {{"from_gradients", interval_json(curvature.from_gradients)},
                       {"from_losses", interval_json(curvature.from_losses)},
                       {"step", json_number(curvature.step)}};
  json["advice"] = Json::array();
  for (const Advice& item : advice) {
    json["advice"].push_back({{"topic", name_of(item.topic)},
                              {"finding", item.finding},
                              {"advice", item.advice},
                              {"methods", item.methods}});
  }
  return json;
}

}  // namespace detente::report
