// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/version.h>
#include <detente/report/answer_charts.h>
#include <detente/report/conflict_maps.h>
#include <detente/report/html_page.h>
#include <detente/report/html_report.h>
#include <detente/report/inspection.h>
#include <detente/report/inspection_tables.h>
#include <detente/report/monitor_charts.h>
#include <detente/report/run_charts.h>
#include <detente/report/run_facts.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace detente::report {
namespace {

// "0.6123 (pearson)": the first metric a task names is its main one.
std::vector<HtmlPage::Tile> result_tiles(const RunData& run) {
  std::vector<HtmlPage::Tile> tiles;
  const auto results = run.results();
  for (const auto& [task, metrics] : results) {
    if (tiles.size() >= 4) break;
    if (!metrics.empty()) {
      const std::string& metric = metrics.front().first;
      std::string detail = "dev " + metric;
      for (const auto& [name, value] : metrics) {
        const auto baseline = baseline_of(name);
        if (baseline && baseline->metric == metric) {
          detail += fmt::format("; {} {}", baseline->of, value_text(value, 3));
        }
      }
      tiles.push_back({value_text(metrics.front().second, 3), task, detail});
    }
  }
  if (const double share = run.conflict_share(); std::isfinite(share)) {
    tiles.push_back({percent_text(share), "steps in conflict", "cosine below zero"});
  }
  if (const double cosine = run.mean_cosine(); std::isfinite(cosine)) {
    tiles.push_back({value_text(cosine, 2), "mean cosine", "between task gradients"});
  }
  std::vector<double> speed;
  for (const auto& epoch : run.epochs) speed.push_back(epoch.examples_per_second);
  if (const double mean = finite_mean(speed); std::isfinite(mean)) {
    tiles.push_back({count_text(mean), "examples per second", "mean over epochs"});
  }
  return tiles;
}

std::vector<std::string> labels(const RunData& run) {
  std::vector<std::string> out;
  const auto add_text = [&](const char* prefix, const std::string& text) {
    if (!text.empty()) out.push_back(prefix + text);
  };
  const auto add_count = [&](const char* key, const char* unit) {
    if (const double n = run.number(key); std::isfinite(n)) out.push_back(count_text(n, unit));
  };
  add_text("method ", run.text("method"));
  add_text("", run.text("status"));
  add_text("data ", run.text("data"));
  add_count("train_rows", "training row");
  add_count("dev_rows", "dev row");
  add_count("parameters", "parameter");
  add_count("epochs", "epoch");
  add_count("steps", "step");
  if (const double seed = run.number("seed"); std::isfinite(seed)) {
    out.push_back(fmt::format("seed {:.0f}", seed));
  }
  if (const double s = run.number("seconds"); std::isfinite(s)) out.push_back(duration_text(s));
  add_text("", run.text("engine"));
  return out;
}

double value_in(const NamedNumbers& numbers, const std::string& name) {
  for (const auto& [key, value] : numbers) {
    if (key == name) return value;
  }
  return kNoNumber;
}

bool has_name(const NamedNumbers& numbers, const std::string& name) {
  return std::any_of(
      numbers.begin(), numbers.end(), [&](const auto& number) { return number.first == name; });
}

// A row of results: a task's own metrics, or what a baseline has of them.
struct ResultRow {
  std::string name;
  NamedNumbers metrics;
};

std::vector<ResultRow> result_rows(const std::string& task, const NamedNumbers& metrics) {
  std::vector<ResultRow> rows = {{task, {}}};
  for (const auto& [metric, value] : metrics) {
    const auto baseline = baseline_of(metric);
    if (!baseline || !has_name(metrics, baseline->metric)) {
      rows.front().metrics.emplace_back(metric, value);
      continue;
    }
    const std::string name = task + ", " + baseline->of;
    auto row =
        std::find_if(rows.begin(), rows.end(), [&](const auto& one) { return one.name == name; });
    if (row == rows.end()) row = rows.insert(rows.end(), {name, {}});
    row->metrics.emplace_back(baseline->metric, value);
  }
  return rows;
}

std::string last_loss(const RunData& run, const std::string& task) {
  if (!run.epochs.empty()) {
    const double loss = value_in(run.epochs.back().train_losses, task);
    if (std::isfinite(loss)) return value_text(loss);
  }
  const auto* steps = run.losses.find(task);
  // Probes have none.
  if (steps == nullptr && !run.losses.empty()) return "";
  std::string text = "–";
  if (steps != nullptr) {
    for (const double v : *steps) {
      if (std::isfinite(v)) text = value_text(v);
    }
  }
  return text;
}

Table result_table(const RunData& run) {
  const auto results = run.results();
  std::vector<ResultRow> rows;
  for (const auto& task : run.tasks) {
    const auto found = std::find_if(
        results.begin(), results.end(), [&](const auto& result) { return result.first == task; });
    const NamedNumbers none;
    for (auto& row : result_rows(task, found == results.end() ? none : found->second)) {
      rows.push_back(std::move(row));
    }
  }
  std::vector<std::string> metrics;
  for (const ResultRow& row : rows) {
    for (const auto& [metric, value] : row.metrics) {
      if (std::find(metrics.begin(), metrics.end(), metric) == metrics.end()) {
        metrics.push_back(metric);
      }
    }
  }
  std::vector<Column> columns = {{"task"}};
  for (const auto& metric : metrics) columns.push_back({metric, Align::kRight});
  columns.push_back({"last training loss", Align::kRight});
  Table table(std::move(columns));
  for (const ResultRow& row : rows) {
    std::vector<std::string> cells = {row.name};
    for (const auto& metric : metrics) {
      cells.push_back(has_name(row.metrics, metric) ? value_text(value_in(row.metrics, metric))
                                                    : "");
    }
    const bool task = std::find(run.tasks.begin(), run.tasks.end(), row.name) != run.tasks.end();
    cells.push_back(task ? last_loss(run, row.name) : "");
    table.add_row(std::move(cells));
  }
  return table;
}

std::string result_words(const RunData& run) {
  const double epochs = run.number("epochs");
  const double best = run.number("best_epoch");
  std::string text;
  if (run.text("status") == "interrupted") {
    text += fmt::format("This run was interrupted{}. ",
                        run.steps.empty() ? std::string(" before its first step")
                                          : " after step " + count_text(run.steps.back()));
  }
  if (std::isfinite(best) && best > 0) {
    const bool measured = !run.results().empty();
    text +=
        (measured ? "Results are those of epoch " : "The model that is kept is that of epoch ") +
        count_text(best);
    if (std::isfinite(epochs)) text += " of " + count_text(epochs);
    text += measured ? ", the best on the dev rows. " : "; nothing was measured to choose one by. ";
  } else if (run.epochs.empty() && !run.steps.empty()) {
    text += "No epoch was completed, so there are no dev results yet. ";
  }
  return text;
}

bool has_lines(const Chart& chart) { return !chart.series.empty(); }

std::string pale_words(const RunData& run) {
  return run.tasks.size() > 8 ? " Coloured: the tasks whose gradients oppose the others most; "
                                "grey: all others."
                              : "";
}

void add_learning(HtmlPage& page, const RunData& run) {
  const auto dev = dev_charts(run);
  const Chart loss = loss_chart(run);
  if (dev.empty() && !has_lines(loss)) return;
  page.heading("Learning");
  page.begin_grid();
  if (has_lines(loss)) {
    page.chart(loss, "Pale: every step; bold, and read: moving mean." + pale_words(run));
  }
  bool first = true;
  for (const auto& chart : dev) {
    page.chart(chart,
               first && !chart.marks_x.empty()
                   ? "The dashed line marks the best epoch." + pale_words(run)
                   : std::string());
    first = false;
  }
  page.end_grid();
}

void add_conflict_maps(HtmlPage& page, const RunData& run) {
  constexpr const char* kColors = "Blue: the tasks agree; orange: they conflict.";
  if (const auto matrix = cosine_matrix(run)) {
    page.heat_map("Mean cosine of every pair", *matrix, kColors);
  }
  if (const auto map = conflict_over_time(run)) {
    const std::size_t pairs = run.cosines.names.size();
    page.heat_map(
        "Conflict over time",
        *map,
        std::string(kColors) + " Means over spans of equally many steps." +
            (map->rows.size() < pairs
                 ? fmt::format(" The {} most opposed of {} pairs.", map->rows.size(), pairs)
                 : std::string()));
  }
  if (const auto map = layers_over_time(run)) {
    page.heat_map("Conflict per layer over time",
                  *map,
                  std::string(kColors) + " Layers in the network's order" +
                      (run.cosines.names.size() > 1 ? ", mean over all pairs." : "."));
  }
  if (const auto map = layers_by_pair(run)) {
    page.heat_map("Conflict per layer and pair",
                  *map,
                  std::string(kColors) + " Means over the run, the most opposed pairs first.");
  }
}

void add_gradients(HtmlPage& page, const RunData& run) {
  const Chart cosine = cosine_chart(run);
  const Chart conflict = conflict_chart(run);
  const Chart weights = weight_chart(run);
  const Chart norms = norm_chart(run);
  if (!has_lines(cosine) && !has_lines(conflict) && !has_lines(weights) && !has_lines(norms)) {
    return;
  }
  page.heading("Gradients");
  page.begin_grid();
  const std::size_t pairs = run.cosines.names.size();
  if (has_lines(cosine)) {
    page.chart(cosine,
               "Below zero, a step that helps one task harms the other." +
                   (pairs > 4 ? fmt::format(" Coloured: the {} most opposed of {} pairs.",
                                            std::min(pairs, kHighlighted),
                                            pairs)
                              : std::string()));
  }
  if (has_lines(conflict)) {
    page.chart(conflict,
               "Moving share of steps in which some pair of tasks had a negative "
               "cosine; dashed: over the whole run.");
  }
  add_conflict_maps(page, run);
  if (has_lines(weights)) {
    page.chart(weights, "What the method multiplied each task's gradient by." + pale_words(run));
  }
  if (has_lines(norms)) page.chart(norms, "Length of each task's gradient." + pale_words(run));
  page.end_grid();
}

// What `detente inspect` says of the run; nothing where it has nothing to look at.
void add_inspection(HtmlPage& page, const RunData& run) {
  constexpr std::size_t kPairs = 20;
  if (run.losses.names.size() < 2) return;
  Inspection inspection;
  try {
    const std::string method = run.text("method", "its method");
    inspection = inspect_run(
        run, {.method = method, .method_uses_gradients = method_uses_gradients(method)});
  } catch (const Error&) {
    return;  // no step has the tasks' gradients; conflict_words says so
  }
  page.heading("What the gradients say");
  std::vector<HtmlPage::Finding> findings;
  for (const Advice& item : inspection.advice) {
    findings.push_back({item.finding + ".", item.advice});
  }
  page.findings(findings);
  page.note(fmt::format(
      "From {} measured steps ({:.0f} to {:.0f}) of {}; detente inspect says the same. The rules "
      "behind it are rules of thumb: they know the gradients, not what you want of the tasks.",
      count_text(static_cast<double>(inspection.measured)),
      inspection.first_step,
      inspection.last_step,
      count_text(static_cast<double>(inspection.steps))));
  page.table(pair_table(inspection, kPairs));
  if (inspection.pairs.size() > kPairs) {
    page.note(fmt::format("{} pairs less opposed are left out.", inspection.pairs.size() - kPairs));
  }
  page.table(task_table(inspection));
  if (!inspection.groups.empty()) page.table(group_table(inspection));
  if (const Table triad = triad_table(inspection); triad.rows() > 0) page.table(triad);
  if (const std::string words = curvature_words(inspection); !words.empty()) {
    page.note(words + ".");
  }
  page.note(
      "Cosine: mean with its 95 % interval. Similarity: 2ab/(a² + b²) of the gradients' norms a, "
      "b. "
      "Norms and weights are medians. Share of the step: weight times norm, over the sum of "
      "these.");
}

void add_times(HtmlPage& page, const RunData& run) {
  const Chart time = time_chart(run);
  const Chart rate = learning_rate_chart(run);
  if (!has_lines(time) && !has_lines(rate)) return;
  page.heading("Time and schedule");
  page.begin_grid();
  if (has_lines(time)) page.chart(time, "Moving means.");
  if (has_lines(rate)) page.chart(rate);
  page.end_grid();
  if (const Table times = time_table(run); times.rows() > 0) {
    page.table(times);
    page.note(
        "Mean and share count every step, the first ones too; the median is what a usual step "
        "takes.");
  }
}

void add_repetition(HtmlPage& page, const RunData& run) {
  const Table environment = environment_table(run);
  const std::string command = repeat_command(run);
  if (environment.rows() == 0 && command.empty()) return;
  page.heading("Environment and recipe");
  if (environment.rows() > 0) page.table(environment);
  if (command.empty()) return;
  page.folded("The command that trains this again, beside the run's folder", command, true);
  page.folded("recipe.yaml, as it was resolved", run.recipe);
}

}  // namespace

