// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/image_source.h>
#include <detente/nn/conv1d_trunk.h>
#include <detente/nn/conv_trunk.h>
#include <detente/nn/resnet_trunk.h>
#include <detente/nn/wide_resnet_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

constexpr data::ImageShape kImages{12, 10, 3};

data::Batch images(std::int64_t count, std::int64_t seed, const data::ImageShape& shape = kImages) {
  torch::manual_seed(seed);
  const auto size = static_cast<std::int64_t>(shape.size());
  const at::Tensor values = torch::randn({count * size});
  const float* begin = values.data_ptr<float>();
  return {{"image",
           {static_cast<std::size_t>(count), shape.channels, shape.height, shape.width},
           std::vector<float>(begin, begin + values.numel())}};
}

template <class T>
T built(const std::vector<std::string>& options, const data::ImageShape& shape = kImages) {
  tensor::set_threads(1);
  T trunk;
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    set_field([&](FieldVisitor& v) { trunk.describe(v); }, options[i], options[i + 1], "test");
  }
  Rng rng(3);
  Draw draw(rng);
  trunk.build(shape, draw);
  trunk.to({}, tensor::DType::kFloat64);
  return trunk;
}

std::int64_t resnet_count(const std::string& depth) {
  return built<ResNetTrunk>({"depth", depth, "norm", "batch"}, {32, 32, 3})
      .parameters()
      .trained_count();
}

TEST(ResNet, HasTheNumbersOfThePublishedNetworks) {
  // torchvision's resnet18, resnet34, resnet50 without their last layer.
  EXPECT_EQ(resnet_count("18"), 11176512);
  EXPECT_EQ(resnet_count("34"), 21284672);
  EXPECT_EQ(resnet_count("50"), 23508032);
  EXPECT_EQ(built<ResNetTrunk>({}).parameters().trained_count(), 11176512) << "groups as many";
}

TEST(ResNet, StagesHalveTheImage) {
  for (const char* depth : {"18", "50"}) {
    const auto small = built<ResNetTrunk>({"depth", depth, "small", "true"});
    EXPECT_EQ(small.features(images(2, 1)).sizes(), (Sizes{2, small.width()}));
  }
  EXPECT_EQ(built<ResNetTrunk>({"depth", "50"}).width(), 2048);
  EXPECT_EQ(built<ResNetTrunk>({"depth", "34"}).width(), 512);
  // 1 x 1 is enough for an answer.
  const auto tiny = built<ResNetTrunk>({}, {1, 1, 1});
  EXPECT_TRUE(tiny.features(images(1, 1, {1, 1, 1})).isfinite().all().item<bool>());
}

// The same network out of LibTorch's modules.
TEST(ResNet, IsTheModulesComputation) {
  namespace tn = torch::nn;
  auto trunk = built<ResNetTrunk>({"norm", "batch", "small", "true"});
  const auto& p = trunk.parameters();
  const auto layer = [&](const at::Tensor& x, const std::string& c, const std::string& n, int s) {
    const at::Tensor& kernel = p(c + ".weight");
    tn::Conv2d conv(tn::Conv2dOptions(kernel.size(1), kernel.size(0), kernel.size(2))
                        .stride(s)
                        .padding(kernel.size(2) / 2)
                        .bias(false));
    tn::BatchNorm2d norm(kernel.size(0));
    conv->to(torch::kDouble);
    norm->to(torch::kDouble);
    conv->weight = kernel;
    norm->weight = p(n + ".weight");
    norm->bias = p(n + ".bias");
    norm->eval();
    return norm(conv(x));
  };
  const data::Batch batch = images(2, 5);
  at::Tensor x = tensor_of(batch[0]).to(torch::kDouble);
  x = torch::relu(layer(x, "conv1", "bn1", 1));
  for (int stage = 1; stage <= 4; ++stage) {
    for (int i = 0; i < 2; ++i) {
      const std::string name = "layer" + std::to_string(stage) + "." + std::to_string(i) + ".";
      const int stride = stage > 1 && i == 0 ? 2 : 1;
      const at::Tensor y = layer(torch::relu(layer(x, name + "conv1", name + "bn1", stride)),
                                 name + "conv2",
                                 name + "bn2",
                                 1);
      x = torch::relu(
          y + (stride == 2 ? layer(x, name + "downsample.0", name + "downsample.1", 2) : x));
    }
  }
  EXPECT_TRUE(torch::allclose(trunk.features(batch), x.mean({2, 3}), test::kRounding, 1e-9));
}

