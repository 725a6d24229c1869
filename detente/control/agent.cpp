// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/balance/registry.h>
#include <detente/control/agent.h>
#include <detente/control/learner.h>
#include <detente/control/squashed_gaussian.h>
#include <detente/core/error.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/generated/variable_factories.h>

#include <cmath>
#include <numeric>
#include <utility>

namespace detente::control {
namespace {

// Parameters through which gradients pass, and that get none.
class Frozen {
 public:
  explicit Frozen(const nn::Parameters& parameters) : tensors_(parameters.trained_tensors()) {
    for (at::Tensor& tensor : tensors_) tensor.set_requires_grad(false);
  }
  ~Frozen() {
    for (at::Tensor& tensor : tensors_) tensor.set_requires_grad(true);
  }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

 private:
  TensorList tensors_;
};

// The mean over each task's rows; undefined for a task without any.
TensorList means_by_task(const at::Tensor& rows, const TaskCounts& counts) {
  TensorList means;
  std::int64_t row = 0;
  for (const std::int64_t count : counts) {
    means.push_back(count > 0 ? rows.narrow(0, row, count).mean() : at::Tensor());
    row += count;
  }
  return means;
}

std::vector<std::int64_t> tasks_of_rows(const TaskCounts& counts) {
  std::vector<std::int64_t> tasks;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    tasks.insert(tasks.end(), static_cast<std::size_t>(counts[k]), static_cast<std::int64_t>(k));
  }
  return tasks;
}

Learner::Sharing sharing_of(const std::vector<const TaskMlp*>& networks, std::size_t tasks) {
  Learner::Sharing sharing;
  sharing.own.resize(tasks);
  for (const TaskMlp* network : networks) {
    for (auto& name : network->shared_names()) sharing.shared.push_back(std::move(name));
    for (std::size_t k = 0; k < tasks; ++k) {
      for (auto& name : network->own_names(static_cast<std::int64_t>(k))) {
        sharing.own[k].push_back(std::move(name));
      }
    }
  }
  return sharing;
}

AgentShape checked(AgentShape shape) {
  DETENTE_CHECK(
      !shape.tasks.empty() && shape.observation >= 1 && shape.action >= 1,
      ErrorCode::kInvalidArgument,
      "[control::Agent] expected at least one task, observation and action; got {}, {} and {}.",
      shape.tasks.size(),
      shape.observation,
      shape.action);
  return shape;
}

}  // namespace

// Two critics, or their running averages.
struct Critics {
  TaskMlp first;
  TaskMlp second;

  TensorList both(const nn::Parameters& parameters,
                  const at::Tensor& observations,
                  const at::Tensor& actions,
                  const TaskCounts& counts) const {
    const at::Tensor rows = at::cat({observations, actions}, 1);
    return {first.forward(parameters, rows, counts).squeeze(1),
            second.forward(parameters, rows, counts).squeeze(1)};
  }
  at::Tensor smaller(const nn::Parameters& parameters,
                     const at::Tensor& observations,
                     const at::Tensor& actions,
                     const TaskCounts& counts) const {
    const TensorList values = both(parameters, observations, actions, counts);
    return at::minimum(values[0], values[1]);
  }
};

struct Agent::Impl {
  Impl(AgentShape given,
       const AgentOptions& chosen,
       AgentMethods methods,
       const engine::MultiTaskOptions& engine,
       Rng& rng,
       tensor::Device place)
      : shape(checked(std::move(given))), options(chosen), device(place) {
    DETENTE_CHECK(
        options.deviation.low < options.deviation.high,
        ErrorCode::kInvalidArgument,
        "[control::Agent] log_deviation_low must be below log_deviation_high; got {} and {}.",
        options.deviation.low,
        options.deviation.high);
    const auto tasks = std::ssize(shape.tasks);
    nn::Draw draw(rng);
    nn::Parameters actor_parameters;
    nn::Parameters critic_parameters;
    const auto mlp =
        [&](std::int64_t in, std::int64_t out, const char* prefix, nn::Parameters& to) {
          return TaskMlp(options.networks, tasks, in, out, prefix, to, draw);
        };
    policy =
        std::make_unique<TaskMlp>(mlp(shape.observation, 2 * shape.action, "", actor_parameters));
    const std::int64_t both = shape.observation + shape.action;
    TaskMlp first = mlp(both, 1, "first.", critic_parameters);
    TaskMlp second = mlp(both, 1, "second.", critic_parameters);
    critics = std::make_unique<Critics>(Critics{std::move(first), std::move(second)});
    const auto learner = [&](nn::Parameters parameters,
                             const Learner::Sharing& sharing,
                             std::shared_ptr<balance::Method> method) {
      return std::make_unique<Learner>(std::move(parameters),
                                       sharing,
                                       std::move(method),
                                       shape.tasks,
                                       engine,
                                       options.lr,
                                       device);
    };
    targets = critic_parameters;
    targets.to(device, tensor::DType::kFloat32);
    for (at::Tensor target : targets.trained_tensors()) target.set_requires_grad(false);
    actor = learner(std::move(actor_parameters),
                    sharing_of({policy.get()}, shape.tasks.size()),
                    std::move(methods.actor));
    critic = learner(std::move(critic_parameters),
                     sharing_of({&critics->first, &critics->second}, shape.tasks.size()),
                     std::move(methods.critic));
    make_temperature(learner, std::move(methods.temperature));
  }

