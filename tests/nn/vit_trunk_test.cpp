// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/vit_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/engine_agrees.h>
#include <tests/support/error_of.h>
#include <tests/support/tolerances.h>
#include <torch/torch.h>

namespace detente::nn {
namespace {

using ::testing::HasSubstr;

VitTrunk vit(const std::vector<std::string>& options, const data::ImageShape& shape) {
  tensor::set_threads(1);
  VitTrunk trunk;
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    set_field([&](FieldVisitor& v) { trunk.describe(v); }, options[i], options[i + 1], "test");
  }
  Rng rng(3);
  Draw draw(rng);
  trunk.build(shape, draw);
  return trunk;
}

data::Batch vit_images(std::int64_t count, const data::ImageShape& shape) {
  torch::manual_seed(count);
  const at::Tensor values = torch::randn({count * static_cast<std::int64_t>(shape.size())});
  const float* begin = values.data_ptr<float>();
  return {{"image",
           {static_cast<std::size_t>(count), shape.channels, shape.height, shape.width},
           std::vector<float>(begin, begin + values.numel())}};
}

const std::vector<std::string> kSmallVit = {
    "patch", "2", "width", "12", "layers", "2", "heads", "3", "ffn", "20"};

std::vector<std::string> with_pooling(const char* pooling) {
  std::vector<std::string> options = kSmallVit;
  options.insert(options.end(), {"pooling", pooling});
  return options;
}

// Published counts of ViT-Tiny, -Small and -Base with 1,000 classes less their last layer's.
TEST(Vit, HasTheNumbersOfThePublishedNetworks) {
  const auto count = [](const char* width, const char* heads, const char* ffn) {
    return vit({"patch", "16", "layers", "12", "width", width, "heads", heads, "ffn", ffn},
               {224, 224, 3})
        .parameters()
        .trained_count();
  };
  EXPECT_EQ(count("192", "3", "768"), 5717416 - 193000);
  EXPECT_EQ(count("384", "6", "1536"), 22050664 - 385000);
  EXPECT_EQ(count("768", "12", "3072"), 86567656 - 769000);
}

// The same network out of LibTorch's modules.
TEST(Vit, IsTheModulesComputation) {
  namespace tn = torch::nn;
  const data::ImageShape shape{4, 6, 3};
  for (const char* pooling : {"cls", "mean"}) {
    auto trunk = vit(with_pooling(pooling), shape);
    const bool cls = std::string(pooling) == "cls";
    trunk.to({}, tensor::DType::kFloat64);
    torch::manual_seed(1);
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : trunk.parameters().trained()) {
      at::Tensor(tensor).copy_(torch::randn_like(tensor) * 0.3);
    }
    const auto& p = trunk.parameters();
    const auto linear = [&](const at::Tensor& x, const std::string& name) {
      return torch::nn::functional::linear(x, p(name + ".weight"), p(name + ".bias"));
    };
    const auto norm = [&](const at::Tensor& x, const std::string& name) {
      tn::LayerNorm layer(tn::LayerNormOptions({12}).eps(1e-6));
      layer->to(torch::kDouble);
      layer->weight = p(name + ".weight");
      layer->bias = p(name + ".bias");
      return layer(x);
    };
    const data::Batch batch = vit_images(5, shape);
    const at::Tensor images = tensor_of(batch[0]).to(torch::kDouble);
    // Patches row by row, cut by hand.
    TensorList tokens;
    if (cls) tokens.push_back(p("cls_token").expand({5, 1, 12}));
    const at::Tensor kernel = p("patch_embed.proj.weight").flatten(1);
    for (std::int64_t y = 0; y < 4; y += 2) {
      for (std::int64_t x = 0; x < 6; x += 2) {
        const at::Tensor patch = images.slice(2, y, y + 2).slice(3, x, x + 2).flatten(1);
        tokens.push_back((patch.mm(kernel.t()) + p("patch_embed.proj.bias")).unsqueeze(1));
      }
    }
    at::Tensor x = torch::cat(tokens, 1) + p("pos_embed");
    at::Tensor looks;
    for (const std::string block : {"blocks.0.", "blocks.1."}) {
      tn::MultiheadAttention attention(tn::MultiheadAttentionOptions(12, 3));
      attention->to(torch::kDouble);
      attention->in_proj_weight = p(block + "attn.qkv.weight");
      attention->in_proj_bias = p(block + "attn.qkv.bias");
      attention->out_proj->weight = p(block + "attn.proj.weight");
      attention->out_proj->bias = p(block + "attn.proj.bias");
      const at::Tensor y = norm(x, block + "norm1").transpose(0, 1);
      const auto [out, weights] = attention(y, y, y);
      looks = weights.select(1, 0);  // of the first token, mean over the heads
      x = x + out.transpose(0, 1);
      x = x + linear(torch::gelu(linear(norm(x, block + "norm2"), block + "mlp.fc1")),
                     block + "mlp.fc2");
    }
    x = norm(x, "norm");
    x = cls ? x.select(1, 0) : x.mean(1);
    EXPECT_TRUE(torch::allclose(trunk.features(batch), x, test::kRounding, 1e-9)) << pooling;
    if (!cls) continue;
    const at::Tensor attention = trunk.attention_of(batch);
    EXPECT_EQ(attention.sizes(), (std::vector<std::int64_t>{5, 3, 2, 3}));
    EXPECT_FALSE(attention.requires_grad());
    EXPECT_TRUE(torch::allclose(attention.mean(1).flatten(1), looks.slice(1, 1), 1e-9, 1e-12));
    // With what the class token gives to itself, all of it.
    EXPECT_TRUE(torch::allclose(attention.flatten(2).sum(2).mean(1) + looks.select(1, 0),
                                torch::ones({5}, x.options())));
  }
}

