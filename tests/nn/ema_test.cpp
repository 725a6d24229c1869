// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/ema.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace detente::nn {
namespace {

using Options = EmaOptions;

at::Tensor scalar(double value, torch::ScalarType type = torch::kDouble) {
  return torch::full({1}, value, type);
}

double only(const NamedTensors& tensors) { return tensors.at(0).second.item<double>(); }

// The average after the values θ_0, θ_1, ... as the definition has it: a sum with the weights
// (1 − d_i) Π_{j>i} d_j, and what is left on the start.
double by_definition(const Options& options, const std::vector<double>& values) {
  const auto t = static_cast<std::int64_t>(values.size()) - 1;
  double sum = 0;
  double weights = 0;
  double rest = 1;
  for (std::int64_t i = t; i >= 1; --i) {
    const double d = ema_decay(options, i);
    sum += rest * (1 - d) * values[static_cast<std::size_t>(i)];
    weights += rest * (1 - d);
    rest *= d;
  }
  if (options.start == Options::Start::kZero) return sum / weights;
  return sum + rest * values[0];
}

TEST(Ema, OfAConstantIsTheConstantToTheBit) {
  for (const auto start : {Options::Start::kValues, Options::Start::kZero}) {
    at::Tensor x = torch::rand({50}, torch::kFloat);
    Ema ema({{"x", x}}, {.decay = 0.97, .start = start});
    EXPECT_TRUE(torch::equal(ema.average()[0].second, x));
    for (int i = 0; i < 5; ++i) ema.update();
    const at::Tensor average = ema.average()[0].second;
    if (start == Options::Start::kValues) {
      EXPECT_TRUE(torch::equal(average, x));
    } else {
      EXPECT_TRUE(torch::allclose(average, x, 1e-5, 0));
    }
  }
}

TEST(Ema, AStepDecaysGeometrically) {
  // θ jumps from 1 to 3 and stays: a_t = 3 − 2 dᵗ.
  at::Tensor x = scalar(1);
  Ema ema({{"x", x}}, {.decay = 0.9});
  x.fill_(3);
  for (int t = 1; t <= 40; ++t) {
    ema.update();
    EXPECT_NEAR(only(ema.average()), 3 - 2 * std::pow(0.9, t), 1e-12);
  }
}

TEST(Ema, FollowsARampWithTheLagOfItsDecay) {
  // θ_t = t from a_0 = 0: a_t = t − d (1 − dᵗ)/(1 − d).
  const double d = 0.8;
  at::Tensor x = scalar(0);
  Ema ema({{"x", x}}, {.decay = d});
  for (int t = 1; t <= 60; ++t) {
    x.fill_(t);
    ema.update();
    EXPECT_NEAR(only(ema.average()), t - d * (1 - std::pow(d, t)) / (1 - d), 1e-11);
  }
}

TEST(Ema, IsTheWeightedMeanOfItsDefinitionForEveryScheduleAndStart) {
  for (const auto schedule :
       {Options::Schedule::kConstant, Options::Schedule::kWarmup, Options::Schedule::kCosine}) {
    for (const auto start : {Options::Start::kValues, Options::Start::kZero}) {
      const Options options{.decay = 0.7, .schedule = schedule, .steps = 9, .start = start};
      std::vector<double> values = {5};
      at::Tensor x = scalar(values[0]);
      Ema ema({{"x", x}}, options);
      EXPECT_EQ(only(ema.average()), 5);
      for (int t = 1; t <= 12; ++t) {
        values.push_back(std::sin(7.0 * t) * t);
        x.fill_(values.back());
        ema.update();
        EXPECT_NEAR(only(ema.average()), by_definition(options, values), 1e-12);
      }
    }
  }
}

TEST(Ema, ZeroStartForgetsTheFirstValues) {
  at::Tensor x = scalar(1e6);
  Ema ema({{"x", x}}, {.decay = 0.999, .start = Options::Start::kZero});
  x.fill_(2);
  ema.update();
  EXPECT_NEAR(only(ema.average()), 2, 1e-12);
}

TEST(Ema, ZeroStartWithADecayOfOneStaysAtTheFirstValues) {
  at::Tensor x = scalar(5);
  Ema ema({{"x", x}},
          {.decay = 0.5,
           .schedule = Options::Schedule::kCosine,
           .steps = 1,
           .start = Options::Start::kZero});
  x.fill_(7);
  ema.update();
  EXPECT_EQ(only(ema.average()), 5);
}

TEST(EmaDecay, GoesAsTheScheduleSays) {
  const Options warmup{.decay = 0.99, .schedule = Options::Schedule::kWarmup};
  EXPECT_DOUBLE_EQ(ema_decay(warmup, 1), 0.1);
  EXPECT_DOUBLE_EQ(ema_decay(warmup, 9), 0.5);
  EXPECT_DOUBLE_EQ(ema_decay(warmup, 100000), 0.99);
  const Options cosine{.decay = 0.9, .schedule = Options::Schedule::kCosine, .steps = 100};
  EXPECT_NEAR(ema_decay(cosine, 50), 0.95, 1e-12);
  EXPECT_EQ(ema_decay(cosine, 100), 1);
  EXPECT_EQ(ema_decay(cosine, 1000), 1);
  double before = 0.9;
  for (int t = 1; t <= 100; ++t) {
    EXPECT_GT(ema_decay(cosine, t), before);
    before = ema_decay(cosine, t);
  }
  EXPECT_EQ(ema_decay({.decay = 0.25}, 7), 0.25);
}

TEST(Ema, DecayNoughtCopies) {
  at::Tensor x = scalar(1);
  Ema ema({{"x", x}}, {.decay = 0});
  x.fill_(4);
  ema.update();
  EXPECT_EQ(only(ema.average()), 4);
}

TEST(Ema, TakesADecayOfTheCallers) {
  // θ jumps from 1 to 3 and stays: a_t = 3 − 2 Π d_i, whatever the d_i.
  at::Tensor x = scalar(1);
  Ema ema({{"x", x}}, {.decay = 0.5});
  x.fill_(3);
  double kept = 1;
  for (int t = 0; t < 20; ++t) {
    const double decay = 0.9 + 0.005 * t;
    ema.update(decay);
    kept *= decay;
    EXPECT_NEAR(only(ema.average()), 3 - 2 * kept, 1e-12);
    EXPECT_EQ(ema.updates(), t + 1);
  }
  ema.update(1);
  EXPECT_NEAR(only(ema.average()), 3 - 2 * kept, 1e-12);
  ema.update(0);
  EXPECT_EQ(only(ema.average()), 3);
}

TEST(Ema, TheSchedulesOwnDecayGivenByTheCallerIsTheSameToTheBit) {
  for (const auto start : {Options::Start::kValues, Options::Start::kZero}) {
    const Options options{.decay = 0.9, .schedule = Options::Schedule::kWarmup, .start = start};
    at::Tensor x = torch::zeros({6}, torch::kFloat);
    Ema own({{"x", x}}, options);
    Ema given({{"x", x}}, options);
    for (int t = 1; t < 8; ++t) {
      x.copy_(torch::sin(torch::arange(6, torch::kFloat) * t));
      own.update();
      given.update(ema_decay(options, t));
      EXPECT_TRUE(torch::equal(own.average()[0].second, given.average()[0].second));
    }
  }
}

TEST(Ema, ADecayThatIsNoneChangesNothing) {
  at::Tensor x = scalar(1);
  Ema ema({{"x", x}}, {});
  x.fill_(3);
  for (const double decay : {-0.1, 1.1, std::nan("")}) {
    try {
      ema.update(decay);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    }
  }
  EXPECT_EQ(ema.updates(), 0);
  EXPECT_EQ(only(ema.average()), 1);
}

TEST(Ema, AveragesHalfPrecisionInFloat32AndCopiesWholeNumbers) {
  // In bf16 an increment of 1/1000 of the distance would be lost at once.
  at::Tensor x = scalar(1, torch::kBFloat16);
  at::Tensor n = torch::zeros({2}, torch::kLong);
  Ema ema({{"x", x}, {"n", n}}, {.decay = 0.999});
  x.fill_(2);
  n.fill_(7);
  for (int t = 0; t < 1000; ++t) ema.update();
  const NamedTensors average = ema.average();
  EXPECT_EQ(average[0].second.scalar_type(), torch::kBFloat16);
  EXPECT_NEAR(average[0].second.item<double>(), 2 - std::pow(0.999, 1000), 0.01);
  EXPECT_EQ(average[1].second.sum().item<std::int64_t>(), 14);
}

TEST(Ema, LeavesTheGraphAndTheFollowedAlone) {
  at::Tensor x = torch::ones({3}).set_requires_grad(true);
  const at::Tensor loss = (x * x).sum();
  Ema ema({{"x", x}}, {});
  ema.update();
  EXPECT_FALSE(ema.average()[0].second.requires_grad());
  loss.backward();  // x was not changed under its graph
  EXPECT_TRUE(torch::equal(x.grad(), torch::full({3}, 2.0F)));
}

TEST(Ema, CopiesToAnotherModelByName) {
  at::Tensor a = scalar(1);
  at::Tensor b = torch::zeros({2}, torch::kDouble);
  Ema ema({{"a", a}, {"b", b}}, {.decay = 0.5});
  a.fill_(3);
  ema.update();
  NamedTensors other = {{"c", scalar(9)},
                        {"b", torch::ones({2}, torch::kFloat)},
                        {"a", torch::zeros({1}, torch::kFloat).set_requires_grad(true)}};
  ema.copy_to(other);
  EXPECT_EQ(other[2].second.item<double>(), 2);
  EXPECT_EQ(other[1].second.sum().item<double>(), 0);
  EXPECT_EQ(other[0].second.item<double>(), 9);
  EXPECT_THROW(ema.copy_to({{"a", scalar(0)}}), Error);
  EXPECT_THROW(ema.copy_to({{"a", scalar(0)}, {"b", scalar(0)}}), Error);
}

TEST(Ema, GoesOnFromItsStateToTheBit) {
  for (const auto start : {Options::Start::kValues, Options::Start::kZero}) {
    const Options options{.decay = 0.9, .schedule = Options::Schedule::kWarmup, .start = start};
    for (const int stop : {0, 1, 4}) {
      const auto values = [](int t) { return torch::sin(torch::arange(6, torch::kFloat) * t); };
      at::Tensor x = values(0);
      Ema whole({{"x", x}}, options);
      Ema parted({{"x", x}}, options);
      const auto run = [&](Ema& ema, int from, int to) {
        for (int t = from; t < to; ++t) {
          x.copy_(values(t + 1));
          ema.update();
        }
      };
      run(whole, 0, 8);
      x.copy_(values(0));
      run(parted, 0, stop);
      x.copy_(values(77));  // as a model before its own state is loaded
      Ema resumed({{"x", x}}, options);
      resumed.load_state(parted.state());
      EXPECT_EQ(resumed.updates(), stop);
      EXPECT_TRUE(torch::equal(resumed.average()[0].second, parted.average()[0].second));
      run(resumed, stop, 8);
      EXPECT_TRUE(torch::equal(resumed.average()[0].second, whole.average()[0].second));
    }
  }
}

TEST(Ema, FollowsATensorThatLiesElsewhereAsItsOwn) {
  at::Tensor x = scalar(1);
  Ema ema({{"x", x}}, {});
  at::Tensor average = x.clone();
  x.fill_(3);
  for (const double decay : {0.25, 1.0, 0.5, 0.0}) {
    ema.update(decay);
    follow(average, x, decay);
    EXPECT_EQ(average.item<double>(), only(ema.average()));
  }
  at::Tensor count = torch::zeros({}, torch::kLong);
  follow(count, torch::full({}, 7, torch::kLong), 0.9);
  EXPECT_EQ(count.item<std::int64_t>(), 7);
  EXPECT_THROW(follow(average, x, 1.5), Error);
}

TEST(Ema, RefusesForeignStatesWithoutChangingAnything) {
  at::Tensor x = scalar(1);
  Ema ema({{"x", x}}, {.decay = 0.5});
  Ema other({{"y", x}}, {});
  Ema larger({{"x", torch::ones({2}, torch::kDouble)}}, {});
  NamedTensors more = ema.state();
  more.emplace_back("average.z", x);
  NamedTensors bad = ema.state();
  bad.back().second = torch::full({2}, -1.0, torch::kDouble);
  x.fill_(3);
  ema.update();
  for (const NamedTensors& state : {other.state(), larger.state(), more, bad, NamedTensors{}}) {
    try {
      ema.load_state(state);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData);
    }
    EXPECT_EQ(only(ema.average()), 2);
  }
}

TEST(Ema, RefusesDecaysThatAreNone) {
  for (const double decay : {-0.1, 1.0, std::nan("")}) {
    EXPECT_THROW(Ema({{"x", scalar(1)}}, {.decay = decay}), Error) << decay;
  }
  EXPECT_THROW(Ema({}, {.steps = 0}), Error);
  Ema nothing({}, {});
  nothing.update();
  EXPECT_TRUE(nothing.average().empty());
}

}  // namespace
}  // namespace detente::nn