  template <class MakeLearner>
  void make_temperature(const MakeLearner& learner, std::shared_ptr<balance::Method> method) {
    nn::Parameters logs;
    Learner::Sharing sharing;
    const double start = std::log(options.initial_temperature);
    for (std::size_t k = 0; k < (per_task() ? shape.tasks.size() : 1); ++k) {
      logs.add(log_name(k), at::full({}, start, at::kFloat));
      if (per_task()) sharing.own.push_back({log_name(k)});
    }
    if (!per_task()) {
      sharing.shared = {log_name(0)};
      sharing.own.resize(shape.tasks.size());
    } else {
      method = balance::make_method("ew");  // there is nothing to reconcile
    }
    temperature = learner(std::move(logs), sharing, std::move(method));
  }

  bool per_task() const { return options.temperature == AgentOptions::Temperature::kPerTask; }
  std::string log_name(std::size_t task) const {
    return per_task() ? "log." + std::to_string(task) : "log";
  }
  const at::Tensor& log_temperature(std::size_t task) const {
    return temperature->parameters()(log_name(task));
  }

  // α of each row, without its graph.
  at::Tensor temperature_of_rows(const TaskCounts& counts) const {
    if (!per_task()) return log_temperature(0).detach().exp();
    TensorList parts;
    for (std::size_t k = 0; k < counts.size(); ++k) {
      parts.push_back(log_temperature(k).detach().exp().expand({counts[k]}));
    }
    return at::cat(parts);
  }

  at::Tensor noise(std::int64_t rows, Rng& rng) const {
    return nn::Draw(rng)
        .normal({rows, shape.action}, 1)
        .to(tensor::tensor_options(device, tensor::DType::kFloat32).device());
  }

  at::Tensor raw_policy(const at::Tensor& observations, const TaskCounts& counts) const {
    return policy->forward(actor->parameters(), observations, counts);
  }

  at::Tensor goals(const Transitions& batch, const at::Tensor& alpha, Rng& rng) const {
    const at::NoGradGuard no_graph;
    const DrawnActions next = draw_actions(raw_policy(batch.next_observations, batch.counts),
                                           noise(batch.rewards.size(0), rng),
                                           options.deviation);
    const at::Tensor value =
        critics->smaller(targets, batch.next_observations, next.actions, batch.counts) -
        alpha * next.log_probability;
    return batch.rewards + batch.continues * value * options.discount;
  }

  void follow() {
    const at::NoGradGuard no_graph;
    const NamedTensors& now = critic->parameters().trained();
    const NamedTensors& slow = targets.trained();
    for (std::size_t i = 0; i < now.size(); ++i) {
      at::Tensor target = slow[i].second;
      target.lerp_(now[i].second, options.target_rate);
    }
  }

  void check(const Transitions& batch) const {
    const std::int64_t rows =
        std::accumulate(batch.counts.begin(), batch.counts.end(), std::int64_t{0});
    const auto is = [&](const at::Tensor& tensor, std::int64_t width) {
      return tensor.defined() && tensor.dim() == (width > 0 ? 2 : 1) && tensor.size(0) == rows &&
             (width == 0 || tensor.size(1) == width);
    };
    DETENTE_CHECK(rows > 0 && batch.counts.size() == shape.tasks.size() &&
                      is(batch.observations, shape.observation) &&
                      is(batch.actions, shape.action) && is(batch.rewards, 0) &&
                      is(batch.next_observations, shape.observation) && is(batch.continues, 0),
                  ErrorCode::kShape,
                  "[control::Agent] expected a batch of N >= 1 rows sorted by {} tasks: "
                  "observations [N, {}], actions "
                  "[N, {}], rewards and continues [N].",
                  shape.tasks.size(),
                  shape.observation,
                  shape.action);
  }

