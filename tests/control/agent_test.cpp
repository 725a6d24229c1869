// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/control/agent.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

namespace detente::control {
namespace {

using Options = AgentOptions;

AgentMethods methods(const std::string& name) {
  return {balance::make_method(name), balance::make_method(name), balance::make_method(name)};
}

AgentShape shape(std::size_t tasks) {
  AgentShape made{.observation = 5, .action = 2};
  for (std::size_t k = 0; k < tasks; ++k) made.tasks.push_back("t" + std::to_string(k));
  return made;
}

Options small(bool heads = false, bool task_input = false) {
  Options options;
  options.networks.widths = {16, 12};
  options.networks.heads = heads ? TaskMlpOptions::Heads::kPerTask : TaskMlpOptions::Heads::kOne;
  options.networks.task_input = task_input;
  return options;
}

Transitions batch(TaskCounts counts, std::int64_t seed) {
  torch::manual_seed(seed);
  std::int64_t n = 0;
  for (const std::int64_t count : counts) n += count;
  return {torch::randn({n, 5}),
          torch::rand({n, 2}) * 2 - 1,
          torch::randn({n}),
          torch::randn({n, 5}),
          (torch::rand({n}) > 0.2).to(torch::kFloat),
          std::move(counts)};
}

std::map<std::string, at::Tensor> copy_of(const Agent& agent) {
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, tensor] : agent.tensors()) all[name] = tensor.detach().clone();
  return all;
}

double furthest(const Agent& a, const Agent& b) {
  const auto x = copy_of(a);
  const auto y = copy_of(b);
  double most = x.size() == y.size() ? 0 : 1e9;
  for (const auto& [name, tensor] : x) {
    most = std::max(most, (tensor - y.at(name)).abs().max().item<double>());
  }
  return most;
}

// Soft actor-critic written down once more with LibTorch's modules alone, for one task.
struct Plain {
  explicit Plain(const Agent& agent) {
    for (auto& [name, tensor] : copy_of(agent)) {
      if (name.find("network.") == std::string::npos && name.rfind("target.", 0) != 0) continue;
      values[name] = tensor.clone().set_requires_grad(name.rfind("target.", 0) != 0);
    }
    const auto optimizer = [&](const std::string& prefix) {
      std::vector<at::Tensor> list;
      for (auto& [name, tensor] : values) {
        if (name.rfind(prefix, 0) == 0) list.push_back(tensor);
      }
      return std::make_unique<torch::optim::Adam>(list, torch::optim::AdamOptions(3e-4));
    };
    actor = optimizer("actor.");
    critic = optimizer("critic.");
    temperature = optimizer("temperature.");
  }

  at::Tensor mlp(const std::string& prefix, at::Tensor x) {
    for (const char* layer : {"hidden.0", "hidden.1"}) {
      x = torch::relu(torch::linear(
          x, values.at(prefix + layer + ".weight"), values.at(prefix + layer + ".bias")));
    }
    return torch::linear(x, values.at(prefix + "head.weight"), values.at(prefix + "head.bias"));
  }
  at::Tensor q(const std::string& prefix, const at::Tensor& o, const at::Tensor& a) {
    const at::Tensor x = torch::cat({o, a}, 1);
    return torch::minimum(mlp(prefix + "first.", x), mlp(prefix + "second.", x)).squeeze(1);
  }
  std::pair<at::Tensor, at::Tensor> draw(const at::Tensor& o, Rng& rng) {
    const auto both = mlp("actor.network.", o).chunk(2, 1);
    const at::Tensor log_std = -20 + 11 * (torch::tanh(both[1]) + 1);
    at::Tensor noise = torch::empty({o.size(0), 2});
    for (std::int64_t i = 0; i < noise.numel(); ++i) {
      noise.data_ptr<float>()[i] = static_cast<float>(rng.normal());
    }
    const at::Tensor u = both[0] + log_std.exp() * noise;
    const at::Tensor normal = -0.5 * noise.square() - log_std - 0.5 * std::log(2 * M_PI);
    // The form for double precision; the network's outputs are small here.
    const at::Tensor inner = (1 - torch::tanh(u).to(torch::kFloat64).square()).log();
    return {torch::tanh(u), (normal - inner).sum(1).to(torch::kFloat)};
  }
  void update(const Transitions& b, Rng& rng) {
    const at::Tensor alpha = values.at("temperature.network.log").detach().exp();
    at::Tensor y;
    {
      torch::NoGradGuard none;
      const auto [a, log_p] = draw(b.next_observations, rng);
      y = b.rewards + 0.99 * b.continues * (q("target.", b.next_observations, a) - alpha * log_p);
    }
    critic->zero_grad();
    const at::Tensor x = torch::cat({b.observations, b.actions}, 1);
    ((mlp("critic.network.first.", x).squeeze(1) - y).square() +
     (mlp("critic.network.second.", x).squeeze(1) - y).square())
        .mean()
        .backward();
    critic->step();
    actor->zero_grad();
    const auto [a, log_p] = draw(b.observations, rng);
    (alpha * log_p - q("critic.network.", b.observations, a)).mean().backward();
    actor->step();
    temperature->zero_grad();
    (values.at("temperature.network.log").exp() * (-log_p.detach() + 2).mean()).backward();
    temperature->step();
    torch::NoGradGuard none;
    for (auto& [name, tensor] : values) {
      if (name.rfind("target.", 0) == 0) {
        tensor.mul_(0.995).add_(values.at("critic.network." + name.substr(7)), 0.005);
      }
    }
  }

