// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/train_control.h>
#include <detente/control/trainer.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/run_record.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <fmt/format.h>

#include <cmath>
#include <ostream>

namespace detente::cli {
namespace {

void print_reached(const Json& summary, std::ostream& out) {
  if (summary.at("best_epoch") == 0) {
    out << "\nNo evaluation yet; they come every train.evaluate_every vector steps.\n";
    return;
  }
  const auto shown = [](double value, int digits) {
    return std::isnan(value) ? std::string("–") : fmt::format("{:.{}f}", value, digits);
  };
  using report::Align;
  report::Table table({{"task"}, {"success", Align::kRight}, {"return", Align::kRight}});
  for (const auto& [task, numbers] : summary.at("tasks").items()) {
    table.add_row({text::printable(task),
                   shown(report::number_at(numbers, "success"), 2),
                   shown(report::number_at(numbers, "return"), 1)});
  }
  const Json& success = summary.at("success");
  const auto number = [&](const char* key) { return report::number_at(success, key); };
  out << "\nThe evaluation with the most successes (number " << summary.at("best_epoch") << "):\n\n"
      << table.text() << "\n"
      << fmt::format(
             "Mean success: {:.3f} there, {:.3f} at the last, {:.3f} over the last ten "
             "evaluations.\n",
             number("best"),
             number("last"),
             number("last_ten"))
      << text::printable(summary.at("setting").get<std::string>()) << "\n"
      << text::printable(summary.at("evaluation").get<std::string>()) << "\n";
}

}  // namespace

void train_control(const TrainControlFlags& flags, Context& context) {
  DETENTE_CHECK(flags.processes == 1,
                ErrorCode::kUnsupported,
                "[cli::train] an agent is trained by one process; got --nproc {}. worlds.workers "
                "says how many "
                "processes its environments have.",
                flags.processes);
  DETENTE_CHECK(flags.max_restarts == 0,
                ErrorCode::kUnsupported,
                "[cli::train] an agent's process is not started again by --max-restarts; got {}. "
                "--resume goes on where it ended.",
                flags.max_restarts);
  DETENTE_CHECK(
      !flags.accept_changed,
      ErrorCode::kUnsupported,
      "[cli::train] --accept-changed is for data and models that were changed on purpose; "
      "an agent has no data, and goes on with its own snapshot alone. Leave it out.");
  const control::Recipe recipe = control::load_recipe(flags.recipe, flags.overrides);
  control::TrainOptions options{.out = flags.out.empty() ? recipe.output : flags.out,
                                .existing = flags.existing,
                                .progress = flags.progress};
  if (options.out.empty()) options.out = "runs/" + recipe.name;
  const control::TrainOutcome outcome = control::train(recipe, options, context.err);
  if (flags.json) {
    context.out << json_text(outcome.summary) << "\n";
  } else if (!flags.quiet) {
    print_reached(outcome.summary, context.out);
    context.out << "\nReport: " << text::printable(outcome.run.report().string()) << "\n";
  }
  if (outcome.interrupted) {
    context.err << fmt::format(
        "Interrupted; everything is saved. Go on with: detente train {} --out {} --resume\n",
        text::printable(text::shell_word(outcome.run.recipe().string())),
        text::printable(text::shell_word(outcome.run.root.string())));
    context.exit_code = 130;
  }
}

}  // namespace detente::cli
