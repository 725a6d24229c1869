// SPDX-License-Identifier: Apache-2.0
// detente eval RUN
#include <detente/cli/command.h>
#include <detente/cli/data_flags.h>
#include <detente/cli/output_file.h>
#include <detente/cli/recipe_flags.h>
#include <detente/cli/result_table.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/data/source_files.h>
#include <detente/report/answer_charts.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/train/answer_record.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/loaded_run.h>
#include <detente/train/probe.h>
#include <detente/train/snapshot.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

struct EvalFlags {
  std::string run;
  DataFlags data;
  std::string part = "dev";
  std::string out;  // empty: no page
  std::vector<std::string> overrides;
  bool accept_changed = false;
  bool json = false;
};

// Metrics of rows that are not those of the training are not to be compared with the summary's.
void tell_changed_rows(const EvalFlags& flags,
                       const train::LoadedRun& run,
                       data::Part part,
                       const data::Source& rows,
                       Context& context) {
  const std::string& file = flags.data.data;
  std::error_code error;
  const bool own =
      file.empty() || std::filesystem::equivalent(file, run.recipe.data.files.dev, error);
  if (!own || part == data::Part::kTest) return;
  // Rows that were asked for in another way are others on purpose.
  const train::Recipe as_trained = train::load_recipe(run.run.recipe(), {});
  if (!train::recipe_differences(as_trained.to_yaml(), run.recipe.to_yaml()).empty()) return;
  const auto state = train::newest_state(run.run.root);
  if (!state) return;
  const std::string& then = part == data::Part::kTrain ? state->train_digest : state->dev_digest;
  if (then.empty() || then == rows.digest()) return;
  tell(context,
       "warning",
       fmt::format("the rows of '{}' are not those that the run was {} with: values, targets or "
                   "their order have changed since.",
                   run.recipe.data.files.file(part),
                   part == data::Part::kTrain ? "trained" : "validated"));
}

// Of tasks whose source has no row here there is nothing to say.
void leave_out_other_sources(const data::Source& rows,
                             train::Recipe& recipe,
                             std::vector<std::vector<train::MetricValue>>& metrics) {
  const auto& names = rows.origin_names();
  for (std::size_t k = recipe.tasks.size(); k-- > 0;) {
    const std::string& source = recipe.tasks[k].source;
    if (source.empty() || std::find(names.begin(), names.end(), source) != names.end()) continue;
    recipe.tasks.erase(recipe.tasks.begin() + static_cast<std::ptrdiff_t>(k));
    metrics.erase(metrics.begin() + static_cast<std::ptrdiff_t>(k));
  }
}

void check_out(const EvalFlags& flags, const train::LoadedRun& run) {
  if (flags.out.empty()) return;
  DETENTE_CHECK(std::filesystem::path(flags.out).extension() == ".html",
                ErrorCode::kInvalidArgument,
                "[cli::eval] --out '{}' is for a page; expected FILE.html.",
                flags.out);
  const data::SourceFiles& files = run.recipe.data.files;
  demand_harmless("eval", flags.out, {flags.data.data, files.train, files.dev});
}

// A run without heads answers nothing; what its features are worth can be told.
void check_probes(const EvalFlags& flags, const train::Recipe& recipe, data::Part part) {
  DETENTE_CHECK(
      !recipe.probes.empty(),
      ErrorCode::kUnsupported,
      "[cli::eval] the run has no task with a head and no probe, so there is nothing to "
      "measure its answers by. `detente features {} --out FILE.npy` writes what its network "
      "makes of rows.",
      text::shell_word(flags.run));
  DETENTE_CHECK(
      part != data::Part::kTrain,
      ErrorCode::kInvalidArgument,
      "[cli::eval] the run has probes and no head: rows are judged by the training rows "
      "nearest to them, which of a training row is the row itself. Expected --part dev or "
      "test, or --data FILE.");
  DETENTE_CHECK(flags.out.empty(),
                ErrorCode::kUnsupported,
                "[cli::eval] --out shows what heads answer, and the run has none; without it the "
                "probes' metrics are printed. `detente report {}` shows neighbours.",
                text::shell_word(flags.run));
}

report::NamedTables probe_rows(const train::LoadedRun& run, std::unique_ptr<data::Source> rows) {
  const train::Corpus corpus{
      train::load_rows(run.recipe, run.recipe.data.files, data::Part::kTrain, *run.source, true),
      std::move(rows)};
  return train::Probes(run.recipe, corpus).measure(*run.model);
}

