// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/nn/sharing.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <torch/torch.h>

#include <set>
#include <string>
#include <vector>

namespace detente::nn {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kThreeTasks = {"a", "b", "c"};

using Settings = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<Sharing> built(const std::string& kind,
                               const Settings& settings = {},
                               const std::vector<std::string>& tasks = kThreeTasks) {
  auto sharing = make_sharing(kind);
  for (const auto& [key, value] : settings) {
    set_field([&](FieldVisitor& v) { sharing->describe(v); }, key, value, "test");
  }
  Rng rng(4);
  Draw draw(rng);
  sharing->build(5, tasks, draw);
  return sharing;
}

at::Tensor shared_features() {
  torch::manual_seed(1);
  return torch::randn({6, 5});
}

at::Tensor softmax_of(const at::Tensor& x, const at::Tensor& weight) {
  return torch::softmax(torch::linear(x, weight), 1);
}

at::Tensor layer(const Parameters& from, const std::string& name, const at::Tensor& x) {
  return torch::relu(torch::linear(x, from(name + ".weight"), from(name + ".bias")));
}

// Every way, small and in several levels.
std::vector<std::pair<std::string, Settings>> ways() {
  return {{"hard", {}},
          {"mmoe", {{"experts", "3"}, {"expert_widths", "4"}}},
          {"mmoe", {{"experts", "1"}, {"expert_widths", "7,4"}}},
          {"cgc", {{"experts", "2"}, {"task_experts", "2"}, {"expert_widths", "4"}}},
          {"cgc", {{"task_experts", "0"}, {"expert_widths", "4"}}},
          {"ple", {{"levels", "1"}, {"expert_widths", "4"}}},
          {"ple", {{"levels", "2"}, {"expert_widths", "4"}}},
          {"ple", {{"levels", "3"}, {"expert_widths", "6,4"}}},
          {"cross_stitch", {{"tower_widths", "4"}}},
          {"cross_stitch", {{"tower_widths", "7,4"}}}};
}

TEST(Sharing, GivesEveryTaskFeaturesOfOneWidth) {
  for (const auto& [kind, settings] : ways()) {
    SCOPED_TRACE(kind);
    const auto sharing = built(kind, settings);
    const TensorList own = (*sharing)(shared_features());
    ASSERT_EQ(own.size(), 3U);
    for (const at::Tensor& y : own) {
      EXPECT_EQ(y.sizes(), (std::vector<std::int64_t>{6, sharing->width(5)}));
      EXPECT_TRUE(y.isfinite().all().item<bool>());
    }
  }
}

// The promise of the header, by what gradients say: own of a task is what reaches its loss alone.
TEST(Sharing, OwnsExactlyWhatReachesOneTask) {
  for (const auto& [kind, settings] : ways()) {
    SCOPED_TRACE(kind);
    const auto sharing = built(kind, settings);
    // Units that are off in all six rows would hide a connection.
    const at::Tensor x =
        torch::cat({shared_features(), -shared_features(), 3 * shared_features()}, 0);
    const TensorList outputs = (*sharing)(x);
    const auto reached = [&](const at::Tensor& parameter) {
      std::set<std::size_t> tasks;
      for (std::size_t k = 0; k < outputs.size(); ++k) {
        if (!outputs[k].requires_grad()) continue;
        const auto gradient = torch::autograd::grad({outputs[k].square().sum()},
                                                    {parameter},
                                                    {},
                                                    /*retain_graph=*/true,
                                                    /*create_graph=*/false,
                                                    /*allow_unused=*/true)[0];
        if (gradient.defined()) tasks.insert(k);
      }
      return tasks;
    };
    for (const auto& [name, tensor] : sharing->shared().trained()) {
      EXPECT_EQ(reached(tensor).size(), 3U) << name;
    }
    for (std::size_t k = 0; k < 3; ++k) {
      for (const auto& [name, tensor] : sharing->own(k).trained()) {
        EXPECT_EQ(reached(tensor), std::set<std::size_t>{k}) << name;
      }
    }
  }
}

TEST(Sharing, HardIsTheFeaturesThemselves) {
  const auto sharing = built("hard");
  const at::Tensor x = shared_features();
  for (const at::Tensor& y : (*sharing)(x)) EXPECT_TRUE(y.is_same(x));
  EXPECT_TRUE(sharing->shared().trained().empty());
}

TEST(Mmoe, IsTheGatesMixtureOfExperts) {
  const auto sharing = built("mmoe", {{"experts", "3"}, {"expert_widths", "4"}});
  const at::Tensor x = shared_features();
  const TensorList outputs = (*sharing)(x);
  for (std::size_t k = 0; k < 3; ++k) {
    const at::Tensor shares =
        softmax_of(x, sharing->own(k)("sharing_tasks." + kThreeTasks[k] + ".gates.0.weight"));
    at::Tensor expected = torch::zeros({6, 4});
    for (int e = 0; e < 3; ++e) {
      const std::string name = "sharing_experts.0." + std::to_string(e) + ".0";
      expected = expected + shares.select(1, e).unsqueeze(1) * layer(sharing->shared(), name, x);
    }
    EXPECT_TRUE(torch::allclose(outputs[k], expected, 1e-5, 1e-6));
  }
}

TEST(Mmoe, OfOneExpertSharesHard) {
  const auto sharing = built("mmoe", {{"experts", "1"}, {"expert_widths", "4"}});
  const TensorList outputs = (*sharing)(shared_features());
  const at::Tensor expected = layer(sharing->shared(), "sharing_experts.0.0.0", shared_features());
  for (const at::Tensor& y : outputs) EXPECT_TRUE(torch::allclose(y, expected, 1e-5, 1e-6));
}

TEST(Cgc, MixesSharedExpertsAndOwnOnes) {
  const auto sharing =
      built("cgc", {{"experts", "1"}, {"task_experts", "1"}, {"expert_widths", "4"}});
  const at::Tensor x = shared_features();
  const TensorList outputs = (*sharing)(x);
  const Parameters& own = sharing->own(1);
  const at::Tensor shares = softmax_of(x, own("sharing_tasks.b.gates.0.weight"));
  const at::Tensor expected =
      shares.select(1, 0).unsqueeze(1) * layer(sharing->shared(), "sharing_experts.0.0.0", x) +
      shares.select(1, 1).unsqueeze(1) * layer(own, "sharing_tasks.b.experts.0.0.0", x);
  EXPECT_TRUE(torch::allclose(outputs[1], expected, 1e-5, 1e-6));
}

TEST(Ple, OfOneLevelIsCgc) {
  const TensorList ple =
      (*built("ple", {{"levels", "1"}, {"expert_widths", "4"}}))(shared_features());
  const TensorList cgc = (*built("cgc", {{"expert_widths", "4"}}))(shared_features());
  for (std::size_t k = 0; k < 3; ++k) EXPECT_TRUE(torch::equal(ple[k], cgc[k]));
}

TEST(CrossStitch, OfOwnShareOneKeepsTowersApart) {
  const auto sharing = built("cross_stitch", {{"own_share", "1"}, {"tower_widths", "7,4"}});
  const TensorList outputs = (*sharing)(shared_features());
  for (std::size_t k = 0; k < 3; ++k) {
    const std::string tower = "sharing_tasks." + kThreeTasks[k] + ".tower.";
    const at::Tensor expected = layer(
        sharing->shared(), tower + "1", layer(sharing->shared(), tower + "0", shared_features()));
    EXPECT_TRUE(torch::allclose(outputs[k], expected, 1e-5, 1e-6));
  }
}

TEST(CrossStitch, OfEqualSharesGivesAllTasksTheSame) {
  const auto sharing =
      built("cross_stitch", {{"own_share", "0.5"}, {"tower_widths", "4"}}, {"first", "second"});
  const TensorList outputs = (*sharing)(shared_features());
  EXPECT_TRUE(torch::allclose(outputs[0], outputs[1], 1e-6, 1e-7));
}

TEST(Sharing, WorksForOneTask) {
  for (const auto& [kind, settings] : ways()) {
    const TensorList outputs = (*built(kind, settings, {"alone"}))(shared_features());
    ASSERT_EQ(outputs.size(), 1U) << kind;
    EXPECT_TRUE(outputs[0].isfinite().all().item<bool>());
  }
}

TEST(Sharing, ACloneAnswersAlikeWithTensorsOfItsOwn) {
  for (const auto& [kind, settings] : ways()) {
    const auto sharing = built(kind, settings);
    const auto copy = sharing->clone();
    const TensorList before = (*sharing)(shared_features());
    const TensorList same = (*copy)(shared_features());
    {
      const torch::NoGradGuard no_grad;
      for (const auto& [name, tensor] : sharing->shared().trained()) at::Tensor(tensor).zero_();
    }
    const TensorList after = (*copy)(shared_features());
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_TRUE(torch::equal(before[k], same[k])) << kind;
      EXPECT_TRUE(torch::equal(before[k], after[k])) << kind;
    }
  }
}

TEST(Sharing, RefusesWhatCannotBe) {
  EXPECT_THAT(test::error_of([] { make_sharing("mmoe2"); }).what(), HasSubstr("'mmoe'"));
  EXPECT_THAT(test::error_of([] {
                built("mmoe", {{"expert_widths", "[]"}});
              }).what(),
              HasSubstr("expert_widths"));
  EXPECT_THAT(test::error_of([] {
                built("cross_stitch", {{"tower_widths", "2.5"}});
              }).what(),
              HasSubstr("tower_widths"));
  EXPECT_THROW(built("mmoe", {{"experts", "0"}}), Error);
}

}  // namespace
}  // namespace detente::nn