std::string conflict_words(const RunData& run) {
  // Tasks without a loss (probes) have no gradients.
  const std::size_t k = run.losses.empty() ? run.tasks.size() : run.losses.names.size();
  if (k == 0) return "";
  if (k == 1) return "There is only one task, so no gradients could conflict.";
  const double share = run.conflict_share();
  const double cosine = run.mean_cosine();
  if (!std::isfinite(share)) {
    return "Gradient conflicts were not measured in this run: its method needs no per-task "
           "gradients.";
  }
  std::string text =
      k == 2 ? fmt::format("The two tasks conflicted in {} of the steps", percent_text(share))
             : fmt::format(
                   "At least two of the {} tasks conflicted in {} of the "
                   "steps",
                   k,
                   percent_text(share));
  if (std::isfinite(cosine)) text += fmt::format("; the mean cosine was {:.2f}", cosine);
  text += ". ";
  // The first and last quarter tell more than two single steps would.
  const std::size_t quarter = run.conflict.size() / 4;
  if (quarter >= 10) {
    const auto from = run.conflict.begin();
    const double early = finite_mean({from, from + static_cast<std::ptrdiff_t>(quarter)});
    const double late = finite_mean(
        {run.conflict.end() - static_cast<std::ptrdiff_t>(quarter), run.conflict.end()});
    if (std::isfinite(early) && std::isfinite(late)) {
      const char* change = late > early + 0.05   ? "Conflict grew over the training"
                           : late < early - 0.05 ? "Conflict faded over the training"
                                                 : "That hardly changed over the training";
      text += fmt::format("{}: {} in its first quarter, {} in its last. ",
                          change,
                          percent_text(early),
                          percent_text(late));
    }
  }
  if (std::isfinite(cosine)) {
    text += cosine > 0.5 ? "The gradients mostly agree, so plain averaging loses little."
            : cosine > 0.05
                ? "The gradients agree weakly: what helps one task helps the others a little."
            : cosine > -0.05
                ? "The gradients are close to orthogonal: the tasks mostly ignore each "
                  "other."
                : "On average the gradients oppose each other, which is where "
                  "balancing methods matter.";
  }
  return text;
}

std::string html_report(const RunData& run) {
  const std::string name = run.text("name", run.folder.empty() ? "run" : run.folder);
  HtmlPage page(name + " · Detente");
  page.header("Detente training report", name, labels(run));
  page.tiles(result_tiles(run));
  page.paragraph(result_words(run) + conflict_words(run));
  for (const auto& warning : run.warnings()) page.note("Note: " + warning);

  if (!run.tasks.empty()) {
    page.heading("Results per task");
    page.table(result_table(run));
  }

  add_learning(page, run);
  if (run.answers) add_answers(page, *run.answers);
  add_monitor(page, run);
  add_gradients(page, run);
  add_inspection(page, run);
  add_times(page, run);
  add_repetition(page, run);
  return page.finish("Written by Detente " + run.text("detente", DETENTE_VERSION) +
                     (run.folder.empty() ? "" : " for " + run.folder) + ".");
}

void write_html_report(const std::filesystem::path& run_dir) {
  write_own_file(run_dir / "report.html", html_report(read_run(run_dir)));
}

}  // namespace detente::report
