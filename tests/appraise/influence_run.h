// SPDX-License-Identifier: Apache-2.0
// Runs that influence is tested on, and what it must be, from matrices of single rows.
#pragma once

#include <detente/appraise/appraise.h>
#include <detente/nn/image_layers.h>
#include <detente/train/judge.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace detente::appraise {

using train::Corpus;
using train::LoadedRun;

// The columns as they are, and zeros: what stands on it is linear.
class ColumnsTrunk final : public nn::Trunk {
 public:
  explicit ColumnsTrunk(std::int64_t width) : width_(width) {}
  const char* kind() const override { return "mlp"; }
  void describe(FieldVisitor& /*model*/) override {}
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<ColumnsTrunk>(*this); }
  void prepare(data::Source& /*source*/) const override {}
  void build(const data::Source& /*fitted*/, nn::Draw& /*draw*/) override {}
  std::int64_t width() const override { return width_; }
  at::Tensor features(const data::Batch& batch, Rng* /*random*/) const override {
    const at::Tensor x = nn::tensor_of(*data::find_array(batch, "numbers")).to(torch::kDouble);
    return torch::constant_pad_nd(x, {0, width_ - x.size(1)});
  }

 private:
  std::int64_t width_;
};

// A convolution over the columns, and batch normalisation.
class NormTrunk final : public nn::Trunk {
 public:
  NormTrunk() {
    Rng rng(3);
    nn::Draw draw(rng);
    nn::add_convolution(parameters_, draw, "conv", 1, 3, 2);
    nn::add_image_norm(parameters_, "norm", 3, nn::ImageNorm::kBatch);
    parameters_.to({}, tensor::DType::kFloat64);
  }
  const char* kind() const override { return "mlp"; }
  void describe(FieldVisitor& /*model*/) override {}
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<NormTrunk>(*this); }
  void prepare(data::Source& /*source*/) const override {}
  void build(const data::Source& /*fitted*/, nn::Draw& /*draw*/) override {}
  std::int64_t width() const override { return 3; }
  at::Tensor features(const data::Batch& batch, Rng* /*random*/) const override {
    const at::Tensor x = nn::tensor_of(*data::find_array(batch, "numbers")).to(torch::kDouble);
    const at::Tensor y = nn::convolution(parameters_, x.view({-1, 1, 2, 2}), "conv");
    return torch::tanh(
               nn::image_norm(
                   parameters_, y, "norm", nn::ImageNorm::kBatch, 1, nn::BatchStatistics::kRunning))
        .mean({2, 3});
  }
};

struct Values {
  std::string trained, judged;
  std::vector<double> values;
};

class InfluenceTest : public train::TinyRunTest {
 protected:
  static constexpr int kTrain = 100;

  // `value` is missing in every seventh training row.
  void SetUp() override {
    TinyRunTest::SetUp();
    Rng rng(6);
    std::string text = "a,b,c,d,side,value,kind,part\n";
    for (int i = 0; i < kTrain + 50; ++i) {
      const double a = rng.normal();
      const double b = rng.normal();
      const double c = rng.normal();
      const double d = rng.normal();
      const bool train = i < kTrain;
      const bool missing = train && i % 7 == 3;
      text += fmt::format("{},{},{},{},{},{},{},{}\n",
                          a,
                          b,
                          c,
                          d,
                          a + 0.5 * b + rng.normal() > 0 ? 1 : 0,
                          missing ? "" : fmt::format("{}", a - c + 0.3 * rng.normal()),
                          d + rng.normal() > 0.5 ? "high" : (c > 0 ? "low" : "none"),
                          train ? "train" : "dev");
    }
    write_file_atomic(folder_ / "t.csv", text);
    write_file_atomic(recipe_path(),
                      "data: {kind: table, train: t.csv, inputs: [a, b, c, d], "
                      "split: {column: part}}\n"
                      "model: {widths: [5, 4], dropout: 0, activation: silu}\n"
                      "tasks:\n"
                      "  - {name: side, head: binary, loss: {name: bce}}\n"
                      "  - {name: value, head: regression, output: raw, loss: {name: mse}}\n"
                      "balance: {method: ew}\n"
                      "optimizer: {lr: 0.03}\n"
                      "train: {epochs: 8, batch_size: 16}\n"
                      "precision: float64\n"
                      "threads: 1\n");
  }

