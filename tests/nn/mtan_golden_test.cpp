// SPDX-License-Identifier: Apache-2.0
// A training step of SegNet with attention beside the published code's (tests/golden/nn/make_mtan.py).
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/losses/registry.h>
#include <detente/metrics/map_tally.h>
#include <detente/nn/model.h>
#include <detente/nn/mtan_trunk.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

namespace detente::nn {
namespace {

constexpr std::int64_t kHigh = 32;
constexpr std::int64_t kWide = 64;

// The generator's.
class WholeNumbers {
 public:
  explicit WholeNumbers(std::int64_t seed) : x_(seed) {}
  at::Tensor array(std::vector<std::int64_t> shape) {
    at::Tensor values = torch::empty(shape, torch::kDouble);
    auto* begin = values.data_ptr<double>();
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      x_ = (1103515245 * x_ + 12345) % (std::int64_t{1} << 31);
      begin[i] = static_cast<double>(x_) / static_cast<double>(1 << 30) - 1;
    }
    return values;
  }

 private:
  std::int64_t x_;
};

at::Tensor in_single(const at::Tensor& x) { return x.to(torch::kFloat).to(torch::kDouble); }

class MtanGoldenTest : public ::testing::Test {
 protected:
  void SetUp() override {
    golden_ = Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/nn/mtan.json"));
    tensor::set_threads(1);
    std::vector<TaskHead> heads;
    const std::pair<const char*, HeadKind> tasks[] = {{"segmentation", HeadKind::kSegmentation},
                                                      {"depth", HeadKind::kDepth},
                                                      {"normals", HeadKind::kNormals}};
    for (const auto& [name, kind] : tasks) {
      heads.push_back({name, {}});
      heads.back().options.kind = kind;
      heads.back().options.classes = 13;
    }
    auto trunk = std::make_unique<MtanTrunk>();
    set_field([&](FieldVisitor& v) { trunk->describe(v); }, "width", "2", "test");
    trunk->set_tasks({"segmentation", "depth", "normals"});
    Rng rng(1);
    Draw draw(rng);
    trunk->DenseTrunk::build({3, kHigh, kWide}, draw);
    model_.emplace(std::move(trunk), Heads(heads, 2, draw));
    model_->to({}, tensor::DType::kFloat64);
    const auto take = [&](const Parameters& parameters) {
      for (const auto& [name, tensor] : parameters.trained()) parameters_[name] = tensor;
    };
    take(model_->trunk().parameters());
    for (std::size_t k = 0; k < 3; ++k) {
      take(model_->trunk().own().at(k));
      take(model_->heads().parameters(k));
    }
    const torch::NoGradGuard no_grad;
    WholeNumbers numbers(1);
    for (const auto& [name, tensor] : parameters_) {
      at::Tensor value = numbers.array(tensor.sizes().vec());
      if (tensor.dim() == 4) {
        value = value * std::sqrt(3.0 / static_cast<double>(tensor[0].numel()));
      } else {
        value = value * 0.2;
        if (name.find("norm") != std::string::npos && name.ends_with("weight")) value = value + 1;
      }
      tensor.copy_(value);
    }
    make_data();
  }

  void make_data() {
    WholeNumbers numbers(2);
    const at::Tensor images = numbers.array({2, 3, kHigh, kWide}).to(torch::kFloat).contiguous();
    const auto* begin = images.const_data_ptr<float>();
    images_ = {{"image", {2, 3, kHigh, kWide}, std::vector<float>(begin, begin + images.numel())}};
    const double none = std::nan("");
    const at::Tensor label = ((numbers.array({2, kHigh, kWide}) + 1) * 7).floor() - 1;
    const at::Tensor depth = in_single(3 * numbers.array({2, 1, kHigh, kWide})).squeeze(1);
    const at::Tensor normal = numbers.array({2, 3, kHigh, kWide});
    const at::Tensor there = normal.slice(1, 0, 1) > -0.5;
    targets_ = {
        label.masked_fill(label < 0, none),
        depth.masked_fill(depth <= 0, none),
        in_single(normal / normal.norm(2, {1}, true)).masked_fill(there.logical_not(), none)};
  }

