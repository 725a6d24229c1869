// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/image_layers.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/group.h>
#include <detente/train/corpus.h>
#include <detente/train/granularity.h>
#include <detente/train/in_run_values.h>
#include <detente/train/layer_groups.h>
#include <detente/train/next_move.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace detente::train {
namespace {

constexpr double kOpen = 1e-3;  // an audit that does not close

enum Line { kValues, kMomentum, kDecay, kNotFollowed, kTotal, kLines };

double inner_product(const at::Tensor& a, const at::Tensor& b) {
  return at::mul(a, b).sum(at::kDouble).item<double>();
}

at::Tensor zeros(at::IntArrayRef sizes) { return at::zeros(sizes, at::TensorOptions(at::kDouble)); }

// The part of joined data whose network a parameter is of ("parts.<name>." of the joined trunk); what joins
// them and the heads are everybody's.
std::string part_of_data(const std::string& parameter) {
  constexpr std::string_view kPrefix = "parts.";
  if (!parameter.starts_with(kPrefix)) return "joint";
  return parameter.substr(kPrefix.size(), parameter.find('.', kPrefix.size()) - kPrefix.size());
}

// What values are told apart by within the network.
LayerGroups blocks_of(ValuationRecipe::Groups groups, const std::vector<std::string>& parameters) {
  using Groups = ValuationRecipe::Groups;
  LayerGroups blocks;
  if (groups == Groups::kLayers) blocks = layer_groups(parameters);
  if (groups == Groups::kParts) {
    for (const std::string& parameter : parameters) {
      const std::string part = part_of_data(parameter);
      const auto place = std::find(blocks.names.begin(), blocks.names.end(), part);
      blocks.group_of.push_back(static_cast<int>(place - blocks.names.begin()));
      if (place == blocks.names.end()) blocks.names.push_back(part);
    }
  }
  if (blocks.names.size() > 1) return blocks;
  return {{valuation::kAll}, std::vector<int>(parameters.size(), 0)};
}

}  // namespace

InRunValues::InRunValues(const LossContext& context,
                         const LossSource& losses,
                         const NamedTensors& shared)
    : context_(context),
      recipe_(context.recipe),
      judge_(context, static_cast<std::size_t>(context.recipe.valuation.rows)),
      trained_(losses.tasks()) {
  DETENTE_CHECK(context.corpus.train->origin_names().empty(),
                ErrorCode::kUnsupported,
                "[train::InRunValues] valuation.method in_run does not yet know data of several "
                "sources (data.sources), whose heads see different rows.");
  DETENTE_CHECK(recipe_.parallel.zero == 0,
                ErrorCode::kUnsupported,
                "[train::InRunValues] valuation.method in_run needs the optimiser's whole state in "
                "every process; leave parallel.zero at 0.");
  judged_ = judge_.tasks();
  read_parameters(losses, shared);
  heads_weighted_ = recipe_.engine.heads_weighted(recipe_.balance->method_class());
  const auto n = static_cast<std::int64_t>(context.corpus.train->size());
  const auto series = static_cast<std::int64_t>(trained_.size() * judged_.size() * blocks_.size());
  values_ = zeros({n, series});
  squares_ = zeros({n, series});
  counts_ = zeros({n});
  lines_ = zeros({static_cast<std::int64_t>(judged_.size()), kLines});
}

void InRunValues::read_parameters(const LossSource& losses, const NamedTensors& shared) {
  std::vector<Group> groups;  // per parameter
  for (const auto& [name, tensor] : shared) {
    names_.push_back(name);
    parameters_.push_back(tensor);
    groups.emplace_back();
  }
  if (recipe_.granularity.by_group()) {
    const LayerGroups by_method = parameter_groups(recipe_.granularity, names_);
    for (std::size_t p = 0; p < groups.size(); ++p) groups[p].weights = by_method.group_of[p];
  }
  for (std::size_t k = 0; k < trained_.size(); ++k) {
    for (const auto& [name, tensor] : losses.own_parameters(k)) {
      names_.push_back(name);
      parameters_.push_back(tensor);
      groups.push_back({.own = static_cast<int>(k)});
    }
  }
  LayerGroups blocks = blocks_of(recipe_.valuation.groups, names_);
  blocks_ = std::move(blocks.names);
  for (std::size_t p = 0; p < groups.size(); ++p) {
    groups[p].block = blocks.group_of[p];
    const auto place = std::find(groups_.begin(), groups_.end(), groups[p]);
    group_of_.push_back(static_cast<int>(place - groups_.begin()));
    if (place == groups_.end()) groups_.push_back(groups[p]);
  }
}

