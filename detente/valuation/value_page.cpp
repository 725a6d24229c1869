// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/version.h>
#include <detente/report/html_page.h>
#include <detente/valuation/internal/removal_charts.h>
#include <detente/valuation/value_charts.h>
#include <detente/valuation/value_page.h>
#include <detente/valuation/value_summary.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace detente::valuation {
namespace {

using report::Align;
using report::HtmlPage;

constexpr std::size_t kMostGroups = 12;  // classes or sources in one figure
constexpr std::size_t kMostTasks = 12;   // with figures and examples of their own
constexpr std::size_t kMostTiles = 4;
constexpr std::size_t kMostShownSuspects = 24;  // per task, in the table

std::string count(std::size_t number) { return report::count_text(static_cast<double>(number)); }

std::string count(std::size_t number, const std::string& unit) {
  return report::count_text(static_cast<double>(number), unit);
}

std::string plural(std::size_t number, const char* one, const char* many) {
  return count(number) + " " + (number == 1 ? one : many);
}

// "all" is no task's name.
std::string task_text(const std::string& task) { return task == kAll ? "all tasks" : task; }

void check_input(const ValueTable& table, const ValuePageInput& input) {
  check_table(table);
  const std::size_t rows = table.ids.size();
  DETENTE_CHECK(input.sources.empty() || input.sources.size() == rows,
                ErrorCode::kShape,
                "[valuation::value_page] {} sources for {} examples; expected one for each, or "
                "none.",
                input.sources.size(),
                rows);
  for (const TaskLabels& labels : input.labels) {
    DETENTE_CHECK(labels.given.size() == rows,
                  ErrorCode::kShape,
                  "[valuation::value_page] {} labels of task '{}' for {} examples; expected one "
                  "for each.",
                  labels.given.size(),
                  labels.task,
                  rows);
  }
  for (const RemovalCurve& curve : input.removal) {
    for (const RemovalLine& line : curve.lines) {
      const std::size_t points = line.shares.size();
      const auto fits = [&](const std::vector<double>& band) {
        return band.empty() || band.size() == points;
      };
      DETENTE_CHECK(line.scores.size() == points && fits(line.low) && fits(line.high) &&
                        line.low.size() == line.high.size(),
                    ErrorCode::kShape,
                    "[valuation::value_page] the removal curve '{}' has {} shares, {} scores and a "
                    "band of {} and {}; expected as many of each, or no band.",
                    line.name,
                    points,
                    line.scores.size(),
                    line.low.size(),
                    line.high.size());
    }
  }
}

// What each judged task makes of the examples, all that was trained together.
struct Judgement {
  std::string task;
  ValueSeries series;
  ValueSummary summary;
};

std::vector<Judgement> judgements(const ValueTable& table) {
  std::vector<Judgement> out;
  for (const std::string& task : tasks_judged(table)) {
    const auto series = joined_series(table, task);
    if (series) out.push_back({task, *series, summarize(*series)});
  }
  return out;
}

void add_head(HtmlPage& page,
              const ValueTable& table,
              const ValuePageInput& input,
              const std::vector<Judgement>& judged) {
  std::string tasks;
  for (const Judgement& one : judged) {
    if (one.task != kAll) tasks += (tasks.empty() ? "judged: " : ", ") + one.task;
  }
  std::vector<std::string> labels = {"method " + table.method, count(table.ids.size(), "example")};
  if (!tasks.empty()) labels.push_back(tasks);
  page.header("What the examples are worth", input.run.empty() ? table.method : input.run, labels);
  std::vector<HtmlPage::Tile> tiles = {
      {count(table.ids.size()), table.ids.size() == 1 ? "example" : "examples", table.method}};
  for (std::size_t i = 0; i < std::min(judged.size(), kMostTiles); ++i) {
    const ValueSummary& summary = judged[i].summary;
    tiles.push_back(
        {report::percent_text(summary.harmful_share()),
         (summary.has_errors ? "harmful to " : "below 0 for ") + task_text(judged[i].task),
         fmt::format("mean value {}", short_value(summary.mean))});
  }
  if (input.audit) {
    tiles.push_back({short_value(input.audit->max_relative_error),
                     "largest error of the audit",
                     input.audit->steps > 0
                         ? count(static_cast<std::size_t>(input.audit->steps), "step")
                         : ""});
  }
  page.tiles(tiles);
}

void add_audit(HtmlPage& page, const ValueAudit& audit) {
  page.paragraph(fmt::format(
      "Audit: the values sum to {}, and {} belongs to no single example; together {}, of {} that "
      "was "
      "to be shared. The largest relative error{} is {}.",
      short_value(audit.values),
      short_value(audit.remainder),
      short_value(audit.values + audit.remainder),
      short_value(audit.total),
      audit.steps > 0 ? " of " + count(static_cast<std::size_t>(audit.steps), "audited step") : "",
      short_value(audit.max_relative_error)));
}

void add_verdicts(HtmlPage& page, const ValueTable& table) {
  if (table.series.empty()) return;
  page.heading("Verdicts");
  page.note(verdict_words());
  report::Table out({{"trained"},
                     {"judged"},
                     {"modality"},
                     {"values", Align::kRight},
                     {"mean", Align::kRight},
                     {"sum", Align::kRight},
                     {"below 0", Align::kRight},
                     {"helpful", Align::kRight},
                     {"harmful", Align::kRight},
                     {"undecided", Align::kRight}});
  bool errors = false;
  for (const ValueSeries& series : table.series) {
    const ValueSummary summary = summarize(series);
    errors = errors || summary.has_errors;
    out.add_row({series.task_trained,
                 series.task_judged,
                 series.modality,
                 count(summary.known),
                 short_value(summary.mean),
                 summary.known == 0 ? "–" : short_value(summary.sum),
                 count(summary.below_zero),
                 count(summary.helpful),
                 count(summary.harmful),
                 count(summary.undecided)});
  }
  page.table(out);
  if (!errors) {
    page.note(
        "This method gives no standard errors, so every verdict is undecided; what is below 0 is "
        "counted beside them.");
  }
}

void add_pairs(HtmlPage& page, const ValueTable& table) {
  const report::HeatMap means = mean_map(table);
  if (means.rows.empty()) return;
  page.heading("Which task helps which");
  page.begin_grid();
  page.heat_map(
      "Mean value of an example",
      means,
      "Down: the task whose loss trained on the example; across: the task that is judged. "
      "Blue helps, orange harms.");
  page.heat_map(
      "Harm", harm_map(table), "The share of examples that harm the judged task, by trained task.");
  page.end_grid();
}

void add_modalities(HtmlPage& page, const ValueTable& table, const std::vector<Judgement>& judged) {
  std::vector<std::string> names = modalities(table);
  std::erase(names, kAll);
  if (names.size() < 2) return;
  page.heading("Modalities");
  page.begin_grid();
  for (std::size_t i = 0; i < std::min(judged.size(), kMostTasks); ++i) {
    std::vector<ValueBar> rows;
    for (const std::string& name : names) {
      const auto series = joined_series(table, judged[i].task, kAll, name);
      if (!series) continue;
      const ValueSummary summary = summarize(*series);
      rows.push_back({name,
                      summary.mean,
                      fmt::format("mean {}, {} of {} examples {}",
                                  short_value(summary.mean),
                                  report::percent_text(summary.harmful_share()),
                                  count(summary.known),
                                  summary.has_errors ? "harmful" : "below 0")});
    }
    std::vector<HtmlPage::Mark> marks;
    const report::Canvas canvas = bars(rows, marks);
    page.figure("Judged by " + task_text(judged[i].task),
                canvas,
                "Mean value of an example through each modality.",
                marks);
  }
  page.end_grid();
}

void add_groups(HtmlPage& page,
                const Judgement& judged,
                const std::vector<std::string>& names,
                const char* by,
                const char* many) {
  std::size_t left_out = 0;
  const auto groups = grouped(judged.series.values, names, kMostGroups, left_out);
  if (groups.size() < 2) return;
  std::vector<HtmlPage::Mark> marks;
  const report::Canvas canvas = spreads(groups, marks);
  page.figure(fmt::format("{} by {}", task_text(judged.task), by),
              canvas,
              std::string("Dot: the median; bar: the half in the middle; line: nine in ten.") +
                  (left_out > 0 ? fmt::format(" The {} of {} {} with the lowest medians.",
                                              groups.size(),
                                              groups.size() + left_out,
                                              many)
                                : std::string()),
              marks);
}

void add_distributions(HtmlPage& page,
                       const ValuePageInput& input,
                       const std::vector<Judgement>& judged) {
  if (judged.empty()) return;
  page.heading("How the values are spread");
  for (std::size_t i = 0; i < std::min(judged.size(), kMostTasks); ++i) {
    const Judgement& one = judged[i];
    page.begin_grid();
    std::vector<HtmlPage::Mark> marks;
    std::size_t outside = 0;
    const report::Canvas canvas = histogram(one.series.values, marks, outside);
    std::string caption = "Orange: below 0.";
    if (outside > 0) {
      caption += fmt::format(" {} further out {} counted in the outermost bars.",
                             plural(outside, "value", "values"),
                             outside == 1 ? "is" : "are");
    }
    const std::size_t unknown = one.series.values.size() - one.summary.known;
    if (unknown > 0) {
      caption += fmt::format(" {} without a value.", plural(unknown, "example is", "examples are"));
    }
    page.figure("Judged by " + task_text(one.task), canvas, caption, marks);
    for (const TaskLabels& labels : input.labels) {
      if (labels.task == one.task && labels.are_classes)
        add_groups(page, one, labels.given, "class", "classes");
    }
    if (!input.sources.empty()) add_groups(page, one, input.sources, "source", "sources");
    page.end_grid();
  }
  if (judged.size() > kMostTasks) {
    page.note(fmt::format("The first {} of {} judged tasks.", kMostTasks, judged.size()));
  }
}

// Asks for each example once, however often it is shown.
class Examples {
 public:
  Examples(const ValueTable& table, const ValuePageInput& input) : table_(table), input_(input) {}

