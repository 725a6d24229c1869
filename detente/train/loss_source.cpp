// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/parameters.h>
#include <detente/train/loss_source.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>

namespace detente::train {
namespace {

// Far from the small numbers by which a source may fork for itself.
constexpr std::uint64_t kFirstSourceStream = std::uint64_t{1} << 32;

std::string source_prefix(std::size_t i) { return std::to_string(i) + "."; }

template <class List>
void append(List& list, List more) {
  std::move(more.begin(), more.end(), std::back_inserter(list));
}

}  // namespace

NamedTensors LossSource::own_parameters(std::size_t /*task*/) const { return {}; }

NamedTensors LossSource::shared_parameters() const { return {}; }

report::NamedNumbers LossSource::numbers() const { return {}; }

std::vector<std::string> LossSource::messages() { return {}; }

std::optional<NamedTensors> LossSource::kept_model() const { return std::nullopt; }

NamedTensors LossSource::state() const { return {}; }

void LossSource::load_state(const NamedTensors& state) {
  DETENTE_CHECK(state.empty(),
                ErrorCode::kData,
                "[train::load_state] the snapshot has a state ('{}', ...) for losses that keep "
                "none; it was written by a run with other losses.",
                state.front().first);
}

JoinedLosses::JoinedLosses(std::vector<std::unique_ptr<LossSource>> sources)
    : sources_(std::move(sources)) {
  std::set<std::string> names;
  std::set<std::string> parameters;
  const auto take_name = [&](const std::string& name) {
    DETENTE_CHECK(parameters.insert(name).second,
                  ErrorCode::kInvalidArgument,
                  "[train::losses] two own parameters are named '{}'. Give one of them another "
                  "name.",
                  name);
  };
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    for (const auto& [name, tensor] : sources_[i]->shared_parameters()) take_name(name);
    const auto own = sources_[i]->tasks();
    for (std::size_t k = 0; k < own.size(); ++k) {
      DETENTE_CHECK(!own[k].empty() && own[k].find_first_of(".|/ \t\n") == std::string::npos,
                    ErrorCode::kInvalidArgument,
                    "[train::losses] a loss is named '{}'; expected letters, digits, '_' and '-': "
                    "names go into file keys.",
                    own[k]);
      DETENTE_CHECK(names.insert(own[k]).second,
                    ErrorCode::kInvalidArgument,
                    "[train::losses] two losses are named '{}'. Give one of them another name.",
                    own[k]);
      for (const auto& [name, tensor] : sources_[i]->own_parameters(k)) take_name(name);
      tasks_.push_back(own[k]);
      places_.emplace_back(i, k);
    }
  }
}

NamedTensors JoinedLosses::own_parameters(std::size_t task) const {
  const auto [source, index] = places_[task];
  return sources_[source]->own_parameters(index);
}

TaskLosses JoinedLosses::operator()(const data::RowList& rows, const StepDraws& draws) {
  TaskLosses all;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    StepDraws own = draws;
    if (i > 0) {
      own.rng = draws.rng.fork(kFirstSourceStream + i);
      own.examples = draws.examples.fork(kFirstSourceStream + i);
    }
    TaskLosses losses = (*sources_[i])(rows, own);
    const std::size_t expected = sources_[i]->tasks().size();
    DETENTE_CHECK(losses.values.size() == expected && losses.rows.size() == expected,
                  ErrorCode::kShape,
                  "[train::losses] a source of {} losses gave {} values and {} numbers of rows.",
                  expected,
                  losses.values.size(),
                  losses.rows.size());
    append(all.values, std::move(losses.values));
    append(all.rows, std::move(losses.rows));
    append(all.predictions, std::move(losses.predictions));
  }
  return all;
}

NamedTensors JoinedLosses::shared_parameters() const {
  NamedTensors all;
  for (const auto& source : sources_) append(all, source->shared_parameters());
  return all;
}

void JoinedLosses::before_update(std::int64_t step) {
  for (const auto& source : sources_) source->before_update(step);
}

report::NamedNumbers JoinedLosses::numbers() const {
  report::NamedNumbers all;
  for (const auto& source : sources_) append(all, source->numbers());
  return all;
}

std::vector<std::string> JoinedLosses::messages() {
  std::vector<std::string> all;
  for (const auto& source : sources_) append(all, source->messages());
  return all;
}

std::optional<NamedTensors> JoinedLosses::kept_model() const {
  for (const auto& source : sources_) {
    if (auto kept = source->kept_model()) return kept;
  }
  return std::nullopt;
}

void JoinedLosses::after_step(std::int64_t step) {
  for (const auto& source : sources_) source->after_step(step);
}

NamedTensors JoinedLosses::state() const {
  NamedTensors all;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    append(all, nn::with_prefix(sources_[i]->state(), source_prefix(i)));
  }
  return all;
}

void JoinedLosses::load_state(const NamedTensors& state) {
  std::size_t taken = 0;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const NamedTensors own = nn::without_prefix(state, source_prefix(i));
    taken += own.size();
    sources_[i]->load_state(own);
  }
  DETENTE_CHECK(taken == state.size(),
                ErrorCode::kData,
                "[train::load_state] the snapshot has states of more than {} sources of losses; it "
                "was written by a run with other losses.",
                sources_.size());
}

data::RowList part_of(const data::RowList& rows, double share) {
  const auto count = static_cast<std::size_t>(std::ceil(share * static_cast<double>(rows.size())));
  data::RowList part(std::min(count, rows.size()));
  for (std::size_t i = 0; i < part.size(); ++i) part[i] = rows[i * rows.size() / part.size()];
  return part;
}

std::vector<data::RowList> micro_batches(const data::RowList& rows, std::int64_t n) {
  const std::size_t parts = std::min(static_cast<std::size_t>(n), rows.size());
  std::vector<data::RowList> result;
  for (std::size_t i = 0; i < parts; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(i * rows.size() / parts);
    const auto end = static_cast<std::ptrdiff_t>((i + 1) * rows.size() / parts);
    result.emplace_back(rows.begin() + begin, rows.begin() + end);
  }
  return result;
}

TensorList joined_losses(const std::vector<TaskLosses>& parts) {
  if (parts.size() == 1) return parts[0].values;
  TensorList joined(parts.empty() ? 0 : parts[0].values.size());
  for (std::size_t k = 0; k < joined.size(); ++k) {
    double rows = 0;
    for (const TaskLosses& part : parts) {
      if (!part.values[k].defined()) continue;
      const at::Tensor term = part.values[k].to(torch::kFloat64) * part.rows[k];
      joined[k] = joined[k].defined() ? joined[k] + term : term;
      rows += part.rows[k];
    }
    if (joined[k].defined()) joined[k] = joined[k] / rows;
  }
  return joined;
}

}  // namespace detente::train
