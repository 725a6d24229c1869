// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/answer_text.h>
#include <detente/cli/output_file.h>
#include <detente/core/json_text.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>

#include <algorithm>
#include <span>
#include <utility>

namespace detente::cli {
namespace {

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
                     bool header,
                     char separator,
                     std::string (*cell)(std::string)) {
  std::string text;
  const auto add_line = [&](const auto& value_of) {
    bool first = true;
    const auto add = [&](const std::string& value) {
      if (!first) text += separator;
      text += cell(value);
      first = false;
    };
    for (const auto& column : shown) add(value_of(column));
    for (const auto& column : columns) add(value_of(column));
    text += "\n";
  };
  if (header) add_line([](const auto& column) -> const std::string& { return column.name; });
  for (std::size_t i = 0; i < rows; ++i) {
    add_line([i](const auto& column) -> const std::string& { return column.cells[i]; });
  }
  return text;
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

}  // namespace

AnswerText::AnswerText(const train::Recipe& recipe, data::TableFormat format, bool terminal)
    : recipe_(recipe), format_(format), terminal_(terminal) {
  for (const train::TaskRecipe& task : recipe.tasks) {
    if (is_map(task.head.kind)) continue;
    for (std::string& name : task.prediction_names()) names_.push_back(std::move(name));
  }
}

std::string AnswerText::rows(const std::vector<data::ShownColumn>& shown,
                             const std::vector<train::TaskPredictions>& predictions,
                             std::size_t count) {
  const auto columns = prediction_columns(recipe_, predictions, count);
  const bool header = !std::exchange(begun_, true);
  switch (format_) {
    case data::TableFormat::kJsonLines:
      return as_json_lines(count, shown, columns);
    case data::TableFormat::kCsv:
      return as_table(count, shown, columns, header, ',', csv_cell);
    default:
      return as_table(count, shown, columns, header, '\t', terminal_ ? terminal_cell : tsv_cell);
  }
}

}  // namespace detente::cli
