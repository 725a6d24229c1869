// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/metrics/registry.h>
#include <detente/report/run_data.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

namespace detente::report {
namespace {

// Fills Curves by name without searching the list for every value of every step.
class CurveBuilder {
 public:
  explicit CurveBuilder(Curves& curves) : curves_(curves) {}

  void add(const NamedNumbers& numbers, std::size_t row) {
    for (const auto& [name, value] : numbers) add_value(name, value, row);
  }
  void add_value(const std::string& name, double value, std::size_t row) {
    const auto [at, fresh] = index_.try_emplace(name, curves_.names.size());
    if (fresh) {
      curves_.names.push_back(name);
      curves_.values.emplace_back();
    }
    auto& column = curves_.values[at->second];
    column.resize(row, kNoNumber);
    column.push_back(value);
  }

  void cut(std::size_t rows) {
    for (auto& column : curves_.values) column.resize(std::min(column.size(), rows));
  }
  void fill(std::size_t rows) {
    for (auto& column : curves_.values) column.resize(rows, kNoNumber);
  }

 private:
  Curves& curves_;
  std::unordered_map<std::string, std::size_t> index_;
};

double truth_number(const std::optional<bool>& truth) {
  if (!truth) return kNoNumber;
  return *truth ? 1.0 : 0.0;
}

class MetricsReader {
 public:
  explicit MetricsReader(RunData& run) : run_(run) {}

  void line(std::string_view text) {
    ++number_;
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const Json line = Json::parse(text, nullptr, false);
    if (const auto record = StepRecord::from_json(line)) {
      step(*record);
    } else if (auto epoch_record = EpochRecord::from_json(line)) {
      epoch(std::move(*epoch_record));
    } else if (!line.is_object() || record_type(line) != RecordType::kOther) {
      run_.unreadable_lines.push_back(number_);
    }
  }

  void skip() { ++number_; }

  void finish() {
    for (auto& builder : builders_) builder.fill(run_.steps.size());
  }

 private:
  struct Group {
    CurveBuilder* grad_norms;
    CurveBuilder* cosines;
  };

  CurveBuilder& builder(Curves& curves) { return builders_.emplace_back(curves); }

  void step(const StepRecord& record) {
    const auto number = static_cast<double>(record.step);
    // A run resumed from its last snapshot repeats the steps after it; the later ones count.
    if (!run_.steps.empty() && run_.steps.back() >= number) {
      while (!run_.steps.empty() && run_.steps.back() >= number) run_.steps.pop_back();
      const std::size_t rows = run_.steps.size();
      for (auto* column : {&run_.loss, &run_.learning_rate, &run_.direction_norm, &run_.conflict}) {
        column->resize(rows);
      }
      for (auto& builder : builders_) builder.cut(rows);
    }
    const std::size_t row = run_.steps.size();
    run_.steps.push_back(number);
    run_.loss.push_back(record.loss);
    run_.learning_rate.push_back(record.lr);
    run_.direction_norm.push_back(record.direction_norm);
    run_.conflict.push_back(record.gradients ? truth_number(record.gradients->conflict)
                                             : kNoNumber);
    losses_.add(record.losses, row);
    weights_.add(record.weights, row);
    if (record.gradients) {
      grad_norms_.add(record.gradients->norms, row);
      cosines_.add(record.gradients->cosines, row);
    }
    milliseconds_.add(record.ms, row);
    monitor_.add(record.monitor, row);
    if (record.diagnosis) diagnose(*record.diagnosis, row);
  }

  void diagnose(const DiagnosisRecord& diagnosis, std::size_t row) {
    xi_.add(diagnosis.xi, row);
    curvature_.add(diagnosis.curvature, row);
    for (const auto& [pair, conditions] : diagnosis.triad) {
      dominated_.add_value(pair, truth_number(conditions.dominated), row);
      curved_.add_value(pair, truth_number(conditions.curved), row);
      large_step_.add_value(pair, truth_number(conditions.large_step), row);
    }
    for (const GroupRecord& group : diagnosis.groups) {
      auto known = groups_.find(group.name);
      if (known == groups_.end()) {
        GroupCurves& curves = run_.groups.emplace_back();
        curves.name = group.name;
        known =
            groups_
                .emplace(group.name, Group{&builder(curves.grad_norms), &builder(curves.cosines)})
                .first;
      }
      known->second.grad_norms->add(group.grad_norms, row);
      known->second.cosines->add(group.cosines, row);
    }
  }

  void epoch(EpochRecord record) {
    while (!run_.epochs.empty() && run_.epochs.back().epoch >= record.epoch) run_.epochs.pop_back();
    run_.epochs.push_back(std::move(record));
  }