TEST(WideResNet, HasTheNumbersOfThePublishedNetworks) {
  const auto count = [](const std::string& widen) {
    const auto trunk = built<WideResNetTrunk>({"widen", widen, "norm", "batch"}, {32, 32, 3});
    return trunk.parameters().trained_count() + trunk.width() * 10 + 10;
  };
  EXPECT_EQ(count("2"), 1467610);    // WRN-28-2 of Oliver et al. (2018)
  EXPECT_EQ(count("10"), 36479194);  // WRN-28-10 of Zagoruyko and Komodakis (2016)
  EXPECT_THROW(built<WideResNetTrunk>({"depth", "27"}), Error);
}

// The same network out of LibTorch's modules, as the published code of ARML puts it together: a block's
// shortcut takes what comes in, that of the very first block what comes out of its first norm.
TEST(WideResNet, IsTheModulesComputation) {
  namespace tn = torch::nn;
  const auto trunk = built<WideResNetTrunk>({"depth", "16", "widen", "3", "norm", "batch"});
  const auto& p = trunk.parameters();
  const auto conv = [&](const at::Tensor& x, const std::string& name, int stride) {
    const at::Tensor& kernel = p(name + ".weight");
    tn::Conv2d module(tn::Conv2dOptions(kernel.size(1), kernel.size(0), kernel.size(2))
                          .stride(stride)
                          .padding(kernel.size(2) / 2)
                          .bias(false));
    module->to(torch::kDouble);
    module->weight = kernel;
    return module(x);
  };
  const auto activated = [&](const at::Tensor& x, const std::string& name) {
    tn::BatchNorm2d norm(x.size(1));
    norm->to(torch::kDouble);
    norm->weight = p(name + ".weight");
    norm->bias = p(name + ".bias");
    norm->eval();
    return tn::LeakyReLU(tn::LeakyReLUOptions().negative_slope(0.1))(norm(x));
  };
  const data::Batch batch = images(2, 5);
  at::Tensor x = conv(tensor_of(batch[0]).to(torch::kDouble), "conv1", 1);
  for (int unit = 1; unit <= 3; ++unit) {
    for (int i = 0; i < 2; ++i) {
      const std::string name = "block" + std::to_string(unit) + "." + std::to_string(i) + ".";
      const int stride = unit > 1 && i == 0 ? 2 : 1;
      const at::Tensor before = activated(x, name + "bn1");
      const at::Tensor inner = activated(conv(before, name + "conv1", stride), name + "bn2");
      const at::Tensor in = unit == 1 && i == 0 ? before : x;
      x = (i == 0 ? conv(in, name + "shortcut", stride) : in) + conv(inner, name + "conv2", 1);
    }
  }
  x = activated(x, "bn1").mean({2, 3});
  EXPECT_TRUE(torch::allclose(trunk.features(batch), x, test::kRounding, 1e-9));
}

TEST(WideResNet, TakesImagesOfOtherSides) {
  const auto trunk = built<WideResNetTrunk>({"depth", "10", "widen", "1"});
  for (const std::size_t side : {8, 9, 16}) {
    EXPECT_EQ(trunk.features(images(2, 1, {side, side, 3})).sizes(), (Sizes{2, 64}));
  }
}

