// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/report/run_data.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace detente::report {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double to_number(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  return value.is_number() ? value.get<double>() : kNaN;
}

double number_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? kNaN : to_number(*it);
}

std::vector<std::pair<std::string, double>> numbers_at(const Json& object, const char* key) {
  std::vector<std::pair<std::string, double>> out;
  const auto it = object.find(key);
  if (it == object.end() || !it->is_object()) return out;
  for (const auto& [name, value] : it->items()) out.emplace_back(name, to_number(value));
  return out;
}

std::vector<std::pair<std::string, std::vector<std::pair<std::string, double>>>> tables_at(
    const Json& object, const char* key) {
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, double>>>> out;
  const auto it = object.find(key);
  if (it == object.end() || !it->is_object()) return out;
  for (const auto& [name, table] : it->items()) {
    if (table.is_object()) out.emplace_back(name, numbers_at(*it, name.c_str()));
  }
  return out;
}

// Fills Curves by name without searching the list for every value of every step.
class CurveBuilder {
 public:
  explicit CurveBuilder(Curves& curves) : curves_(curves) {}

  void add(const Json& step, const char* key, std::size_t row) {
    const auto it = step.find(key);
    if (it == step.end() || !it->is_object()) return;
    for (const auto& [name, value] : it->items()) add_value(name, to_number(value), row);
  }
  void add_value(const std::string& name, double value, std::size_t row) {
    const auto [at, fresh] = index_.try_emplace(name, curves_.names.size());
    if (fresh) {
      curves_.names.push_back(name);
      curves_.values.emplace_back();
    }
    auto& column = curves_.values[at->second];
    column.resize(row, kNaN);
    column.push_back(value);
  }

  void cut(std::size_t rows) {
    for (auto& column : curves_.values) column.resize(std::min(column.size(), rows));
  }
  void fill(std::size_t rows) {
    for (auto& column : curves_.values) column.resize(rows, kNaN);
  }

 private:
  Curves& curves_;
  std::unordered_map<std::string, std::size_t> index_;
};

constexpr std::array kStepKeys = {"losses", "weights", "grad_norms", "cosines", "ms"};
constexpr std::array kTriadKeys = {"dominated", "curved", "large_step"};

class MetricsReader {
 public:
  explicit MetricsReader(RunData& run) : run_(run) {
    for (Curves* curves :
         {&run.losses, &run.weights, &run.grad_norms, &run.cosines, &run.milliseconds}) {
      step_.push_back(builder(*curves));
    }
    for (Curves* curves : {&run.dominated, &run.curved, &run.large_step}) {
      triad_.push_back(builder(*curves));
    }
    xi_ = builder(run.xi);
    curvature_ = builder(run.curvature);
  }

  void line(std::string_view text) {
    if (text.find_first_not_of(" \t\r") == std::string_view::npos) return;
    const Json record = Json::parse(text, nullptr, false);
    if (!record.is_object()) {
      ++run_.unreadable_lines;
      return;
    }
    const auto type = record.find("type");
    const std::string kind =
        type != record.end() && type->is_string() ? type->get<std::string>() : "";
    if (kind == "step") {
      step(record);
    } else if (kind == "epoch") {
      epoch(record);
    }
  }

  void finish() {
    for (auto& builder : builders_) builder.fill(run_.steps.size());
  }

 private:
  struct Group {
    CurveBuilder* grad_norms;
    CurveBuilder* cosines;
  };

  CurveBuilder* builder(Curves& curves) { return &builders_.emplace_back(curves); }

  void step(const Json& record) {
    const double number = number_at(record, "step");
    if (!std::isfinite(number)) {
      ++run_.unreadable_lines;
      return;
    }
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
    run_.loss.push_back(number_at(record, "loss"));
    run_.learning_rate.push_back(number_at(record, "lr"));
    run_.direction_norm.push_back(number_at(record, "direction_norm"));
    run_.conflict.push_back(number_at(record, "conflict"));
    for (std::size_t i = 0; i < step_.size(); ++i) step_[i]->add(record, kStepKeys[i], row);
    const auto diagnosis = record.find("diagnosis");
    if (diagnosis != record.end() && diagnosis->is_object()) diagnose(*diagnosis, row);
  }

