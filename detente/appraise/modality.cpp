// SPDX-License-Identifier: Apache-2.0
// modality: what each part of an example adds to what the trained model answers about it. The players are the
// parts of joined data; a part that does not play is taken away from the example (JoinedTrunk::take_away).
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/appraise/appraise.h>
#include <detente/appraise/row_losses.h>
#include <detente/core/error.h>
#include <detente/core/spread_rows.h>
#include <detente/data/joined_source.h>
#include <detente/data/picked_rows.h>
#include <detente/nn/joined_trunk.h>
#include <detente/tensor/device.h>
#include <detente/train/evaluate.h>
#include <detente/train/head_losses.h>
#include <detente/valuation/game.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::appraise {
namespace {

constexpr std::size_t kMostParts = 6;

const data::JoinedSource& parts_of(const Subject& subject) {
  const auto* joined = dynamic_cast<const data::JoinedSource*>(subject.corpus.train.get());
  const std::size_t parts = joined == nullptr ? 1 : joined->parts();
  DETENTE_CHECK(
      parts > 1,
      ErrorCode::kInvalidArgument,
      "[appraise] modality shares out what the parts of an example add, and an example of "
      "this run has one part ({}). Expected data.kind: joined with 2 to {} parts.",
      joined == nullptr ? fmt::format("data.kind: {}", subject.corpus.train->kind())
                        : fmt::format("'{}'", joined->part_names().front()),
      kMostParts);
  DETENTE_CHECK(
      parts <= kMostParts,
      ErrorCode::kInvalidArgument,
      "[appraise] modality tries all sets of the parts, 2 to the power of {} here; expected "
      "at most {} parts.",
      parts,
      kMostParts);
  return *joined;
}

// Rows of one source: their losses are outputs of the game, of those that have a target.
struct Rows {
  const data::Source& source;
  std::vector<data::RowList> batches;

  Rows(const data::Source& of, const std::vector<std::size_t>& rows, std::size_t batch)
      : source(of) {
    for (std::size_t begin = 0; begin < rows.size(); begin += batch) {
      const auto first = rows.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto end = std::min(rows.size(), begin + batch);
      batches.emplace_back(first, rows.begin() + static_cast<std::ptrdiff_t>(end));
    }
  }
};

class PartGame {
 public:
  PartGame(const Subject& subject, const data::JoinedSource& joined, std::size_t most_rows)
      : recipe_(subject.run.recipe),
        model_(subject.run.model->clone()),
        trunk_(dynamic_cast<nn::JoinedTrunk*>(&model_.trunk())),
        losses_(recipe_,
                *subject.corpus.train,
                model_,
                tensor::parse_device(recipe_.device),
                tensor::parse_dtype(recipe_.precision)),
        judging_(spread_rows(subject.corpus.dev->size(), most_rows)),
        dev_(*subject.corpus.dev, judging_) {
    DETENTE_CHECK(
        trunk_ != nullptr, ErrorCode::kInternal, "[appraise] joined data, another trunk.");
    DETENTE_CHECK(!recipe_.tasks.empty(),
                  ErrorCode::kInvalidArgument,
                  "[appraise] parts are judged by the tasks' losses, and the run has no task with "
                  "labels.");
    const auto batch =
        static_cast<std::size_t>(std::max<std::int64_t>(1, 4 * recipe_.loop.batches.batch_size));
    const auto all = spread_rows(joined.size(), joined.size());
    sets_.emplace_back(joined, all, batch);
    sets_.emplace_back(*subject.corpus.dev, judging_, batch);
    stand_ins_ = means(joined, sets_.front().batches);
  }

  std::size_t parts() const { return stand_ins_.size(); }
  // Without one the network has its own way.
  bool has_mean(std::size_t part) const { return stand_ins_[part].defined(); }

  // Minus the losses: of each set, task and row with a target, then each task's metric on the validation
  // rows, larger for better; 0 in place of an undefined one (undefined()).
  std::vector<double> operator()(std::span<const std::size_t> members) {
    trunk_->restore_parts();
    for (std::size_t p = 0; p < parts(); ++p) {
      if (std::find(members.begin(), members.end(), p) == members.end()) {
        trunk_->take_away(p, stand_ins_[p]);
      }
    }
    std::vector<double> outputs;
    const bool first = places_.empty();
    for (std::size_t s = 0; s < sets_.size(); ++s) {
      for (const data::RowList& rows : sets_[s].batches) {
        const auto losses = row_losses(losses_, model_, sets_[s].source, rows);
        for (std::size_t k = 0; k < losses.size(); ++k) {
          for (std::size_t i = 0; i < rows.size(); ++i) {
            const double loss = losses[k][i];
            if (std::isnan(loss)) continue;  // no target
            if (first) places_.push_back({s, k, rows[i]});
            outputs.push_back(-loss);
          }
        }
      }
    }
    for (const double score : metrics()) outputs.push_back(score);
    return outputs;
  }