// The same out of LibTorch's modules of one dimension.
TEST(Conv1dTrunk, IsTheModulesComputation) {
  namespace f = torch::nn::functional;
  const auto trunk =
      built<Conv1dTrunk>({"channels", "[6, 8]", "kernel", "3", "hidden", "7"}, {1, 9, 5});
  const auto& p = trunk.parameters();
  const data::Batch batch = images(3, 2, {1, 9, 5});
  at::Tensor x = tensor_of(batch[0]).to(torch::kDouble).squeeze(2);
  for (const auto& [name, groups] : {std::pair{"blocks.0.", 1}, std::pair{"blocks.1.", 2}}) {
    const std::string block = name;
    x = f::conv1d(x, p(block + "conv.weight").squeeze(2), f::Conv1dFuncOptions().padding(1));
    x = f::group_norm(x,
                      f::GroupNormFuncOptions(groups)
                          .weight(p(block + "norm.weight"))
                          .bias(p(block + "norm.bias")));
    x = f::max_pool1d(torch::relu(x), f::MaxPool1dFuncOptions(2));
  }
  x = torch::relu(f::linear(x.mean(2), p("hidden.weight"), p("hidden.bias")));
  EXPECT_TRUE(torch::allclose(trunk.features(batch), x, test::kRounding, 1e-9));
}

TEST(Conv1dTrunk, RefusesWhatItCannotTake) {
  Conv1dTrunk trunk;
  data::ImageSource images;
  EXPECT_THROW(trunk.prepare(images), Error);
  EXPECT_THROW(built<Conv1dTrunk>({}, {1, 7, 4}), Error) << "three blocks";
  EXPECT_THROW(built<Conv1dTrunk>({"kernel", "2"}, {1, 9, 4}), Error);
}

TEST(ConvTrunk, IsTheModulesComputation) {
  namespace f = torch::nn::functional;
  const auto trunk = built<ConvTrunk>({"channels", "[6, 8]", "kernel", "5", "hidden", "7"});
  const auto& p = trunk.parameters();
  const data::Batch batch = images(3, 2);
  at::Tensor x = tensor_of(batch[0]).to(torch::kDouble);
  for (const auto& [name, groups] : {std::pair{"blocks.0.", 1}, std::pair{"blocks.1.", 2}}) {
    const std::string block = name;
    x = f::conv2d(x, p(block + "conv.weight"), f::Conv2dFuncOptions().padding(2));
    x = f::group_norm(x,
                      f::GroupNormFuncOptions(groups)
                          .weight(p(block + "norm.weight"))
                          .bias(p(block + "norm.bias")));
    x = f::max_pool2d(torch::relu(x), f::MaxPool2dFuncOptions(2));
  }
  x = torch::relu(f::linear(x.flatten(1), p("hidden.weight"), p("hidden.bias")));
  EXPECT_EQ(trunk.width(), 7);
  EXPECT_TRUE(torch::allclose(trunk.features(batch), x, test::kRounding, 1e-12));
}

TEST(ImageTrunks, EveryParameterLearns) {
  for (const char* norm : {"group", "batch"}) {
    const auto conv = built<ConvTrunk>({"norm", norm});
    const auto residual = built<ResNetTrunk>({"norm", norm, "small", "true"});
    for (const Trunk* trunk : std::initializer_list<const Trunk*>{&conv, &residual}) {
      Rng rng(1);
      trunk->features(images(4, 3), &rng).square().sum().backward();
      for (const auto& [name, tensor] : trunk->parameters().trained()) {
        ASSERT_TRUE(tensor.grad().defined()) << name;
        EXPECT_GT(tensor.grad().abs().sum().item<double>(), 0) << name;
      }
    }
  }
}

TEST(ImageTrunks, GroupNormalisationLeavesExamplesAlone) {
  const auto trunk = built<ConvTrunk>({});
  const data::Batch all = images(5, 4);
  data::Batch second = all;
  auto& values = std::get<std::vector<float>>(second[0].values);
  const auto size = static_cast<std::ptrdiff_t>(kImages.size());
  values = {values.begin() + size, values.begin() + 2 * size};
  second[0].shape[0] = 1;
  EXPECT_TRUE(torch::allclose(
      trunk.features(all).slice(0, 1, 2), trunk.features(second), test::kRounding, 1e-12));
}

