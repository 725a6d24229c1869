// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <detente/report/table.h>
#include <detente/study/live_table.h>
#include <detente/study/words.h>
#include <detente/text/printable.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>

namespace detente::study {
namespace {

struct LiveRow {
  std::string name;
  std::size_t finished = 0;
  std::size_t failed = 0;
  std::string running;
  std::vector<std::string> scores;  // by task
};

// Cut to the cells of a terminal, whole characters.
std::string cut(const std::string& line, std::size_t width) {
  if (report::display_width(line) <= width) return line;
  std::string text;
  for (std::size_t i = 0; i < line.size();) {
    std::size_t end = i + 1;
    while (end < line.size() && (static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) ++end;
    const std::string more = text + line.substr(i, end - i);
    if (report::display_width(more) > width) break;
    text = more;
    i = end;
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<LiveRow> live_rows(std::span<const Variant> variants,
                               std::span<const StudyTask> tasks,
                               std::span<const RunResult> results,
                               const SweepProgress& progress) {
  std::vector<LiveRow> rows;
  LiveRow single{"single tasks", 0, 0, "", std::vector<std::string>(tasks.size())};
  bool any_single = false;
  for (const auto& family : families(variants)) {
    const Variant& first = variants[family.front()];
    LiveRow row{text::printable(first.method), 0, 0, "", std::vector<std::string>(tasks.size())};
    LiveRow& target = first.single_task() ? single : row;
    any_single = any_single || first.single_task();
    const auto is_of = [&](std::size_t variant) {
      return std::find(family.begin(), family.end(), variant) != family.end();
    };
    for (const RunResult& result : results) {
      if (is_of(result.variant)) ++(result.failure.empty() ? target.finished : target.failed);
    }
    for (const PlannedRun& run : progress.running) {
      if (!is_of(run.variant)) continue;
      target.running += fmt::format("{}seed {}", target.running.empty() ? "" : ", ", run.seed);
    }
    const std::size_t best = ranked(family, variants, tasks, results).front();
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      if (first.single_task() && first.task != tasks[t].name) continue;
      double sum = 0;
      std::size_t count = 0;
      for (const RunResult& result : results) {
        if (result.variant != best || !result.failure.empty()) continue;
        for (const auto& [task, numbers] : result.dev) {
          if (task != tasks[t].name || numbers.empty() || std::isnan(numbers.front().second))
            continue;
          sum += numbers.front().second;
          ++count;
        }
      }
      if (count > 0) target.scores[t] = score_text(sum / static_cast<double>(count));
    }
    if (!first.single_task()) rows.push_back(std::move(row));
  }
  if (any_single) rows.push_back(std::move(single));
  return rows;
}

}  // namespace

std::vector<std::string> live_lines(std::span<const Variant> variants,
                                    std::span<const StudyTask> tasks,
                                    std::span<const RunResult> results,
                                    const SweepProgress& progress,
                                    const TerminalSize& size) {
  std::vector<LiveRow> rows = live_rows(variants, tasks, results, progress);
  // Title, rule, what is left out, progress, and the line the cursor is on.
  const std::size_t room = size.rows > 6 ? size.rows - 5 : 1;
  const std::size_t left_out = rows.size() > room ? rows.size() - room : 0;
  rows.resize(rows.size() - left_out);
  const bool failures =
      std::any_of(rows.begin(), rows.end(), [](const LiveRow& row) { return row.failed > 0; });
  std::vector<std::string> lines;
  for (std::size_t shown = tasks.size();; --shown) {
    std::vector<report::Column> columns{{"method"}, {"done", report::Align::kRight}};
    if (failures) columns.push_back({"failed", report::Align::kRight});
    columns.push_back({"running"});
    for (std::size_t t = 0; t < shown; ++t) {
      columns.push_back({text::printable(tasks[t].name) + " " + tasks[t].metrics.front().name,
                         report::Align::kRight});
    }
    report::Table table(columns);
    for (const LiveRow& row : rows) {
      std::vector<std::string> cells{row.name, std::to_string(row.finished)};
      if (failures) cells.push_back(std::to_string(row.failed));
      cells.push_back(row.running);
      cells.insert(
          cells.end(), row.scores.begin(), row.scores.begin() + static_cast<std::ptrdiff_t>(shown));
      table.add_row(cells);
    }
    lines = lines_of(table.text());
    std::size_t width = 0;
    for (const std::string& line : lines) width = std::max(width, report::display_width(line));
    if (width < size.columns || shown == 0) break;
  }
  for (std::string& line : lines) line = cut(line, size.columns - 1);
  if (left_out > 0) lines.push_back(fmt::format("and {} more", left_out));
  std::string last =
      fmt::format("[{}/{}] {} running", progress.ended, progress.total, progress.running.size());
  if (std::isfinite(progress.seconds_left)) {
    last += ", about " + report::duration_text(progress.seconds_left) + " left";
  }
  lines.push_back(cut(last, size.columns - 1));
  return lines;
}

void LiveTable::draw(const std::vector<std::string>& lines) {
  clear();
  for (const std::string& line : lines) out_ << line << "\n";
  out_ << std::flush;
  drawn_ = lines;
}

void LiveTable::say(const std::string& line) {
  const std::vector<std::string> lines = drawn_;
  clear();
  out_ << line << "\n";
  draw(lines);
}

void LiveTable::clear() {
  // Up to the first line of the table, and everything below away.
  if (!drawn_.empty()) out_ << "\033[" << drawn_.size() << "F\033[J" << std::flush;
  drawn_.clear();
}

}  // namespace detente::study
