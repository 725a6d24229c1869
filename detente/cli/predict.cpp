// SPDX-License-Identifier: Apache-2.0
// detente predict RUN --data FILE --out FILE
// detente predict RUN --explain
#include <detente/cli/answer_text.h>
#include <detente/cli/command.h>
#include <detente/cli/data_flags.h>
#include <detente/cli/explain.h>
#include <detente/cli/map_files.h>
#include <detente/cli/output_file.h>
#include <detente/cli/progress_line.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file_writer.h>
#include <detente/core/interrupt.h>
#include <detente/core/json.h>
#include <detente/core/stopwatch.h>
#include <detente/core/suggest.h>
#include <detente/data/table_portions.h>
#include <detente/report/html_page.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/loaded_run.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

struct PredictFlags {
  std::string run;
  DataFlags data;
  std::string out;
  std::vector<std::string> overrides;
  bool accept_changed = false;
  bool explain = false;
  bool json = false;
  bool no_inputs = false;
};

// By the ending, nothing for another one; what is no file (a pipe, a device) gets TSV.
std::optional<data::TableFormat> format_of(const std::string& out) {
  if (const auto format = format_by_ending(out)) return format;
  std::error_code error;
  const auto status = std::filesystem::status(out, error);
  const bool special =
      lower_ascii(out).starts_with("/dev/") ||
      (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
       !std::filesystem::is_directory(status));
  if (out != "-" && !special) return std::nullopt;
  return data::TableFormat::kTsv;
}

// An answer that is not the class's name any more would be a wrong one.
void demand_names_fit_tsv(const train::Recipe& recipe) {
  for (const train::TaskRecipe& task : recipe.tasks) {
    for (const std::string& word : task.answer_names()) {
      DETENTE_CHECK(word.find_first_of("\t\r\n") == std::string::npos,
                    ErrorCode::kInvalidArgument,
                    "[cli::predict] the class {} of task '{}' holds a tab or a line end, which TSV "
                    "cannot; expected --out FILE.csv or FILE.jsonl.",
                    Json(word).dump(),
                    task.name);
    }
  }
}

// The rows' own columns beside the predictions. A target's column gives way to its prediction, but a
// column that only happens to have a prediction's name is missed: its name comes to `missed`.
std::vector<data::ShownColumn> shown_columns(const data::Source& rows,
                                             const train::Recipe& recipe,
                                             const std::vector<std::string>& answers,
                                             std::vector<std::string>& missed) {
  std::vector<data::ShownColumn> shown = rows.shown();
  std::erase_if(shown, [&](const data::ShownColumn& column) {
    if (std::find(answers.begin(), answers.end(), column.name) == answers.end()) return false;
    const bool target =
        std::any_of(recipe.tasks.begin(), recipe.tasks.end(), [&](const auto& task) {
          const auto own = task.file_columns();
          return std::find(own.begin(), own.end(), column.name) != own.end();
        });
    if (!target) missed.push_back(column.name);
    return true;
  });
  return shown;
}

// Before the work. Maps go into a folder, tables into a file.
void demand_fitting_output(const std::string& out, const std::vector<std::string>& maps) {
  const bool table = format_of(out).has_value();
  DETENTE_CHECK(table || !maps.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::predict] the ending of '{}' names no format; expected .tsv, .csv or .jsonl, "
                "or - for standard output.",
                out);
  DETENTE_CHECK(
      !table || maps.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::predict] {} {} an answer for each pixel, which a table cannot hold; expected "
      "--out FOLDER, for a .npy file of each example and a table of the other tasks.",
      join_names(maps),
      maps.size() > 1 ? "have" : "has");
}

// Rows by which a table is read: enough to fill batches, few enough that Ctrl-C is soon heard.
constexpr std::int64_t kBatchesInPortion = 16;

class Answering {
 public:
  Answering(const PredictFlags& flags,
            const train::LoadedRun& run,
            data::TableFormat format,
            Context& context)
      : flags_(flags),
        run_(run),
        context_(context),
        batch_(train::prediction_batch(run.recipe)),
        to_(flags.out),
        text_(run.recipe, format, flags.out == "-" && shown_on_terminal(context)) {}

  // Whatever is no text table: the examples are read when they are asked for, the answers held.
  void answer_all(bool maps) {
    const auto rows = train::load_rows(
        run_.recipe, flags_.data.files(run_.recipe), data::Part::kDev, *run_.source, false);
    std::optional<MapFiles> files;
    train::MapSink sink;
    if (maps) {
      files.emplace(flags_.out, run_.recipe, *run_.source);
      files->set_rows(*rows);
      sink = [&](auto task, auto some, const Matrix& values) { files->write(task, some, values); };
      to_ = files->table().string();
    }
    answer(*rows, sink);
  }

  // A portion after the other: what is held does not grow with the table.
  void answer_table() {
    data::SourceFiles files = flags_.data.files(run_.recipe);
    data::TablePortions portions(files.file(data::Part::kDev),
                                 files.format,
                                 {.rows = static_cast<std::size_t>(kBatchesInPortion * batch_)});
    // From the second portion on: before, nothing is begun.
    std::optional<InterruptGuard> interrupt;
    const auto progress = share_line(context_);
    while (auto table = portions.next()) {
      if (interrupt && interrupt->interrupted()) {
        interrupted_ = true;
        return;
      }
      files.given = std::make_shared<const data::Table>(std::move(*table));
      answer(*train::load_rows(run_.recipe, files, data::Part::kDev, *run_.source, false), {});
      if (const auto all = portions.bytes(); all && *all > 0) {
        progress(static_cast<double>(portions.bytes_read()) / static_cast<double>(*all));
      }
      if (!interrupt) interrupt.emplace();
    }
  }

