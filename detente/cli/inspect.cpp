// SPDX-License-Identifier: Apache-2.0
// detente inspect RUN: which tasks fight, where, how hard.
#include <detente/balance/registry.h>
#include <detente/cli/command.h>
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/inspection.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct InspectFlags {
  std::string run;
  std::size_t last = 0;
  std::size_t top = 20;
  bool json = false;
};

using report::Align;

// A run that has not finished has no summary; its recipe names the method as well.
std::string inspect_method(const report::RunData& run) {
  if (const std::string told = run.text("method"); !told.empty()) return told;
  try {
    const config::Node recipe = config::parse_yaml(run.recipe, "recipe.yaml");
    const config::Node* method = config::find_path(recipe, "balance.method");
    if (method != nullptr) return method->scalar;
  } catch (const Error&) {
    // A damaged recipe leaves the method unnamed.
  }
  return "its method";
}

std::string inspect_number(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "-";
}

std::string inspect_share(double value) { return inspect_number(100 * value, "{:.0f} %"); }

std::string inspect_interval(const report::MeanInterval& interval) {
  if (!std::isfinite(interval.low)) return inspect_number(interval.mean, "{:.2f}");
  return fmt::format("{:.2f} [{:.2f}, {:.2f}]", interval.mean, interval.low, interval.high);
}

// As many columns wide as fit a terminal, indented.
void inspect_wrapped(const std::string& words, std::ostream& out) {
  const std::string text = text::printable(words);
  constexpr std::size_t kWidth = 84;
  std::size_t used = kWidth;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const std::size_t width = report::display_width(word);
    if (used + 1 + width > kWidth) {
      out << (begin == 0 ? "  " : "\n  ") << word;
      used = width;
    } else {
      out << ' ' << word;
      used += 1 + width;
    }
    begin = end + 1;
  }
  out << "\n";
}

void inspect_tables(const report::Inspection& run, std::size_t top, std::ostream& out) {
  report::Table pairs({{"pair"},
                       {"cosine (95 %)", Align::kRight},
                       {"conflict", Align::kRight},
                       {"similarity", Align::kRight},
                       {"size ratio", Align::kRight},
                       {"xi", Align::kRight}});
  for (std::size_t i = 0; i < run.pairs.size() && i < top; ++i) {
    const report::PairFinding& pair = run.pairs[i];
    pairs.add_row({pair.first + " | " + pair.second,
                   inspect_interval(pair.cosine),
                   inspect_share(pair.conflict_share),
                   inspect_number(pair.magnitude_similarity, "{:.2f}"),
                   inspect_number(pair.size_ratio, "{:.2g}"),
                   inspect_number(pair.xi, "{:.2g}")});
  }
  out << "\nHow the gradients stand to each other\n\n" << pairs.text();
  if (run.pairs.size() > top) {
    out << fmt::format("({} pairs less opposed; --top shows more)\n", run.pairs.size() - top);
  }

  report::Table tasks({{"task"},
                       {"gradient norm", Align::kRight},
                       {"weight", Align::kRight},
                       {"in nine of ten steps", Align::kRight},
                       {"share of the step", Align::kRight}});
  for (const report::TaskFinding& task : run.tasks) {
    tasks.add_row({task.name,
                   inspect_number(task.gradient_norm, "{:.3g}"),
                   inspect_number(task.weight, "{:.3g}"),
                   inspect_number(task.weight_low, "{:.3g}") + " to " +
                       inspect_number(task.weight_high, "{:.3g}"),
                   inspect_share(task.pull)});
  }
  out << "\nHow much each task counts (medians)\n\n" << tasks.text();

  if (!run.groups.empty()) {
    report::Table groups({{"layers"},
                          {"share of gradient", Align::kRight},
                          {"cosine", Align::kRight},
                          {"conflict", Align::kRight},
                          {"most opposed"},
                          {"its cosine", Align::kRight}});
    for (const report::GroupFinding& group : run.groups) {
      groups.add_row({group.name,
                      inspect_share(group.size),
                      inspect_number(group.cosine, "{:.2f}"),
                      inspect_share(group.conflict_share),
                      group.worst_pair,
                      inspect_number(group.worst_cosine, "{:.2f}")});
    }
    out << "\nWhere\n\n" << groups.text();
  }

  if (std::isfinite(run.triad.dominated)) {
    report::Table triad({{"tragic triad"}, {"holds", Align::kRight}});
    triad.add_row({"(a) in conflict, one outweighs the other", inspect_share(run.triad.dominated)});
    triad.add_row({"(b) curvature large against xi", inspect_share(run.triad.curved)});
    triad.add_row({"(c) step long for the curvature", inspect_share(run.triad.large_step)});
    triad.add_row({"all three", inspect_share(run.triad.all)});
    out << "\n" << triad.text();
    if (run.triad.measured == 0) {
      out << "((b) and (c) need the curvature: --set train.curvature_every=10)\n";
    }
  }
  if (run.curvature.from_gradients.count > 0) {
    out << fmt::format(
        "\nCurvature along the summed gradient, per unit: {} from gradients, {} from losses; "
        "median step {:.2g}\n",
        inspect_interval(run.curvature.from_gradients),
        inspect_interval(run.curvature.from_losses),
        run.curvature.step);
  }
}

