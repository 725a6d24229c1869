// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/losses/registry.h>
#include <detente/nn/model.h>
#include <detente/nn/mtan_trunk.h>
#include <detente/nn/segnet_trunk.h>
#include <detente/nn/unet_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <torch/torch.h>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

using test::error_of;

constexpr data::DenseShape kDenseImages{3, 33, 38};  // odd sides lose lines in the pools

std::vector<TaskHead> nyu_heads(std::int64_t classes = 13) {
  TaskHead segmentation{"segmentation", {}};
  segmentation.options.kind = HeadKind::kSegmentation;
  segmentation.options.classes = classes;
  TaskHead depth{"depth", {}};
  depth.options.kind = HeadKind::kDepth;
  TaskHead normals{"normals", {}};
  normals.options.kind = HeadKind::kNormals;
  return {segmentation, depth, normals};
}

std::vector<std::string> names_of(const std::vector<TaskHead>& heads) {
  std::vector<std::string> names;
  for (const TaskHead& head : heads) names.push_back(head.name);
  return names;
}

// Trunk and heads without a source.
template <class T>
Model built_dense(const std::vector<std::string>& options,
                  const std::vector<TaskHead>& heads,
                  const data::DenseShape& shape = kDenseImages) {
  tensor::set_threads(1);
  auto trunk = std::make_unique<T>();
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    set_field([&](FieldVisitor& v) { trunk->describe(v); }, options[i], options[i + 1], "test");
  }
  Rng rng(3);
  Draw draw(rng);
  trunk->set_tasks(names_of(heads));
  trunk->DenseTrunk::build(shape, draw);
  const std::int64_t width = trunk->width();
  return {std::move(trunk), Heads(heads, width, draw)};
}

data::Batch dense_images(std::int64_t count,
                         std::int64_t seed,
                         const data::DenseShape& shape = kDenseImages) {
  torch::manual_seed(seed);
  const auto size = static_cast<std::int64_t>(shape.channels * shape.pixels());
  const at::Tensor values = torch::randn({count * size});
  const float* begin = values.data_ptr<float>();
  return {{"image",
           {static_cast<std::size_t>(count), shape.channels, shape.height, shape.width},
           std::vector<float>(begin, begin + values.numel())}};
}

TEST(SegNet, HasTheNumbersOfThePublishedNetworks) {
  const auto all = nyu_heads();
  EXPECT_EQ(built_dense<SegNetTrunk>({}, {all[0]}).parameter_count(), 24981069);
  EXPECT_EQ(built_dense<SegNetTrunk>({}, {all[1]}).parameter_count(), 24980289);
  EXPECT_EQ(built_dense<SegNetTrunk>({}, {all[2]}).parameter_count(), 24980419);
  const Model split = built_dense<SegNetTrunk>({}, all);
  EXPECT_EQ(split.trunk().parameters().trained_count(), 24943296);
  EXPECT_EQ(split.parameter_count() + 3, 25055188) << "published with 3 uncertainties";
}

TEST(Mtan, HasTheNumbersOfThePublishedNetwork) {
  const Model model = built_dense<MtanTrunk>({}, nyu_heads());
  EXPECT_EQ(model.parameter_count() + 3, 44229076) << "published with 3 uncertainties";
}

TEST(Mtan, GivesEachTaskItsAttentionAndSharesTheRest) {
  const Model model = built_dense<MtanTrunk>({"width", "4"}, nyu_heads(5));
  const TensorList predictions = model.forward(dense_images(2, 1));
  for (std::size_t k = 0; k < 3; ++k) {
    for (std::size_t other = 0; other < 3; ++other) {
      const TensorList own = model.head_parameters(other);
      EXPECT_GT(own.size(), 4U);
      const auto gradients = torch::autograd::grad({predictions[k].square().sum()},
                                                   own,
                                                   {},
                                                   /*retain_graph=*/true,
                                                   false,
                                                   /*allow_unused=*/true);
      for (const at::Tensor& gradient : gradients) EXPECT_EQ(gradient.defined(), k == other);
    }
  }
}

// Depths.
std::vector<double> depths_of(const Model& model, const data::Batch& batch) {
  const Matrix depths = model.predict(batch)[1];
  return {depths.data(), depths.data() + depths.rows() * depths.cols()};
}