TEST(Vit, PatchesMovedWithTheirPositionsAreTheSameImage) {
  const data::ImageShape shape{2, 6, 1};
  auto trunk = vit(with_pooling("mean"), shape);
  trunk.to({}, tensor::DType::kFloat64);
  const data::Batch batch = vit_images(2, shape);
  const at::Tensor before = trunk.features(batch);
  data::Batch moved = batch;
  const at::Tensor rolled = torch::roll(tensor_of(batch[0]), 2, 3).contiguous();
  moved[0].values = std::vector<float>(rolled.data_ptr<float>(), rolled.data_ptr<float>() + 24);
  EXPECT_FALSE(torch::allclose(trunk.features(moved), before));
  const torch::NoGradGuard no_grad;
  const at::Tensor positions = trunk.parameters()("pos_embed");
  at::Tensor(positions).copy_(torch::roll(positions, 1, 1));
  EXPECT_TRUE(torch::allclose(trunk.features(moved), before, 1e-9, 1e-12));
}

// The class token and the positions cost no pass per task.
TEST(Vit, TheEnginesGradientsAreThoseOfPlainPasses) {
  using engine::Strategy;
  const data::ImageShape shape{4, 4, 2};
  for (const char* pooling : {"cls", "mean"}) {
    auto trunk = vit(with_pooling(pooling), shape);
    trunk.to({}, tensor::DType::kFloat64);
    const data::Batch batch = vit_images(9, shape);
    const std::vector<std::int64_t> tasks = {2, 0, 1, 1, 0, 2, 2, 1, 0};
    const auto one_pass = test::expect_plain_gradients(trunk, batch, Strategy::kSegmented, tasks);
    EXPECT_EQ(one_pass.strategy, Strategy::kSegmented);
    EXPECT_EQ(one_pass.notice, "");
    EXPECT_EQ(test::expect_plain_gradients(trunk, batch, Strategy::kAuto, tasks).strategy,
              Strategy::kSegmented);
    for (const Strategy strategy : {Strategy::kAuto, Strategy::kSequential, Strategy::kGhost}) {
      test::expect_plain_gradients(trunk, batch, strategy);
    }
  }
}

TEST(Vit, RefusesWhatItCannotTake) {
  EXPECT_THAT(std::string(test::error_of([] {
                            vit({"patch", "4"}, {30, 28, 1});
                          }).what()),
              HasSubstr("30 x 28"));
  EXPECT_THAT(std::string(test::error_of([] {
                            vit({"heads", "5"}, {4, 4, 1});
                          }).what()),
              HasSubstr("'heads'"));
  auto trunk = vit(kSmallVit, {4, 4, 1});
  EXPECT_EQ(test::error_of([&] {
              trunk.features(vit_images(1, {4, 5, 1}));
            }).code(),
            ErrorCode::kShape);
}

TEST(Vit, AttentionIsThatOfWhateverSidesAnImageHas) {
  const auto trunk = vit(kSmallVit, {8, 8, 3});
  const at::Tensor attention = trunk.attention_of(vit_images(2, {4, 6, 3}));
  EXPECT_EQ(attention.sizes(), (std::vector<std::int64_t>{2, 3, 2, 3}));
  EXPECT_TRUE(attention.ge(0).all().item<bool>());
  EXPECT_TRUE(attention.flatten(2).sum(2).lt(1).all().item<bool>());
  EXPECT_EQ(test::error_of([&] {
              vit(with_pooling("mean"), {4, 4, 1}).attention_of(vit_images(1, {4, 4, 1}));
            }).code(),
            ErrorCode::kUnsupported);
}

TEST(Vit, DropoutIsOnInTrainingAlone) {
  auto trunk = vit(kSmallVit, {4, 4, 1});
  const data::Batch batch = vit_images(3, {4, 4, 1});
  Rng a(1);
  Rng b(1);
  const at::Tensor plain = trunk.features(batch);
  EXPECT_TRUE(torch::equal(plain, trunk.features(batch)));
  const at::Tensor dropped = trunk.features(batch, &a);
  EXPECT_FALSE(torch::equal(plain, dropped));
  EXPECT_TRUE(torch::equal(dropped, trunk.features(batch, &b)));
}

}  // namespace
}  // namespace detente::nn
