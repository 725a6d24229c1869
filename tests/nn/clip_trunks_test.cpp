// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/data/array_source.h>
#include <detente/data/image_source.h>
#include <detente/data/video_source.h>
#include <detente/nn/conv3d_trunk.h>
#include <detente/nn/conv_trunk.h>
#include <detente/nn/mlp_trunk.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/engine_agrees.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/tolerances.h>
#include <tests/support/write_npy.h>
#include <torch/torch.h>

#include <numeric>

namespace detente::nn {
namespace {

using test::npy_file;
using ::testing::HasSubstr;

constexpr std::size_t kClips = 9;

// Clips of five frames of 9 x 8 pixels and two channels, from an array.
class ClipTrunkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tensor::set_threads(1);
    torch::manual_seed(4);
    const at::Tensor values = torch::randn({static_cast<std::int64_t>(kClips) * 2 * 5 * 9 * 8});
    const float* begin = values.data_ptr<float>();
    folder_.write("X.npy",
                  npy_file("<f4",
                           "(9, 2, 5, 9, 8)",
                           test::raw_bytes(std::vector<float>(begin, begin + values.numel()))));
    data::SourceInput input;
    input.files.train = folder_.file("X.npy");
    clips_.read(input, nullptr);
  }
  template <class T>
  T built(const std::vector<std::string>& options) const {
    T trunk;
    for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
      set_field([&](FieldVisitor& v) { trunk.describe(v); }, options[i], options[i + 1], "test");
    }
    Rng rng(3);
    Draw draw(rng);
    static_cast<Trunk&>(trunk).build(clips_, draw);
    trunk.to({}, tensor::DType::kFloat64);
    return trunk;
  }
  data::Batch batch() const {
    data::RowList rows(kClips);
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return clips_.batch(rows, nullptr);
  }

  test::TempDir folder_;
  data::ArraySource clips_;
};

TEST_F(ClipTrunkTest, OfFramesTheFeaturesAreTheMean) {
  const auto trunk = built<ConvTrunk>({"channels", "[4]", "hidden", "6"});
  const at::Tensor features = trunk.features(batch());
  ASSERT_EQ(features.sizes(), (Sizes{9, 6}));
  // The same network as one for images, frame by frame.
  ConvTrunk images;
  for (const auto& [key, value] : {std::pair{"channels", "[4]"}, std::pair{"hidden", "6"}}) {
    set_field([&](FieldVisitor& v) { images.describe(v); }, key, value, "test");
  }
  Rng rng(3);
  Draw draw(rng);
  images.build({9, 8, 2}, draw);
  images.to({}, tensor::DType::kFloat64);
  at::Tensor sum = torch::zeros({9, 6}, torch::kDouble);
  const at::Tensor all = tensor_of(batch()[0]);
  for (std::int64_t t = 0; t < 5; ++t) {
    const at::Tensor frame = all.select(2, t).contiguous();
    const float* begin = frame.data_ptr<float>();
    sum += images.features(
        {{"image", {9, 2, 9, 8}, std::vector<float>(begin, begin + frame.numel())}});
  }
  EXPECT_TRUE(torch::allclose(features, sum / 5, 1e-9, 1e-12));
}

// The same out of LibTorch's modules.
TEST_F(ClipTrunkTest, Conv3dIsTheModulesComputation) {
  namespace f = torch::nn::functional;
  const auto trunk = built<Conv3dTrunk>({"channels", "[4, 8, 4]", "kernel", "3", "hidden", "7"});
  const auto& p = trunk.parameters();
  at::Tensor x = tensor_of(batch()[0]).to(torch::kDouble);
  std::int64_t frames = 5;
  for (const auto& [name, groups] :
       {std::pair{"blocks.0.", 1}, std::pair{"blocks.1.", 2}, std::pair{"blocks.2.", 1}}) {
    const std::string block = name;
    x = f::conv3d(x, p(block + "conv.weight"), f::Conv3dFuncOptions().padding(1));
    x = f::group_norm(x,
                      f::GroupNormFuncOptions(groups)
                          .weight(p(block + "norm.weight"))
                          .bias(p(block + "norm.bias")));
    x = f::max_pool3d(torch::relu(x), f::MaxPool3dFuncOptions({frames > 1 ? 2 : 1, 2, 2}));
    frames = std::max<std::int64_t>(1, frames / 2);
  }
  EXPECT_EQ(x.sizes(), (Sizes{9, 4, 1, 1, 1}));
  x = torch::relu(f::linear(x.mean({2, 3, 4}), p("hidden.weight"), p("hidden.bias")));
  EXPECT_TRUE(torch::allclose(trunk.features(batch()), x, test::kRounding, 1e-9));
}

TEST_F(ClipTrunkTest, TheEnginesGradientsAreThoseOfPlainPasses) {
  using engine::Strategy;
  const std::vector<std::int64_t> tasks = {2, 0, 1, 1, 0, 2, 2, 1, 0};
  auto clips = built<Conv3dTrunk>({"channels", "[4, 8]", "hidden", "5"});
  const auto one_pass = test::expect_plain_gradients(clips, batch(), Strategy::kSegmented, tasks);
  EXPECT_EQ(one_pass.strategy, Strategy::kSegmented);
  EXPECT_EQ(one_pass.notice, "");
  auto frames = built<ConvTrunk>({"channels", "[4]", "hidden", "5"});
  test::expect_plain_gradients(frames, batch(), Strategy::kAuto, tasks);
  // Frames laid side by side are not followed (docs/data.md), which is right and slower.
  EXPECT_NE(test::expect_plain_gradients(frames, batch(), Strategy::kSegmented, tasks).notice, "");
  for (const Strategy strategy : {Strategy::kAuto, Strategy::kSequential, Strategy::kGhost}) {
    test::expect_plain_gradients(clips, batch(), strategy);
    test::expect_plain_gradients(frames, batch(), strategy);
  }
}

TEST_F(ClipTrunkTest, OneFrameIsAClip) {
  folder_.write("X.npy", npy_file("|u1", "(2, 1, 1, 8, 8)", std::string(128, '\x01')));
  data::SourceInput input;
  input.files.train = folder_.file("X.npy");
  clips_.read(input, nullptr);
  const auto trunk = built<Conv3dTrunk>({"channels", "[4, 4]", "hidden", "3"});
  EXPECT_TRUE(
      trunk.features(clips_.batch(data::RowList{0, 1}, nullptr)).isfinite().all().item<bool>());
}

TEST_F(ClipTrunkTest, RefusesWhatItCannotTake) {
  EXPECT_THAT(std::string(test::error_of([&] {
                            built<Conv3dTrunk>({"channels", "[1, 1, 1, 1]"});
                          }).what()),
              HasSubstr("9 x 8"));
  EXPECT_THROW(built<Conv3dTrunk>({"kernel", "2"}), Error);
  EXPECT_THAT(std::string(test::error_of([&] { built<MlpTrunk>({}); }).what()),
              HasSubstr("convnet3d"));
  data::ImageSource images;
  EXPECT_THAT(std::string(test::error_of([&] { Conv3dTrunk().prepare(images); }).what()),
              HasSubstr("data.kind: video"));
  data::VideoSource video;
  EXPECT_THROW(MlpTrunk().prepare(video), Error);
  Conv3dTrunk().prepare(video);
  ConvTrunk().prepare(video);
}

}  // namespace
}  // namespace detente::nn
