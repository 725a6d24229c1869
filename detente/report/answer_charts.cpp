// SPDX-License-Identifier: Apache-2.0
#include <detente/core/version.h>
#include <detente/report/answer_charts.h>
#include <detente/report/pixels.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace detente::report {
namespace {

constexpr double kPictureWidth = 460;
constexpr Color kAnswerInk = rgb(0x57606a);
constexpr Color kAnswerAxis = rgb(0x9aa4ae);
// Of so few classes cells have room for the share, too.
constexpr std::size_t kWideCells = 4;

// "873", "12.3k", "1.2M".
std::string compact_count(double value) {
  constexpr std::pair<double, const char*> kUnits[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  if (value < 10000) return fmt::format("{:.0f}", value);
  for (const auto& [unit, letter] : kUnits) {
    if (value >= unit) return fmt::format("{:.3g}{}", value / unit, letter);
  }
  return "";
}

// Four digits, whatever the unit; "–" for NaN.
std::string short_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : value_text(value);
}

std::string rows_word(const TaskAnswers& task, std::uint64_t count) {
  const char* unit = is_map(task.kind) ? "pixel" : "row";
  return fmt::format(
      "{} {}{}", count_text(static_cast<double>(count)), unit, count == 1 ? "" : "s");
}

// A percent sign must not start a line of its own.
std::string with_percent(double share) {
  std::string text = percent_text(share);
  if (const std::size_t at = text.find(" %"); at != std::string::npos)
    text.replace(at, 1, "\u00A0");
  return text;
}

// "37", "< 1".
std::string bare_percent(double share) {
  const std::string text = percent_text(share);
  return text.substr(0, text.find(" %"));
}

// A dashed line from (low, low) to (high, high), which also gives a chart its ranges.
Series identity_line(double low, double high) {
  Series line;
  line.x = {low, high};
  line.y = {low, high};
  line.color = kAnswerAxis;
  line.dash = 4;
  line.width = 1.2;
  return line;
}

Rect bar_between(Point a, Point b) {
  return {std::min(a.x, b.x), std::min(a.y, b.y), std::abs(b.x - a.x), std::abs(b.y - a.y)};
}

// Below a diagram of bins: how many answers lie in each.
void draw_counts(Canvas& canvas,
                 const ReliabilityAnswers& reliability,
                 const ChartFrame& frame,
                 double top) {
  constexpr double kHeight = 46;
  std::uint64_t most = 1;
  for (const auto& bin : reliability.bins) most = std::max(most, bin.rows);
  const double bottom = top + kHeight;
  const auto bins = static_cast<double>(reliability.bins.size());
  for (std::size_t b = 0; b < reliability.bins.size(); ++b) {
    if (reliability.bins[b].rows == 0) continue;
    const double share = static_cast<double>(reliability.bins[b].rows) / static_cast<double>(most);
    const double height = std::max(1.0, kHeight * share);
    const double width = frame.plot.width / bins;
    canvas.rectangle(
        {frame.plot.x + width * static_cast<double>(b) + 1, bottom - height, width - 2, height},
        kAnswerAxis);
  }
  canvas.line({{frame.plot.x, bottom}, {frame.plot.right(), bottom}}, {kAnswerAxis, 1});
  const TextStyle style{11.5, kAnswerInk, Anchor::kEnd};
  canvas.text({frame.plot.x - 7, top + 9}, compact_count(static_cast<double>(most)), style);
  canvas.text({frame.plot.x - 7, bottom + 4}, "0", style);
  canvas.text({frame.plot.x + frame.plot.width / 2, bottom + 17},
              "answers in each bin",
              {11.5, kAnswerInk, Anchor::kMiddle});
}

std::string confusion_caption(const TaskAnswers& task) {
  const ConfusionAnswers& confusion = *task.confusion;
  const std::uint64_t total = confusion.total();
  std::string text =
      fmt::format("Down: what is true; across: the model's answer. {} of {} are right{}.",
                  count_text(static_cast<double>(confusion.right)),
                  rows_word(task, total),
                  total == 0 ? ""
                             : fmt::format(" ({})",
                                           with_percent(static_cast<double>(confusion.right) /
                                                        static_cast<double>(total))));
  if (is_map(task.kind)) text += " In the cells: percent of the true class.";
  if (confusion.classes > confusion.names.size()) {
    text += fmt::format(" Shown: the {} of {} classes that most mistakes involve, the rest as one.",
                        confusion.names.size() - 1,
                        count_text(static_cast<double>(confusion.classes)));
  }
  return text;
}

std::string reliability_caption(const TaskAnswers& task) {
  const std::string error = fmt::format(" Expected calibration error {} ({} bins).",
                                        value_text(task.reliability->error, 3),
                                        task.reliability->bins.size());
  return (task.kind == TaskKind::kBinary ? "Bars: the share of ones among rows with such a "
                                           "probability of 1; dashed: where they "
                                           "would be if the probabilities were true."
                                         : "Bars: the share of right answers among those with such "
                                           "a probability; dashed: where "
                                           "they would be if the probabilities were true.") +
         error;
}

void add_task_figures(HtmlPage& page, const TaskAnswers& task) {
  if (task.confusion && task.confusion->total() > 0) {
    page.heat_map(task.task + ": confusion matrix", confusion_map(task), confusion_caption(task));
  }
  if (task.reliability) {
    std::vector<HtmlPage::Mark> marks;
    const Canvas canvas = reliability_picture(task, marks);
    page.figure(task.task + ": reliability", canvas, reliability_caption(task), marks);
  }
  for (const OutputAnswers& output : task.outputs) {
    if (output.points.empty()) continue;
    std::vector<HtmlPage::Mark> marks;
    const Canvas canvas = scatter_picture(output, marks);
    const std::string name = output.name.empty() ? task.task : task.task + " " + output.name;
    std::string caption = "Dashed: a prediction that is the truth.";
    if (output.points.size() < output.rows) {
      caption += fmt::format(" {} of {} rows, evenly chosen in the order of the true values.",
                             output.points.size(),
                             count_text(static_cast<double>(output.rows)));
    }
    page.figure(name + ": predicted against true", canvas, caption, marks);
  }
}

bool has_figures(const TaskAnswers& task) {
  return (task.confusion && task.confusion->total() > 0) || task.reliability ||
         std::any_of(task.outputs.begin(), task.outputs.end(), [](const OutputAnswers& output) {
           return !output.points.empty();
         });
}

void add_residuals(HtmlPage& page, const RunAnswers& answers) {
  std::vector<Column> columns = {{"residual"},
                                 {"rows", Align::kRight},
                                 {"R²", Align::kRight},
                                 {"mean", Align::kRight},
                                 {"least", Align::kRight},
                                 {"5 %", Align::kRight},
                                 {"25 %", Align::kRight},
                                 {"median", Align::kRight},
                                 {"75 %", Align::kRight},
                                 {"95 %", Align::kRight},
                                 {"most", Align::kRight}};
  Table table(std::move(columns));
  std::string left_out;
  for (const TaskAnswers& task : answers.tasks) {
    for (const OutputAnswers& output : task.outputs) {
      if (output.residuals.empty()) continue;
      std::vector<std::string> row = {
          output.name.empty() ? task.task : task.task + " " + output.name,
          count_text(static_cast<double>(output.rows)),
          value_text(output.r2, 3),
          short_text(output.mean_residual)};
      for (const double residual : output.residuals) row.push_back(short_text(residual));
      table.add_row(std::move(row));
    }
    if (task.all_outputs > task.outputs.size()) {
      left_out += fmt::format(" Of {} the {} of {} outputs with the lowest R².",
                              task.task,
                              task.outputs.size(),
                              task.all_outputs);
    }
  }
  if (table.rows() == 0) return;
  page.note("Residuals, predicted − true: their mean, and what so many percent of them lie below." +
            left_out);
  page.table(table);
}

void add_labels(HtmlPage& page, const TaskAnswers& task) {
  if (task.labels.empty()) return;
  Table table({{"label"},
               {"rows", Align::kRight},
               {"have it", Align::kRight},
               {"predicted", Align::kRight},
               {"precision", Align::kRight},
               {"recall", Align::kRight},
               {"F1", Align::kRight}});
  const auto share = [](std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? percent_text(kNoNumber)
                      : percent_text(static_cast<double>(part) / static_cast<double>(whole));
  };
  for (const LabelAnswers& label : task.labels) {
    table.add_row({label.name,
                   count_text(static_cast<double>(label.rows)),
                   share(label.there, label.rows),
                   share(label.predicted, label.rows),
                   value_text(label.precision(), 3),
                   value_text(label.recall(), 3),
                   value_text(label.f1(), 3)});
  }
  page.note(fmt::format(
      "{}: {}, those with the lowest F1 first. A label is predicted where its probability is at "
      "least "
      "one half.",
      task.task,
      task.all_labels > task.labels.size()
          ? fmt::format("{} of {} labels", task.labels.size(), task.all_labels)
          : fmt::format("{} label{}", task.labels.size(), task.labels.size() == 1 ? "" : "s")));
  page.table(table);
}

void add_examples(HtmlPage& page, const RunAnswers& answers) {
  std::vector<HtmlPage::PictureRow> rows;
  std::vector<HtmlPage::Legend> legends;
  for (std::size_t i = 0; i < answers.examples.size(); ++i) {
    const RunAnswers::Example& example = answers.examples[i];
    HtmlPage::PictureRow& row = rows.emplace_back();
    row.name =
        example.name.empty() ? "row " + count_text(static_cast<double>(example.row)) : example.name;
    if (!example.input.empty()) row.groups.push_back({{"input", example.input}});
    for (const TaskAnswers& task : answers.tasks) {
      if (!task.maps || i >= task.maps->pairs.size()) continue;
      const MapAnswers::Pair& pair = task.maps->pairs[i];
      row.groups.push_back(
          {{task.task + ", true", pair.truth}, {task.task + ", predicted", pair.answer}});
    }
  }
  const bool slides = std::any_of(answers.examples.begin(),
                                  answers.examples.end(),
                                  [](const auto& example) { return !example.name.empty(); });
  bool normals = false;
  for (const TaskAnswers& task : answers.tasks) {
    if (!task.maps || task.maps->pairs.empty()) continue;
    normals = normals || task.kind == TaskKind::kNormals;
    HtmlPage::Legend legend{task.task, {}};
    for (const auto& one : task.maps->classes) {
      legend.entries.push_back({class_color(one.id), one.name});
    }
    if (std::isfinite(task.maps->low) && std::isfinite(task.maps->high)) {
      legend.entries.push_back({ramp_color(0), fmt::format("≤ {:.4g}", task.maps->low)});
      legend.entries.push_back({ramp_color(1), fmt::format("≥ {:.4g}", task.maps->high)});
    }
    if (!legend.entries.empty()) legends.push_back(std::move(legend));
  }
  if (!rows.empty() && !slides) {
    legends.push_back({"", {{kNothingColor, "nothing known there"}}});
  }
  page.pictures(
      "Examples",
      rows,
      legends,
      std::string(slides ? "Slides evenly chosen, with their tiles; pictures are scaled down."
                         : "Rows evenly chosen among those with a target; pictures are scaled "
                           "down.") +
          (normals ? " Normals: x, y and z as red, green and blue." : ""));
}

// Where there are more tasks than are kept.
std::string tasks_words(const RunAnswers& answers) {
  if (answers.all_tasks <= answers.tasks.size()) return "";
  return fmt::format(" The first {} of {} tasks.", answers.tasks.size(), answers.all_tasks);
}

void add_parts(HtmlPage& page, const RunAnswers& answers) {
  for (const TaskAnswers& task : answers.tasks) {
    if (task.rows == 0) page.note(task.task + ": no row has a target.");
    if (task.not_finite > 0) {
      page.note(fmt::format("{}: {} of {} answers are NaN or infinite and are left out.",
                            task.task,
                            count_text(static_cast<double>(task.not_finite)),
                            count_text(static_cast<double>(task.rows))));
    }
  }
  if (std::any_of(answers.tasks.begin(), answers.tasks.end(), has_figures)) {
    page.begin_grid();
    for (const TaskAnswers& task : answers.tasks) add_task_figures(page, task);
    page.end_grid();
  }
  add_residuals(page, answers);
  for (const TaskAnswers& task : answers.tasks) add_labels(page, task);
  if (!answers.examples.empty()) add_examples(page, answers);
}

}  // namespace