class DenseTrunkTest : public testing::TestWithParam<std::string> {
 protected:
  static Model small(const std::vector<TaskHead>& heads, const std::string& norm = "group") {
    if (GetParam() == "segnet")
      return built_dense<SegNetTrunk>({"width", "4", "norm", norm}, heads);
    if (GetParam() == "mtan") return built_dense<MtanTrunk>({"width", "4", "norm", norm}, heads);
    return built_dense<UNetTrunk>({"channels", "[4, 6, 8]", "norm", norm}, heads);
  }
  static std::vector<TaskHead> with_presence() {
    auto heads = nyu_heads(5);
    heads.push_back({"has", {}});
    heads.back().options.kind = HeadKind::kBinary;
    return heads;
  }
};

TEST_P(DenseTrunkTest, AnswersForEachPixelAndForTheWholeImage) {
  const Model model = small(with_presence());
  const TensorList predictions = model.forward(dense_images(2, 1));
  EXPECT_EQ(predictions[0].sizes(), (Sizes{2, 5, 33, 38}));
  EXPECT_EQ(predictions[1].sizes(), (Sizes{2, 1, 33, 38}));
  EXPECT_EQ(predictions[2].sizes(), (Sizes{2, 3, 33, 38}));
  EXPECT_EQ(predictions[3].sizes(), (Sizes{2}));
  const auto answers = model.predict(dense_images(2, 1));
  ASSERT_EQ(answers[0].cols(), 33U * 38U);
  ASSERT_EQ(answers[2].cols(), 3U * 33U * 38U);
  ASSERT_EQ(answers[3].cols(), 1U);
  for (std::size_t p = 0; p < 33U * 38U; ++p) {
    const double id = answers[0](1, p);
    EXPECT_TRUE(id >= 0 && id < 5 && id == std::floor(id));
    double length = 0;
    for (std::size_t c = 0; c < 3; ++c) length += std::pow(answers[2](1, c * 33 * 38 + p), 2);
    EXPECT_NEAR(length, 1, 1e-4);
  }
}

TEST_P(DenseTrunkTest, ACloneHasTensorsOfItsOwnAndTheSameAnswers) {
  Model model = small(nyu_heads(5), "batch");
  Rng rng(1);
  model.forward(dense_images(3, 7), &rng);  // moves the running statistics
  const Model clone = model.clone();
  const data::Batch batch = dense_images(2, 1);
  EXPECT_EQ(depths_of(model, batch), depths_of(clone, batch));
  Model fresh = small(nyu_heads(5), "batch");
  EXPECT_NE(depths_of(fresh, batch), depths_of(clone, batch));
  fresh.load_state(clone.state());
  EXPECT_EQ(depths_of(fresh, batch), depths_of(clone, batch));
  const torch::NoGradGuard no_grad;
  for (std::size_t k = 0; k < 3; ++k) {
    for (const at::Tensor& tensor : model.head_parameters(k)) tensor.zero_();
  }
  EXPECT_EQ(depths_of(fresh, batch), depths_of(clone, batch));
  EXPECT_NE(depths_of(model, batch), depths_of(clone, batch));
}