void run_eval(const EvalFlags& flags, Context& context) {
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  check_out(flags, run);
  const bool given = !flags.data.data.empty();
  const data::SourceFiles files =
      given ? flags.data.files_with_targets(run.recipe) : run.recipe.data.files;
  const data::Part part = given                   ? data::Part::kDev
                          : flags.part == "train" ? data::Part::kTrain
                          : flags.part == "test"  ? data::Part::kTest
                                                  : data::Part::kDev;
  const bool headless = run.recipe.tasks.empty();
  if (headless) check_probes(flags, run.recipe, part);
  auto rows = train::load_rows(run.recipe, files, part, *run.source, true);
  for (const auto& warning : rows->warnings()) tell(context, "warning", warning);
  if (!flags.accept_changed) tell_changed_rows(flags, run, part, *rows, context);
  if (headless) {
    const std::size_t count = rows->size();
    const Json tasks = report::to_json(probe_rows(run, std::move(rows)));
    if (flags.json) {
      context.out << json_text(Json{{"tasks", tasks}, {"rows", count}}) << "\n";
      return;
    }
    context.out << text::printable(given ? flags.data.shown() : files.file(part)) << ", " << count
                << " rows, by the features of the training rows\n\n";
    print_task_metrics(tasks, context.out);
    return;
  }
  train::AnswerRecord record(run.recipe, *run.source, *rows);
  const auto predictions =
      train::predict_rows(*run.model,
                          *rows,
                          train::prediction_batch(run.recipe),
                          train::wanted_probabilities(run.recipe),
                          flags.out.empty() ? train::MapSink() : record.sink());
  for (const auto& news : rows->news()) tell(context, "warning", news);
  rows->settle();
  train::check_finite(run.recipe, predictions);
  auto metrics = train::evaluate(run.recipe, predictions, *rows);
  train::Recipe recipe = run.recipe;
  leave_out_other_sources(*rows, recipe, metrics);
  const report::NamedTables results = train::metrics_by_task(recipe, metrics);
  const Json tasks = report::to_json(results);
  if (!flags.out.empty()) {
    const std::string name = given ? flags.data.data : files.file(part);
    write_file_atomic(flags.out,
                      report::answers_page(run.recipe.name,
                                           std::filesystem::path(name).filename().string() +
                                               (given ? "" : ", " + flags.part + " rows"),
                                           results,
                                           record.answers(0, predictions)));
  }
  if (flags.json) {
    context.out << json_text(Json{{"tasks", tasks}, {"rows", rows->size()}}) << "\n";
    return;
  }
  context.out << text::printable(given ? flags.data.shown() : files.file(part)) << ", "
              << rows->size() << " rows\n\n";
  print_task_metrics(tasks, context.out);
  for (std::size_t k = 0; k < metrics.size(); ++k) {
    for (const auto& metric : metrics[k]) {
      const std::string& remark = metric.reason.empty() ? metric.note : metric.reason;
      if (remark.empty()) continue;
      context.out << text::printable(recipe.tasks[k].name) << " " << metric.name << ": "
                  << text::printable(remark) << "\n";
    }
  }
}

}  // namespace

void add_eval(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("eval", "Metrics of a run's model on a data file");
  auto flags = std::make_shared<EvalFlags>();
  command->add_option("RUN", flags->run, "Folder of the run")->required();
  add_data_flags(
      *command, flags->data, "File with the recipe's columns; default: its validation file");
  add_source_flag(*command, flags->data);
  command
      ->add_option("--part",
                   flags->part,
                   "Rows of the recipe's own data: dev (default), test (data.split) or train")
      ->check(CLI::IsMember({"dev", "test", "train"}))
      ->excludes("--data");
  add_set_flag(*command, flags->overrides);
  add_accept_changed_flag(*command, flags->accept_changed);
  command->add_option(
      "--out",
      flags->out,
      "FILE.html: what the model answered on these rows, as the run's page shows it "
      "of its validation rows");
  command->add_flag("--json", flags->json, "Print {\"tasks\": ..., \"rows\": n}");
  command->callback([flags, &context] { run_eval(*flags, context); });
}

}  // namespace detente::cli