std::size_t InRunValues::series_of(std::size_t loss, std::size_t judged, std::size_t block) const {
  return (loss * judged_.size() + judged) * blocks_.size() + block;
}

void InRunValues::on_begin(std::int64_t step, const data::RowList& batch) {
  parts_.clear();
  batch_ = batch;
  const bool fresh = recipe_.valuation.order == 2 || gradients_.empty();
  if (fresh || step % recipe_.valuation.every == 0) gradients_ = judge_.gradients(parameters_);
}

void InRunValues::on_losses(const data::RowList& rows, const TaskLosses& losses) {
  if (rows.empty()) return;
  Part part{rows, losses.rows, autograd::ExampleParts(losses.predictions, parameters_)};
  DETENTE_CHECK(part.examples.examples() == static_cast<std::int64_t>(rows.size()),
                ErrorCode::kUnsupported,
                "[train::InRunValues] the model's predictions are of {} examples for {} rows; "
                "valuation.method in_run needs one for each.",
                part.examples.examples(),
                rows.size());
  for (const auto& loss : losses.values) part.examples.add(loss);
  parts_.push_back(std::move(part));
}

void InRunValues::tell_unfollowed(const std::string& why) {
  std::string names;
  std::int64_t count = 0;
  const auto& followed = parts_.back().examples.followed();
  for (std::size_t p = 0; p < followed.size(); ++p) {
    if (followed[p]) continue;
    if (++count <= 3) names += (count > 1 ? ", " : "") + names_[p];
  }
  messages_.push_back(
      fmt::format("notice: the gradients of {} of {} parameter tensors cannot be told apart by "
                  "examples ({}{}); what they do is in the audit's line of its own and in no "
                  "example's value. The reason: {}",
                  count,
                  followed.size(),
                  names,
                  count > 3 ? ", ..." : "",
                  why));
}

std::vector<std::vector<at::Tensor>> InRunValues::products(
    const std::vector<TensorList>& directions, const std::function<void(const EachPart&)>& again) {
  const auto groups = static_cast<std::int64_t>(groups_.size());
  std::vector<std::vector<at::Tensor>> all;
  bool others = false;
  for (const Part& part : parts_) {
    all.emplace_back();
    for (const TensorList& direction : directions) {
      all.back().push_back(part.examples.products(direction, group_of_, groups));
    }
    const auto& followed = part.examples.followed();
    others |= std::find(followed.begin(), followed.end(), false) != followed.end();
  }
  if (!others || !others_) return all;
  // A forward pass moves running statistics, which have had this batch.
  const TensorList statistics = nn::running_statistics(context_.model.state());
  TensorList before;
  for (const auto& one : statistics) before.push_back(one.clone());
  try {
    const at::AutoGradMode grad(true);
    std::size_t place = 0;
    again([&](const TaskLosses& losses) {
      if (place == parts_.size()) return;  // a process without rows
      const auto more =
          parts_[place].examples.other_products(losses.predictions, directions, group_of_, groups);
      for (std::size_t j = 0; j < more.size(); ++j) all[place][j] += more[j];
      ++place;
    });
  } catch (const c10::Error& error) {
    others_ = false;
    tell_unfollowed(error.what_without_backtrace());
  }
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < statistics.size(); ++i) statistics[i].copy_(before[i]);
  return all;
}

double InRunValues::coefficient(const engine::StepReport& report,
                                std::size_t loss,
                                const Group& group) const {
  if (group.own >= 0) {
    if (group.own != static_cast<int>(loss)) return 0;
    return report.clip_factor * (heads_weighted_ ? report.weights[loss] : 1.0);
  }
  const auto& weights = report.group_weights.empty()
                            ? report.weights
                            : report.group_weights[static_cast<std::size_t>(group.weights)];
  return report.clip_factor * weights[loss];
}

void InRunValues::on_gradients(const engine::StepReport& report,
                               const AdamW& optimizer,
                               double factor,
                               double weight_decay,
                               const std::function<void(const EachPart&)>& again) {
  const at::NoGradGuard no_grad;
  std::vector<NextMove> moves;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    moves.push_back(optimizer.next_move(p, factor, weight_decay));
  }
  const std::vector<TensorList> judged =
      recipe_.valuation.order == 1 ? gradients_ : bent_gradients(moves);
  std::vector<TensorList> directions(judged_.size(), TensorList(parameters_.size()));
  for (std::size_t j = 0; j < judged_.size(); ++j) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (judged[j][p].defined() && moves[p].factor.defined()) {
        directions[j][p] = judged[j][p] * moves[p].factor;
      }
    }
  }
  const StepValues step = values_of(report, products(directions, again));
  const at::Tensor rows =
      torch::tensor(std::vector<std::int64_t>(batch_.begin(), batch_.end()), torch::kInt64);
  values_.index_add_(0, rows, step.values);
  squares_.index_add_(0, rows, step.values.square());
  counts_.index_add_(0, rows, torch::ones({rows.size(0)}, torch::kFloat64));
  account(moves, judged, directions, step);
  ++steps_;
  parts_.clear();
}