  RunData& run_;
  std::size_t number_ = 0;             // of the line
  std::deque<CurveBuilder> builders_;  // all; the places of the others stay
  CurveBuilder& losses_ = builder(run_.losses);
  CurveBuilder& weights_ = builder(run_.weights);
  CurveBuilder& grad_norms_ = builder(run_.grad_norms);
  CurveBuilder& cosines_ = builder(run_.cosines);
  CurveBuilder& milliseconds_ = builder(run_.milliseconds);
  CurveBuilder& monitor_ = builder(run_.monitor);
  CurveBuilder& xi_ = builder(run_.xi);
  CurveBuilder& dominated_ = builder(run_.dominated);
  CurveBuilder& curved_ = builder(run_.curved);
  CurveBuilder& large_step_ = builder(run_.large_step);
  CurveBuilder& curvature_ = builder(run_.curvature);
  std::unordered_map<std::string, Group> groups_;
};

// Without parsing it. Inside of a JSON string the quotes would be escaped, and a task named "type" has
// no string for a value, so no other line looks like one.
bool is_step_line(std::string_view line) {
  return line.find("\"type\":\"step\"") != std::string_view::npos ||
         line.find("\"type\": \"step\"") != std::string_view::npos;
}

void collect_tasks(RunData& run) {
  const auto add = [&](const std::string& name) {
    if (std::find(run.tasks.begin(), run.tasks.end(), name) == run.tasks.end()) {
      run.tasks.push_back(name);
    }
  };
  for (const auto& [task, metrics] : run.results()) add(task);
  for (const auto& name : run.losses.names) add(name);
}

void take_summary(RunData& run, std::string_view text) {
  Json parsed = Json::parse(text, nullptr, false);
  const bool whole = parsed.is_object();
  run.summary = whole ? std::move(parsed) : Json::object();
  run.unreadable_summary = !whole && !text.empty();
}

void take_answers(RunData& run, std::string_view text) {
  run.answers.reset();
  if (!text.empty()) run.answers = parse_answers(text);
  run.unreadable_answers = !text.empty() && !run.answers;
}

void take_looks(RunData& run, std::string_view text) {
  run.looks.reset();
  if (!text.empty()) run.looks = parse_looks(text);
  run.unreadable_looks = !text.empty() && !run.looks;
}

std::string text_of(const std::filesystem::path& path, bool& found) {
  if (!std::filesystem::exists(path)) return "";
  found = true;
  return read_file(path);
}

// Nothing where there is no such file or only what this program has not written: a folder, a file far
// larger than a summary is.
std::optional<std::string> bounded_text(const std::filesystem::path& path, bool& there) {
  constexpr std::uintmax_t kMostBytes = 16U << 20U;
  std::error_code error;
  there = std::filesystem::exists(path, error);
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  if (std::filesystem::file_size(path, error) > kMostBytes || error) return std::nullopt;
  return read_file(path);
}

}  // namespace

const std::vector<double>* Curves::find(std::string_view name) const {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return &values[i];
  }
  return nullptr;
}

bool RunData::of_agent() const {
  return recipe.starts_with("worlds:") || recipe.find("\nworlds:") != std::string::npos;
}

std::string RunData::text(const char* key, const std::string& fallback) const {
  const auto it = summary.find(key);
  return it != summary.end() && it->is_string() ? it->get<std::string>() : fallback;
}

double RunData::number(const char* key) const { return number_at(summary, key); }

double RunData::conflict_share() const {
  const double told = number("conflict_share");
  return std::isfinite(told) ? told : finite_mean(conflict);
}

double RunData::mean_cosine() const {
  const double told = number("mean_cosine");
  if (std::isfinite(told)) return told;
  std::vector<double> means;
  for (const auto& pair : cosines.values) means.push_back(finite_mean(pair));
  return finite_mean(means);
}

NamedTables RunData::results() const {
  auto told = tables_at(summary, "tasks");
  if (!told.empty() || epochs.empty()) return told;
  const auto best =
      std::find_if(epochs.rbegin(), epochs.rend(), [](const EpochRecord& e) { return e.best; });
  return best != epochs.rend() ? best->dev : epochs.back().dev;
}

std::vector<std::string> RunData::warnings() const {
  std::vector<std::string> texts;
  if (!unreadable_lines.empty()) {
    texts.push_back(fmt::format("{} of metrics.jsonl could not be read and {} left out.",
                                lines_text(unreadable_lines),
                                unreadable_lines.size() == 1 ? "is" : "are"));
  }
  if (unreadable_summary) {
    texts.push_back("summary.json is damaged (no JSON object) and is left out.");
  }
  if (unreadable_answers) {
    texts.push_back(
        "answers.json is damaged, or of another version of Detente, and is left out: what the "
        "model "
        "answered is not shown.");
  }
  if (unreadable_looks) {
    texts.push_back(
        "looks.json is damaged, or of another version of Detente, and is left out: what the "
        "network "
        "sees is not shown.");
  }
  return texts;
}

std::string lines_text(const std::vector<std::size_t>& lines) {
  constexpr std::size_t kNamed = 5;
  std::string text = lines.size() == 1 ? "line " : "lines ";
  for (std::size_t i = 0; i < lines.size() && i < kNamed; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(lines[i]);
  }
  if (lines.size() > kNamed) text += fmt::format(" and {} more", lines.size() - kNamed);
  return text;
}