  struct Place {
    std::size_t set = 0;  // 0: training rows, 1: validation rows
    std::size_t task = 0;
    std::size_t row = 0;
  };
  // Of the outputs that are losses; what follows are the tasks' metrics.
  const std::vector<Place>& places() const { return places_; }
  const std::vector<std::string>& metric_names() const { return metric_names_; }
  // Whether the task's metric is undefined without some of the parts.
  bool undefined(std::size_t task) const { return undefined_[task] != 0; }

 private:
  TensorList means(const data::JoinedSource& joined,
                   const std::vector<data::RowList>& batches) const {
    const at::NoGradGuard no_grad;
    struct Sum {
      at::Tensor value;
      std::int64_t rows = 0;
      at::TensorOptions type;
    };
    const std::vector<std::string> names = joined.part_names();
    std::vector<Sum> sums(names.size());
    const auto wanted = [this](std::size_t p) { return !trunk_->may_lack(p); };
    bool any = false;
    for (std::size_t p = 0; p < names.size(); ++p) any = any || wanted(p);
    // A batch makes the pictures and sounds of all parts.
    for (std::size_t b = 0; any && b < batches.size(); ++b) {
      const data::Batch batch = joined.batch(batches[b], nullptr);
      for (std::size_t p = 0; p < names.size(); ++p) {
        if (!wanted(p)) continue;
        const at::Tensor features =
            trunk_->part(p).features(data::JoinedSource::part_batch(names[p], batch));
        const at::Tensor own = features.to(at::kDouble).sum(0);
        Sum& sum = sums[p];
        sum.value = sum.value.defined() ? sum.value + own : own;
        sum.rows += features.size(0);
        sum.type = features.options();
      }
    }
    TensorList found(names.size());
    for (std::size_t p = 0; p < names.size(); ++p) {
      if (wanted(p))
        found[p] = (sums[p].value / static_cast<double>(sums[p].rows)).to(sums[p].type);
    }
    return found;
  }

  std::vector<double> metrics() {
    auto predictions = train::predict_rows(
        model_, dev_, train::prediction_batch(recipe_), train::wanted_probabilities(recipe_));
    train::check_finite(recipe_, predictions);
    const auto metrics = train::evaluate(recipe_, predictions, dev_);
    undefined_.resize(metrics.size());
    metric_names_.resize(metrics.size());
    std::vector<double> scores;
    for (std::size_t k = 0; k < metrics.size(); ++k) {
      const train::MetricValue& metric = metrics[k].front();
      metric_names_[k] = metric.name;
      const bool defined = std::isfinite(metric.value);
      if (!defined) undefined_[k] = 1;
      const bool higher =
          metrics::get_metric(metric.name, recipe_.tasks[k].head.kind).higher_is_better;
      scores.push_back(!defined ? 0.0 : higher ? metric.value : -metric.value);
    }
    return scores;
  }

  const train::Recipe& recipe_;
  nn::Model model_;
  nn::JoinedTrunk* trunk_;
  train::HeadLosses losses_;
  std::vector<std::size_t> judging_;
  data::PickedRows dev_;
  std::vector<Rows> sets_;
  TensorList stand_ins_;
  std::vector<Place> places_;
  std::vector<std::string> metric_names_;
  std::vector<char> undefined_;
};

// A part's values over validation rows.
struct Shares {
  std::vector<double> sum, squares;  // per part
  double none = 0, all = 0;
  std::size_t rows = 0;

  explicit Shares(std::size_t parts) : sum(parts), squares(parts) {}
  double mean(std::size_t part) const { return sum[part] / static_cast<double>(rows); }
  double standard_error(std::size_t part) const {
    const auto n = static_cast<double>(rows);
    if (rows < 2) return std::nan("");
    const double variance = (squares[part] - sum[part] * sum[part] / n) / (n - 1);
    return std::sqrt(std::max(variance, 0.0) / n);
  }
};

std::string parts_text(const std::vector<std::string>& names, const std::vector<double>& values) {
  std::string text;
  for (std::size_t p = 0; p < names.size(); ++p) {
    text += fmt::format("{}{} {:.3g}", p > 0 ? ", " : "", names[p], values[p]);
  }
  return text;
}

}  // namespace