  TensorList losses(const TensorList& predictions) const {
    TensorList list;
    const char* names[] = {"cross_entropy", "mae", "cosine"};
    for (std::size_t k = 0; k < 3; ++k) {
      list.push_back((*losses::make_loss(names[k]))(predictions[k], targets_[k]));
    }
    return list;
  }
  void expect_losses(const TensorList& found, const char* key) const {
    for (std::size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(found[k].item<double>(), golden_[key][k].get<double>(), 1e-9) << key << k;
    }
  }
  static bool is_own(const std::string& name) {
    return name.starts_with("attention.") || name.starts_with("heads.");
  }

  Json golden_;
  std::optional<Model> model_;
  std::map<std::string, at::Tensor> parameters_;
  data::Batch images_;
  TensorList targets_;
};

TEST_F(MtanGoldenTest, LossesAndGradientsAreThoseOfThePublishedCode) {
  ASSERT_EQ(parameters_.size(), golden_["gradient_norms"].size());
  Rng rng(1);
  const TensorList found = losses(model_->forward(images_, &rng));
  expect_losses(found, "losses");
  TensorList shared;
  TensorList all;
  for (const auto& [name, tensor] : parameters_) {
    all.push_back(tensor);
    if (!is_own(name)) shared.push_back(tensor);
  }
  EXPECT_EQ(model_->shared_parameters().size(), shared.size());
  TensorList rows;
  for (const at::Tensor& loss : found) {
    TensorList flat;
    for (const at::Tensor& part : torch::autograd::grad({loss}, shared, {}, true)) {
      flat.push_back(part.flatten());
    }
    rows.push_back(torch::cat(flat));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      EXPECT_NEAR(rows[i].dot(rows[j]).item<double>(), golden_["gram"][i][j].get<double>(), 1e-6);
    }
  }
  const auto gradients = torch::autograd::grad({found[0] + found[1] + found[2]}, all);
  std::size_t i = 0;
  for (const auto& [name, tensor] : parameters_) {
    const double expected = golden_["gradient_norms"][name].get<double>();
    EXPECT_NEAR(gradients[i++].norm().item<double>(), expected, 1e-10 + 1e-7 * expected) << name;
  }
}

TEST_F(MtanGoldenTest, TheRunningStatisticsOfTheStepAreThoseOfThePublishedCode) {
  Rng rng(1);
  model_->forward(images_, &rng);
  expect_losses(losses(model_->forward(images_)), "evaluated");
}

TEST_F(MtanGoldenTest, MetricsByBatchAreThoseOfThePublishedCode) {
  Rng rng(1);
  const TensorList predictions = model_->forward(images_, &rng);
  const TaskKind kinds[] = {TaskKind::kSegmentation, TaskKind::kDepth, TaskKind::kNormals};
  for (std::size_t k = 0; k < 3; ++k) {
    at::Tensor answers = predictions[k].detach();
    answers = (k == 0 ? answers.argmax(1) : answers).to(torch::kDouble);
    const auto tally = metrics::make_map_tally(kinds[k], 13);
    for (std::int64_t i = 0; i < 2; ++i) {  // a batch for each image
      const at::Tensor answer = answers[i].contiguous();
      const at::Tensor target = targets_[k][i].to(torch::kFloat).contiguous();
      const auto size = static_cast<std::size_t>(answer.numel());
      tally->add({{answer.const_data_ptr<double>(), size},
                  {target.const_data_ptr<float>(), size},
                  kHigh * kWide});
    }
    for (const auto& [name, value] : golden_["metrics"][k].items()) {
      // The confusion matrix there is of single precision.
      EXPECT_NEAR(tally->score(name).value, value.get<double>(), k == 0 ? 1e-6 : 1e-7) << name;
    }
  }
}

}  // namespace
}  // namespace detente::nn
