// SPDX-License-Identifier: Apache-2.0
// What the numbers of an inspection mean. The thresholds are rules of thumb; every sentence shows
// the numbers it rests on.
#include <detente/report/inspection.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::report {
namespace {

// Mean cosines nearer to zero than this change no direction worth speaking of (3 degrees off a
// right angle).
constexpr double kNoticeable = 0.05;
constexpr double kSeldom = 0.2;  // share of steps in conflict
constexpr double kUneven = 3.0;  // ratio of gradient norms
constexpr std::size_t kFewSteps = 30;

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::string pair_name(const PairFinding& pair) { return pair.first + " and " + pair.second; }

std::string cosine_text(const PairFinding& pair) {
  if (!std::isfinite(pair.cosine.low)) return fmt::format("mean cosine {:.2f}", pair.cosine.mean);
  return fmt::format("mean cosine {:.2f}, from {:.2f} to {:.2f}",
                     pair.cosine.mean,
                     pair.cosine.low,
                     pair.cosine.high);
}

bool opposed(const PairFinding& pair) {
  return pair.cosine.high < 0 && pair.cosine.mean <= -kNoticeable;
}

// The setting that says how often steps are measured.
const char* measured_by(const Inspection& run) {
  return run.of_agent ? "train.log_every" : "engine.diagnose_every";
}

void advise_conflict(const Inspection& run, bool method_uses_gradients, std::vector<Advice>& out) {
  if (run.pairs.empty()) return;
  const PairFinding& worst = run.pairs.front();
  const auto count = std::count_if(run.pairs.begin(), run.pairs.end(), opposed);
  Advice item{.topic = Advice::Topic::kConflict};
  if (count > 0) {
    item.finding = fmt::format("{} oppose each other: in {} of the measured steps ({})",
                               pair_name(worst),
                               percent(worst.conflict_share),
                               cosine_text(worst));
    if (count > 1) {
      item.finding += fmt::format("; so do {} more of the {} pairs", count - 1, run.pairs.size());
    }
    if (method_uses_gradients) {
      item.advice = fmt::format(
          "{} is made for this. Whether it pays shows in the metrics: train ew with the same "
          "seeds beside it (detente compare).",
          run.method);
      item.methods = {"ew"};
    } else {
      item.advice =
          "A method for conflict has something to do here: upgrad lets no task get worse, cagrad "
          "stays near the mean of the gradients, pcgrad is the simplest.";
      item.methods = {"upgrad", "cagrad", "pcgrad"};
    }
  } else if (worst.conflict_share <= kSeldom) {
    item.finding =
        run.pairs.size() == 1
            ? fmt::format("{} conflict in {} of the measured steps only ({})",
                          pair_name(worst),
                          percent(worst.conflict_share),
                          cosine_text(worst))
            : fmt::format(
                  "even the most opposed pair, {}, conflicts in {} of the measured steps "
                  "only ({})",
                  pair_name(worst),
                  percent(worst.conflict_share),
                  cosine_text(worst));
    item.advice = method_uses_gradients
                      ? fmt::format(
                            "Equal weights (ew) will do as far as conflict goes; {} takes "
                            "the gradient of each task to correct little.",
                            run.method)
                      : std::string(
                            "Equal weights (ew) will do as far as conflict goes; a method for "
                            "conflict would cost time for little.");
    item.methods = {"ew"};
  } else if (std::abs(worst.cosine.mean) < 2 * kNoticeable) {
    item.finding = fmt::format(
        "{} are nearly at right angles: {} of the steps conflict, but "
        "hardly ({})",
        pair_name(worst),
        percent(worst.conflict_share),
        cosine_text(worst));
    item.advice =
        "There is little to reconcile: the sign changes with the batch. What counts is how much "
        "each task weighs: ew, or weights from the losses (uw, dwa).";
    item.methods = {"ew", "uw", "dwa"};
  } else if (worst.cosine.mean < 0) {
    item.finding = fmt::format(
        "{} conflict in {} of the measured steps ({}), but the steps are too "
        "few or too unlike each other to be sure of it",
        pair_name(worst),
        percent(worst.conflict_share),
        cosine_text(worst));
    item.advice = fmt::format(
        "Measure more steps before a method for conflict is worth its time: a longer run, or a "
        "smaller {}.",
        measured_by(run));
  } else {
    item.finding = fmt::format("{} agree on the whole and still conflict in {} of the steps ({})",
                               pair_name(worst),
                               percent(worst.conflict_share),
                               cosine_text(worst));
    item.advice =
        "Much of this is the luck of the batch: a larger train.batch_size shows what remains "
        "before a method for conflict is worth its time.";
  }
  out.push_back(std::move(item));
}

void advise_place(const Inspection& run, std::vector<Advice>& out) {
  std::vector<const GroupFinding*> groups;
  for (const GroupFinding& group : run.groups) {
    if (group.size >= 0.01) groups.push_back(&group);  // what hardly moves cannot fight
  }
  if (groups.size() < 2) return;
  std::sort(groups.begin(), groups.end(), [](const auto* a, const auto* b) {
    return a->conflict_share > b->conflict_share;
  });
  const GroupFinding& top = *groups[0];
  const GroupFinding& next = *groups[1];
  if (top.conflict_share < kSeldom) return;
  Advice item{.topic = Advice::Topic::kPlace};
  if (top.conflict_share - next.conflict_share >= 0.1) {
    item.finding = fmt::format(
        "the conflict is mostly in {}: {} of the steps there (mean cosine {:.2f}), {} in {}, the "
        "next",
        top.name,
        percent(top.conflict_share),
        top.cosine,
        percent(next.conflict_share),
        next.name);
    item.advice = fmt::format(
        "A copy of {} for each task would end it there, at the price of its parameters.", top.name);
  } else if (groups.back()->conflict_share >= 0.75 * top.conflict_share) {
    item.finding = fmt::format("the conflict is everywhere: {} ({}) to {} ({})",
                               percent(groups.back()->conflict_share),
                               groups.back()->name,
                               percent(top.conflict_share),
                               top.name);
    item.advice = "No single layer is to blame, so splitting one off would not help.";
  } else {
    item.finding = fmt::format("conflict is most frequent in {} ({}) and {} ({}), least in {} ({})",
                               top.name,
                               percent(top.conflict_share),
                               next.name,
                               percent(next.conflict_share),
                               groups.back()->name,
                               percent(groups.back()->conflict_share));
    item.advice = "These are the layers to give to the tasks separately, if any.";
  }
  out.push_back(std::move(item));
}

void advise_size(const Inspection& run, std::vector<Advice>& out) {
  std::vector<const TaskFinding*> tasks;
  for (const TaskFinding& task : run.tasks) {
    if (task.gradient_norm > 0) tasks.push_back(&task);
  }
  if (tasks.size() < 2) return;
  const auto [small, large] =
      std::minmax_element(tasks.begin(), tasks.end(), [](const auto* a, const auto* b) {
        return a->gradient_norm < b->gradient_norm;
      });
  const double ratio = (*large)->gradient_norm / (*small)->gradient_norm;
  const auto [weak, strong] = std::minmax_element(
      tasks.begin(), tasks.end(), [](const auto* a, const auto* b) { return a->pull < b->pull; });
  const double pull = (*strong)->pull / (*weak)->pull;
  if (ratio < kUneven && !(pull >= kUneven)) return;
  Advice item{.topic = Advice::Topic::kSize};
  item.finding =
      fmt::format("{}'s gradient is {:.2g} times {}'s", (*large)->name, ratio, (*small)->name);
  if (pull < kUneven) {
    item.finding += fmt::format(
        "; with the weights of {} each task has between {} and {} of the "
        "step",
        run.method,
        percent((*weak)->pull),
        percent((*strong)->pull));
    item.advice = "The weights even it out; nothing to do.";
  } else {
    item.finding += fmt::format("; with the weights of {}, {} makes up {} of the step and {} {}",
                                run.method,
                                (*strong)->name,
                                percent((*strong)->pull),
                                (*weak)->name,
                                percent((*weak)->pull));
    item.advice = fmt::format(
        "If {} shall count as much: a method that does not depend on the losses' scales (imtl_g, "
        "nash_mtl, config), or other loss weights, such as --set tasks.{}.weight={:.2g} of what "
        "it is.",
        (*weak)->name,
        (*strong)->name,
        (*weak)->pull / (*strong)->pull);
    item.methods = {"imtl_g", "nash_mtl", "config"};
  }
  out.push_back(std::move(item));
}

void advise_weights(const Inspection& run, std::vector<Advice>& out) {
  double largest = 0;
  for (const TaskFinding& task : run.tasks) largest = std::max(largest, task.weight);
  for (const TaskFinding& task : run.tasks) {
    if (!(largest > 0)) return;
    if (task.weight <= 1e-3 * largest) {
      out.push_back({Advice::Topic::kWeights,
                     fmt::format("{} leaves {} out: its weight is {:.2g} in half of the steps or "
                                 "more",
                                 run.method,
                                 task.name,
                                 task.weight),
                     "The task learns in the shared layers only by what it has in common with the "
                     "others. cagrad and upgrad keep every task in.",
                     {"cagrad", "upgrad"}});
    } else if (task.weight_high >= 10 * task.weight_low) {
      out.push_back({Advice::Topic::kWeights,
                     fmt::format("the weight of {} lies between {:.2g} and {:.2g} in nine of ten "
                                 "steps",
                                 task.name,
                                 task.weight_low,
                                 task.weight_high),
                     "Larger batches steady it. If it is a trend (report.html shows the curve), "
                     "the balance of the tasks changes as they learn.",
                     {}});
    }
  }
}

void advise_triad(const Inspection& run, std::vector<Advice>& out) {
  const TriadFinding& triad = run.triad;
  if (triad.measured == 0) return;
  Advice item{.topic = Advice::Topic::kTriad};
  if (triad.all >= 0.05) {
    item.finding = fmt::format(
        "conflict, domination and curvature come together in {} of what was measured: there one "
        "step of pcgrad ends no higher than one of the plain sum",
        percent(triad.all));
    item.advice = "Use pcgrad or another method for conflict, or a lower optimizer.lr.";
    item.methods = {"pcgrad"};
  } else if (triad.dominated >= kSeldom) {
    item.finding = fmt::format(
        "a gradient is outweighed by one that opposes it in {} of what was measured, but the steps "
        "are short for the curvature (all three conditions: {})",
        percent(triad.dominated),
        percent(triad.all));
    item.advice = "At this learning rate the conflict costs little per step.";
  } else {
    item.finding = fmt::format(
        "the three conditions of the tragic triad hold together in {} of "
        "what was measured",
        percent(triad.all));
    item.advice = "The theory behind pcgrad promises no gain in single steps here.";
    item.methods = {"pcgrad"};
  }
  out.push_back(std::move(item));
}

void advise_data(const Inspection& run, std::vector<Advice>& out) {
  if (run.measured < kFewSteps) {
    out.push_back(
        {Advice::Topic::kData,
         fmt::format(
             "only {} {} measured", run.measured, run.measured == 1 ? "step was" : "steps were"),
         fmt::format("Take the numbers for a first impression; a smaller {} (>= 1) gives more.",
                     measured_by(run)),
         {}});
  }
  if (run.groups.empty() && !run.of_agent) {  // agents' layers are not measured
    out.push_back({Advice::Topic::kData,
                   "no step says in which layers the tasks conflict",
                   "Train with --set engine.diagnose_every=10.",
                   {}});
  }
}

}  // namespace

std::vector<Advice> advise(const Inspection& inspection, bool method_uses_gradients) {
  std::vector<Advice> advice;
  advise_conflict(inspection, method_uses_gradients, advice);
  advise_place(inspection, advice);
  advise_size(inspection, advice);
  advise_weights(inspection, advice);
  advise_triad(inspection, advice);
  advise_data(inspection, advice);
  return advice;
}

}  // namespace detente::report