// v − ½ H Δ.
std::vector<TensorList> InRunValues::bent_gradients(const std::vector<NextMove>& moves) const {
  TensorList whole(parameters_.size());  // Δ
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (!moves[p].factor.defined()) continue;
    whole[p] = moves[p].factor * moves[p].gradient + moves[p].past +
               moves[p].decay * parameters_[p].detach();
  }
  std::vector<TensorList> bent;
  {
    const at::AutoGradMode grad(true);
    bent = judge_.gradients(parameters_, &whole);
  }
  for (std::size_t j = 0; j < bent.size(); ++j) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      const at::Tensor& v = gradients_[j][p];
      bent[j][p] = v.defined() && bent[j][p].defined() ? v - 0.5 * bent[j][p] : v;
    }
  }
  return bent;
}

InRunValues::StepValues InRunValues::values_of(
    const engine::StepReport& report, const std::vector<std::vector<at::Tensor>>& products) const {
  const std::size_t losses = trained_.size();
  // Rows of each loss over all parts and processes.
  std::vector<double> rows(losses, 0.0);
  for (const Part& part : parts_) {
    for (std::size_t k = 0; k < losses; ++k) rows[k] += part.shares[k];
  }
  context_.group->sum(rows);
  std::unordered_map<std::size_t, std::int64_t> place_of;
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    place_of[batch_[i]] = static_cast<std::int64_t>(i);
  }
  StepValues step{zeros({static_cast<std::int64_t>(batch_.size()), values_.size(1)}),
                  std::vector<double>(judged_.size(), 0.0),
                  std::vector<double>(judged_.size(), 0.0)};
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    std::vector<std::int64_t> own;
    for (const std::size_t row : parts_[part].rows) own.push_back(place_of.at(row));
    const at::Tensor places = torch::tensor(own, torch::kInt64);
    for (std::size_t j = 0; j < judged_.size(); ++j) {
      for (std::size_t k = 0; k < losses; ++k) {
        const double share = parts_[part].shares[k];
        if (rows[k] <= 0 || share <= 0) continue;
        const at::Tensor of_loss = products[part][j][static_cast<std::int64_t>(k)];
        for (std::size_t g = 0; g < groups_.size(); ++g) {
          const double c = coefficient(report, k, groups_[g]) * share / rows[k];
          if (c == 0) continue;
          const at::Tensor values = of_loss.select(1, static_cast<std::int64_t>(g)) * c;
          const auto block = static_cast<std::size_t>(groups_[g].block);
          step.values.select(1, static_cast<std::int64_t>(series_of(k, j, block)))
              .index_add_(0, places, values);
          step.sums[j] += values.sum().item<double>();
          step.sizes[j] += values.abs().sum().item<double>();
        }
      }
    }
  }
  // What other processes' rows did: the table is everybody's.
  context_.group->sum(step.values);
  context_.group->sum(step.sums);
  context_.group->sum(step.sizes);
  return step;
}

void InRunValues::account(const std::vector<NextMove>& moves,
                          const std::vector<TensorList>& judged,
                          const std::vector<TensorList>& directions,
                          const StepValues& step) {
  // A process without rows here has not seen which are; its error is then too large.
  const std::vector<bool> followed = others_ || parts_.empty()
                                         ? std::vector<bool>(parameters_.size(), true)
                                         : parts_[0].examples.followed();
  for (std::size_t j = 0; j < judged_.size(); ++j) {
    double expected = 0;
    double line[kLines] = {};
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (!directions[j][p].defined()) continue;
      const at::Tensor& v = judged[j][p];
      const double present = inner_product(directions[j][p], moves[p].gradient);
      (followed[p] ? expected : line[kNotFollowed]) += present;
      line[kMomentum] += inner_product(moves[p].past, v);
      if (moves[p].decay != 0) {
        line[kDecay] += moves[p].decay * inner_product(parameters_[p].detach(), v);
      }
    }
    line[kValues] = step.sums[j];
    line[kTotal] = expected + line[kNotFollowed] + line[kMomentum] + line[kDecay];
    for (int l = 0; l < kLines; ++l) lines_[static_cast<std::int64_t>(j)][l] += line[l];
    const double size = step.sizes[j];
    const double error = size > 0 ? std::abs(step.sums[j] - expected) / size : 0.0;
    if (error > kOpen && worst_ <= kOpen) {
      messages_.push_back(fmt::format(
          "warning: the values of step {} do not add up to what the step does ({:.1e} of "
          "them is missing): method '{}' makes its direction of more than this step's "
          "gradients with a weight for each. Values are then those of its weights.",
          steps_ + 1,
          error,
          recipe_.method));
    }
    worst_ = std::max(worst_, error);
  }
}