  HtmlPage::Card card(const Judgement& judged, std::size_t at) {
    const std::int64_t id = table_.ids[at];
    const ShownExample& shown = example(id);
    HtmlPage::Card card = plain_card(id, shown);
    const double value = judged.series.values[at];
    card.badge = short_value(value);
    card.tone = value < 0   ? HtmlPage::Card::Tone::kHarmful
                : value > 0 ? HtmlPage::Card::Tone::kHelpful
                            : HtmlPage::Card::Tone::kPlain;
    if (!judged.series.standard_errors.empty() &&
        std::isfinite(judged.series.standard_errors[at])) {
      const double error = judged.series.standard_errors[at];
      card.cells.emplace_back(
          "verdict",
          fmt::format(
              "{} (standard error {})", name_of(verdict(value, error)), short_value(error)));
    }
    return card;
  }

  HtmlPage::Card card(const Suspect& suspect) {
    HtmlPage::Card card = plain_card(suspect.id, example(suspect.id));
    card.badge = suspect.label;
    return card;
  }

  // "train.csv, line 17"; "" where nothing is known.
  std::string place(std::int64_t id) {
    const ShownExample& shown = example(id);
    std::string text = shown.file;
    if (shown.line) {
      text += fmt::format("{}line {}", text.empty() ? "" : ", ", *shown.line);
    } else if (shown.row) {
      text += fmt::format("{}row {}", text.empty() ? "" : ", ", *shown.row);
    }
    return text;
  }

