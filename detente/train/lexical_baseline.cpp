// SPDX-License-Identifier: Apache-2.0
#include <detente/data/table.h>
#include <detente/metrics/metrics.h>
#include <detente/train/lexical_baseline.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

namespace detente::train {
namespace {

struct OverlapRows {
  std::vector<double> overlap;
  std::vector<std::vector<double>> targets;  // per task, NaN where missing
};

// Targets 1 where at least `threshold`; missing stays missing.
std::vector<double> overlap_at_least(std::vector<double> values, double threshold) {
  for (double& value : values) {
    if (!std::isnan(value)) value = value >= threshold ? 1.0 : 0.0;
  }
  return values;
}

OverlapRows read_overlap_rows(const Recipe& recipe,
                              const std::string& path,
                              const PairScore& score) {
  const data::Table table = data::Table::read(path, recipe.data.format);
  OverlapRows rows;
  const auto a = table.text_column(recipe.data.text_a);
  const auto b = table.text_column(recipe.data.text_b);
  for (std::size_t i = 0; i < table.rows(); ++i) {
    rows.overlap.push_back(score(a[i], b[i]));
  }
  for (const TaskRecipe& task : recipe.tasks) {
    if (task.head.kind == TaskKind::kClasses) {
      rows.targets.emplace_back();
      continue;
    }
    std::vector<double> values = table.numeric_column(task.column);
    const auto threshold = task.target().threshold;
    rows.targets.push_back(threshold ? overlap_at_least(std::move(values), *threshold)
                                     : std::move(values));
  }
  return rows;
}

// One pass over the rows from the largest overlap down: F1 = 2 TP / (predicted + positives).
double best_f1_threshold(const std::vector<double>& overlap, const std::vector<double>& targets) {
  std::vector<std::pair<double, double>> rows;
  double positives = 0;
  for (std::size_t i = 0; i < overlap.size(); ++i) {
    if (std::isnan(targets[i])) continue;
    rows.emplace_back(overlap[i], targets[i]);
    positives += targets[i];
  }
  std::sort(rows.begin(), rows.end(), std::greater<>());
  double best = 0;
  double threshold = 0;
  double hits = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    hits += rows[i].second;
    const bool last_of_value = i + 1 == rows.size() || rows[i + 1].first != rows[i].first;
    const double f1 = 2 * hits / (static_cast<double>(i + 1) + positives);
    if (last_of_value && f1 > best) {
      best = f1;
      threshold = rows[i].first;
    }
  }
  return threshold;
}

}  // namespace

PairScore overlap_score() {
  return [](std::string_view a, std::string_view b) { return text::bigram_jaccard(a, b); };
}

PairScore tfidf_score(const text::Tokenizer& tokenizer, const text::IdfTable& idf) {
  return [&](std::string_view a, std::string_view b) {
    return idf.cosine(tokenizer.encode(a), tokenizer.encode(b));
  };
}

Json lexical_baseline(const Recipe& recipe, const PairScore& score) {
  if (recipe.data.text_b.empty()) return nullptr;
  const OverlapRows train = read_overlap_rows(recipe, recipe.data.train, score);
  const OverlapRows dev = read_overlap_rows(recipe, recipe.data.dev, score);
  Json tasks = Json::object();
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    const TaskRecipe& task = recipe.tasks[k];
    Json values = Json::object();
    const auto add_binary = [&](const std::vector<double>& train_targets,
                                const std::vector<double>& dev_targets,
                                bool accuracy) {
      const double threshold = best_f1_threshold(train.overlap, train_targets);
      if (accuracy) {
        values["accuracy"] =
            json_number(metrics::binary_accuracy(dev.overlap, dev_targets, threshold).value);
      }
      values["f1"] = json_number(metrics::f1(dev.overlap, dev_targets, threshold).value);
    };
    if (task.head.kind == TaskKind::kRegression) {
      values["pearson"] = json_number(metrics::pearson(dev.overlap, dev.targets[k]).value);
      values["spearman"] = json_number(metrics::spearman(dev.overlap, dev.targets[k]).value);
      if (const auto threshold = task.positive_threshold()) {
        add_binary(overlap_at_least(train.targets[k], *threshold),
                   overlap_at_least(dev.targets[k], *threshold),
                   false);
      }
    } else if (task.head.kind == TaskKind::kBinary) {
      add_binary(train.targets[k], dev.targets[k], true);
    } else {
      continue;
    }
    tasks[task.name] = std::move(values);
  }
  return tasks;
}

}  // namespace detente::train