valuation::ValueTable InRunValues::table() const {
  const std::int64_t n = values_.size(0);
  valuation::ValueTable table{.method = "in_run", .ids = valuation::all_ids(n)};
  const double* value = values_.data_ptr<double>();
  const double* square = squares_.data_ptr<double>();
  const double* count = counts_.data_ptr<double>();
  const std::int64_t all = values_.size(1);
  for (std::size_t k = 0; k < trained_.size(); ++k) {
    for (std::size_t j = 0; j < judged_.size(); ++j) {
      for (std::size_t b = 0; b < blocks_.size(); ++b) {
        valuation::ValueSeries series{trained_[k], recipe_.tasks[judged_[j]].name, blocks_[b]};
        const auto s = static_cast<std::int64_t>(series_of(k, j, b));
        for (std::int64_t i = 0; i < n; ++i) {
          const double x = value[i * all + s];
          const double c = count[i];
          series.values.push_back(c > 0 ? x : std::nan(""));
          // c single terms of mean x/c.
          const double spread = std::max(0.0, square[i * all + s] - x * x / std::max(c, 1.0));
          series.standard_errors.push_back(c > 1 ? std::sqrt(spread * c / (c - 1)) : std::nan(""));
          series.counts.push_back(static_cast<std::int64_t>(c));
        }
        table.series.push_back(std::move(series));
      }
    }
  }
  return table;
}

Json InRunValues::audit() const {
  Json tasks = Json::object();
  for (std::size_t j = 0; j < judged_.size(); ++j) {
    const at::Tensor row = lines_[static_cast<std::int64_t>(j)];
    const auto at = [&](Line line) { return json_number(row[line].item<double>()); };
    tasks[recipe_.tasks[judged_[j]].name] = {{"values", at(kValues)},
                                             {"momentum", at(kMomentum)},
                                             {"weight_decay", at(kDecay)},
                                             {"not_followed", at(kNotFollowed)},
                                             {"total", at(kTotal)}};
  }
  return {{"max_relative_error", json_number(worst_)}, {"steps", steps_}, {"tasks", tasks}};
}

std::vector<std::string> InRunValues::messages() { return std::exchange(messages_, {}); }

NamedTensors InRunValues::state() const {
  NamedTensors all = {
      {"values", values_},
      {"squares", squares_},
      {"counts", counts_},
      {"lines", lines_},
      {"audit", torch::tensor({worst_, static_cast<double>(steps_)}, torch::kFloat64)}};
  for (std::size_t j = 0; j < gradients_.size(); ++j) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (!gradients_[j][p].defined()) continue;
      all.emplace_back(fmt::format("judged.{}.{}", j, names_[p]), gradients_[j][p]);
    }
  }
  return all;
}

void InRunValues::load_state(const NamedTensors& state) {
  const at::NoGradGuard no_grad;
  const auto copy = [&](const char* name, at::Tensor& to) {
    for (const auto& [key, tensor] : state) {
      if (key != name) continue;
      DETENTE_CHECK(tensor.sizes() == to.sizes(),
                    ErrorCode::kData,
                    "[train::InRunValues] the snapshot's values are of another run ({} numbers in "
                    "'{}'; expected {}).",
                    tensor.numel(),
                    name,
                    to.numel());
      to.copy_(tensor);
      return;
    }
    fail(ErrorCode::kData,
         "[train::InRunValues] the snapshot has no values of examples: the run was started without "
         "valuation.method in_run.");
  };
  copy("values", values_);
  copy("squares", squares_);
  copy("counts", counts_);
  copy("lines", lines_);
  at::Tensor audit = zeros({2});
  copy("audit", audit);
  worst_ = audit[0].item<double>();
  steps_ = static_cast<std::int64_t>(audit[1].item<double>());
  gradients_.assign(judged_.size(), TensorList(parameters_.size()));
  for (std::size_t j = 0; j < judged_.size(); ++j) {
    const NamedTensors own = nn::without_prefix(state, fmt::format("judged.{}.", j));
    for (const auto& [name, tensor] : own) {
      const auto place = std::find(names_.begin(), names_.end(), name);
      if (place == names_.end()) continue;
      const auto p = static_cast<std::size_t>(place - names_.begin());
      gradients_[j][p] = tensor.to(parameters_[p].options().requires_grad(false)).clone();
    }
  }
}

}  // namespace detente::train
