// SPDX-License-Identifier: Apache-2.0
// detente predict RUN --data FILE --out FILE
#include <detente/cli/command.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/loaded_run.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct PredictFlags {
  std::string run;
  std::string data;
  std::string out;
  std::vector<std::string> overrides;
  bool accept_changed = false;
};

// A prediction's columns: "score"; "same" (the label) and "same_probability"; the class name or id
// and its probability.
struct PredictionColumn {
  std::string name;
  std::vector<std::string> cells;
  bool quoted = false;  // a word, not a number, in JSON
};

std::string number_cell(double value) { return fmt::format("{:.6g}", value); }

std::vector<PredictionColumn> prediction_columns(
    const train::Recipe& recipe, const std::vector<train::TaskPredictions>& predictions) {
  std::vector<PredictionColumn> columns;
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    const train::TaskRecipe& task = recipe.tasks[k];
    PredictionColumn label{task.name, {}, false};
    PredictionColumn probability{task.name + "_probability", {}, false};
    for (std::size_t i = 0; i < predictions[k].values.size(); ++i) {
      const double value = predictions[k].values[i];
      switch (task.head.kind) {
        case TaskKind::kRegression:
          label.cells.push_back(number_cell(value));
          break;
        case TaskKind::kBinary:
          label.cells.push_back(value >= 0.5 ? "1" : "0");
          probability.cells.push_back(number_cell(value));
          break;
        case TaskKind::kClasses: {
          const auto id = static_cast<std::size_t>(value);
          label.quoted = !task.class_names.empty();
          label.cells.push_back(label.quoted ? task.class_names[id] : std::to_string(id));
          probability.cells.push_back(number_cell(predictions[k].confidence[i]));
          break;
        }
      }
    }
    columns.push_back(std::move(label));
    if (!probability.cells.empty()) columns.push_back(std::move(probability));
  }
  return columns;
}

// TSV has no quoting: tabs and line ends inside a cell (possible in CSV) become blanks.
std::string tsv_cell(std::string cell) {
  for (char& c : cell) {
    if (c == '\t' || c == '\n' || c == '\r') c = ' ';
  }
  return cell;
}

std::string csv_cell(std::string cell) {
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

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
      const std::string& cell = column.cells[i];
      Json value = column.quoted ? Json(cell) : Json::parse(cell, nullptr, false);
      if (value.is_discarded()) value = nullptr;  // NaN and infinity, for which JSON has no word
      line[column.name] = std::move(value);
    }
    text += line.dump() + "\n";
  }
  return text;
}

// An answer that is not the class's name any more would be a wrong one.
void demand_names_fit_tsv(const train::Recipe& recipe) {
  for (const train::TaskRecipe& task : recipe.tasks) {
    for (const std::string& word : task.class_names) {
      DETENTE_CHECK(word.find_first_of("\t\r\n") == std::string::npos,
                    ErrorCode::kInvalidArgument,
                    "[cli::predict] the class {} of task '{}' holds a tab or a line end, which TSV "
                    "cannot; expected --out FILE.csv or FILE.jsonl.",
                    Json(word).dump(),
                    task.name);
    }
  }
}

void run_predict(const PredictFlags& flags, Context& context) {
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  const std::string name = lower_ascii(flags.out);
  const bool tsv = !name.ends_with(".jsonl") && !name.ends_with(".csv");
  if (tsv) demand_names_fit_tsv(run.recipe);
  const auto rows = train::load_rows(
      run.recipe, data::one_file(flags.data), data::Part::kDev, *run.source, false);
  for (const auto& warning : rows->warnings()) context.err << "warning: " << warning << "\n";
  const auto predictions =
      train::predict_rows(*run.model, *rows, 4 * run.recipe.loop.batches.batch_size);
  const auto columns = prediction_columns(run.recipe, predictions);
  std::vector<std::string> taken;
  for (const auto& column : columns) taken.push_back(column.name);
  const auto shown = rows->shown(taken);
  const std::string text = tsv ? as_table(rows->size(), shown, columns, '\t', tsv_cell)
                           : name.ends_with(".csv")
                               ? as_table(rows->size(), shown, columns, ',', csv_cell)
                               : as_json_lines(rows->size(), shown, columns);
  if (flags.out == "-") {
    context.out << text;
    return;
  }
  write_file_atomic(flags.out, text);
  context.out << "Wrote " << rows->size() << " predictions to " << flags.out << ".\n";
}

}  // namespace

void add_predict(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("predict", "Use a run's model on new rows");
  auto flags = std::make_shared<PredictFlags>();
  command->add_option("RUN", flags->run, "Folder of the run")->required();
  command->add_option("--data", flags->data, "TSV or CSV with the recipe's input columns")
      ->required();
  command
      ->add_option("--out",
                   flags->out,
                   "File to write: .tsv, .csv, or .jsonl for one JSON object per row; - for "
                   "standard output (TSV)")
      ->required();
  add_set_flag(*command, flags->overrides);
  add_accept_changed_flag(*command, flags->accept_changed);
  command->callback([flags, &context] { run_predict(*flags, context); });
}

}  // namespace detente::cli