  void finish() {
    if (interrupted_) {
      tell(context_,
           "interrupted",
           file_ ? fmt::format("after {} rows; nothing was written to {}.", rows_, flags_.out)
                 : fmt::format("after {} rows.", rows_));
      context_.exit_code = 130;
      return;
    }
    if (!file_) return;
    file_->finish();
    const double seconds = watch_.seconds();
    context_.out << fmt::format("Wrote {} predictions to {} in {} ({:.3g} rows a second).\n",
                                rows_,
                                text::printable(flags_.out),
                                report::duration_text(seconds),
                                static_cast<double>(rows_) / std::max(seconds, 1e-3));
  }

 private:
  // Warnings of later portions mostly say the same again.
  void warn(const std::vector<std::string>& warnings) {
    constexpr std::size_t kMost = 20;
    for (const std::string& warning : warnings) {
      if (warned_.size() > kMost || !warned_.insert(warning).second) continue;
      tell(context_,
           "warning",
           warned_.size() > kMost ? "there is more of this kind, which is not shown." : warning);
    }
  }

  void answer(const data::Source& rows, const train::MapSink& sink) {
    warn(rows.warnings());
    const auto predictions = train::predict_rows(*run_.model, rows, batch_, {}, sink);
    warn(rows.news());
    train::check_finite(run_.recipe, predictions, rows_);
    std::vector<std::string> missed;
    std::vector<data::ShownColumn> shown;
    if (!flags_.no_inputs) shown = shown_columns(rows, run_.recipe, text_.names(), missed);
    for (const std::string& name : missed) {
      warn({"the data's column '" + name +
            "' is left out of the output: a prediction has its name."});
    }
    const std::string text = text_.rows(shown, predictions, rows.size());
    rows_ += rows.size();
    if (flags_.out == "-") {
      context_.out << text;
      context_.out.flush();
      return;
    }
    // Not before there is something to write: an error in the first rows leaves nothing behind.
    if (!file_) file_.emplace(to_);
    file_->write(text);
  }

  const PredictFlags& flags_;
  const train::LoadedRun& run_;
  Context& context_;
  std::int64_t batch_;
  std::string to_;
  AnswerText text_;
  Stopwatch watch_;
  std::optional<FileWriter> file_;
  std::set<std::string> warned_;
  std::size_t rows_ = 0;
  bool interrupted_ = false;
};

void run_predict(const PredictFlags& flags, Context& context) {
  if (flags.explain) {
    explain(train::load_run(flags.run, flags.overrides, flags.accept_changed),
            flags.data,
            flags.json,
            context);
    return;
  }
  DETENTE_CHECK(
      !flags.data.data.empty() && !flags.out.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::predict] expected --data FILE, the rows to answer, and --out FILE, where the "
      "answers go; or --explain.");
  const bool piped = flags.data.data == data::kStandardInput;
  demand_harmless("predict", flags.out, {piped ? "" : flags.data.data});
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  DETENTE_CHECK(!run.recipe.tasks.empty(),
                ErrorCode::kUnsupported,
                "[cli::predict] the run has no task with a head, so it predicts nothing. `detente "
                "features {} --out FILE.npy` writes what its network makes of rows.",
                text::shell_word(flags.run));
  const std::vector<std::string> maps = map_tasks(run.recipe);
  demand_fitting_output(flags.out, maps);
  const data::TableFormat format = format_of(flags.out).value_or(data::TableFormat::kTsv);
  demand_harmless("predict", flags.out, run.recipe.data.files.all_files());
  demand_harmless("predict", flags.out, run.recipe.data.source->named_files());
  if (format == data::TableFormat::kTsv) demand_names_fit_tsv(run.recipe);
  Answering answering(flags, run, format, context);
  if (run.source->reads_records()) {
    answering.answer_table();
  } else {
    answering.answer_all(!maps.empty());
  }
  answering.finish();
}

}  // namespace

void add_predict(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("predict", "Use a run's model on new rows");
  auto flags = std::make_shared<PredictFlags>();
  command->add_option("RUN", flags->run, "Folder of the run")->required();
  add_data_flags(*command,
                 flags->data,
                 "TSV, CSV or JSON lines with the recipe's input columns; of images also idx, "
                 "CIFAR-10 or a folder");
  CLI::Option* out =
      command->add_option("--out",
                          flags->out,
                          "File to write: .tsv, .csv, or .jsonl for one JSON object "
                          "per row; - for standard output (TSV). Tasks with an answer for each "
                          "pixel: a folder");
  CLI::Option* explaining = command->add_flag(
      "--explain",
      flags->explain,
      "Tables: instead of answers, how much each input matters for each task: what the model loses "
      "when its values are exchanged between the rows of --data (default: the validation rows)");
  explaining->excludes(out);
  command
      ->add_flag(
          "--no-inputs", flags->no_inputs, "Write the answers alone, without the rows' own columns")
      ->excludes(explaining);
  command->add_flag("--json", flags->json, "With --explain: print JSON")->needs(explaining);
  add_set_flag(*command, flags->overrides);
  add_accept_changed_flag(*command, flags->accept_changed);
  command->callback([flags, &context] { run_predict(*flags, context); });
}

}  // namespace detente::cli