  const UpdateReport& update(const Transitions& batch, Rng& rng) {
    check(batch);
    const TaskCounts& counts = batch.counts;
    const std::vector<std::int64_t> examples = tasks_of_rows(counts);
    const at::Tensor alpha = temperature_of_rows(counts);

    const at::Tensor y = goals(batch, alpha, rng);
    const TensorList values =
        critics->both(critic->parameters(), batch.observations, batch.actions, counts);
    const at::Tensor errors = (values[0] - y).square() + (values[1] - y).square();
    report.critic = &critic->step(means_by_task(errors, counts), examples, rng);

    at::Tensor log_probability;
    {
      const Frozen critic_stays(critic->parameters());
      const DrawnActions drawn = draw_actions(raw_policy(batch.observations, counts),
                                              noise(batch.rewards.size(0), rng),
                                              options.deviation);
      const at::Tensor value =
          critics->smaller(critic->parameters(), batch.observations, drawn.actions, counts);
      const at::Tensor rows = alpha * drawn.log_probability - value;
      report.actor = &actor->step(means_by_task(rows, counts), examples, rng);
      log_probability = drawn.log_probability.detach();
    }
    report.entropy = -log_probability.mean().item<double>();
    step_temperature(log_probability, counts, rng);
    follow();
    return report;
  }

  void step_temperature(const at::Tensor& log_probability, const TaskCounts& counts, Rng& rng) {
    const double wanted = options.entropy_per_action * static_cast<double>(shape.action);
    TensorList losses = means_by_task(-log_probability - wanted, counts);
    for (std::size_t k = 0; k < losses.size(); ++k) {
      if (losses[k].defined()) losses[k] = log_temperature(k).exp() * losses[k];
    }
    report.temperature = &temperature->step(losses, {}, rng);
    report.temperatures.clear();
    // One number is one wait for the device.
    for (std::size_t k = 0; k < (per_task() ? shape.tasks.size() : 1); ++k) {
      report.temperatures.push_back(std::exp(log_temperature(k).item<double>()));
    }
    report.temperatures.resize(shape.tasks.size(), report.temperatures.front());
  }

  AgentShape shape;
  AgentOptions options;
  tensor::Device device;
  std::unique_ptr<TaskMlp> policy;
  std::unique_ptr<Critics> critics;
  std::unique_ptr<Learner> actor;
  std::unique_ptr<Learner> critic;
  std::unique_ptr<Learner> temperature;
  nn::Parameters targets;
  UpdateReport report;
};

Agent::Agent(AgentShape shape,
             const AgentOptions& options,
             AgentMethods methods,
             const engine::MultiTaskOptions& engine,
             Rng& rng,
             tensor::Device device)
    : impl_(std::make_unique<Impl>(
          std::move(shape), options, std::move(methods), engine, rng, device)) {}
Agent::~Agent() = default;
Agent::Agent(Agent&&) noexcept = default;
Agent& Agent::operator=(Agent&&) noexcept = default;

at::Tensor Agent::act(const at::Tensor& observations, const TaskCounts& counts, Rng* noise) const {
  const at::NoGradGuard no_graph;
  const auto place = tensor::tensor_options(impl_->device, tensor::DType::kFloat32);
  const at::Tensor raw = impl_->raw_policy(observations.to(place.device()), counts);
  if (noise == nullptr) return mean_actions(raw).cpu();
  return draw_actions(raw, impl_->noise(raw.size(0), *noise), impl_->options.deviation)
      .actions.cpu();
}

const UpdateReport& Agent::update(const Transitions& batch, Rng& rng) {
  return impl_->update(batch, rng);
}

NamedTensors Agent::tensors() const {
  NamedTensors all;
  const auto add = [&](const char* prefix, const NamedTensors& part) {
    for (auto& named : nn::with_prefix(part, prefix)) all.push_back(std::move(named));
  };
  add("actor.", impl_->actor->tensors());
  add("critic.", impl_->critic->tensors());
  add("temperature.", impl_->temperature->tensors());
  add("target.", impl_->targets.trained());
  return all;
}

Json Agent::state() const {
  return {{"actor", impl_->actor->state()},
          {"critic", impl_->critic->state()},
          {"temperature", impl_->temperature->state()}};
}

void Agent::load(const NamedTensors& tensors, const Json& state) {
  const std::pair<const char*, Learner*> learners[] = {{"actor", impl_->actor.get()},
                                                       {"critic", impl_->critic.get()},
                                                       {"temperature", impl_->temperature.get()}};
  for (const auto& [name, learner] : learners) {
    DETENTE_CHECK(state.is_object() && state.contains(name),
                  ErrorCode::kData,
                  "[control::Agent] the saved state has nothing of '{}'.",
                  name);
    learner->load(nn::without_prefix(tensors, std::string(name) + "."), state.at(name));
  }
  nn::load_named(nn::without_prefix(tensors, "target."), impl_->targets.trained());
}

NamedTensors Agent::actor() const { return impl_->actor->parameters().trained(); }

std::int64_t Agent::parameter_count() const {
  return impl_->actor->parameters().trained_count() + impl_->critic->parameters().trained_count() +
         impl_->temperature->parameters().trained_count();
}

}  // namespace detente::control
