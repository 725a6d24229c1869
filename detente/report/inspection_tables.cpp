// SPDX-License-Identifier: Apache-2.0
#include <detente/report/inspection_tables.h>
#include <fmt/format.h>

#include <cmath>

namespace detente::report {
namespace {

std::string inspected_number(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "-";
}

std::string inspected_share(double value) { return inspected_number(100 * value, "{:.0f} %"); }

std::string inspected_interval(const MeanInterval& interval) {
  if (!std::isfinite(interval.low)) return inspected_number(interval.mean, "{:.2f}");
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", interval.mean, interval.low, interval.high);
}

}  // namespace

Table pair_table(const Inspection& run, std::size_t top) {
  Table pairs({{"pair"},
               {"cosine (95 %)", Align::kRight},
               {"conflict", Align::kRight},
               {"similarity", Align::kRight},
               {"size ratio", Align::kRight},
               {"xi", Align::kRight}});
  for (std::size_t i = 0; i < run.pairs.size() && i < top; ++i) {
    const PairFinding& pair = run.pairs[i];
    pairs.add_row({pair.first + " | " + pair.second,
                   inspected_interval(pair.cosine),
                   inspected_share(pair.conflict_share),
                   inspected_number(pair.magnitude_similarity, "{:.2f}"),
                   inspected_number(pair.size_ratio, "{:.2g}"),
                   inspected_number(pair.xi, "{:.2g}")});
  }
  return pairs;
}

Table task_table(const Inspection& run) {
  Table tasks({{"task"},
               {"gradient norm", Align::kRight},
               {"weight", Align::kRight},
               {"in nine of ten steps", Align::kRight},
               {"share of the step", Align::kRight}});
  for (const TaskFinding& task : run.tasks) {
    tasks.add_row({task.name,
                   inspected_number(task.gradient_norm, "{:.3g}"),
                   inspected_number(task.weight, "{:.3g}"),
                   inspected_number(task.weight_low, "{:.3g}") + " to " +
                       inspected_number(task.weight_high, "{:.3g}"),
                   inspected_share(task.pull)});
  }
  return tasks;
}

Table group_table(const Inspection& run) {
  Table groups({{"layers"},
                {"share of gradient", Align::kRight},
                {"cosine", Align::kRight},
                {"conflict", Align::kRight},
                {"most opposed"},
                {"its cosine", Align::kRight}});
  for (const GroupFinding& group : run.groups) {
    groups.add_row({group.name,
                    inspected_share(group.size),
                    inspected_number(group.cosine, "{:.2f}"),
                    inspected_share(group.conflict_share),
                    group.worst_pair,
                    inspected_number(group.worst_cosine, "{:.2f}")});
  }
  return groups;
}

Table triad_table(const Inspection& run) {
  Table triad({{"tragic triad"}, {"holds", Align::kRight}});
  if (!std::isfinite(run.triad.dominated)) return triad;
  triad.add_row({"(a) in conflict, one outweighs the other", inspected_share(run.triad.dominated)});
  triad.add_row({"(b) curvature large against xi", inspected_share(run.triad.curved)});
  triad.add_row({"(c) step long for the curvature", inspected_share(run.triad.large_step)});
  triad.add_row({"all three", inspected_share(run.triad.all)});
  return triad;
}

std::string curvature_words(const Inspection& run) {
  if (run.curvature.from_gradients.count == 0) return "";
  return fmt::format(
      "Curvature along the summed gradient, per unit: {} from gradients, {} from losses; "
      "median step {:.2g}",
      inspected_interval(run.curvature.from_gradients),
      inspected_interval(run.curvature.from_losses),
      run.curvature.step);
}

}  // namespace detente::report
