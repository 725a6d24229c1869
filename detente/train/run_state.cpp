// SPDX-License-Identifier: Apache-2.0
#include <detente/train/run_state.h>

#include <cmath>
#include <map>
#include <string>

namespace detente::train {

void RunState::count(const report::StepRecord& record) {
  for (std::size_t k = 0; k < record.losses.size(); ++k) {
    const double loss = record.losses[k].second;
    if (std::isnan(loss)) continue;
    loss_sums[k] += loss;
    loss_counts[k] += 1;
  }
  skipped_steps += record.skipped ? 1 : 0;
  if (!record.gradients) return;
  ++diagnosed_steps;
  conflict_steps += record.gradients->conflict.value_or(false) ? 1 : 0;
  for (const auto& [pair, cosine] : record.gradients->cosines) {
    if (!std::isfinite(cosine)) continue;
    cosine_sum += cosine;
    ++cosine_count;
  }
}

void RunState::count_epoch(const Json& metrics) {
  last_metrics.push_back(metrics);
  if (last_metrics.size() > kLastEpochs) last_metrics.erase(0);
}

Json RunState::last_epochs() const {
  struct Sum {
    double value = 0;
    double count = 0;
  };
  std::map<std::string, std::map<std::string, Sum>> sums;
  // In the order of the epochs' own tables; the last one leaves the mean of all.
  Json tasks = Json::object();
  for (const Json& epoch : last_metrics) {
    for (const auto& [task, metrics] : epoch.items()) {
      for (const auto& [metric, value] : metrics.items()) {
        Sum& sum = sums[task][metric];
        sum.value += value.is_number() ? value.get<double>() : std::nan("");
        sum.count += 1;
        tasks[task][metric] = json_number(sum.value / sum.count);
      }
    }
  }
  return {{"epochs", last_metrics.size()}, {"tasks", tasks}};
}

bool RunState::is_best(double value) const {
  if (best_epoch == 0) return true;
  if (std::isnan(value)) return false;
  return std::isnan(best_value) || value > best_value;
}

void RunState::begin_epoch(std::size_t tasks) {
  loss_sums.assign(tasks, 0.0);
  loss_counts.assign(tasks, 0.0);
  epoch_seconds = 0;
}

std::vector<double> RunState::train_losses() const {
  std::vector<double> means(loss_sums.size());
  for (std::size_t k = 0; k < means.size(); ++k) means[k] = loss_sums[k] / loss_counts[k];
  return means;
}

Json RunState::to_json() const {
  return Json{{"step", step},
              {"epoch", epoch},
              {"batch", batch},
              {"loss_sums", loss_sums},
              {"loss_counts", loss_counts},
              {"seconds", seconds},
              {"epoch_seconds", epoch_seconds},
              {"best_value", json_number(best_value)},
              {"best_epoch", best_epoch},
              {"best_metrics", best_metrics},
              {"last_metrics", last_metrics},
              {"diagnosed_steps", diagnosed_steps},
              {"conflict_steps", conflict_steps},
              {"cosine_sum", cosine_sum},
              {"cosine_count", cosine_count},
              {"skipped_steps", skipped_steps},
              {"optimizer_steps", optimizer_steps},
              {"method_state", method_state},
              {"engine_state", engine_state},
              {"notices", notices},
              {"log_bytes", log_bytes},
              {"train_digest", train_digest},
              {"dev_digest", dev_digest},
              {"finished", finished}};
}

RunState RunState::from_json(const Json& json) {
  RunState state;
  json.at("step").get_to(state.step);
  json.at("epoch").get_to(state.epoch);
  json.at("batch").get_to(state.batch);
  json.at("loss_sums").get_to(state.loss_sums);
  json.at("loss_counts").get_to(state.loss_counts);
  json.at("seconds").get_to(state.seconds);
  json.at("epoch_seconds").get_to(state.epoch_seconds);
  // JSON has no word for the undefined.
  if (!json.at("best_value").is_null()) json.at("best_value").get_to(state.best_value);
  json.at("best_epoch").get_to(state.best_epoch);
  state.best_metrics = json.at("best_metrics");
  // Snapshots from before the newest epochs were kept have none.
  state.last_metrics = json.value("last_metrics", Json::array());
  json.at("diagnosed_steps").get_to(state.diagnosed_steps);
  json.at("conflict_steps").get_to(state.conflict_steps);
  json.at("cosine_sum").get_to(state.cosine_sum);
  json.at("cosine_count").get_to(state.cosine_count);
  // Snapshots from before there were skipped steps do not count them.
  state.skipped_steps = json.value("skipped_steps", std::int64_t{0});
  state.optimizer_steps = json.value("optimizer_steps", state.step);
  state.method_state = json.at("method_state");
  state.engine_state = json.at("engine_state");
  if (json.contains("notices")) json.at("notices").get_to(state.notices);
  state.log_bytes = json.value("log_bytes", std::int64_t{-1});
  state.train_digest = json.value("train_digest", std::string());
  state.dev_digest = json.value("dev_digest", std::string());
  json.at("finished").get_to(state.finished);
  return state;
}

}  // namespace detente::train