TEST_P(DenseTrunkTest, GroupNormalisationLeavesExamplesToThemselves) {
  const Model model = small(nyu_heads(5));
  const data::Batch both = dense_images(2, 1);
  data::Batch second = both;
  auto& values = std::get<std::vector<float>>(second[0].values);
  values.erase(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  second[0].shape[0] = 1;
  Rng rng(1);
  const at::Tensor whole = model.forward(both, &rng)[1].slice(0, 1, 2);
  EXPECT_TRUE(torch::allclose(whole, model.forward(second, &rng)[1], 1e-4, 1e-5));
}

// The engine's gradients on unpooling, interpolation and batch normalisation are those of plain passes.
TEST_P(DenseTrunkTest, TheEnginesGradientsAreThoseOfPlainPasses) {
  using engine::Strategy;
  for (const char* norm : {"batch", "group"}) {
    Model model = small(with_presence(), norm);
    model.to({}, tensor::DType::kFloat64);
    const std::vector<std::string> losses = {"cross_entropy", "mae", "cosine", "bce"};
    const auto values = [&] {
      torch::manual_seed(9);
      Rng rng(2);
      const TensorList predictions = model.forward(dense_images(3, 1), &rng);
      const auto options = torch::dtype(torch::kDouble);
      auto ids = torch::randint(0, 5, {3, 33, 38}, options);
      ids.index_put_({0}, std::nan(""));
      const TensorList targets = {
          ids,
          torch::rand({3, 33, 38}, options) + 1,
          torch::nn::functional::normalize(torch::randn({3, 3, 33, 38}, options)),
          torch::tensor({1.0, 0.0, 1.0}, options)};
      TensorList list;
      for (std::size_t k = 0; k < 4; ++k) {
        list.push_back((*losses::make_loss(losses[k]))(predictions[k], targets[k]));
      }
      return list;
    };
    const TensorList shared = model.shared_parameters();
    // The Gram matrix of plain passes, and their mean.
    TensorList rows;
    const TensorList plain = values();
    for (const at::Tensor& loss : plain) {
      const auto parts = torch::autograd::grad({loss}, shared, {}, true, false, true);
      TensorList flat;
      for (std::size_t i = 0; i < shared.size(); ++i) {
        flat.push_back((parts[i].defined() ? parts[i] : torch::zeros_like(shared[i])).flatten());
      }
      rows.push_back(torch::cat(flat));
    }
    const at::Tensor all = torch::stack(rows);
    const at::Tensor gram = all.mm(all.t());
    std::vector<TensorList> own;
    for (std::size_t k = 0; k < 4; ++k) own.push_back(model.head_parameters(k));
    for (const Strategy strategy : {Strategy::kSequential, Strategy::kGhost, Strategy::kAuto}) {
      SCOPED_TRACE(std::string(norm) + " " + engine::name_of(strategy));
      engine::MultiTaskOptions options;
      options.strategy = strategy;
      options.diagnose_every = 1;
      engine::MultiTaskBackward backward(
          shared, own, balance::make_method("cagrad"), {"a", "b", "c", "d"}, options);
      Rng rng(0);
      const engine::StepReport report = backward(values(), rng);
      for (std::int64_t i = 0; i < 4; ++i) {
        for (std::int64_t j = 0; j < 4; ++j) {
          const double expected = gram[i][j].item<double>();
          EXPECT_NEAR(report.gram(static_cast<std::size_t>(i), static_cast<std::size_t>(j)),
                      expected,
                      1e-9 * gram.abs().max().item<double>());
        }
      }
      const auto weights = torch::tensor(report.weights, torch::kDouble);
      const at::Tensor direction = weights.unsqueeze(0).mm(all).squeeze(0);
      std::int64_t at = 0;
      for (const at::Tensor& parameter : shared) {
        const at::Tensor part = direction.narrow(0, at, parameter.numel()).view_as(parameter);
        EXPECT_TRUE(torch::allclose(parameter.grad(), part, 1e-8, 1e-10));
        at += parameter.numel();
      }
    }
  }
}

TEST_P(DenseTrunkTest, RefusesImagesOfAnotherSize) {
  const Model model = small(nyu_heads(5));
  EXPECT_EQ(error_of([&] {
              model.forward(dense_images(1, 1, {3, 38, 33}));
            }).code(),
            ErrorCode::kShape);
  EXPECT_EQ(error_of([&] { model.forward({}); }).code(), ErrorCode::kShape);
  EXPECT_EQ(error_of([&] { model.forward(dense_images(0, 1)); }).code(), ErrorCode::kShape);
}

INSTANTIATE_TEST_SUITE_P(Dense,
                         DenseTrunkTest,
                         testing::Values("unet", "segnet", "mtan"),
                         [](const auto& info) { return info.param; });

TEST(DenseTrunk, RefusesImagesThatThePoolsLeaveNothingOf) {
  EXPECT_EQ(error_of([&] {
              built_dense<SegNetTrunk>({"width", "2"}, nyu_heads(), {3, 31, 40});
            }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] {
              built_dense<UNetTrunk>({}, nyu_heads(), {3, 7, 40});
            }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_NO_THROW(built_dense<UNetTrunk>({}, nyu_heads(), {1, 8, 8}));
}

}  // namespace
}  // namespace detente::nn
