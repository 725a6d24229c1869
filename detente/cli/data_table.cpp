// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/data_table.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

using data::DataFindings;
using data::InputFindings;
using data::LabelFindings;
using data::NumberSummary;
using data::TaskFindings;
using report::Align;

std::string data_number(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : "-";
}

std::string data_share(std::size_t count, std::size_t of) {
  if (of == 0) return "-";
  const double share = 100.0 * static_cast<double>(count) / static_cast<double>(of);
  return fmt::format("{:.{}f} %", share, count > 0 && share < 1 ? 2 : 1);
}

// Days since 1970 as YYYY-MM-DD.
std::string data_date(double days) {
  if (!std::isfinite(days)) return "-";
  const std::chrono::sys_days day{
      std::chrono::days(static_cast<std::chrono::days::rep>(std::floor(days)))};
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}",
                     static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

void data_left_over(std::size_t shown, std::size_t all, const char* what, std::ostream& out) {
  if (shown < all) out << fmt::format("({} more {}; --top shows more)\n", all - shown, what);
}

void print_parts(const DataFindings& found, std::ostream& out) {
  report::Table table(
      {{"part"}, {"rows", Align::kRight}, {"repeat another", Align::kRight}, {"file"}});
  for (std::size_t i = 0; i < found.parts.size(); ++i) {
    const auto& within = found.duplicates.within;
    table.add_row({name_of(found.parts[i].part),
                   std::to_string(found.parts[i].rows),
                   within.empty() ? "-" : std::to_string(within[i]),
                   found.parts[i].file});
  }
  out << table.text();
}

void print_sources(const DataFindings& found, std::ostream& out) {
  if (found.parts.front().sources.empty()) return;
  std::vector<report::Column> columns = {{"source"}};
  for (const auto& part : found.parts) {
    columns.push_back({std::string("rows, ") + name_of(part.part), Align::kRight});
  }
  report::Table table(columns);
  for (const auto& [name, rows] : found.parts.front().sources) {
    std::vector<std::string> row = {name};
    for (const auto& part : found.parts) row.push_back(std::to_string(part.rows_of(name)));
    table.add_row(row);
  }
  out << "\nSources\n\n" << table.text();
}

void print_targets(const DataFindings& found, std::ostream& out) {
  if (found.tasks.empty()) return;
  const bool sources = !found.parts.front().sources.empty();
  std::vector<report::Column> columns = {{"task"}};
  if (sources) columns.push_back({"source"});
  columns.push_back({"column"});
  columns.push_back({"kind"});
  for (const auto& part : found.parts) {
    columns.push_back({std::string("labelled, ") + name_of(part.part), Align::kRight});
  }
  report::Table table(columns);
  for (const TaskFindings& task : found.tasks) {
    std::vector<std::string> row = {task.name};
    if (sources) row.push_back(task.source);
    row.push_back(task.column);
    row.push_back(name_of(task.kind));
    for (std::size_t i = 0; i < task.parts.size(); ++i) {
      row.push_back(data_share(task.parts[i].labelled, found.parts[i].rows_of(task.source)));
    }
    table.add_row(row);
  }
  out << "\nTargets\n\n" << table.text();
}

void print_target_numbers(const DataFindings& found, std::ostream& out) {
  report::Table table({{"task"},
                       {"min", Align::kRight},
                       {"median", Align::kRight},
                       {"mean", Align::kRight},
                       {"max", Align::kRight},
                       {"deviation", Align::kRight},
                       {"outliers", Align::kRight}});
  for (const TaskFindings& task : found.tasks) {
    if (task.kind != TaskKind::kRegression) continue;
    const NumberSummary& numbers = task.parts.front().numbers;
    table.add_row({task.name,
                   data_number(numbers.min),
                   data_number(numbers.median),
                   data_number(numbers.mean),
                   data_number(numbers.max),
                   data_number(numbers.deviation),
                   std::to_string(numbers.outliers)});
  }
  if (table.rows() > 0) out << "\nNumbers to predict, training rows\n\n" << table.text();
}

void print_maps(const DataFindings& found, std::size_t top, std::ostream& out) {
  if (found.maps.empty()) return;
  report::Table table({{"task"},
                       {"column"},
                       {"kind"},
                       {"part"},
                       {"examples", Align::kRight},
                       {"pixels with a target", Align::kRight},
                       {"min", Align::kRight},
                       {"mean", Align::kRight},
                       {"max", Align::kRight}});
  std::vector<report::Column> columns = {{"task"}, {"class"}};
  for (const auto& part : found.parts) columns.push_back({name_of(part.part), Align::kRight});
  report::Table classes(columns);
  std::size_t left_over = 0;
  for (const data::MapFindings& map : found.maps) {
    for (std::size_t i = 0; i < map.parts.size(); ++i) {
      const data::MapPartFindings& part = map.parts[i];
      const auto number = [&](double value) {
        return part.counts.empty() ? data_number(value) : "";
      };
      table.add_row({map.task,
                     map.column,
                     name_of(map.kind),
                     name_of(found.parts[i].part),
                     std::to_string(part.examples - part.without),
                     data_share(part.pixels, part.all_pixels),
                     number(part.min),
                     number(part.mean),
                     number(part.max)});
    }
    for (std::size_t id = 0; id < map.parts.front().counts.size(); ++id) {
      if (id >= top) {
        ++left_over;
        continue;
      }
      std::vector<std::string> row = {map.task, map.class_names[id]};
      for (const auto& part : map.parts) {
        row.push_back(data_share(part.counts[id],
                                 is_map(map.kind) ? part.pixels : part.examples - part.without));
      }
      classes.add_row(row);
    }
  }
  out << "\nMaps; of normals the lengths\n\n" << table.text();
  if (classes.rows() == 0) return;
  out << "\nClasses, share of the pixels with a target; of binary tasks, of the examples\n\n"
      << classes.text();
  data_left_over(classes.rows(), classes.rows() + left_over, "classes", out);
}