 private:
  HtmlPage::Card plain_card(std::int64_t id, const ShownExample& shown) {
    HtmlPage::Card card;
    const std::string where = place(id);
    card.title = fmt::format("example {}", id) + (where.empty() ? "" : " · " + where);
    card.png = shown.png;
    card.wav = shown.wav;
    card.cells = shown.cells;
    return card;
  }

  const ShownExample& example(std::int64_t id) {
    const auto found = seen_.find(id);
    if (found != seen_.end()) return found->second;
    return seen_.emplace(id, input_.show ? input_.show(id) : ShownExample{}).first->second;
  }

  const ValueTable& table_;
  const ValuePageInput& input_;
  std::map<std::int64_t, ShownExample> seen_;
};

// Places of finite values for which `fits`, the lowest first, equal ones in the order of the table.
template <class Fits>
std::vector<std::size_t> lowest(const std::vector<double>& values, const Fits& fits) {
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i]) && fits(i)) at.push_back(i);
  }
  std::stable_sort(
      at.begin(), at.end(), [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  return at;
}

void add_cards(HtmlPage& page,
               Examples& examples,
               const Judgement& judged,
               std::vector<std::size_t> at,
               std::size_t most,
               const std::string& title,
               const std::string& caption) {
  if (at.empty()) return;
  at.resize(std::min(at.size(), most));
  std::vector<HtmlPage::Card> cards;
  for (const std::size_t i : at) cards.push_back(examples.card(judged, i));
  page.cards(title, cards, caption);
}

void add_examples(HtmlPage& page,
                  const ValueTable& table,
                  const ValuePageInput& input,
                  Examples& examples,
                  const std::vector<Judgement>& judged) {
  const bool any = std::any_of(
      judged.begin(), judged.end(), [](const Judgement& one) { return one.summary.known > 0; });
  if (!any || input.most_shown == 0) return;
  page.heading("The most harmful and the most helpful");
  for (std::size_t t = 0; t < std::min(judged.size(), kMostTasks); ++t) {
    const Judgement& one = judged[t];
    const std::vector<double>& values = one.series.values;
    const auto harmful = lowest(values, [&](std::size_t i) { return values[i] < 0; });
    auto helpful = lowest(values, [&](std::size_t i) { return values[i] > 0; });
    std::reverse(helpful.begin(), helpful.end());
    const std::string task = task_text(one.task);
    if (harmful.empty() && helpful.empty()) {
      page.note(fmt::format("{}: no value differs from 0.", task));
      continue;
    }
    add_cards(page, examples, one, harmful, input.most_shown, "Most harmful to " + task, "");
    add_cards(page, examples, one, helpful, input.most_shown, "Most helpful to " + task, "");
    for (const std::string& name : few_modalities(table)) {
      const auto series = joined_series(table, one.task, kAll, name);
      if (!series) continue;
      const Judgement part{one.task, *series, summarize(*series)};
      const auto bad = lowest(series->values, [&](std::size_t i) { return series->values[i] < 0; });
      add_cards(page,
                examples,
                part,
                bad,
                input.most_shown,
                fmt::format("Most harmful to {} through {}", task, name),
                "");
    }
    if (judged.size() < 2) continue;
    const auto alone = lowest(values, [&](std::size_t i) {
      return values[i] < 0 &&
             std::all_of(judged.begin(), judged.end(), [&](const Judgement& other) {
               return other.task == one.task || other.task == kAll || !(other.series.values[i] < 0);
             });
    });
    add_cards(page,
              examples,
              one,
              alone,
              input.most_shown,
              "Harmful to " + task + " and to no other task",
              fmt::format("{} in all, the most harmful first.",
                          plural(alone.size(), "example", "examples")));
  }
}

void add_suspects(HtmlPage& page,
                  const ValueTable& table,
                  const ValuePageInput& input,
                  Examples& examples) {
  const std::vector<Suspect>& suspects = input.suspects;
  if (suspects.empty()) return;
  page.heading("Labels to look at");
  page.note(
      "The examples that are worth least to the task they carry a label of, and, where it is "
      "known, "
      "whose label the model disagrees with. Some are mistakes, some are hard; somebody has to "
      "look. "
      "All of them are in suspects.csv.");
  if (table.method == "in_run") {
    page.note(
        "Values of this method are a poor guide to wrong labels; knn_shapley, oob and loss "
        "are better ones.");
  }
  report::Table out({{"task"},
                     {"rank", Align::kRight},
                     {"example", Align::kRight},
                     {"where"},
                     {"label given"},
                     {"value", Align::kRight},
                     {"disagreement", Align::kRight}});
  std::set<std::string> longer;
  std::vector<std::pair<std::string, std::vector<HtmlPage::Card>>> cards;
  for (const Suspect& suspect : suspects) {
    if (suspect.rank > kMostShownSuspects) {
      longer.insert(suspect.task);
      continue;
    }
    out.add_row({suspect.task,
                 count(suspect.rank),
                 fmt::format("{}", suspect.id),
                 examples.place(suspect.id),
                 suspect.label,
                 short_value(suspect.value),
                 short_value(suspect.disagreement)});
    if (suspect.rank > input.most_shown) continue;
    if (cards.empty() || cards.back().first != suspect.task) {
      cards.emplace_back(suspect.task, std::vector<HtmlPage::Card>{});
    }
    cards.back().second.push_back(examples.card(suspect));
  }
  for (const auto& [task, own] : cards) {
    page.cards("Suspects of " + task, own, "With the label that they were given.");
  }
  page.table(out);
  if (!longer.empty()) page.note(fmt::format("The first {} of each task.", kMostShownSuspects));
}

}  // namespace

