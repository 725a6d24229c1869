// SPDX-License-Identifier: Apache-2.0
#include <detente/core/fields.h>
#include <detente/report/html_page.h>
#include <detente/study/tables.h>
#include <detente/study/words.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::study {
namespace {

// For people, or for a paper.
enum class CellForm { kPlain, kLatex };

std::string cell_text(const metrics::Estimate& estimate, CellForm form) {
  if (std::isnan(estimate.mean)) return "–";
  const double half = (estimate.high - estimate.low) / 2;
  if (form == CellForm::kPlain) return estimate_text(estimate.mean, half);
  const SpreadText text = spread_text(estimate.mean, half);
  return text.half.empty() ? text.mean : text.mean + " $\\pm$ " + text.half;
}

// The methods that have rows, baselines first.
std::vector<std::string> columns_of(const Analysis& analysis) {
  std::vector<std::string> columns;
  const auto has = [&](const std::string& method) {
    return std::any_of(analysis.rows.begin(), analysis.rows.end(), [&](const MetricRow& row) {
      return row.method == method;
    });
  };
  if (has("single")) columns.emplace_back("single");
  for (const MethodSummary& method : analysis.methods) columns.push_back(method.method);
  return columns;
}

// Calls use(task, metric, cells) for each row of the table, a cell per column of columns_of.
template <typename Use>
void each_row(const Analysis& analysis, CellForm form, const Use& use) {
  const auto columns = columns_of(analysis);
  for (std::size_t i = 0; i < analysis.rows.size();) {
    const MetricRow& first = analysis.rows[i];
    std::vector<std::string> cells(columns.size(), "–");
    for (; i < analysis.rows.size() && analysis.rows[i].task == first.task &&
           analysis.rows[i].metric == first.metric;
         ++i) {
      const auto column = std::find(columns.begin(), columns.end(), analysis.rows[i].method);
      cells[static_cast<std::size_t>(column - columns.begin())] =
          cell_text(analysis.rows[i].estimate, form);
    }
    use(first.task, first.metric, cells);
  }
}

std::string latex(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\textbackslash{}";
        break;
      case '~':
        out += "\\textasciitilde{}";
        break;
      case '^':
        out += "\\textasciicircum{}";
        break;
      case '&':
      case '%':
      case '$':
      case '#':
      case '_':
      case '{':
      case '}':
        out += '\\';
        out += c;
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string csv_number(double value) { return std::isfinite(value) ? number_text(value) : ""; }

std::string seconds_text(double seconds) {
  return std::isnan(seconds) ? "–"
         : seconds < 100     ? fmt::format("{:.1f} s", seconds)
                             : report::duration_text(seconds);
}

}  // namespace

report::Table result_table(const Analysis& analysis) {
  std::vector<report::Column> columns{{"task"}, {"metric"}};
  for (const auto& method : columns_of(analysis))
    columns.push_back({method, report::Align::kRight});
  report::Table table(columns);
  each_row(
      analysis, CellForm::kPlain, [&](const auto& task, const auto& metric, const auto& cells) {
        std::vector<std::string> row{task, metric};
        row.insert(row.end(), cells.begin(), cells.end());
        table.add_row(row);
      });
  return table;
}

report::Table method_table(const Analysis& analysis) {
  using report::Align;
  report::Table table({{"method"},
                       {"setting"},
                       {"Δm metric %", Align::kRight},
                       {"Δm task %", Align::kRight},
                       {"mean rank", Align::kRight},
                       {"a run", Align::kRight},
                       {"a step", Align::kRight},
                       {"runs", Align::kRight}});
  for (const MethodSummary& m : analysis.methods) {
    table.add_row({m.method,
                   m.setting,
                   report::value_text(m.delta_m_metric, 2),
                   report::value_text(m.delta_m_task, 2),
                   report::value_text(m.mean_rank, 2),
                   seconds_text(m.seconds),
                   std::isnan(m.ms_per_step) ? "–" : fmt::format("{:.2f} ms", m.ms_per_step),
                   m.failed == 0 ? fmt::format("{}", m.finished)
                                 : fmt::format("{} ({} failed)", m.finished, m.failed)});
  }
  return table;
}

std::string latex_table(const Analysis& analysis) {
  const auto columns = columns_of(analysis);
  std::string out =
      "% needs \\usepackage{booktabs}; mean and half width of the 95 % interval (Student), " +
      fmt::format("{} seeds\n", analysis.seeds.size());
  out += "\\begin{tabular}{ll" + std::string(columns.size(), 'r') + "}\n\\toprule\ntask & metric";
  for (const auto& column : columns) out += " & " + latex(column);
  out += " \\\\\n\\midrule\n";
  each_row(
      analysis, CellForm::kLatex, [&](const auto& task, const auto& metric, const auto& cells) {
        out += latex(task) + " & " + latex(metric);
        for (const auto& cell : cells) out += " & " + (cell == "–" ? std::string("--") : cell);
        out += " \\\\\n";
      });
  return out + "\\bottomrule\n\\end{tabular}\n";
}

std::string result_csv(const Analysis& analysis) {
  std::vector<report::Column> columns{
      {"method"}, {"task"}, {"metric"}, {"mean"}, {"low"}, {"high"}, {"seeds"}};
  for (const auto seed : analysis.seeds) columns.push_back({fmt::format("seed_{}", seed)});
  report::Table table(columns);
  for (const MetricRow& row : analysis.rows) {
    std::vector<std::string> cells{row.method,
                                   row.task,
                                   row.metric,
                                   csv_number(row.estimate.mean),
                                   csv_number(row.estimate.low),
                                   csv_number(row.estimate.high),
                                   std::to_string(row.estimate.n)};
    for (const double value : row.by_seed) cells.push_back(csv_number(value));
    table.add_row(std::move(cells));
  }
  return table.csv();
}

}  // namespace detente::study