HeatMap confusion_map(const TaskAnswers& task) {
  const ConfusionAnswers& confusion = *task.confusion;
  const std::size_t side = confusion.names.size();
  HeatMap map;
  map.rows = confusion.names;
  map.columns = confusion.names;
  map.low = 0;
  map.high = 1;
  map.row_title = "true";
  map.column_title = "predicted";
  map.value_title = "share of the true class";
  map.largest_cell = side <= kWideCells ? 92 : side <= 8 ? 56 : 46;
  for (std::size_t i = 0; i < side; ++i) {
    double all = 0;
    for (std::size_t j = 0; j < side; ++j)
      all += static_cast<double>(confusion.counts[i * side + j]);
    for (std::size_t j = 0; j < side; ++j) {
      const std::uint64_t count = confusion.counts[i * side + j];
      const double share = all > 0 ? static_cast<double>(count) / all : kNoNumber;
      map.values.push_back(share);
      // Pixels are so many that their number says less than the percentage, and has no room.
      std::string text =
          is_map(task.kind) ? bare_percent(share) : compact_count(static_cast<double>(count));
      if (side <= kWideCells && !is_map(task.kind)) text += " · " + percent_text(share);
      map.texts.push_back(count == 0 ? "" : text);
      map.words.push_back(rows_word(task, count) +
                          (all > 0 ? ", " + percent_text(share) + " of this class" : ""));
    }
  }
  return map;
}

