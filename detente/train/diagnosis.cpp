// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/diagnostics.h>
#include <detente/train/diagnosis.h>

#include <cmath>

namespace detente::train {
namespace {

// The tasks that took part, and their Gram matrix alone.
struct Present {
  std::vector<std::string> tasks;
  Matrix gram;
};

Present present_of(const std::vector<std::string>& tasks, const Matrix& gram) {
  std::vector<std::size_t> where;
  Present present;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (!std::isfinite(gram(i, i))) continue;
    where.push_back(i);
    present.tasks.push_back(tasks[i]);
  }
  present.gram = Matrix(where.size(), where.size());
  for (std::size_t i = 0; i < where.size(); ++i) {
    for (std::size_t j = 0; j < where.size(); ++j) present.gram(i, j) = gram(where[i], where[j]);
  }
  return present;
}

Json group_json(const Present& group) {
  Json norms = Json::object();
  for (std::size_t i = 0; i < group.tasks.size(); ++i) {
    norms[group.tasks[i]] = json_number(std::sqrt(group.gram(i, i)));
  }
  Json cosines = Json::object();
  for (const auto& pair : balance::diagnose_pairs(group.gram)) {
    // A cosine with a zero gradient is undefined; diagnose_pairs says 0.
    const bool defined = group.gram(pair.i, pair.i) > 0 && group.gram(pair.j, pair.j) > 0;
    cosines[group.tasks[pair.i] + "|" + group.tasks[pair.j]] =
        defined ? json_number(pair.cosine) : Json(nullptr);
  }
  return {{"grad_norms", norms}, {"cosines", cosines}};
}

// Of the tasks that took part: those with a loss.
Json group_weights_json(const std::vector<std::string>& tasks,
                        const std::vector<double>& weights,
                        const std::vector<double>& losses) {
  Json json = Json::object();
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (std::isfinite(losses[i])) json[tasks[i]] = json_number(weights[i]);
  }
  return json;
}

Json triad_json(const balance::PairDiagnostics& pair, const std::optional<Curvature>& curvature) {
  if (!curvature) {
    return {{"dominated", pair.conflicting && pair.dominated},
            {"curved", nullptr},
            {"large_step", nullptr}};
  }
  const balance::TriadConditions triad = balance::triad_conditions(pair,
                                                                   curvature->from_gradients,
                                                                   curvature->squared_norm,
                                                                   curvature->lipschitz,
                                                                   curvature->step);
  return {
      {"dominated", triad.dominated}, {"curved", triad.curved}, {"large_step", triad.large_step}};
}

}  // namespace

Json diagnosis_json(const std::vector<std::string>& tasks,
                    const engine::StepReport& report,
                    const std::optional<Curvature>& curvature) {
  Json json;
  if (report.diagnosed) {
    const Present all = present_of(tasks, report.gram);
    Json similarity = Json::object();
    Json xi = Json::object();
    Json triad = Json::object();
    for (const auto& pair : balance::diagnose_pairs(all.gram)) {
      const std::string name = all.tasks[pair.i] + "|" + all.tasks[pair.j];
      similarity[name] = json_number(pair.magnitude_similarity);
      xi[name] = json_number(pair.xi);
      triad[name] = triad_json(pair, curvature);
    }
    json["conflict_fraction"] = balance::conflict_fraction(all.gram);
    json["magnitude_similarity"] = std::move(similarity);
    json["xi"] = std::move(xi);
    json["triad"] = std::move(triad);
    Json groups = Json::object();
    for (std::size_t g = 0; g < report.groups.size(); ++g) {
      const engine::GroupGram& group = report.groups[g];
      Json& entry = groups[group.name];
      entry = group_json(present_of(tasks, group.gram));
      if (g < report.group_weights.size()) {
        entry["weights"] = group_weights_json(tasks, report.group_weights[g], report.losses);
      }
    }
    if (!groups.empty()) json["groups"] = std::move(groups);
  }
  if (curvature) {
    json["curvature"] = {{"gradients", json_number(curvature->from_gradients)},
                         {"losses", json_number(curvature->from_losses)},
                         {"squared_norm", json_number(curvature->squared_norm)},
                         {"lipschitz", json_number(curvature->lipschitz)},
                         {"step", json_number(curvature->step)}};
  }
  return json;
}

}  // namespace detente::train