  void diagnose(const Json& diagnosis, std::size_t row) {
    xi_->add(diagnosis, "xi", row);
    curvature_->add(diagnosis, "curvature", row);
    if (const auto triad = diagnosis.find("triad");
        triad != diagnosis.end() && triad->is_object()) {
      for (const auto& [pair, conditions] : triad->items()) {
        if (!conditions.is_object()) continue;
        for (std::size_t i = 0; i < triad_.size(); ++i) {
          triad_[i]->add_value(pair, number_at(conditions, kTriadKeys[i]), row);
        }
      }
    }
    const auto groups = diagnosis.find("groups");
    if (groups == diagnosis.end() || !groups->is_object()) return;
    for (const auto& [name, values] : groups->items()) {
      if (!values.is_object()) continue;
      auto known = groups_.find(name);
      if (known == groups_.end()) {
        GroupCurves& curves = run_.groups.emplace_back();
        curves.name = name;
        known =
            groups_.emplace(name, Group{builder(curves.grad_norms), builder(curves.cosines)}).first;
      }
      known->second.grad_norms->add(values, "grad_norms", row);
      known->second.cosines->add(values, "cosines", row);
    }
  }

  void epoch(const Json& record) {
    EpochRecord epoch;
    epoch.epoch = number_at(record, "epoch");
    epoch.step = number_at(record, "step");
    if (!std::isfinite(epoch.epoch)) {
      ++run_.unreadable_lines;
      return;
    }
    epoch.train_losses = numbers_at(record, "train_losses");
    epoch.dev = tables_at(record, "dev");
    epoch.seconds = number_at(record, "seconds");
    epoch.examples_per_second = number_at(record, "examples_per_second");
    epoch.best = number_at(record, "best") == 1;
    while (!run_.epochs.empty() && run_.epochs.back().epoch >= epoch.epoch) run_.epochs.pop_back();
    run_.epochs.push_back(std::move(epoch));
  }

  RunData& run_;
  std::deque<CurveBuilder> builders_;  // all; the places of the others stay
  std::vector<CurveBuilder*> step_;
  std::vector<CurveBuilder*> triad_;
  CurveBuilder* xi_ = nullptr;
  CurveBuilder* curvature_ = nullptr;
  std::unordered_map<std::string, Group> groups_;
};

void collect_tasks(RunData& run) {
  const auto add = [&](const std::string& name) {
    if (std::find(run.tasks.begin(), run.tasks.end(), name) == run.tasks.end()) {
      run.tasks.push_back(name);
    }
  };
  for (const auto& [task, metrics] : run.results()) add(task);
  for (const auto& name : run.losses.names) add(name);
}

std::string text_of(const std::filesystem::path& path, bool& found) {
  if (!std::filesystem::exists(path)) return "";
  found = true;
  return read_file(path);
}

}  // namespace

const std::vector<double>* Curves::find(std::string_view name) const {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return &values[i];
  }
  return nullptr;
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

std::vector<std::pair<std::string, std::vector<std::pair<std::string, double>>>> RunData::results()
    const {
  auto told = tables_at(summary, "tasks");
  if (!told.empty() || epochs.empty()) return told;
  const auto best =
      std::find_if(epochs.rbegin(), epochs.rend(), [](const EpochRecord& e) { return e.best; });
  return best != epochs.rend() ? best->dev : epochs.back().dev;
}

RunData read_run(const std::filesystem::path& folder) {
  DETENTE_CHECK(std::filesystem::is_directory(folder),
                ErrorCode::kIo,
                "[report::read_run] there is no run folder '{}'.",
                folder.string());
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
  return parse_run(last.filename().string(), summary, metrics, std::move(recipe));
}

RunData parse_run(const std::string& folder,
                  std::string_view summary,
                  std::string_view metrics,
                  std::string recipe) {
  RunData run;
  run.folder = folder;
  run.recipe = std::move(recipe);
  Json parsed = Json::parse(summary, nullptr, false);
  if (parsed.is_object()) run.summary = std::move(parsed);
  MetricsReader reader(run);
  while (!metrics.empty()) {
    const std::size_t end = metrics.find('\n');
    reader.line(metrics.substr(0, end));
    if (end == std::string_view::npos) break;
    metrics.remove_prefix(end + 1);
  }
  reader.finish();
  collect_tasks(run);
  return run;
}

bool lower_is_better(std::string_view metric) {
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
  return count == 0 ? kNaN : sum / static_cast<double>(count);
}

}  // namespace detente::report