void run_inspect(const InspectFlags& flags, Context& context) {
  const report::RunData data = report::read_run(flags.run);
  report::InspectOptions options{.last = flags.last, .method = inspect_method(data)};
  const balance::MethodInfo* method = balance::find_method(options.method);
  options.method_uses_gradients =
      method == nullptr || method->method_class != balance::MethodClass::kLoss;
  for (const auto& warning : data.warnings()) tell(context, "warning", warning);
  const report::Inspection run = report::inspect_run(data, options);
  if (flags.json) {
    context.out << json_text(run.json()) << "\n";
    return;
  }
  context.out << fmt::format("{}, {}: {} measured steps (from {:.0f} to {:.0f}) of {}\n",
                             text::printable(run.name),
                             text::printable(run.method),
                             run.measured,
                             run.first_step,
                             run.last_step,
                             run.steps);
  inspect_tables(run, flags.top, context.out);
  context.out << "\nWhat it means\n";
  for (const report::Advice& item : run.advice) {
    context.out << "\n";
    inspect_wrapped("* " + item.finding + ". " + item.advice, context.out);
  }
}

}  // namespace

void add_inspect(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("inspect", "Which tasks of a run fight, where and how hard, with advice");
  auto flags = std::make_shared<InspectFlags>();
  command->add_option("RUN", flags->run, "Folder of the run; it may still be training")->required();
  command
      ->add_option("--last",
                   flags->last,
                   "Look at so many measured steps at the end of the run only; default: all")
      ->check(CLI::PositiveNumber);
  command->add_option("--top", flags->top, "Show so many pairs, the most opposed ones")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print everything as JSON");
  command->footer(
      "cosine: of the two tasks' gradients on the shared layers, mean over the measured steps "
      "with\n"
      "its 95 % interval; below 0 a step for one task harms the other (conflict).\n"
      "similarity: 2ab/(a^2 + b^2) of the gradients' norms a, b; 1 for equal ones. size ratio: "
      "a/b.\n"
      "xi and the tragic triad: Yu et al., arXiv 2001.06782; where all three conditions hold, a\n"
      "step of pcgrad is better than one of the plain sum.\n\n"
      "Steps are measured by methods that need the tasks' gradients; for the others, and for the\n"
      "table of layers, train with --set engine.diagnose_every=10. Curvature is measured with\n"
      "--set train.curvature_every=10. See docs/inspect.md.");
  command->callback([flags, &context] { run_inspect(*flags, context); });
}

}  // namespace detente::cli
