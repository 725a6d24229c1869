// SPDX-License-Identifier: Apache-2.0
#include <detente/report/monitor_charts.h>
#include <detente/report/run_charts.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

namespace detente::report {
namespace {

constexpr const char* kMeanEntropy = "mean_entropy";
constexpr const char* kEntropyOfMean = "entropy_of_mean";
constexpr std::string_view kAgentObjective = "soft_actor_critic";  // of control/trainer.cpp

// Numbers that belong into one chart.
struct MonitorKind {
  const char* title;
  const char* y_label;
  const char* caption;
  std::vector<std::pair<std::string_view, std::string_view>> names;  // in the log, in the legend
  bool smoothed = true;
};

const std::vector<MonitorKind>& monitor_kinds() {
  static const std::vector<MonitorKind> kinds = {
      {"Entropies of the teacher's answers",
       "share of ln K",
       "K: the head's outputs. Healthy answers differ between images (entropy of the mean high) "
       "and "
       "are sure of each (mean entropy low).",
       {{kEntropyOfMean, "entropy of the mean answer"}, {kMeanEntropy, "mean entropy"}}},
      {"Divergence between the answers",
       "nats",
       "How far one answer is from the other it is to agree with.",
       {{"kl", "student from teacher"}, {"kl_ab", "KL(a ‖ b)"}, {"kl_ba", "KL(b ‖ a)"}}},
      {"Cross-entropy of the two views",
       "nats",
       "Of the labels, for each of the two distorted views.",
       {{"ce_a", "view a"}, {"ce_b", "view b"}}},
      {"Discrepancy of the two views' features",
       "MMD",
       "Maximum mean discrepancy; 0 for features of one distribution.",
       {{"mmd", "mmd"}}},
      {"Deviation of the features",
       "deviation",
       "Of the teacher's features over the images of a batch; 0 means that all images look alike "
       "to it.",
       {{"feature_deviation", "feature deviation"}}},
      {"Momentum of the teacher",
       "share kept",
       "What the teacher keeps of itself in a step.",
       {{"teacher_momentum", "momentum"}},
       false},
      {"Temperature of the teacher",
       "temperature",
       "",
       {{"teacher_temperature", "temperature"}},
       false},
      {"Loss of the actor", "loss", "The mean over the tasks.", {{"actor", "actor"}}},
      {"Entropy of the policy",
       "nats",
       "Of the batch's actions; the temperature steers it to what the recipe asks.",
       {{"entropy", "entropy"}}},
      {"Temperature of the policy",
       "temperature",
       "What a nat of entropy is worth beside the return; the mean over the tasks.",
       {{"temperature", "temperature"}}},
      {"Training episodes that succeeded",
       "share",
       "Of all tasks, with the noise of training, since the line of the log before.",
       {{"train_success", "success"}}},
  };
  return kinds;
}

std::size_t finite_count(const std::vector<double>& values) {
  return static_cast<std::size_t>(
      std::count_if(values.begin(), values.end(), [](double v) { return std::isfinite(v); }));
}

// Raw values pale behind the moving mean, as of losses; what is set by a schedule as it is.
void add_monitor_line(Chart& chart,
                      const RunData& run,
                      const std::vector<double>& values,
                      const std::string& name,
                      bool smoothed) {
  if (finite_count(values) == 0) return;
  std::size_t colored = 0;
  for (const Series& series : chart.series) colored += series.background ? 0 : 1;
  const Color color = line_color(colored);
  if (smoothed) {
    Series raw = step_series(run, values, "", color.with_alpha(0.22), false);
    raw.background = true;
    raw.width = 0.8;
    chart.series.push_back(std::move(raw));
  }
  Series line = step_series(run, values, name, color, smoothed);
  line.width = 2;
  chart.series.push_back(std::move(line));
}

Chart monitor_chart(std::string title, const char* y_label) {
  Chart chart;
  chart.title = std::move(title);
  chart.x_label = "step";
  chart.y_label = y_label;
  chart.integer_x = true;
  return chart;
}

void add_danger_zones(Chart& chart) {
  // Room above one, in which the upper zone can be seen.
  chart.y_min = 0;
  chart.y_max = 1.08;
  chart.zones_y = {
      {kUniformAbove, 1.08, line_color(1), "mean entropy here: uniform collapse"},
      {0, kOnePrototypeBelow, line_color(1), "entropy of the mean here: one prototype"}};
}

bool is_known(const std::string& name) {
  for (const MonitorKind& kind : monitor_kinds()) {
    for (const auto& [known, label] : kind.names) {
      if (known == name) return true;
    }
  }
  return false;
}

// "peer2.loss" → "peer 2".
std::string peer_text(const std::string& name) {
  const std::string peer = name.substr(0, name.size() - std::string_view(".loss").size());
  const std::size_t digits = peer.find_last_not_of("0123456789") + 1;
  if (digits == 0 || digits == peer.size()) return peer;
  return peer.substr(0, digits) + " " + peer.substr(digits);
}

// The size of a number's values: the power of ten of their mean amount.
int size_of(const std::vector<double>& values) {
  std::vector<double> amounts = values;
  for (double& value : amounts) value = std::abs(value);
  const double mean = finite_mean(amounts);
  return mean > 0 && std::isfinite(mean) ? static_cast<int>(std::floor(std::log10(mean))) : 0;
}

double last_of(const RunData& run, const char* name) {
  const std::vector<double>* values = run.monitor.find(name);
  if (values == nullptr) return kNoNumber;
  // The mean of the last few steps: one batch says little.
  constexpr std::size_t kLast = 20;
  std::vector<double> last;
  for (auto at = values->rbegin(); at != values->rend() && last.size() < kLast; ++at) {
    if (std::isfinite(*at)) last.push_back(*at);
  }
  return finite_mean(last);
}

std::string row_text(const char* rows, std::uint64_t row, const std::string& label) {
  std::string text = fmt::format("{} row {}", rows, count_text(static_cast<double>(row)));
  if (!label.empty()) text += ": " + label;
  return text;
}

void add_view_pictures(HtmlPage& page, const RunLooks& looks) {
  std::vector<HtmlPage::PictureRow> rows;
  for (const auto& viewed : looks.views) {
    auto& row = rows.emplace_back();
    row.name = row_text("training", viewed.row, "");
    row.small = true;
    row.groups.push_back({{"image", viewed.image}});
    auto& views = row.groups.emplace_back();
    for (const auto& view : viewed.views) views.push_back({view.name, view.picture});
  }
  page.pictures(
      "What it is taught with: views of one image",
      rows,
      {},
      "An image and its views of one step, which are to be answered alike: the student sees "
      "all, the teacher the global ones.");
}

void add_attention_pictures(HtmlPage& page, const RunLooks& looks) {
  HtmlPage::PictureRow row;
  row.small = true;
  for (const auto& one : looks.attention) {
    row.groups.push_back(
        {{"row " + count_text(static_cast<double>(one.row)), one.image},
         {std::isfinite(one.peak) ? fmt::format("up to {:.3g} ×", one.peak) : "attention",
          one.attention}});
  }
  row.name = "validation rows";
  page.pictures(
      "What it looks at",
      {row},
      {{"", {{ramp_color(0), "least"}, {ramp_color(1), "most"}}}},
      "Attention of the last layer's class token to the patches of the image, mean over the "
      "heads, from the least to the most looked at; below, how many times the mean of all "
      "patches the most has. 1 × is no difference.");
}

void add_neighbour_pictures(HtmlPage& page, const RunLooks& looks) {
  std::vector<HtmlPage::PictureRow> rows;
  std::size_t right = 0;
  std::size_t known = 0;
  for (const auto& asked : looks.asked) {
    auto& row = rows.emplace_back();
    row.name = row_text("validation", asked.row, asked.label);
    row.small = true;
    row.groups.push_back({{"asked", asked.image}});
    auto& nearest = row.groups.emplace_back();
    for (const auto& near : asked.nearest) {
      std::string name = near.label;
      if (!near.label.empty() && !asked.label.empty()) {
        name += near.right ? " ✓" : " ✗";
        ++known;
        right += near.right ? 1 : 0;
      }
      name += fmt::format("{}{:.3f}", name.empty() ? "" : " ", near.cosine);
      nearest.push_back({name, near.image});
    }
  }
  std::string caption = fmt::format(
      "The {} rows of {} training rows whose features are most like those of a validation row "
      "(below: the cosine).",
      looks.asked.front().nearest.size(),
      count_text(static_cast<double>(looks.searched)));
  if (known > 0) {
    caption += fmt::format(" {} of {} have its class{} (✓).",
                           right,
                           known,
                           looks.probe.empty() ? "" : " by " + looks.probe);
  }
  page.pictures("What it holds to be alike: nearest neighbours", rows, {}, caption);
}

}  // namespace

std::vector<std::pair<Chart, std::string>> monitor_charts(const RunData& run) {
  std::vector<std::pair<Chart, std::string>> charts;
  const auto keep = [&](Chart chart, std::string caption) {
    if (!chart.series.empty()) charts.emplace_back(std::move(chart), std::move(caption));
  };
  for (const MonitorKind& kind : monitor_kinds()) {
    Chart chart = monitor_chart(kind.title, kind.y_label);
    for (const auto& [name, label] : kind.names) {
      if (const auto* values = run.monitor.find(name)) {
        add_monitor_line(chart, run, *values, std::string(label), kind.smoothed);
      }
    }
    if (kind.names.front().first == kEntropyOfMean && !chart.series.empty())
      add_danger_zones(chart);
    keep(std::move(chart), kind.caption);
  }
  Chart peers = monitor_chart("Losses of the peers", "loss");
  std::map<int, Chart> others;
  for (std::size_t i = 0; i < run.monitor.names.size(); ++i) {
    const std::string& name = run.monitor.names[i];
    const std::vector<double>& values = run.monitor.values[i];
    if (is_known(name) || finite_count(values) == 0) continue;
    if (name.ends_with(".loss")) {
      add_monitor_line(peers, run, values, peer_text(name), true);
      continue;
    }
    Chart& chart = others.try_emplace(size_of(values), monitor_chart("", "")).first->second;
    add_monitor_line(chart, run, values, name, true);
  }
  keep(std::move(peers), "The models that learn beside the one that is kept.");
  for (auto& [size, chart] : others) {
    for (const Series& series : chart.series) {
      if (series.background) continue;
      chart.title += (chart.title.empty() ? "" : ", ") + series.name;
    }
    keep(std::move(chart), "");
  }
  return charts;
}

std::string monitor_words(const RunData& run) {
  const double each = last_of(run, kMeanEntropy);
  const double all = last_of(run, kEntropyOfMean);
  if (!std::isfinite(each) || !std::isfinite(all)) return "";
  const std::string numbers = fmt::format(
      "In the last steps an answer of the teacher has {:.1f} % of the highest entropy and the mean "
      "of its answers {:.1f} %",
      100 * each,
      100 * all);
  if (each > kUniformAbove) {
    return numbers +
           ": every answer says \"all the same\", a uniform collapse, and nothing is learned from "
           "it.";
  }
  if (all < kOnePrototypeBelow) {
    return numbers +
           ": it gives nearly all images one answer, a collapse to one prototype, and nothing is "
           "learned from it.";
  }
  return numbers + (all - each > 0.05
                        ? ": it tells images apart, and neither zone of collapse is reached."
                        : ": neither zone of collapse is reached, but it hardly tells images "
                          "apart, for which the "
                          "mean's would have to be clearly higher.");
}

void add_monitor(HtmlPage& page, const RunData& run) {
  const auto charts = monitor_charts(run);
  const bool looks = run.looks && !run.looks->empty();
  if (charts.empty() && !looks) return;
  // Neighbours are shown of any network with a probe.
  const bool taught = !charts.empty() || (looks && !run.looks->views.empty());
  const bool agent = run.text("objective") == kAgentObjective;
  page.heading(agent ? "The policy" : taught ? "Self-distillation" : "Features");
  if (agent) page.note("Losses, weights and cosines on this page are those of the critics.");
  if (const std::string words = monitor_words(run); !words.empty()) page.paragraph(words);
  if (!charts.empty()) {
    page.begin_grid();
    for (const auto& [chart, caption] : charts) page.chart(chart, caption);
    page.end_grid();
  }
  if (!looks) return;
  page.note(fmt::format("The pictures are of epoch {}, whose model is kept.", run.looks->epoch));
  if (!run.looks->views.empty()) add_view_pictures(page, *run.looks);
  if (!run.looks->attention.empty()) add_attention_pictures(page, *run.looks);
  if (!run.looks->asked.empty()) add_neighbour_pictures(page, *run.looks);
}

}  // namespace detente::report
