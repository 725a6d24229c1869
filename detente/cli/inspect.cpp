// SPDX-License-Identifier: Apache-2.0
// detente inspect RUN: which tasks fight, where, how hard.
#include <detente/cli/command.h>
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/inspection.h>
#include <detente/report/inspection_tables.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
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
  out << "\nHow the gradients stand to each other\n\n" << report::pair_table(run, top).text();
  if (run.pairs.size() > top) {
    out << fmt::format("({} pairs less opposed; --top shows more)\n", run.pairs.size() - top);
  }
  out << "\nHow much each task counts (medians)\n\n" << report::task_table(run).text();
  if (!run.groups.empty()) out << "\nWhere\n\n" << report::group_table(run).text();
  const report::Table triad = report::triad_table(run);
  if (triad.rows() > 0) {
    out << "\n" << triad.text();
    if (run.triad.measured == 0) {
      out << "((b) and (c) need the curvature: --set train.curvature_every=10)\n";
    }
  }
  if (const std::string words = report::curvature_words(run); !words.empty()) {
    out << "\n" << words << "\n";
  }
}

void run_inspect(const InspectFlags& flags, Context& context) {
  const report::RunData data = report::read_run(flags.run);
  report::InspectOptions options{.last = flags.last, .method = inspect_method(data)};
  options.method_uses_gradients = report::method_uses_gradients(options.method);
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
