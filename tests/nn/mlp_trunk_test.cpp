// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/table_source.h>
#include <detente/nn/mlp_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

using testing::ElementsAre;

data::Batch rows() {
  return {{"numbers", {3, 2}, std::vector<float>{0.5F, -1, 2, 0, 0, 1}},
          {"missing", {3, 1}, std::vector<std::uint8_t>{0, 1, 0}},
          {"categories", {3, 2}, std::vector<std::int32_t>{1, 0, 2, 3, 0, 1}}};
}

MlpTrunk built(const std::vector<std::string>& options = {}) {
  tensor::set_threads(1);
  MlpTrunk trunk;
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    set_field([&](FieldVisitor& v) { trunk.describe(v); }, options[i], options[i + 1], "test");
  }
  Rng rng(3);
  Draw draw(rng);
  trunk.build(2, 1, {3, 4}, draw);
  trunk.to({}, tensor::DType::kFloat64);
  return trunk;
}

// The same with plain loops.
std::vector<double> plain(const MlpTrunk& trunk, std::size_t row) {
  const auto at = [&](const std::string& name, std::int64_t i) {
    return trunk.parameters()(name).contiguous().data_ptr<double>()[i];
  };
  const data::Batch batch = rows();
  const auto& numbers = std::get<std::vector<float>>(batch[0].values);
  const auto& missing = std::get<std::vector<std::uint8_t>>(batch[1].values);
  const auto& ids = std::get<std::vector<std::int32_t>>(batch[2].values);
  std::vector<double> x = {
      numbers[2 * row], numbers[2 * row + 1], static_cast<double>(missing[row])};
  for (std::size_t c = 0; c < 2; ++c) {
    const std::int64_t width = trunk.embedding_width(c == 0 ? 3 : 4);
    for (std::int64_t j = 0; j < width; ++j) {
      x.push_back(at("embeddings." + std::to_string(c) + ".weight", ids[2 * row + c] * width + j));
    }
  }
  for (const char* layer : {"layers.0", "layers.1"}) {
    const std::int64_t out = trunk.parameters()(std::string(layer) + ".bias").numel();
    std::vector<double> y;
    for (std::int64_t o = 0; o < out; ++o) {
      double sum = at(std::string(layer) + ".bias", o);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const auto place = o * static_cast<std::int64_t>(x.size()) + static_cast<std::int64_t>(i);
        sum += at(std::string(layer) + ".weight", place) * x[i];
      }
      y.push_back(std::max(0.0, sum));
    }
    x = y;
  }
  return x;
}

TEST(MlpTrunk, EqualsThePlainComputation) {
  const MlpTrunk trunk = built({"widths", "[5, 4]"});
  const at::Tensor features = trunk.features(rows());
  ASSERT_EQ(features.sizes(), (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(trunk.width(), 4);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto expected = plain(trunk, i);
    for (std::size_t j = 0; j < expected.size(); ++j) {
      EXPECT_NEAR(
          features[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)].item<double>(),
          expected[j],
          test::kRounding);
    }
  }
}

TEST(MlpTrunk, UnknownCategoriesStartAtZero) {
  const MlpTrunk trunk = built();
  for (const char* name : {"embeddings.0.weight", "embeddings.1.weight"}) {
    const at::Tensor table = trunk.parameters()(name);
    EXPECT_EQ(table[0].abs().sum().item<double>(), 0);
    EXPECT_GT(table[1].abs().sum().item<double>(), 0);
  }
}

TEST(MlpTrunk, EveryParameterLearns) {
  for (const char* activation : {"relu", "gelu", "silu"}) {
    const MlpTrunk trunk = built({"activation", activation});
    trunk.features(rows()).square().sum().backward();
    for (const auto& [name, tensor] : trunk.parameters().trained()) {
      EXPECT_GT(tensor.grad().abs().sum().item<double>(), 0) << name;
    }
  }
}

TEST(MlpTrunk, DropoutFollowsItsGeneratorAlone) {
  const MlpTrunk trunk = built({"dropout", "0.5"});
  const auto with = [&](std::uint64_t seed) {
    Rng rng(seed);
    return trunk.features(rows(), &rng);
  };
  EXPECT_TRUE(torch::equal(with(1), with(1)));
  EXPECT_FALSE(torch::equal(with(1), with(2)));
  EXPECT_TRUE(torch::equal(trunk.features(rows()), trunk.features(rows())));
}

TEST(MlpTrunk, ACloneIsAnotherOfTheSame) {
  const MlpTrunk trunk = built();
  const auto clone = trunk.clone();
  EXPECT_TRUE(torch::equal(trunk.features(rows()), clone->features(rows())));
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : clone->parameters().trained()) {
      at::Tensor other = tensor;
      other.add_(1);
    }
  }
  EXPECT_FALSE(torch::equal(trunk.features(rows()), clone->features(rows())));
}

TEST(MlpTrunk, WorksOnOneKindOfColumnAlone) {
  MlpTrunk numbers;
  MlpTrunk words;
  Rng rng(1);
  Draw draw(rng);
  numbers.build(2, 0, {}, draw);
  words.build(0, 0, {5}, draw);
  EXPECT_EQ(numbers.features({rows()[0]}).size(0), 3);
  const data::Batch ids = {{"categories", {2, 1}, std::vector<std::int32_t>{4, 0}}};
  EXPECT_EQ(words.features(ids).size(0), 2);
}

TEST(MlpTrunk, RefusesWhatDoesNotFit) {
  const MlpTrunk trunk = built();
  const auto code = [&](data::Batch batch) {
    try {
      trunk.features(batch);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  data::Batch batch = rows();
  batch.pop_back();
  EXPECT_EQ(code(batch), ErrorCode::kShape);
  batch = rows();
  batch[0].shape = {2, 3};
  EXPECT_EQ(code(batch), ErrorCode::kShape);
  batch = rows();
  std::get<std::vector<std::int32_t>>(batch[2].values)[0] = 3;
  EXPECT_EQ(code(batch), ErrorCode::kData);
  EXPECT_EQ(code({}), ErrorCode::kShape);
  EXPECT_THROW(built({"widths", "[]"}), Error);
  EXPECT_THROW(built({"widths", "[2.5]"}), Error);
  const auto pairs = data::make_source("pairs");
  EXPECT_THROW(MlpTrunk().prepare(*pairs), Error);
}

}  // namespace
}  // namespace detente::nn