Canvas reliability_picture(const TaskAnswers& task, std::vector<HtmlPage::Mark>& marks) {
  constexpr double kDiagram = 250;
  const ReliabilityAnswers& reliability = *task.reliability;
  const bool binary = task.kind == TaskKind::kBinary;
  Chart chart;
  chart.x_label = binary ? "probability of 1" : "probability of the answer";
  chart.y_label = binary ? "share of ones" : "share right";
  chart.y_min = 0;
  chart.y_max = 1;
  chart.series = {identity_line(0, 1)};
  Canvas canvas(kPictureWidth, kDiagram + 72);
  const ChartFrame frame = draw_chart(canvas, {0, 0, kPictureWidth, kDiagram}, chart);
  const auto bins = static_cast<double>(reliability.bins.size());
  for (std::size_t b = 0; b < reliability.bins.size(); ++b) {
    const auto& bin = reliability.bins[b];
    if (bin.rows == 0) continue;
    const double low = static_cast<double>(b) / bins;
    const double high = static_cast<double>(b + 1) / bins;
    const Rect bar = bar_between(frame.at(low, 0), frame.at(high, bin.share));
    canvas.rectangle({bar.x + 1, bar.y, bar.width - 2, std::max(bar.height, 1.0)},
                     line_color(0).with_alpha(0.45));
    const Point at = frame.at(bin.probability, bin.share);
    canvas.circle(at, 3.2, line_color(0), {rgb(0xffffff), 1});
    marks.push_back({at,
                     fmt::format("probability {:.2f} to {:.2f}", low, high),
                     fmt::format("{}: mean probability {:.3f}, {} {:.3f}",
                                 rows_word(task, bin.rows),
                                 bin.probability,
                                 chart.y_label,
                                 bin.share)});
  }
  draw_counts(canvas, reliability, frame, kDiagram + 4);
  return canvas;
}

