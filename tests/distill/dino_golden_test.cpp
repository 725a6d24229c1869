// SPDX-License-Identifier: Apache-2.0
// Against the published code (tests/golden/distill/make_dino.py).
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/distill/dino_head.h>
#include <detente/distill/dino_loss.h>
#include <detente/distill/schedules.h>

#include <cmath>

#include "distill_support.h"
#include "tests/support/tolerances.h"

namespace detente::distill {
namespace {

using test::kReference;

const Json& dino_golden() {
  static const Json json =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/distill/dino.json"));
  return json;
}

// The generator's inputs.
at::Tensor wave(const std::vector<std::int64_t>& shape, double seed, double scale = 1) {
  at::Tensor tensor = torch::empty(shape, torch::kDouble);
  double* data = tensor.data_ptr<double>();
  for (std::int64_t k = 0; k < tensor.numel(); ++k) {
    const auto i = static_cast<double>(k);
    data[k] = scale * std::sin(0.7 * i + 1.3 * seed + std::fmod(0.1 * i * i, 17.0));
  }
  return tensor;
}

at::Tensor stored(const Json& values) {
  return torch::tensor(values.get<std::vector<double>>(), torch::kDouble);
}

DinoOptions setting(std::size_t index) {
  const Json& json = dino_golden().at("settings").at(index);
  DinoOptions options;
  options.first_teacher_temperature = json.at("first");
  options.teacher_temperature = json.at("last");
  options.teacher_warmup_epochs = json.at("warmup");
  options.student_temperature = json.at("student");
  options.centre_momentum = json.at("momentum");
  return options;
}

TEST(DinoGolden, LossGradientAndCentreAreThePublishedOnes) {
  ASSERT_EQ(dino_golden().at("losses").size(), 144U);
  const std::int64_t every = dino_golden().at("every");
  for (const Json& entry : dino_golden().at("losses")) {
    const std::int64_t images = entry.at("images");
    const std::int64_t locals = entry.at("locals");
    const std::int64_t outputs = entry.at("outputs");
    const DinoOptions options = setting(entry.at("setting"));
    SCOPED_TRACE(entry.dump().substr(0, 60));
    at::Tensor centre = torch::zeros({1, outputs}, torch::kDouble);
    at::Tensor gradient;
    int step = 0;
    for (const Json& expected : entry.at("steps")) {
      const double seed = static_cast<double>(100 * step++ + 10 * images + locals);
      const at::Tensor student = wave({(2 + locals) * images, outputs}, seed).requires_grad_();
      const at::Tensor teacher = wave({2 * images, outputs}, seed + 5);
      const DinoTerms terms = dino_terms(student,
                                         teacher,
                                         centre,
                                         2 + locals,
                                         2,
                                         options.student_temperature,
                                         teacher_temperature(options, expected.at("epoch")));
      EXPECT_NEAR(terms.total.item<double>(), expected.at("total"), kReference);
      EXPECT_NEAR(terms.cross_entropy, expected.at("total"), kReference);
      EXPECT_NEAR(
          terms.global_to_global.item<double>(), expected.at("global_to_global"), kReference);
      EXPECT_EQ(terms.local_to_global.defined(), locals > 0);
      if (locals > 0) {
        EXPECT_NEAR(
            terms.local_to_global.item<double>(), expected.at("local_to_global"), kReference);
      }
      terms.total.backward();
      gradient = student.grad();
      centre = moved_centre(centre,
                            teacher.sum(0, /*keepdim=*/true),
                            static_cast<double>(teacher.size(0)),
                            options.centre_momentum);
    }
    const std::int64_t stride = outputs > 4 ? every : 1;
    const at::Tensor some = gradient.view({-1}).slice(0, 0, gradient.numel(), stride);
    EXPECT_LT(distance(some, stored(entry.at("gradient"))), kReference);
    EXPECT_LT(distance(centre.view({-1}), stored(entry.at("centre"))), kReference);
  }
}

TEST(DinoGolden, TheTeachersTemperatureIsThePublishedOne) {
  for (std::size_t i = 0; i < dino_golden().at("settings").size(); ++i) {
    const auto expected = dino_golden().at("temperatures").at(i).get<std::vector<double>>();
    for (std::size_t epoch = 0; epoch < expected.size(); ++epoch) {
      EXPECT_NEAR(teacher_temperature(setting(i), static_cast<std::int64_t>(epoch)),
                  expected[epoch],
                  test::kRounding);
    }
  }
}

TEST(DinoGolden, CoursesAreThePublishedOnes) {
  for (const Json& entry : dino_golden().at("courses")) {
    const std::int64_t total = entry.at("total");
    for (const auto& [ends, name] : {std::pair(ScheduleEnds::kReference, "reference"),
                                     std::pair(ScheduleEnds::kInclusive, "inclusive")}) {
      const auto expected = entry.at(name).get<std::vector<double>>();
      ASSERT_EQ(static_cast<std::int64_t>(expected.size()), total);
      for (std::int64_t t = 0; t < total; ++t) {
        EXPECT_NEAR(
            cosine_course(entry.at("begin"), entry.at("end"), t, total, entry.at("warmup"), ends),
            expected[static_cast<std::size_t>(t)],
            test::kRounding)
            << name << " step " << t;
      }
    }
  }
}

TEST(DinoGolden, TheHeadIsThePublishedOne) {
  for (const Json& entry : dino_golden().at("heads")) {
    const std::int64_t layers = entry.at("layers");
    SCOPED_TRACE(layers);
    Rng rng(1);
    nn::Draw draw(rng);
    DinoHead head(
        {.layers = layers, .hidden = 7, .bottleneck = 4, .out = 6, .norm_last_layer = false},
        5,
        draw);
    nn::Parameters& p = head.parameters();
    p.to({}, tensor::DType::kFloat64);
    const auto set = [&](const std::string& name, double seed, double scale, double offset = 0) {
      const torch::NoGradGuard no_grad;
      at::Tensor target = p(name);
      target.copy_(wave(target.sizes().vec(), seed, scale) + offset);
    };
    for (std::int64_t i = 0; i < layers; ++i) {
      const std::string name = "mlp." + std::to_string(i);
      set(name + ".weight", static_cast<double>(10 + i), 0.8);
      set(name + ".bias", static_cast<double>(20 + i), 0.3);
    }
    set("last_layer.weight_v", 30, 1);
    set("last_layer.weight_g", 31, 0.5, 1.5);
    const at::Tensor features = wave({3, 5}, 40, 2).requires_grad_();
    const at::Tensor answer = head(features);
    EXPECT_LT(distance(answer.reshape({-1}), stored(entry.at("answer"))), kReference);
    (answer * wave({3, 6}, 41)).sum().backward();
    const auto expect = [&](const at::Tensor& gradient, const char* name) {
      EXPECT_LT(distance(gradient.reshape({-1}), stored(entry.at(name))), kReference) << name;
    };
    expect(features.grad(), "features");
    expect(p("mlp.0.weight").grad(), "first_weight");
    expect(p("mlp." + std::to_string(layers - 1) + ".bias").grad(), "last_bias");
    expect(p("last_layer.weight_v").grad(), "weight_v");
    expect(p("last_layer.weight_g").grad(), "weight_g");
  }
}

}  // namespace
}  // namespace detente::distill
