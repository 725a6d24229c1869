// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/version.h>
#include <detente/report/html_page.h>
#include <detente/report/run_data.h>
#include <detente/study/study_figures.h>
#include <detente/study/study_page.h>
#include <detente/study/sweep.h>
#include <detente/study/tables.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace detente::study {
namespace {

namespace fs = std::filesystem;
using report::HtmlPage;

constexpr std::size_t kMostFigures = 12;
constexpr std::size_t kMostTradeOffs = 6;

// What the page needs of the chosen variants' runs. They are read one method at a time.
struct RunFindings {
  std::vector<report::Chart> learning;  // of the first tasks
  std::vector<Cost> memory;
  std::vector<std::pair<std::string, std::string>> reports;  // name of a run, place of its page
  std::vector<std::string> warnings;                         // what could not be read
  std::set<double> train_rows;
  std::set<double> dev_rows;
  // key of the summary → its values, as they first appear
  std::vector<std::pair<std::string, std::vector<std::string>>> environment = {
      {"detente", {}}, {"engine", {}}, {"processor", {}}, {"device", {}}, {"threads", {}}};
};

// As text: versions are words, threads a number.
std::string summary_text(const report::RunData& run, const std::string& key) {
  const double number = run.number(key.c_str());
  return std::isfinite(number) ? fmt::format("{:.0f}", number) : run.text(key.c_str());
}

void note_summary(RunFindings& findings, const report::RunData& run, bool single_task) {
  for (auto& [key, values] : findings.environment) {
    const std::string value = summary_text(run, key);
    if (!value.empty() && std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(value);
    }
  }
  if (single_task) return;
  for (const auto& [key, rows] :
       {std::pair{"train_rows", &findings.train_rows}, std::pair{"dev_rows", &findings.dev_rows}}) {
    if (const double count = run.number(key); std::isfinite(count)) rows->insert(count);
  }
}

RunFindings read_runs(const Analysis& analysis,
                      std::span<const Variant> variants,
                      std::span<const std::size_t> chosen,
                      std::span<const StudyTask> tasks,
                      std::span<const std::int64_t> seeds,
                      const PageRuns& source) {
  RunFindings findings;
  for (const StudyTask& task : tasks) {
    if (findings.learning.size() >= kMostFigures) break;
    report::Chart& chart = findings.learning.emplace_back();
    chart.title = fmt::format("{}: {} on validation", task.name, task.metrics.front().name);
    chart.x_label = "epoch";
    chart.integer_x = true;
  }
  for (const std::size_t v : chosen) {
    const Variant& variant = variants[v];
    std::vector<report::RunData> runs;
    std::vector<double> memory;
    for (const std::int64_t seed : seeds) {
      const fs::path folder = run_folder(variant, seed);
      auto run = source.read(folder);
      if (!run) continue;
      runs.push_back(std::move(*run));
      const std::string name = fmt::format("{}, seed {}", variant.name(), seed);
      for (const auto& warning : runs.back().warnings()) {
        findings.warnings.push_back(name + ": " + warning);
      }
      note_summary(findings, runs.back(), variant.single_task());
      memory.push_back(runs.back().number("peak_memory_mib"));
      if (std::string page = source.link(folder); !page.empty()) {
        findings.reports.emplace_back(name, std::move(page));
      }
    }
    if (variant.single_task()) continue;
    findings.memory.push_back({variant.method, report::finite_mean(memory)});
    for (std::size_t t = 0; t < findings.learning.size(); ++t) {
      report::Series line = learning_series(runs,
                                            tasks[t].name,
                                            tasks[t].metrics.front().name,
                                            variant.method,
                                            method_color(analysis, variant.method));
      if (!line.x.empty()) findings.learning[t].series.push_back(std::move(line));
    }
  }
  return findings;
}

std::string rows_words(const std::set<double>& rows) {
  return rows.size() == 1 ? fmt::format(" ({})", report::count_text(*rows.begin())) : "";
}

// The sentences say the same of many comparisons at once; each by itself stands behind a line.
void add_verdict(HtmlPage& page, const Analysis& analysis, const RunFindings& findings) {
  page.heading("Verdict");
  for (const std::string& sentence : analysis.sentences) page.paragraph(sentence);
  if (analysis.sentences.empty()) page.paragraph("One method alone: nothing to compare.");
  std::string each;
  bool all_said = true;
  for (const Verdict& verdict : analysis.verdicts) {
    each += verdict.text + "\n";
    all_said =
        all_said && std::find(analysis.sentences.begin(), analysis.sentences.end(), verdict.text) !=
                        analysis.sentences.end();
  }
  if (!all_said) {
    page.folded(fmt::format("All {} comparisons, one by one", analysis.verdicts.size()), each);
  }
  for (const std::string& note : analysis.notes) page.note("Note: " + note);
  for (const std::string& warning : findings.warnings) page.note("Note: " + warning);
}

// What each part of the data was used for: numbers are only as good as what they were chosen by.
void add_decisions(HtmlPage& page,
                   const Analysis& analysis,
                   std::span<const Variant> variants,
                   const PageFacts& facts,
                   const RunFindings& findings) {
  const auto settings = [&](const std::string& method) {
    return std::count_if(variants.begin(), variants.end(), [&](const Variant& variant) {
      return !variant.single_task() && variant.method == method;
    });
  };
  std::ptrdiff_t most = 1;
  for (const auto& method : analysis.methods) most = std::max(most, settings(method.method));
  const std::string chose =
      most > 1
          ? fmt::format(
                "chose the epoch that is kept of each run, and for each method one of up to "
                "{} settings, by its means over the seeds that the setting was tried with. The "
                "settings that won are in the table of methods.",
                most)
          : std::string(
                "chose the epoch that is kept of each run. There was no grid: every "
                "method ran with the one setting of the recipe.");
  const bool tested = analysis.measured == Measured::kTest;
  page.heading("Which data decided what");
  page.findings(
      {{"Training rows" + rows_words(findings.train_rows), "trained the models."},
       {"Validation rows" + rows_words(findings.dev_rows),
        chose + (tested ? " The curves under Learning are of these rows."
                        : " They also measured every number of this page, so all of "
                          "them are a little too good.")},
       {"Test rows",
        tested            ? "measured every number of the tables, intervals and trade-offs, once, "
                            "with the models that were chosen; nothing had seen them before."
        : facts.test_rows ? "have not been looked at: they are measured when all has been trained."
                          : "there are none: data.split.test sets rows aside."}});
}

void add_results(HtmlPage& page, const Analysis& analysis, std::span<const StudyTask> tasks) {
  page.heading("Results");
  page.table(result_table(analysis));
  page.note(
      "Mean ± half the width of its 95 % interval over seeds (Student's t). Differences are judged "
      "by a paired t-test over the seeds that both methods have, corrected for their number "
      "(Holm).");
  page.table(method_table(analysis));
  page.note(
      "Δm: mean change against the single-task baselines in percent, over metrics or over tasks; "
      "below 0 is better. Mean rank: over tasks, 1 is best.");
  page.begin_grid();
  for (std::size_t t = 0; t < std::min(tasks.size(), kMostFigures); ++t) {
    const Figure figure = interval_figure(analysis, tasks[t]);
    page.figure(fmt::format("{}: {}{}",
                            tasks[t].name,
                            tasks[t].metrics.front().name,
                            tasks[t].metrics.front().higher_is_better ? "" : " (less is better)"),
                figure.canvas,
                "Mean and interval; grey: single runs.",
                figure.marks);
  }
  page.end_grid();
  if (tasks.size() > kMostFigures) {
    page.note(fmt::format(
        "Pictures of the first {} of {} tasks; the table has all.", kMostFigures, tasks.size()));
  }
}

const char* better_corner(const StudyTask& x, const StudyTask& y) {
  const bool right = x.metrics.front().higher_is_better;
  const bool up = y.metrics.front().higher_is_better;
  return right ? (up ? "upper right" : "lower right") : (up ? "upper left" : "lower left");
}

std::string unnamed_words(const Figure& figure) {
  std::string names;
  for (const std::string& name : figure.unnamed) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "" : " No room for the names of " + names + ": the pointer tells them.";
}

void add_trade_offs(HtmlPage& page, const Analysis& analysis, std::span<const StudyTask> tasks) {
  const auto map = change_map(analysis, tasks);
  const auto pairs = trade_offs(analysis, tasks, kMostTradeOffs);
  if (!map && pairs.empty()) return;
  page.heading("Trade-offs");
  page.begin_grid();
  if (map) {
    page.heat_map(
        has_baselines(analysis) ? "Change against training each task alone"
                                : "Change against " + analysis.reference,
        *map,
        "Of each task's first metric, in percent. Blue: better; orange: worse; as strong as "
        "the change lies beyond its 95 % interval over the seeds, so that what is not told "
        "apart from 0 has no colour (with one seed: as strong as the change). The scale "
        "reaches 1 % at least.");
  }
  for (const auto& [i, j] : pairs) {
    const Figure figure = trade_off_figure(analysis, tasks[i], tasks[j]);
    page.figure(tasks[i].name + " against " + tasks[j].name,
                figure.canvas,
                fmt::format("Means with their intervals; better is to the {}. Pale: another method "
                            "is better in one task and no worse in the other.{}",
                            better_corner(tasks[i], tasks[j]),
                            unnamed_words(figure)),
                figure.marks);
  }
  page.end_grid();
  const std::size_t all = tasks.size() * (tasks.size() - 1) / 2;
  if (!pairs.empty() && pairs.size() < all) {
    page.note(
        fmt::format("{} of {} pairs of tasks: those in which most methods are worth a choice.",
                    pairs.size(),
                    all));
  }
}

void add_costs(HtmlPage& page, const Analysis& analysis, const RunFindings& findings) {
  std::vector<Cost> times;
  for (const MethodSummary& method : analysis.methods) {
    times.push_back({method.method, method.ms_per_step});
  }
  const auto any = [](const std::vector<Cost>& costs) {
    return std::any_of(
        costs.begin(), costs.end(), [](const Cost& cost) { return std::isfinite(cost.value); });
  };
  if (!any(times) && !any(findings.memory)) return;
  page.heading("Cost");
  page.begin_grid();
  const auto add = [&](const char* title,
                       const std::vector<Cost>& costs,
                       const char* unit,
                       const char* caption) {
    if (!any(costs)) return;
    const Figure figure = cost_figure(analysis, costs, unit);
    page.figure(title, figure.canvas, caption, figure.marks);
  };
  add("Time per step",
      times,
      "ms",
      "Mean over runs. Runs that were trained beside each other shared the machine.");
  add("Most memory held",
      findings.memory,
      "MiB",
      "Of a run's process, data and engine included; mean over runs.");
  page.end_grid();
}

void add_repetition(HtmlPage& page, const PageFacts& facts, const RunFindings& findings) {
  page.heading("Versions, and how to repeat it");
  report::Table table({{"what"}, {"value"}});
  std::string differing;
  for (const auto& [key, values] : findings.environment) {
    if (values.empty()) continue;
    std::string all;
    for (const auto& value : values) all += (all.empty() ? "" : "; ") + value;
    if (values.size() > 1) differing += (differing.empty() ? "" : ", ") + key;
    table.add_row({key, all});
  }
  if (table.rows() > 0) page.table(table);
  if (!differing.empty()) {
    page.note("Runs differ in: " + differing + ". Their times do not compare.");
  }
  page.folded("Command", facts.command, true);
  page.folded("Recipe", facts.recipe);
  if (!findings.reports.empty()) page.folded_links("Pages of the runs", findings.reports);
}

}  // namespace

