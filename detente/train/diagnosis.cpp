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

report::GroupRecord group_record(const std::string& name, const Present& group) {
  report::GroupRecord record;
  record.name = name;
  for (std::size_t i = 0; i < group.tasks.size(); ++i) {
    record.grad_norms.emplace_back(group.tasks[i], std::sqrt(group.gram(i, i)));
  }
  for (const auto& pair : balance::diagnose_pairs(group.gram)) {
    // A cosine with a zero gradient is undefined; diagnose_pairs says 0.
    const bool defined = group.gram(pair.i, pair.i) > 0 && group.gram(pair.j, pair.j) > 0;
    record.cosines.emplace_back(report::pair_name(group.tasks[pair.i], group.tasks[pair.j]),
                                defined ? pair.cosine : report::kNoNumber);
  }
  return record;
}

// Of the tasks that took part: those with a loss.
report::NamedNumbers group_weights(const std::vector<std::string>& tasks,
                                   const std::vector<double>& weights,
                                   const std::vector<double>& losses) {
  report::NamedNumbers named;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (std::isfinite(losses[i])) named.emplace_back(tasks[i], weights[i]);
  }
  return named;
}

report::TriadRecord triad_record(const balance::PairDiagnostics& pair,
                                 const std::optional<Curvature>& curvature) {
  if (!curvature) return {pair.conflicting && pair.dominated, std::nullopt, std::nullopt};
  const balance::TriadConditions triad = balance::triad_conditions(pair,
                                                                   curvature->from_gradients,
                                                                   curvature->squared_norm,
                                                                   curvature->lipschitz,
                                                                   curvature->step);
  return {triad.dominated, triad.curved, triad.large_step};
}

// All pairs of all tasks, as the report orders them.
report::StepRecord::Gradients gradients_record(const std::vector<std::string>& tasks,
                                               const engine::StepReport& report) {
  report::StepRecord::Gradients gradients;
  gradients.norms = by_task(tasks, report.gradient_norms);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (std::size_t j = i + 1; j < tasks.size(); ++j) {
      gradients.cosines.emplace_back(report::pair_name(tasks[i], tasks[j]), report.cosines(i, j));
    }
  }
  gradients.conflict = report.conflict;
  return gradients;
}

}  // namespace

report::NamedNumbers by_task(const std::vector<std::string>& tasks,
                             const std::vector<double>& values) {
  report::NamedNumbers named;
  for (std::size_t k = 0; k < tasks.size(); ++k) named.emplace_back(tasks[k], values[k]);
  return named;
}

report::StepRecord step_record(const std::vector<std::string>& tasks,
                               const engine::StepReport& report,
                               const std::optional<Curvature>& curvature) {
  report::StepRecord record;
  record.losses = by_task(tasks, report.losses);
  record.weights = by_task(tasks, report.weights);
  record.loss = 0;
  for (std::size_t k = 0; k < tasks.size(); ++k) {
    if (!std::isnan(report.losses[k])) record.loss += report.weights[k] * report.losses[k];
  }
  if (report.diagnosed) record.gradients = gradients_record(tasks, report);
  record.direction_norm = report.direction_norm;
  record.estimated = report.estimated;
  record.estimate_cosine = report.estimate_cosine;
  record.loss_scale = report.loss_scale;
  record.skipped = report.skipped;
  record.notice = report.notice;
  if (curvature || !report.groups.empty()) {
    record.diagnosis = diagnosis_record(tasks, report, curvature);
  }
  return record;
}

report::DiagnosisRecord diagnosis_record(const std::vector<std::string>& tasks,
                                         const engine::StepReport& report,
                                         const std::optional<Curvature>& curvature) {
  report::DiagnosisRecord record;
  if (report.diagnosed) {
    const Present all = present_of(tasks, report.gram);
    record.conflict_fraction = balance::conflict_fraction(all.gram);
    for (const auto& pair : balance::diagnose_pairs(all.gram)) {
      const std::string name = report::pair_name(all.tasks[pair.i], all.tasks[pair.j]);
      record.magnitude_similarity.emplace_back(name, pair.magnitude_similarity);
      record.xi.emplace_back(name, pair.xi);
      record.triad.emplace_back(name, triad_record(pair, curvature));
    }
    for (std::size_t g = 0; g < report.groups.size(); ++g) {
      const engine::GroupGram& group = report.groups[g];
      record.groups.push_back(group_record(group.name, present_of(tasks, group.gram)));
      if (g < report.group_weights.size()) {
        record.groups.back().weights = group_weights(tasks, report.group_weights[g], report.losses);
      }
    }
  }
  if (curvature) {
    record.curvature = {{"gradients", curvature->from_gradients},
                        {"losses", curvature->from_losses},
                        {"squared_norm", curvature->squared_norm},
                        {"lipschitz", curvature->lipschitz},
                        {"step", curvature->step}};
  }
  return record;
}

}  // namespace detente::train