  std::map<std::string, at::Tensor> values;
  std::unique_ptr<torch::optim::Adam> actor, critic, temperature;
};

TEST(Agent, OneTaskIsPlainSoftActorCritic) {
  for (const char* method : {"ew", "cagrad", "pcgrad"}) {
    Rng rng(1);
    Agent agent(shape(1), small(), methods(method), {}, rng);
    Plain plain(agent);
    Rng ours(3);
    Rng theirs(3);
    for (int step = 0; step < 20; ++step) {
      const Transitions rows = batch({32}, step);
      agent.update(rows, ours);
      plain.update(rows, theirs);
    }
    const auto now = copy_of(agent);
    for (const auto& [name, tensor] : plain.values) {
      EXPECT_TRUE(torch::allclose(tensor, now.at(name), 1e-3, 2e-5))
          << method << " " << name << " " << (tensor - now.at(name)).abs().max().item<double>();
    }
  }
}

// What the fast strategies do with rows of several tasks is what a pass per task does.
TEST(Agent, OnePassEqualsOnePassPerTask) {
  for (const bool heads : {false, true}) {
    for (const char* method : {"pcgrad", "cagrad", "mgda", "upgrad"}) {
      std::vector<Agent> agents;
      for (const auto strategy : {engine::Strategy::kAuto, engine::Strategy::kSequential}) {
        Rng rng(1);
        engine::MultiTaskOptions options;
        options.strategy = strategy;
        agents.emplace_back(shape(3), small(heads, !heads), methods(method), options, rng);
      }
      for (int step = 0; step < 5; ++step) {
        for (Agent& agent : agents) {
          Rng rng(static_cast<std::uint64_t>(step));
          // Task 1 is missing in one of the batches.
          const auto& report = agent.update(batch({9, step == 2 ? 0 : 14, 11}, step), rng);
          EXPECT_EQ(report.critic->present, step == 2 ? 2U : 3U);
        }
      }
      EXPECT_LT(furthest(agents[0], agents[1]), 2e-4) << method << heads;
    }
  }
}

TEST(Agent, RowsOfManyTasksGoThroughOnePass) {
  Rng rng(1);
  Agent agent(shape(4), small(), methods("cagrad"), {}, rng);
  const UpdateReport& report = agent.update(batch({64, 64, 64, 64}, 1), rng);
  EXPECT_EQ(report.critic->strategy, engine::Strategy::kSegmented) << report.critic->notice;
  EXPECT_EQ(report.actor->strategy, engine::Strategy::kSegmented) << report.actor->notice;
}

// Which order tasks have does not matter to a method without an order.
TEST(Agent, LossesAreEachTasksOwn) {
  Rng rng(1);
  Agent agent(shape(2), small(), methods("ew"), {}, rng);
  const Transitions both = batch({8, 24}, 1);
  Rng alone(1);
  Agent first(shape(1), small(), methods("ew"), {}, alone);
  Transitions one = both;
  for (at::Tensor* tensor :
       {&one.observations, &one.actions, &one.rewards, &one.next_observations, &one.continues}) {
    *tensor = tensor->narrow(0, 0, 8);
  }
  one.counts = {8};
  Rng noise(5);
  Rng same(5);
  const double expected = agent.update(both, noise).critic->losses[0];
  EXPECT_NEAR(first.update(one, same).critic->losses[0], expected, 1e-5 * std::abs(expected));
}