  LoadedRun trained(const std::vector<std::string>& overrides = {}) {
    const std::string out = "run" + std::to_string(runs_++);
    run(out, overrides);
    return train::load_run(folder_ / out, {});
  }
  // With another trunk in the place of what was trained.
  LoadedRun standing_on(std::unique_ptr<nn::Trunk> trunk,
                        const std::vector<std::string>& overrides = {}) {
    std::vector<std::string> all = {"train.epochs=1"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    LoadedRun run = trained(all);
    Rng rng(9);
    nn::Draw draw(rng);
    nn::Heads heads(run.model->heads().tasks(), trunk->width(), draw);
    heads.to({}, tensor::DType::kFloat64);
    run.model = std::make_unique<nn::Model>(std::move(trunk), std::move(heads));
    return run;
  }
  static Corpus corpus_of(const LoadedRun& run) {
    const auto& files = run.recipe.data.files;
    return {train::load_rows(run.recipe, files, data::Part::kTrain, *run.source, true),
            train::load_rows(run.recipe, files, data::Part::kDev, *run.source, true)};
  }
  static TensorList parameters_of(const nn::Model& model, std::size_t tasks) {
    TensorList all = model.shared_parameters();
    for (std::size_t k = 0; k < tasks; ++k) {
      for (const auto& own : model.head_parameters(k)) all.push_back(own);
    }
    return all;
  }
  static at::Tensor flat(const TensorList& tensors, const TensorList& like) {
    TensorList rows;
    for (std::size_t p = 0; p < like.size(); ++p) {
      rows.push_back((tensors[p].defined() ? tensors[p] : torch::zeros_like(like[p])).reshape(-1));
    }
    return torch::cat(rows).detach();
  }

  // Everything formed, row by row.
  static std::vector<Values> formed(const LoadedRun& run, const Corpus& corpus, double damping) {
    const train::Judge judge({run.recipe, corpus, *run.model, {}, tensor::DType::kFloat64}, 1000);
    const std::size_t tasks = run.recipe.tasks.size();
    const TensorList parameters = parameters_of(*run.model, tasks);
    const std::size_t n = corpus.train->size();
    std::vector<double> rows(tasks, 0);
    at::Tensor curvature;
    std::vector<std::vector<at::Tensor>> own(tasks, std::vector<at::Tensor>(n));
    for (const bool counting : {true, false}) {
      for (std::size_t i = 0; i < n; ++i) {
        const train::TaskLosses losses = judge.losses().of_rows(*corpus.train, {i});
        for (std::size_t k = 0; k < tasks; ++k) {
          const at::Tensor& loss = losses.values[k];
          if (!loss.defined()) continue;
          if (counting) {
            rows[k] += 1;
            continue;
          }
          own[k][i] =
              flat(torch::autograd::grad({loss}, parameters, {}, true, false, true), parameters);
          const at::Tensor& prediction = losses.predictions[k];
          const at::Tensor slope =
              torch::autograd::grad({loss}, {prediction}, {}, true, true)[0].reshape(-1);
          TensorList jacobian;
          TensorList hessian;
          for (std::int64_t c = 0; c < prediction.numel(); ++c) {
            jacobian.push_back(
                flat(torch::autograd::grad(
                         {prediction.reshape(-1)[c]}, parameters, {}, true, false, true),
                     parameters));
            hessian.push_back(
                torch::autograd::grad({slope[c]}, {prediction}, {}, true)[0].reshape(-1));
          }
          const at::Tensor j = torch::stack(jacobian);
          const at::Tensor part = j.t().mm(torch::stack(hessian)).mm(j) / rows[k];
          curvature = curvature.defined() ? curvature + part : part;
        }
      }
    }
    curvature += damping * torch::eye(curvature.size(0), torch::kDouble);
    const std::vector<TensorList> slopes = judge.gradients(parameters);
    std::vector<Values> found;
    for (std::size_t k = 0; k < tasks; ++k) {
      for (std::size_t m = 0; m < slopes.size(); ++m) {
        const at::Tensor u = torch::linalg_solve(curvature, flat(slopes[m], parameters));
        Values values{run.recipe.tasks[k].name, run.recipe.tasks[judge.tasks()[m]].name, {}};
        for (std::size_t i = 0; i < n; ++i) {
          values.values.push_back(own[k][i].defined() ? own[k][i].dot(u).item<double>() / rows[k]
                                                      : 0.0);
        }
        found.push_back(std::move(values));
      }
    }
    return found;
  }

  int runs_ = 0;

  static void expect_same(const Appraisal& found,
                          const std::vector<Values>& expected,
                          double tolerance) {
    ASSERT_EQ(found.table.series.size(), expected.size());
    for (std::size_t s = 0; s < expected.size(); ++s) {
      const auto& series = found.table.series[s];
      EXPECT_EQ(series.task_trained, expected[s].trained);
      EXPECT_EQ(series.task_judged, expected[s].judged);
      double largest = 0;
      for (const double one : expected[s].values) largest = std::max(largest, std::abs(one));
      for (std::size_t i = 0; i < series.values.size(); ++i) {
        ASSERT_NEAR(series.values[i], expected[s].values[i], tolerance * largest + 1e-300)
            << series.task_trained << " to " << series.task_judged << ", row " << i;
      }
    }
  }
};

inline double pearson(const std::vector<double>& a, const std::vector<double>& b) {
  const at::Tensor both =
      torch::stack({torch::tensor(a, torch::kDouble), torch::tensor(b, torch::kDouble)});
  return torch::corrcoef(both)[0][1].item<double>();
}

}  // namespace detente::appraise