std::string verdict_words() {
  return "A value above 0 means that the judged task is better off because the example is there, "
         "one "
         "below 0 that it is worse off. An example is called helpful or harmful only where its "
         "value "
         "is more than two standard errors from 0, and undecided otherwise, also where the error "
         "is "
         "unknown.";
}

std::string value_page(const ValueTable& table, const ValuePageInput& input) {
  check_input(table, input);
  const std::vector<Judgement> judged = judgements(table);
  HtmlPage page((input.run.empty() ? table.method : input.run) + " · values · Detente");
  add_head(page, table, input, judged);
  if (input.audit) add_audit(page, *input.audit);
  if (table.method == "in_run") {
    page.paragraph(
        "A value of this method says whether an example lowered the judged task's validation loss "
        "in this run, in the steps that it took part in. It is no detector of wrong labels: an "
        "example with a wrong one may have helped, and a right one may have harmed.");
  }
  for (const std::string& note : input.notes) page.note(note);
  if (table.ids.empty() || judged.empty()) page.paragraph("There are no values to show.");
  add_pairs(page, table);
  add_modalities(page, table, judged);
  add_distributions(page, input, judged);
  Examples examples(table, input);
  add_examples(page, table, input, examples, judged);
  add_suspects(page, table, input, examples);
  internal::add_removal(page, input.removal);
  add_verdicts(page, table);
  return page.finish(std::string("Written by Detente ") + DETENTE_VERSION + ".");
}

}  // namespace detente::valuation
