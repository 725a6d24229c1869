// SPDX-License-Identifier: Apache-2.0
#include <detente/nn/pair_model.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <memory>
#include <utility>

namespace detente::nn {
namespace {

Model make_pair_model(const PairModelOptions& options,
                      const Vocabulary& vocabulary,
                      std::vector<TaskHead> heads,
                      std::uint64_t seed,
                      std::int64_t extra_features) {
  Rng rng = Model::initial_rng(seed);
  Draw draw(rng);
  auto trunk = std::make_unique<PairTrunk>(options);
  trunk->build(vocabulary, extra_features, draw);
  const std::int64_t width = trunk->width();
  return {std::move(trunk), Heads(std::move(heads), width, draw)};
}

}  // namespace

PairModel::PairModel(const PairModelOptions& options,
                     const Vocabulary& vocabulary,
                     std::vector<TaskHead> heads,
                     std::uint64_t seed,
                     std::int64_t extra_features)
    : model_(make_pair_model(options, vocabulary, std::move(heads), seed, extra_features)) {}

TensorList PairModel::forward(const PairBatch& batch, Rng* dropout) const {
  return model_.heads()(trunk().features(batch, dropout));
}

std::vector<Matrix> PairModel::predict(const PairBatch& batch) const {
  const torch::NoGradGuard no_grad;
  return model_.predict(trunk().views(batch));
}

at::Tensor PairModel::features(const PairBatch& batch, Rng* dropout) const {
  return trunk().features(batch, dropout);
}

}  // namespace detente::nn