Appraisal modality(const Subject& subject, const Options& options) {
  const data::JoinedSource& joined = parts_of(subject);
  const std::vector<std::string> names = joined.part_names();
  PartGame game(subject, joined, options.rows);
  const valuation::GameValues found = valuation::exact_values(
      names.size(),
      [&game](std::span<const std::size_t> members) { return game(members); },
      {},
      options.progress);
  const auto& tasks = subject.run.recipe.tasks;
  const std::size_t n = joined.size();
  Appraisal result{
      .table = {.method = "modality", .ids = valuation::all_ids(static_cast<std::int64_t>(n))}};
  for (const auto& task : tasks) {
    for (const std::string& part : names) {
      result.table.series.push_back(
          {valuation::kAll, task.name, part, std::vector<double>(n, std::nan(""))});
    }
  }
  if (found.stop == valuation::GameStop::kInterrupted) return result;
  std::vector<Shares> shares(tasks.size(), Shares(names.size()));
  std::vector<double> sums(tasks.size(), 0.0);
  std::vector<double> totals(tasks.size(), 0.0);
  double worst = 0;
  for (std::size_t o = 0; o < game.places().size(); ++o) {
    const PartGame::Place& place = game.places()[o];
    const std::vector<double>& values = found.outputs[o].values;
    const double total = found.all[o] - found.none[o];
    if (place.set == 1) {
      Shares& own = shares[place.task];
      for (std::size_t p = 0; p < values.size(); ++p) {
        own.sum[p] += values[p];
        own.squares[p] += values[p] * values[p];
      }
      own.none += found.none[o];
      own.all += found.all[o];
      ++own.rows;
      continue;
    }
    double sum = 0;
    double size = 0;
    for (std::size_t p = 0; p < values.size(); ++p) {
      result.table.series[place.task * names.size() + p].values[place.row] = values[p];
      sum += values[p];
      size += std::abs(values[p]);
    }
    sums[place.task] += sum;
    totals[place.task] += total;
    if (size > 0) worst = std::max(worst, std::abs(sum - total) / size);
  }
  Json audited = Json::object();
  Json judged = Json::object();
  for (std::size_t k = 0; k < tasks.size(); ++k) {
    audited[tasks[k].name] = Json{{"values", sums[k]}, {"total", totals[k]}};
    const Shares& own = shares[k];
    if (own.rows == 0) continue;
    const auto rows = static_cast<double>(own.rows);
    std::vector<double> means;
    Json each = Json::object();
    for (std::size_t p = 0; p < names.size(); ++p) {
      means.push_back(own.mean(p));
      each[names[p]] = Json{{"value", own.mean(p)}, {"stderr", json_number(own.standard_error(p))}};
    }
    Json entry{{"rows", own.rows},
               {"loss", {{"none", -own.none / rows}, {"all", -own.all / rows}, {"parts", each}}}};
    std::string text = fmt::format(
        "Task '{}' on {} validation rows: the loss is {:.3g} without any part and {:.3g} with all; "
        "it is "
        "lower by {}.",
        tasks[k].name,
        own.rows,
        -own.none / rows,
        -own.all / rows,
        parts_text(names, means));
    const std::size_t o = game.places().size() + k;
    const std::string& metric = game.metric_names()[k];
    if (game.undefined(k)) {
      text += fmt::format(" {} is undefined without some of the parts.", metric);
    } else {
      const std::vector<double>& values = found.outputs[o].values;
      Json own_metric = Json::object();
      for (std::size_t p = 0; p < names.size(); ++p) own_metric[names[p]] = values[p];
      entry["metric"] =
          Json{{"name", metric}, {"gain", found.all[o] - found.none[o]}, {"parts", own_metric}};
      text += fmt::format(" Of {} the parts make better: {} (together {:.3g}).",
                          metric,
                          parts_text(names, values),
                          found.all[o] - found.none[o]);
    }
    judged[tasks[k].name] = std::move(entry);
    result.notes.push_back(std::move(text));
  }
  result.audit = Json{{"max_relative_error", worst}, {"steps", 0}, {"tasks", std::move(audited)}};
  result.validation = std::move(judged);
  std::string own_way;
  std::string by_mean;
  for (std::size_t p = 0; p < names.size(); ++p) {
    std::string& list = game.has_mean(p) ? by_mean : own_way;
    list += (list.empty() ? "'" : ", '") + names[p] + "'";
  }
  if (!by_mean.empty()) {
    result.notes.push_back(fmt::format(
        "In place of a missing part stands the mean of its features over the training rows: {}.",
        by_mean));
  }
  if (!own_way.empty()) {
    result.notes.push_back(fmt::format(
        "The network knows examples without these parts; a missing one is missing as there: {}.",
        own_way));
  }
  result.notes.push_back(
      "A value here is what the part adds to the model's answer about the example that it belongs "
      "to: how "
      "much lower that example's own loss is because of it. It says nothing of other examples.");
  return result;
}

}  // namespace detente::appraise