void print_balance(const DataFindings& found, std::size_t top, std::ostream& out) {
  std::vector<report::Column> columns = {{"task"}, {"class"}};
  for (const auto& part : found.parts) columns.push_back({name_of(part.part), Align::kRight});
  report::Table table(columns);
  std::size_t left_over = 0;
  for (const TaskFindings& task : found.tasks) {
    const std::vector<std::size_t>& train = task.parts.front().counts;
    std::vector<std::size_t> order;
    for (std::size_t id = 0; id < train.size(); ++id) order.push_back(id);
    // Of two classes one says all; of many the frequent ones are worth a line.
    if (task.kind == TaskKind::kBinary) order = {1};
    if (order.size() > top) {
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return train[a] > train[b];
      });
      left_over += order.size() - top;
      order.resize(top);
    }
    for (const std::size_t id : order) {
      std::vector<std::string> row = {task.name, task.class_names[id]};
      for (const LabelFindings& part : task.parts) {
        row.push_back(data_share(part.counts[id], part.labelled));
      }
      table.add_row(row);
    }
  }
  if (table.rows() == 0) return;
  out << "\nClasses, share of the labelled rows\n\n" << table.text();
  data_left_over(table.rows(), table.rows() + left_over, "classes", out);
}

void print_pairs(const DataFindings& found, std::size_t top, std::ostream& out) {
  if (found.pairs.empty()) return;
  if (std::all_of(found.pairs.begin(), found.pairs.end(), [](const data::TaskPair& pair) {
        return pair.rows == pair.of;
      })) {
    out << (found.parts.front().sources.empty()
                ? "\nEvery training row has the targets of all tasks.\n"
                : "\nEvery training row has the targets of all tasks of its source.\n");
    return;
  }
  report::Table table({{"task"}, {"and"}, {"rows with both", Align::kRight}, {"", Align::kRight}});
  for (std::size_t i = 0; i < found.pairs.size() && i < top; ++i) {
    const data::TaskPair& pair = found.pairs[i];
    table.add_row(
        {pair.first, pair.second, std::to_string(pair.rows), data_share(pair.rows, pair.of)});
  }
  out << "\nTargets of two tasks in one training row, the fewest first\n\n" << table.text();
  data_left_over(table.rows(), found.pairs.size(), "pairs", out);
}

void print_inputs(const DataFindings& found, std::size_t top, std::ostream& out) {
  if (found.inputs.empty()) return;
  const std::size_t rows = found.parts.front().rows;
  report::Table table({{"input"},
                       {"kind"},
                       {"missing", Align::kRight},
                       {"different", Align::kRight},
                       {"min", Align::kRight},
                       {"median", Align::kRight},
                       {"max", Align::kRight},
                       {"deviation", Align::kRight},
                       {"outliers", Align::kRight}});
  bool lengths = false;
  for (std::size_t i = 0; i < found.inputs.size() && i < top; ++i) {
    const InputFindings& input = found.inputs[i];
    const NumberSummary& numbers = input.numbers;
    const bool date = input.kind == "date";
    const auto shown = date ? data_date : data_number;
    const bool any = numbers.count > 0;
    lengths = lengths || input.kind == "text";
    table.add_row({input.name,
                   input.kind,
                   data_share(input.missing, rows),
                   std::to_string(input.distinct),
                   any ? shown(numbers.min) : "",
                   any ? shown(numbers.median) : "",
                   any ? shown(numbers.max) : "",
                   any ? data_number(numbers.deviation) + (date ? " days" : "") : "",
                   any ? std::to_string(numbers.outliers) : ""});
  }
  out << "\nInputs, training rows" << (lengths ? "; of text the lengths in characters" : "")
      << "\n\n"
      << table.text();
  data_left_over(table.rows(), found.inputs.size(), "inputs", out);
}

}  // namespace

void print_data_findings(const DataFindings& found, std::size_t top, std::ostream& out) {
  print_parts(found, out);
  print_sources(found, out);
  print_targets(found, out);
  print_maps(found, top, out);
  print_target_numbers(found, out);
  print_balance(found, top, out);
  print_pairs(found, top, out);
  print_inputs(found, top, out);
  if (!found.notes.empty()) out << "\n";
  for (const std::string& note : found.notes) out << text::printable(note) << "\n";
}

}  // namespace detente::cli
