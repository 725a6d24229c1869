// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/table_source.h>
#include <detente/nn/mlp_trunk.h>
#include <detente/nn/model.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <torch/torch.h>

#include <cmath>

#include "tests/support/tolerances.h"

namespace detente::nn {
namespace {

class ModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tensor::set_threads(1);
    std::string text = "x,k,big,ones,kind\n";
    for (int i = 0; i < 24; ++i) {
      text += std::to_string(i % 7) + "," + (i % 3 == 0 ? "a" : "b") + "," +
              std::to_string(1000 + 250 * (i % 7)) + "," + std::to_string(i % 4 == 0) + "," +
              std::to_string(i % 3) + "\n";
    }
    data::SourceInput input;
    input.files.train = folder_.write("t.csv", text);
    input.targets = {{.task = "big", .column = "big"},
                     {.task = "ones", .column = "ones", .kind = TaskKind::kBinary},
                     {.task = "kind", .column = "kind", .kind = TaskKind::kClasses, .classes = 3}};
    source_.read(input, nullptr);
  }
  static std::vector<TaskHead> heads() {
    return {{"big", {.kind = HeadKind::kRegression, .output = HeadOptions::Output::kStandard}},
            {"ones", {.kind = HeadKind::kBinary}},
            {"kind", {.kind = HeadKind::kClasses, .classes = 3}}};
  }
  Model model(std::uint64_t seed = 1) const {
    return {std::make_unique<MlpTrunk>(), heads(), source_, seed};
  }
  data::Batch batch() const {
    const std::vector<std::size_t> rows = {0, 1, 2, 5};
    return source_.batch(rows, nullptr);
  }

  test::TempDir folder_;
  data::TableSource source_;
};

TEST_F(ModelTest, StartsAtTheBestConstantAnswers) {
  Model m = model();
  Rng rng(0);
  m.start_from(source_, rng);
  {
    const torch::NoGradGuard no_grad;
    for (std::size_t k = 0; k < 3; ++k) m.head_parameters(k)[0].zero_();
  }
  const auto answers = m.predict(batch());
  double mean = 0;
  for (const double value : source_.target("big").values) mean += value / 24;
  EXPECT_NEAR(answers[0](2, 0), mean, 1e-3);
  EXPECT_NEAR(answers[1](0, 0), 0.25, 1e-6);
  EXPECT_NEAR(answers[2](0, 0) + answers[2](0, 1) + answers[2](0, 2), 1, 1e-6);
}

TEST_F(ModelTest, StandardHeadsLearnInDeviationsAndAnswerInUnits) {
  Model m = model();
  Rng rng(0);
  m.start_from(source_, rng);
  const at::Tensor target = torch::tensor({1000.0, 2500.0, std::nan("")}, torch::kFloat64);
  const at::Tensor scaled = m.heads().loss_target(0, target);
  EXPECT_LT(scaled[0].item<double>(), 0);
  EXPECT_LT(scaled.slice(0, 0, 2).abs().max().item<double>(), 3);
  EXPECT_TRUE(std::isnan(scaled[2].item<double>()));
  // There and back.
  EXPECT_NEAR(m.heads().answer(0, scaled)[1].item<double>(), 2500, 1e-9);
  // Other heads leave targets alone.
  EXPECT_TRUE(torch::equal(m.heads().loss_target(1, scaled.slice(0, 0, 2)), scaled.slice(0, 0, 2)));
}

TEST_F(ModelTest, HugeUnitsSurviveFloat32) {
  Model m = model();
  m.heads().start_from(0, std::vector<double>{1e200, 3e200, NAN});
  m.to({}, tensor::DType::kFloat32);
  const at::Tensor target = torch::tensor({3e200}, torch::kFloat64);
  EXPECT_NEAR(m.heads().loss_target(0, target).item<double>(), 1, test::kRounding);
  for (const double value : {m.predict(batch())[0](0, 0), m.predict(batch())[0](1, 0)}) {
    EXPECT_TRUE(std::isfinite(value));
    EXPECT_GT(std::fabs(value), 1e198);
  }
}

TEST_F(ModelTest, AConstantTargetCountsInItsOwnUnit) {
  Model m = model();
  m.heads().start_from(0, std::vector<double>{7, 7, 7});
  const at::Tensor target = torch::tensor({7.0, 8.0}, torch::kFloat64);
  const at::Tensor scaled = m.heads().loss_target(0, target);
  EXPECT_EQ(scaled[0].item<double>(), 0);
  EXPECT_EQ(scaled[1].item<double>(), 1);
}

TEST_F(ModelTest, ForwardGivesFeaturesAndPredictions) {
  const Model m = model();
  at::Tensor features;
  const TensorList predictions = m.forward(batch(), nullptr, &features);
  EXPECT_EQ(features.sizes(), (std::vector<std::int64_t>{4, m.trunk().width()}));
  const TensorList again = m.heads()(features);
  ASSERT_EQ(predictions.size(), 3U);
  for (std::size_t k = 0; k < 3; ++k) EXPECT_TRUE(torch::equal(predictions[k], again[k]));
  EXPECT_EQ(predictions[0].dim(), 1);
  EXPECT_EQ(predictions[2].sizes(), (std::vector<std::int64_t>{4, 3}));
}

TEST_F(ModelTest, ACloneSharesNothing) {
  Model m = model();
  const Model copy = m.clone();
  const auto before = copy.predict(batch());
  {
    const torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : m.state()) {
      at::Tensor other = tensor;
      other.add_(1);
    }
  }
  const auto after = copy.predict(batch());
  const auto moved = m.predict(batch());
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(before[0](i, 0), after[0](i, 0));
    EXPECT_NE(before[0](i, 0), moved[0](i, 0));
  }
}

TEST_F(ModelTest, StateMovesToAnotherModelWhole) {
  Model m = model(1);
  Rng rng(0);
  m.start_from(source_, rng);
  Model other = model(2);
  EXPECT_NE(m.predict(batch())[0](0, 0), other.predict(batch())[0](0, 0));
  other.load_state(m.state());
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(m.predict(batch())[k](1, 0), other.predict(batch())[k](1, 0));
  }
  NamedTensors cut = m.state();
  cut.pop_back();
  EXPECT_THROW(other.load_state(cut), Error);
}

TEST_F(ModelTest, SeedAloneDecidesTheParameters) {
  EXPECT_EQ(model(5).predict(batch())[0](0, 0), model(5).predict(batch())[0](0, 0));
  EXPECT_NE(model(5).predict(batch())[0](0, 0), model(6).predict(batch())[0](0, 0));
}

TEST(TrunkRegistry, HasATrunkForEveryKindOfData) {
  for (const std::string& kind : data::source_kinds()) {
    const auto trunk = make_trunk(default_trunk(kind));
    const auto source = data::make_source(kind);
    if (kind == "joined") {
      EXPECT_THAT(test::error_of([&] { trunk->prepare(*source); }).what(),
                  ::testing::HasSubstr("'data.parts' is empty"));
      continue;
    }
    EXPECT_NO_THROW(trunk->prepare(*source)) << kind;
  }
  EXPECT_THROW(make_trunk("mpl"), Error);
}

}  // namespace
}  // namespace detente::nn