Canvas scatter_picture(const OutputAnswers& output, std::vector<HtmlPage::Mark>& marks) {
  constexpr double kHeight = 330;
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const auto& [truth, answer] : output.points) {
    if (!std::isfinite(truth) || !std::isfinite(answer)) continue;
    low = std::min({low, truth, answer});
    high = std::max({high, truth, answer});
  }
  Chart chart;
  chart.x_label = "true";
  chart.y_label = "predicted";
  if (low <= high) {
    chart.series = {identity_line(low, high)};
    if (low < high) {
      chart.y_min = low;
      chart.y_max = high;
    }
  }
  Canvas canvas(kPictureWidth, kHeight);
  const ChartFrame frame = draw_chart(canvas, {0, 0, kPictureWidth, kHeight}, chart);
  for (const auto& [truth, answer] : output.points) {
    if (!std::isfinite(truth) || !std::isfinite(answer)) continue;
    const Point at = frame.at(truth, answer);
    canvas.circle(at, 2.6, line_color(0).with_alpha(0.4));
    marks.push_back(
        {at, fmt::format("true {:.5g}", truth), fmt::format("predicted {:.5g}", answer)});
  }
  return canvas;
}

void add_answers(HtmlPage& page, const RunAnswers& answers) {
  if (answers.tasks.empty()) return;
  page.heading("What the model answered");
  page.note(fmt::format("Of the {} validation rows, at epoch {}, whose model is kept.",
                        count_text(static_cast<double>(answers.rows)),
                        answers.epoch) +
            tasks_words(answers));
  add_parts(page, answers);
}

std::string answers_page(const std::string& run,
                         const std::string& rows,
                         const NamedTables& results,
                         const RunAnswers& answers) {
  HtmlPage page(run + " · " + rows + " · Detente");
  page.header(
      "Detente evaluation", run, {rows, count_text(static_cast<double>(answers.rows)) + " rows"});
  page.heading("Results per task");
  Table table({{"task"}, {"metric"}, {"value", Align::kRight}});
  for (const auto& [task, metrics] : results) {
    for (const auto& [metric, value] : metrics) table.add_row({task, metric, value_text(value)});
  }
  page.table(table);
  page.heading("What the model answered");
  if (const std::string words = tasks_words(answers); !words.empty()) page.note(words);
  add_parts(page, answers);
  return page.finish(std::string("Written by Detente ") + DETENTE_VERSION + ".");
}

}  // namespace detente::report
