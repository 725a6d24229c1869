// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/explain.h>
#include <detente/core/json_text.h>
#include <detente/report/html_page.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/train/corpus.h>
#include <detente/train/importance.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>

namespace detente::cli {
namespace {

constexpr std::size_t kShownInputs = 15;

// With targets where the file has those of all tasks: what a model loses says more than what changes.
std::unique_ptr<data::Source> rows_to_explain(const train::LoadedRun& run, const DataFlags& data) {
  const bool given = !data.data.empty();
  const data::SourceFiles files = given ? data.files(run.recipe) : run.recipe.data.files;
  const auto load = [&](bool targets) {
    return train::load_rows(run.recipe, files, data::Part::kDev, *run.source, targets);
  };
  // Of several sources a file has the targets of one, and --explain is about all tasks.
  if (given && !run.recipe.data.files.sources.empty()) return load(false);
  if (!given) return load(true);
  auto rows = load(false);
  const auto columns = rows->shown();
  const bool labelled =
      data.data != data::kStandardInput &&  // which is read once
      std::all_of(run.recipe.tasks.begin(), run.recipe.tasks.end(), [&](const auto& task) {
        const auto wanted = task.target().file_columns();
        return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
          return std::any_of(columns.begin(), columns.end(), [&](const auto& column) {
            return column.name == name;
          });
        });
      });
  return labelled ? load(true) : std::move(rows);
}

Json as_json(const train::Importance& importance) {
  Json tasks = Json::object();
  for (const auto& task : importance.tasks) {
    Json inputs = Json::array();
    for (const auto& input : task.inputs) {
      inputs.push_back({{"input", input.input},
                        {"mean", json_number(input.mean)},
                        {"deviation", json_number(input.deviation)}});
    }
    tasks[task.task] = {
        {"metric", task.metric},
        {"value", task.metric == "change" ? Json(nullptr) : json_number(task.value)},
        {"inputs", std::move(inputs)}};
  }
  return {{"rows", importance.rows}, {"tasks", std::move(tasks)}};
}

void print(const train::TaskImportance& task, std::ostream& out) {
  const bool change = task.metric == "change";
  out << "\n"
      << text::printable(task.task) << ": "
      << (change ? std::string("change of the predictions")
                 : task.metric + " " + report::value_text(task.value) + ", of which is lost")
      << " when the values of an input are exchanged between rows\n\n";
  report::Table table({{"input"},
                       {change ? "change" : "loss", report::Align::kRight},
                       {"± one exchange", report::Align::kRight}});
  const std::size_t shown = std::min(task.inputs.size(), kShownInputs);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& input = task.inputs[i];
    const auto text = [](double value) {
      return std::isnan(value) ? std::string("undefined") : report::value_text(value);
    };
    table.add_row({text::printable(input.input), text(input.mean), text(input.deviation)});
  }
  out << table.text();
  if (shown < task.inputs.size()) {
    out << fmt::format("and {} less important ones (--json lists all)\n",
                       task.inputs.size() - shown);
  }
}

}  // namespace

void explain(const train::LoadedRun& run, const DataFlags& data, bool json, Context& context) {
  const auto rows = rows_to_explain(run, data);
  for (const auto& warning : rows->warnings()) tell(context, "warning", warning);
  const train::Importance importance = train::permutation_importance(run.recipe, *run.model, *rows);
  if (json) {
    context.out << json_text(as_json(importance)) << "\n";
    return;
  }
  context.out << fmt::format(
      "Permutation importance on {} rows. Of inputs that say the same, each looks less important "
      "than they are together.\n",
      importance.rows);
  for (const auto& task : importance.tasks) print(task, context.out);
}

}  // namespace detente::cli
