// SPDX-License-Identifier: Apache-2.0
// detente predict RUN --data FILE --out FILE
#include <detente/cli/command.h>
#include <detente/cli/recipe_flags.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/table.h>
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

std::string as_tsv(const data::PairData& rows,
                   const train::Recipe& recipe,
                   const std::vector<PredictionColumn>& columns) {
  std::string text = recipe.data.text_a;
  if (rows.has_pairs()) text += "\t" + recipe.data.text_b;
  for (const auto& column : columns) text += "\t" + column.name;
  text += "\n";
  // TSV has no quoting: tabs and line ends inside a sentence (possible in CSV) become blanks.
  const auto cell = [](std::string sentence) {
    for (char& c : sentence) {
      if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    }
    return sentence;
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += cell(rows.text_a[i]);
    if (rows.has_pairs()) text += "\t" + cell(rows.text_b[i]);
    for (const auto& column : columns) text += "\t" + column.cells[i];
    text += "\n";
  }
  return text;
}

std::string as_json_lines(const data::PairData& rows,
                          const train::Recipe& recipe,
                          const std::vector<PredictionColumn>& columns) {
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Json line{{recipe.data.text_a, rows.text_a[i]}};
    if (rows.has_pairs()) line[recipe.data.text_b] = rows.text_b[i];
    for (const auto& column : columns) {
      line[column.name] =
          column.quoted ? Json(column.cells[i]) : Json::parse(column.cells[i], nullptr, false);
    }
    text += line.dump() + "\n";
  }
  return text;
}

void run_predict(const PredictFlags& flags, Context& context) {
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides);
  const data::Table table = data::Table::read(flags.data);
  const data::PairData rows =
      train::load_rows(run.recipe, table, *run.tokenizer, run.idf, {}, false);
  for (const auto& warning : rows.warnings) context.err << "warning: " << warning << "\n";
  const auto predictions =
      train::predict_rows(*run.model, rows, 4 * run.recipe.loop.batches.batch_size);
  const auto columns = prediction_columns(run.recipe, predictions);
  const bool json_lines = flags.out.ends_with(".jsonl");
  const std::string text =
      json_lines ? as_json_lines(rows, run.recipe, columns) : as_tsv(rows, run.recipe, columns);
  if (flags.out == "-") {
    context.out << text;
    return;
  }
  write_file_atomic(flags.out, text);
  context.out << "Wrote " << rows.size() << " predictions to " << flags.out << ".\n";
}

}  // namespace

void add_predict(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("predict", "Use a run's model on new sentences");
  auto flags = std::make_shared<PredictFlags>();
  command->add_option("RUN", flags->run, "Folder of the run")->required();
  command->add_option("--data", flags->data, "TSV or CSV with the recipe's text columns")
      ->required();
  command
      ->add_option("--out",
                   flags->out,
                   "File to write: .tsv, or .jsonl for one JSON object per row; - for standard "
                   "output (TSV)")
      ->required();
  add_set_flag(*command, flags->overrides);
  command->callback([flags, &context] { run_predict(*flags, context); });
}

}  // namespace detente::cli