TEST(Agent, TargetsFollowAndTheTemperatureSteers) {
  for (const auto kind : {Options::Temperature::kShared, Options::Temperature::kPerTask}) {
    for (const double wanted : {-20.0, 20.0}) {
      Options options = small();
      options.temperature = kind;
      options.entropy_per_action = wanted;
      options.target_rate = 1;
      Rng rng(1);
      Agent agent(shape(2), options, methods("cagrad"), {}, rng);
      const UpdateReport* report = nullptr;
      for (int i = 0; i < 10; ++i) report = &agent.update(batch({10, 10}, i), rng);
      for (const double alpha : report->temperatures) {
        EXPECT_GT((alpha - 1) * wanted, 0.002 * std::abs(wanted));
      }
      const auto now = copy_of(agent);
      for (const auto& [name, tensor] : now) {
        if (name.rfind("target.", 0) != 0) continue;
        EXPECT_TRUE(torch::equal(tensor, now.at("critic.network." + name.substr(7)))) << name;
      }
    }
  }
}

TEST(Agent, AMissingTasksTemperatureStays) {
  Options options = small();
  options.temperature = Options::Temperature::kPerTask;
  Rng rng(1);
  Agent agent(shape(3), options, methods("pcgrad"), {}, rng);
  agent.update(batch({8, 8, 8}, 0), rng);
  const double before = agent.update(batch({8, 8, 8}, 1), rng).temperatures[1];
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(agent.update(batch({8, 0, 8}, i), rng).temperatures[1], before);
  }
}

TEST(Agent, GoesOnFromItsStateToTheBit) {
  for (const char* method : {"cagrad", "nash_mtl", "graddrop"}) {
    Rng rng(1);
    Agent agent(shape(3), small(true), methods(method), {}, rng);
    for (int i = 0; i < 4; ++i) agent.update(batch({8, 8, 8}, i), rng);
    NamedTensors kept;
    for (const auto& [name, tensor] : agent.tensors())
      kept.emplace_back(name, tensor.detach().clone());
    const Json state = Json::parse(agent.state().dump());
    Rng other(99);
    Agent again(shape(3), small(true), methods(method), {}, other);
    again.load(kept, state);
    EXPECT_EQ(furthest(agent, again), 0) << method;
    Rng a(7);
    Rng b(7);
    for (int i = 4; i < 8; ++i) {
      agent.update(batch({8, 8, 8}, i), a);
      again.update(batch({8, 8, 8}, i), b);
    }
    EXPECT_EQ(furthest(agent, again), 0) << method;
  }
}

TEST(Agent, ActsWithinBoundsAndTheSameWithoutNoise) {
  Rng rng(1);
  const Agent agent(shape(2), small(true, true), methods("ew"), {}, rng);
  const at::Tensor seen = torch::randn({2, 5});
  const at::Tensor calm = agent.act(seen, {1, 1}, nullptr);
  EXPECT_TRUE(torch::equal(calm, agent.act(seen, {1, 1}, nullptr)));
  const at::Tensor drawn = agent.act(seen, {1, 1}, &rng);
  EXPECT_FALSE(torch::equal(calm, drawn));
  EXPECT_LE(drawn.abs().max().item<double>(), 1);
  // One row goes with its task: another head answers.
  EXPECT_FALSE(torch::equal(agent.act(seen.narrow(0, 0, 1), {1, 0}, nullptr),
                            agent.act(seen.narrow(0, 0, 1), {0, 1}, nullptr)));
}

TEST(Agent, RefusesWhatItCannotUse) {
  Rng rng(1);
  EXPECT_THROW(Agent(AgentShape{}, small(), methods("ew"), {}, rng), Error);
  Options crossed = small();
  crossed.deviation = {1, 1};
  EXPECT_THROW(Agent(shape(1), crossed, methods("ew"), {}, rng), Error);
  Options flat = small();
  flat.networks.widths = {};
  EXPECT_THROW(Agent(shape(1), flat, methods("ew"), {}, rng), Error);

  Agent agent(shape(2), small(), methods("ew"), {}, rng);
  Transitions wrong = batch({4, 4}, 1);
  wrong.counts = {4, 3};
  EXPECT_THROW(agent.update(wrong, rng), Error);
  EXPECT_THROW(agent.update(batch({0, 0}, 1), rng), Error);
  Transitions bad = batch({4, 4}, 1);
  bad.rewards[5] = std::nan("");
  const auto before = copy_of(agent);
  try {
    agent.update(bad, rng);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("t1"), std::string::npos) << error.what();
  }
  for (const auto& [name, tensor] : copy_of(agent))
    EXPECT_TRUE(torch::equal(tensor, before.at(name)));
  EXPECT_THROW(agent.load(agent.tensors(), Json::object()), Error);
}

}  // namespace
}  // namespace detente::control
