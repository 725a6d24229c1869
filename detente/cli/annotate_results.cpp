// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/annotate_results.h>
#include <detente/cli/output_file.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <ostream>
#include <utility>

namespace detente::cli {
namespace {

struct AddedCells {
  std::string label;
  std::string share;
};

AddedCells cells_of(const annotate::Task& task, const std::optional<annotate::RowResult>& result) {
  if (!result || !result->label) return {};
  return {task.labels[*result->label], fmt::format("{:.6g}", result->share)};
}

Json json_cell(const std::string& cell) { return cell.empty() ? Json(nullptr) : Json(cell); }

bool is_json_lines(const std::string& file) {
  const std::string name = lower_ascii(file);
  return name.ends_with(".jsonl") || name.ends_with(".jsonl.gz");
}

std::string json_lines(const data::Table& table,
                       const std::vector<std::string>& kept,
                       const std::vector<annotate::Task>& tasks,
                       const annotate::Annotations& annotations) {
  std::string text;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    Json added = Json::object();
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      const AddedCells cells = cells_of(tasks[t], annotations.results[t][row]);
      added[tasks[t].name] = json_cell(cells.label);
      added[tasks[t].name + "_confidence"] =
          cells.share.empty() ? Json(nullptr) : Json::parse(cells.share);
    }
    const std::string tail = json_text(added, -1).substr(1);
    if (!kept.empty()) {
      std::string_view line = trim(kept.at(table.line(row) - 1), " \t\r");
      line.remove_suffix(1);  // its closing brace
      line = trim(line, " \t\r");
      text += std::string(line) + (line == "{" ? "" : ", ") + tail + "\n";
      continue;
    }
    Json own = Json::object();
    for (std::size_t c = 0; c < table.columns(); ++c) {
      own[table.column_names()[c]] = std::string(table.cell(row, c));
    }
    std::string line = json_text(own, -1);
    line.pop_back();
    text += line + "," + tail + "\n";
  }
  return text;
}

}  // namespace

data::TableFormat labelled_format(const std::string& out) {
  const std::optional<data::TableFormat> format = format_by_ending(out);
  DETENTE_CHECK(format,
                ErrorCode::kInvalidArgument,
                "[cli::annotate] the ending of --out '{}' names no format; expected .csv, .tsv or "
                ".jsonl.",
                out);
  return *format;
}

std::vector<std::string> kept_lines(std::string_view content,
                                    const std::string& file,
                                    const std::string& out) {
  std::vector<std::string> lines;
  if (!is_json_lines(file) || format_by_ending(out) != data::TableFormat::kJsonLines) return lines;
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
  const char line_end = content.find('\n') == std::string_view::npos ? '\r' : '\n';
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = std::min(content.find(line_end, at), content.size());
    lines.emplace_back(content.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string labelled_table(const data::Table& table,
                           const std::vector<std::string>& kept,
                           const std::vector<annotate::Task>& tasks,
                           const annotate::Annotations& annotations,
                           data::TableFormat format) {
  if (format == data::TableFormat::kJsonLines) return json_lines(table, kept, tasks, annotations);
  const bool csv = format == data::TableFormat::kCsv;
  std::string text;
  const auto add = [&](bool first, std::string cell) {
    if (!first) text += csv ? ',' : '\t';
    text += csv ? report::csv_cell(cell) : tsv_cell(std::move(cell));
  };
  for (std::size_t c = 0; c < table.columns(); ++c) add(c == 0, table.column_names()[c]);
  for (const annotate::Task& task : tasks) {
    add(false, task.name);
    add(false, task.name + "_confidence");
  }
  for (std::size_t row = 0; row < table.rows(); ++row) {
    text += "\n";
    for (std::size_t c = 0; c < table.columns(); ++c) add(c == 0, std::string(table.cell(row, c)));
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      const AddedCells cells = cells_of(tasks[t], annotations.results[t][row]);
      add(false, cells.label);
      add(false, cells.share);
    }
  }
  return text + "\n";
}

std::size_t TaskCounts::labelled() const {
  return std::accumulate(labels.begin(), labels.end(), std::size_t{0});
}

std::vector<TaskCounts> count_results(const std::vector<annotate::Task>& tasks,
                                      const annotate::Annotations& annotations) {
  std::vector<TaskCounts> all;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    TaskCounts counts;
    counts.labels.assign(tasks[t].labels.size(), 0);
    for (const auto& result : annotations.results[t]) {
      if (!result) {
        ++counts.not_reached;
        continue;
      }
      switch (result->status) {
        case annotate::RowStatus::kLabelled:
          ++counts.labels[*result->label];
          counts.mean_share += result->share;
          break;
        case annotate::RowStatus::kNoLabel:
          ++counts.no_label;
          break;
        case annotate::RowStatus::kNotInSources:
          ++counts.not_in_sources;
          break;
        case annotate::RowStatus::kFailed:
          ++counts.failed;
          break;
      }
    }
    if (counts.labelled() > 0) counts.mean_share /= static_cast<double>(counts.labelled());
    all.push_back(counts);
  }
  return all;
}

void print_counts(const std::vector<annotate::Task>& tasks,
                  const std::vector<TaskCounts>& counts,
                  const annotate::Annotations& annotations,
                  std::ostream& out) {
  report::Table table({{"task"}, {"label"}, {"rows", report::Align::kRight}});
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    const std::string name = text::printable(tasks[t].name);
    for (std::size_t l = 0; l < tasks[t].labels.size(); ++l) {
      table.add_row(
          {name, text::printable(tasks[t].labels[l]), std::to_string(counts[t].labels[l])});
    }
    for (const auto& [word, rows] : {std::pair{"(no label)", counts[t].no_label},
                                     std::pair{"(not in the sources)", counts[t].not_in_sources},
                                     std::pair{"(failed)", counts[t].failed},
                                     std::pair{"(not reached)", counts[t].not_reached}}) {
      if (rows > 0) table.add_row({name, word, std::to_string(rows)});
    }
  }
  out << table.text() << "\n";
  std::size_t shown = 0;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    for (std::size_t row = 0; row < annotations.results[t].size() && shown < 5; ++row) {
      const auto& result = annotations.results[t][row];
      if (!result || result->status == annotate::RowStatus::kLabelled) continue;
      const std::string& why =
          result->status == annotate::RowStatus::kFailed ? result->failure.message : result->note;
      out << fmt::format(
          "row {}, {}: {}\n", row, text::printable(tasks[t].name), text::printable(why));
      ++shown;
    }
  }
}

Json counts_json(const std::vector<annotate::Task>& tasks, const std::vector<TaskCounts>& counts) {
  Json all = Json::object();
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    Json labels = Json::object();
    for (std::size_t l = 0; l < tasks[t].labels.size(); ++l) {
      labels[tasks[t].labels[l]] = counts[t].labels[l];
    }
    all[tasks[t].name] = {{"labels", labels},
                          {"labelled", counts[t].labelled()},
                          {"no_label", counts[t].no_label},
                          {"not_in_sources", counts[t].not_in_sources},
                          {"failed", counts[t].failed},
                          {"not_reached", counts[t].not_reached},
                          {"mean_confidence", json_number(counts[t].mean_share)}};
  }
  return all;
}

}  // namespace detente::cli
