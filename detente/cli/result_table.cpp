// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/result_table.h>
#include <detente/report/html_page.h>
#include <detente/report/run_data.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/train/run_state.h>
#include <fmt/format.h>

#include <ostream>

namespace detente::cli {
void print_task_metrics(const Json& tasks, std::ostream& out) {
  report::Table table({{"task"}, {"metric"}, {"value", report::Align::kRight}});
  for (const auto& [task, metrics] : tasks.items()) {
    for (const auto& [metric, value] : metrics.items()) {
      table.add_row(
          {task,
           report::metric_text(metric),
           value.is_number() ? report::value_text(value.get<double>()) : std::string("undefined")});
    }
  }
  out << table.text();
}

void print_summary(const Json& summary, std::ostream& out) {
  out << text::printable(summary.at("name").get<std::string>()) << ", "
      << summary.at("method").get<std::string>() << ": " << summary.at("status").get<std::string>()
      << " after " << summary.at("epochs").get<std::int64_t>() << " epochs ("
      << summary.at("steps").get<std::int64_t>() << " steps, "
      << report::duration_text(summary.at("seconds").get<double>()) << ")\n";
  if (summary.at("tasks").is_object() && !summary.at("tasks").empty()) {
    out << "Validation metrics of the best epoch (" << summary.at("best_epoch").get<std::int64_t>()
        << "):\n\n";
    print_task_metrics(summary.at("tasks"), out);
  }
  // The best epoch is chosen on the rows it is measured on; the last ones are not chosen.
  // Fewer are no run whose end has come to rest.
  if (summary.contains("last_epochs") &&
      summary["last_epochs"].at("epochs") == train::kLastEpochs &&
      !summary["last_epochs"].at("tasks").empty()) {
    out << "\nMean over the last " << train::kLastEpochs << " epochs:\n\n";
    print_task_metrics(summary["last_epochs"]["tasks"], out);
  }
  if (summary.at("conflict_share").is_number() && summary.at("mean_cosine").is_number()) {
    out << fmt::format(
        "\nThe gradients conflicted in {:.0f} % of the measured steps (mean cosine "
        "{:.3f}).\n",
        100 * summary.at("conflict_share").get<double>(),
        summary.at("mean_cosine").get<double>());
  }
}

}  // namespace detente::cli