TEST(ImageTrunks, BatchStatisticsMoveInTrainingAlone) {
  auto trunk = built<ConvTrunk>({"norm", "batch", "dropout", "0"});
  const auto mean = [&] { return trunk.parameters()("blocks.0.norm.running_mean").clone(); };
  const at::Tensor begin = mean();
  trunk.features(images(4, 1));
  EXPECT_TRUE(torch::equal(mean(), begin)) << "not by predictions";
  Rng rng(1);
  trunk.features(images(4, 1), &rng);
  const at::Tensor moved = mean();
  EXPECT_FALSE(torch::equal(moved, begin));
  Rng same(1);
  trunk.features(images(4, 1), &same);
  EXPECT_TRUE(torch::equal(mean(), moved)) << "the same step again";
  Rng other(2);
  trunk.features(images(4, 1), &other);
  EXPECT_FALSE(torch::equal(mean(), moved));
  // The statistics are the batch's: mean' = 0.9 mean + 0.1 batch mean.
  const at::Tensor x = torch::conv2d(tensor_of(images(4, 1)[0]).to(torch::kDouble),
                                     trunk.parameters()("blocks.0.conv.weight"),
                                     {},
                                     1,
                                     1);
  EXPECT_TRUE(torch::allclose(moved, 0.1 * x.mean({0, 2, 3}), 1e-9, 1e-12));
}

TEST(ImageTrunks, StatisticsBelongToTheState) {
  const auto trunk = built<ResNetTrunk>({"norm", "batch", "small", "true"});
  const NamedTensors fixed = trunk.parameters().fixed();
  EXPECT_EQ(fixed.size(), 2U * 20U);
  for (const auto& [name, tensor] : fixed) {
    EXPECT_THAT(name, testing::HasSubstr("running_")) << name;
  }
  const auto clone = trunk.clone();
  Rng rng(1);
  clone->features(images(4, 1), &rng);
  EXPECT_EQ(trunk.parameters()("bn1.running_mean").abs().sum().item<double>(), 0)
      << "a clone has its own";
}

TEST(ImageTrunks, DropoutFollowsItsGeneratorAlone) {
  const auto trunk = built<ConvTrunk>({"dropout", "0.5"});
  const auto with = [&](std::uint64_t seed) {
    Rng rng(seed);
    return trunk.features(images(2, 1), &rng);
  };
  EXPECT_TRUE(torch::equal(with(1), with(1)));
  EXPECT_FALSE(torch::equal(with(1), with(2)));
}

TEST(ImageTrunks, GroupsDivideTheChannels) {
  EXPECT_EQ(group_count(64, 32), 32);
  EXPECT_EQ(group_count(10, 8), 5);
  EXPECT_EQ(group_count(7, 8), 7);
  EXPECT_EQ(group_count(13, 8), 1);
  EXPECT_EQ(group_count(1, 8), 1);
}

TEST(ImageTrunks, RefuseWhatDoesNotFit) {
  const auto code = [](const auto& body) {
    try {
      body();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  const auto conv = built<ConvTrunk>({});
  EXPECT_EQ(code([&] { conv.features({}); }), ErrorCode::kShape);
  EXPECT_EQ(code([&] { conv.features(images(0, 1)); }), ErrorCode::kShape);
  EXPECT_EQ(code([&] { conv.features(images(1, 1, {12, 10, 1})); }), ErrorCode::kShape);
  EXPECT_EQ(code([] { built<ConvTrunk>({"channels", "[]"}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([] { built<ConvTrunk>({"channels", "[2.5]"}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([] { built<ConvTrunk>({"kernel", "4"}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([] { built<ConvTrunk>({}, {3, 100, 1}); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([] { built<ResNetTrunk>({"depth", "19"}); }), ErrorCode::kInvalidArgument);
  const auto table = data::make_source("table");
  EXPECT_EQ(code([&] { ConvTrunk().prepare(*table); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code([&] { ResNetTrunk().prepare(*table); }), ErrorCode::kInvalidArgument);
  // One number per channel has no variance.
  const auto batch = built<ResNetTrunk>({"norm", "batch"}, {1, 1, 1});
  Rng rng(1);
  EXPECT_EQ(code([&] { batch.features(images(1, 1, {1, 1, 1}), &rng); }), ErrorCode::kShape);
}

}  // namespace
}  // namespace detente::nn