PageRuns runs_in(const fs::path& study) {
  PageRuns runs;
  runs.read = [study](const fs::path& folder) -> std::optional<report::RunData> {
    std::error_code none;
    if (!fs::exists(study / folder / "metrics.jsonl", none)) return std::nullopt;
    return report::read_run(study / folder, report::RunParts::kEpochs);
  };
  runs.link = [study](const fs::path& folder) -> std::string {
    std::error_code none;
    const fs::path page = folder / "report.html";
    return fs::exists(study / page, none) ? page.generic_string() : "";
  };
  return runs;
}

std::string study_page(const PageFacts& facts,
                       const Analysis& analysis,
                       std::span<const Variant> variants,
                       std::span<const std::size_t> chosen,
                       std::span<const StudyTask> tasks,
                       std::span<const std::int64_t> seeds,
                       const PageRuns& runs) {
  RunFindings findings = read_runs(analysis, variants, chosen, tasks, seeds, runs);
  HtmlPage page(facts.title + " · Detente");
  std::vector<std::string> labels = {
      report::count_text(static_cast<double>(analysis.methods.size()), "method"),
      report::count_text(static_cast<double>(analysis.seeds.size()), "seed"),
      analysis.measured == Measured::kTest ? "measured on test rows"
                                           : "measured on validation rows"};
  if (!facts.so_far.empty()) labels.push_back(facts.so_far);
  page.header("Detente comparison", facts.title, labels);
  add_verdict(page, analysis, findings);
  add_decisions(page, analysis, variants, facts, findings);
  add_results(page, analysis, tasks);
  add_trade_offs(page, analysis, tasks);

  page.heading("Learning");
  page.begin_grid();
  for (report::Chart& chart : findings.learning) {
    if (chart.series.empty()) continue;
    page.chart(std::move(chart),
               analysis.seeds.size() > 1
                   ? "Line: mean over the seeds that reached the epoch; band: their lowest and "
                     "highest."
                   : "");
  }
  page.end_grid();
  add_costs(page, analysis, findings);
  add_repetition(page, facts, findings);
  return page.finish("Written by Detente " DETENTE_VERSION ".");
}

}  // namespace detente::study
