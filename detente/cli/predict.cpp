// SPDX-License-Identifier: Apache-2.0
// detente predict RUN --data FILE --out FILE
// detente predict RUN --explain
#include <detente/cli/command.h>
#include <detente/cli/data_flags.h>
#include <detente/cli/explain.h>
#include <detente/cli/map_files.h>
#include <detente/cli/output_file.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/report/table.h>
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
#include <span>
#include <string>
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

struct PredictionColumn {
  std::string name;
  std::vector<std::string> cells;
  bool quoted = false;  // a word, not a number, in JSON
};

std::string number_cell(double value) { return fmt::format("{:.6g}", value); }

// Of a row's labels, those predicted: words as the recipe's column has them.
std::string label_cell(const train::TaskRecipe& task, std::span<const double> probabilities) {
  const std::string separator = task.separator.empty() ? "|" : task.separator;
  std::string cell;
  for (std::size_t c = 0; c < probabilities.size(); ++c) {
    if (probabilities[c] < 0.5) continue;
    cell += (cell.empty() ? "" : separator) + task.answer_names()[c];
  }
  return cell.empty() ? separator : cell;  // an empty cell would be a missing one
}

// "score"; "same" (the label) and "same_probability"; the class name or id and its probability; several
// values "pose_x", "pose_y"; labels "genres" and "genres_drama", the probability of each.
std::vector<PredictionColumn> columns_of_task(const train::TaskRecipe& task,
                                              const train::TaskPredictions& predictions,
                                              std::size_t rows) {
  std::vector<PredictionColumn> columns;
  for (const std::string& name : task.prediction_names()) columns.push_back({name, {}, false});
  const auto width = static_cast<std::size_t>(task.head.outputs);
  for (std::size_t i = 0; i < rows; ++i) {
    switch (task.head.kind) {
      case TaskKind::kSegmentation:
      case TaskKind::kDepth:
      case TaskKind::kNormals:
        break;
      case TaskKind::kBinary:
        columns[0].cells.push_back(predictions.values[i] >= 0.5 ? "1" : "0");
        columns[1].cells.push_back(number_cell(predictions.values[i]));
        break;
      case TaskKind::kClasses:
      case TaskKind::kOrdinal: {
        const auto id = static_cast<std::size_t>(predictions.values[i]);
        columns[0].quoted = !task.class_names.empty();
        columns[0].cells.push_back(columns[0].quoted ? task.class_names[id] : std::to_string(id));
        columns[1].cells.push_back(number_cell(predictions.confidence[i]));
        break;
      }
      case TaskKind::kRegression:
      case TaskKind::kLabels: {
        const std::span<const double> own(predictions.values.data() + i * width, width);
        const bool labels = task.head.kind == TaskKind::kLabels;
        if (labels) {
          columns[0].quoted = true;
          columns[0].cells.push_back(label_cell(task, own));
        }
        for (std::size_t c = 0; c < width; ++c) {
          columns[c + (labels ? 1 : 0)].cells.push_back(number_cell(own[c]));
        }
        break;
      }
    }
  }
  return columns;
}

std::vector<PredictionColumn> prediction_columns(
    const train::Recipe& recipe,
    const std::vector<train::TaskPredictions>& predictions,
    std::size_t rows) {
  std::vector<PredictionColumn> columns;
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    if (is_map(recipe.tasks[k].head.kind)) continue;  // files of their own
    for (PredictionColumn& column : columns_of_task(recipe.tasks[k], predictions[k], rows)) {
      columns.push_back(std::move(column));
    }
  }
  return columns;
}

std::string terminal_cell(std::string cell) { return text::printable(cell); }

std::string csv_cell(std::string cell) { return report::csv_cell(cell); }

std::string as_table(std::size_t rows,
                     const std::vector<data::ShownColumn>& shown,
                     const std::vector<PredictionColumn>& columns,
                     char separator,
                     std::string (*cell)(std::string)) {
  std::string text;
  bool first = true;
  const auto add = [&](const std::string& value) {
    if (!first) text += separator;
    text += cell(value);
    first = false;
  };
  for (const auto& column : shown) add(column.name);
  for (const auto& column : columns) add(column.name);
  for (std::size_t i = 0; i < rows; ++i) {
    text += "\n";
    first = true;
    for (const auto& column : shown) add(column.cells[i]);
    for (const auto& column : columns) add(column.cells[i]);
  }
  return text + "\n";
}

std::string as_json_lines(std::size_t rows,
                          const std::vector<data::ShownColumn>& shown,
                          const std::vector<PredictionColumn>& columns) {
  std::string text;
  for (std::size_t i = 0; i < rows; ++i) {
    Json line = Json::object();
    for (const auto& column : shown) line[column.name] = column.cells[i];
    for (const auto& column : columns) {
      line[column.name] = column.quoted ? Json(column.cells[i]) : Json::parse(column.cells[i]);
    }
    text += json_text(line, -1) + "\n";
  }
  return text;
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
// column that only happens to have a prediction's name is missed.
std::vector<data::ShownColumn> shown_columns(const data::Source& rows,
                                             const train::Recipe& recipe,
                                             const std::vector<PredictionColumn>& columns,
                                             Context& context) {
  std::vector<data::ShownColumn> shown = rows.shown();
  std::erase_if(shown, [&](const data::ShownColumn& column) {
    const auto has_name = [&](const auto& other) { return other.name == column.name; };
    if (std::none_of(columns.begin(), columns.end(), has_name)) return false;
    const bool target =
        std::any_of(recipe.tasks.begin(), recipe.tasks.end(), [&](const auto& task) {
          const auto own = task.file_columns();
          return std::find(own.begin(), own.end(), column.name) != own.end();
        });
    if (!target) {
      tell(context,
           "warning",
           "the data's column '" + column.name +
               "' is left out of the output: a prediction has its name.");
    }
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
  const auto rows = train::load_rows(
      run.recipe, flags.data.files(run.recipe), data::Part::kDev, *run.source, false);
  for (const auto& warning : rows->warnings()) tell(context, "warning", warning);
  std::optional<MapFiles> files;
  train::MapSink sink;
  if (!maps.empty()) {
    files.emplace(flags.out, run.recipe, *run.source);
    files->set_rows(*rows);
    sink = [&](auto task, auto some, const Matrix& values) { files->write(task, some, values); };
  }
  const auto predictions =
      train::predict_rows(*run.model, *rows, train::prediction_batch(run.recipe), {}, sink);
  for (const auto& news : rows->news()) tell(context, "warning", news);
  train::check_finite(run.recipe, predictions);
  const auto columns = prediction_columns(run.recipe, predictions, rows->size());
  const auto shown = flags.no_inputs ? std::vector<data::ShownColumn>{}
                                     : shown_columns(*rows, run.recipe, columns, context);
  const bool standard = flags.out == "-";
  const bool terminal = standard && shown_on_terminal(context);
  const std::string text =
      format == data::TableFormat::kJsonLines ? as_json_lines(rows->size(), shown, columns)
      : format == data::TableFormat::kCsv
          ? as_table(rows->size(), shown, columns, ',', csv_cell)
          : as_table(rows->size(), shown, columns, '\t', terminal ? terminal_cell : tsv_cell);
  if (standard) {
    context.out << text;
    return;
  }
  write_file_atomic(files ? files->table().string() : flags.out, text);
  context.out << "Wrote " << rows->size() << " predictions to " << text::printable(flags.out)
              << ".\n";
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