RunData read_run(const std::filesystem::path& folder, RunParts parts) {
  DETENTE_CHECK(std::filesystem::is_directory(folder),
                ErrorCode::kIo,
                "[report::read_run] there is no run folder '{}'.",
                folder.string());
  demand_plain_files(folder);
  bool found = false;
  const std::string summary = text_of(folder / "summary.json", found);
  const std::string metrics = text_of(folder / "metrics.jsonl", found);
  std::string recipe = text_of(folder / "recipe.yaml", found);
  DETENTE_CHECK(found,
                ErrorCode::kData,
                "[report::read_run] '{}' holds none of summary.json, metrics.jsonl and "
                "recipe.yaml; expected the folder of a training run.",
                folder.string());
  const auto absolute = std::filesystem::absolute(folder).lexically_normal();
  const auto last = absolute.filename().empty() ? absolute.parent_path() : absolute;
  bool answered = false;
  bool looked = false;
  std::optional<std::string> answers;
  std::optional<std::string> looks;
  if (parts == RunParts::kAll) {
    answers = bounded_text(folder / "answers.json", answered);
    looks = bounded_text(folder / "looks.json", looked);
  }
  RunData run = parse_run(last.filename().string(),
                          summary,
                          metrics,
                          std::move(recipe),
                          parts,
                          answers.value_or(""),
                          looks.value_or(""));
  run.unreadable_answers = answered && !run.answers;
  run.unreadable_looks = looked && !run.looks;
  return run;
}

RunData parse_run(const std::string& folder,
                  std::string_view summary,
                  std::string_view metrics,
                  std::string recipe,
                  RunParts parts,
                  std::string_view answers,
                  std::string_view looks) {
  RunData run;
  run.folder = folder;
  run.recipe = std::move(recipe);
  take_summary(run, summary);
  take_answers(run, answers);
  take_looks(run, looks);
  MetricsReader reader(run);
  while (!metrics.empty()) {
    const std::size_t end = metrics.find('\n');
    const std::string_view line = metrics.substr(0, end);
    if (parts == RunParts::kEpochs && is_step_line(line)) {
      reader.skip();
    } else {
      reader.line(line);
    }
    if (end == std::string_view::npos) break;
    metrics.remove_prefix(end + 1);
  }
  reader.finish();
  collect_tasks(run);
  return run;
}

struct GrowingRun::Parts {
  RunParts wanted = RunParts::kAll;
  RunData run;
  MetricsReader reader{run};
};

GrowingRun::GrowingRun(std::string folder, RunParts parts) : parts_(std::make_unique<Parts>()) {
  parts_->wanted = parts;
  parts_->run.folder = std::move(folder);
}
GrowingRun::~GrowingRun() = default;

void GrowingRun::add_line(std::string_view line) {
  if (parts_->wanted == RunParts::kEpochs && is_step_line(line)) {
    parts_->reader.skip();
  } else {
    parts_->reader.line(line);
  }
}
void GrowingRun::set_summary(std::string_view text) { take_summary(parts_->run, text); }
void GrowingRun::set_recipe(std::string text) { parts_->run.recipe = std::move(text); }
void GrowingRun::set_answers(std::string_view text) { take_answers(parts_->run, text); }
void GrowingRun::set_looks(std::string_view text) { take_looks(parts_->run, text); }

const RunData& GrowingRun::data() {
  parts_->reader.finish();
  parts_->run.tasks.clear();
  collect_tasks(parts_->run);
  return parts_->run;
}

std::optional<BaselineMetric> baseline_of(std::string_view metric) {
  for (const auto& [prefix, of] : {std::pair<std::string_view, const char*>{"raw_", "raw inputs"},
                                   {"untrained_", "untrained network"}}) {
    if (metric.starts_with(prefix) && metric.size() > prefix.size()) {
      return BaselineMetric{of, std::string(metric.substr(prefix.size()))};
    }
  }
  return std::nullopt;
}

std::string metric_text(const std::string& metric) {
  const auto baseline = baseline_of(metric);
  return baseline ? baseline->metric + " of the " + baseline->of : metric;
}

bool lower_is_better(std::string_view metric) {
  if (const auto baseline = baseline_of(metric)) return lower_is_better(baseline->metric);
  for (const metrics::MetricInfo& info : metrics::registry()) {
    if (info.name == metric) return !info.higher_is_better;
  }
  // Logs may hold others.
  for (const char* word : {"mae", "mse", "loss", "err", "nll", "perplexity", "entropy", "brier"}) {
    if (metric.find(word) != std::string_view::npos) return true;
  }
  return false;
}

double finite_mean(const std::vector<double>& values) {
  double sum = 0;
  std::size_t count = 0;
  for (const double v : values) {
    if (!std::isfinite(v)) continue;
    sum += v;
    ++count;
  }
  return count == 0 ? kNoNumber : sum / static_cast<double>(count);
}

}  // namespace detente::report
