// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/fnv.h>
#include <detente/data/pair_source.h>
#include <detente/nn/text_encoder.h>
#include <detente/tensor/compat.h>
#include <detente/train/loaded_run.h>
#include <detente/train/text_vectors.h>
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

namespace detente::train {
namespace {

constexpr std::size_t kBatch = 64;

struct Piece {
  std::size_t text = 0;
  std::vector<std::int32_t> ids;
};

std::vector<Piece> pieces_of(std::span<const std::string> texts, const data::PairSource& source) {
  const std::size_t unit = source.tokenizer().ids_per_token();
  const std::size_t longest = source.max_length() * unit;
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto ids = source.tokenizer().encode(texts[i]);
    for (std::size_t begin = 0; begin < ids.size(); begin += longest) {
      const auto from = ids.begin() + static_cast<std::ptrdiff_t>(begin);
      const std::size_t length = std::min(longest, ids.size() - begin);
      pieces.push_back({i, {from, from + static_cast<std::ptrdiff_t>(length)}});
    }
  }
  // Pieces of one length waste no padding.
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return a.ids.size() < b.ids.size();
  });
  return pieces;
}

// To length 1; zeros stay.
void normalise(std::vector<double>& vector) {
  double square = 0;
  for (const double x : vector) square += x * x;
  if (square == 0) return;
  const double length = std::sqrt(square);
  for (double& x : vector) x /= length;
}

}  // namespace

struct TextVectors::Impl {
  LoadedRun run;
  const data::PairSource* source = nullptr;
  const nn::TextEncoder* network = nullptr;
  std::size_t width = 0;

  std::vector<std::vector<double>> of_pieces(
      const std::vector<std::vector<std::int32_t>>& ids) const {
    const torch::NoGradGuard no_grad;
    const at::Tensor vectors =
        network->text_vectors(source->batch_of(ids)).to(torch::kCPU, torch::kFloat64).contiguous();
    std::vector<std::vector<double>> rows;
    const auto columns = static_cast<std::size_t>(vectors.size(1));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const double* row = vectors.const_data_ptr<double>() + i * columns;
      rows.emplace_back(row, row + columns);
    }
    return rows;
  }
};

TextVectors::TextVectors(const std::filesystem::path& run) : impl_(std::make_unique<Impl>()) {
  impl_->run = load_run(run, {});
  impl_->source = dynamic_cast<const data::PairSource*>(impl_->run.source.get());
  const nn::Trunk& trunk = impl_->run.model->trunk();
  impl_->network = dynamic_cast<const nn::TextEncoder*>(&trunk);
  DETENTE_CHECK(
      impl_->source != nullptr && impl_->network != nullptr,
      ErrorCode::kUnsupported,
      "[train::TextVectors] the run '{}' has data.kind {} and model.kind {}; vectors of single "
      "texts are made by runs on texts or sentence pairs (model.kind pairs or transformer).",
      run.string(),
      impl_->run.source->kind(),
      trunk.kind());
  trunk.prepare(*impl_->run.source);  // tells it how long texts may be
  name_ = fmt::format("run {:016x}", fnv1a(read_file(impl_->run.run.model())));
  // One token of any kind: it shows at once what the network cannot do, and how wide its vectors are.
  const std::vector<std::int32_t> one(impl_->source->tokenizer().ids_per_token(),
                                      impl_->source->tokenizer().special().unk);
  impl_->width = impl_->of_pieces({one})[0].size();
}

TextVectors::~TextVectors() = default;

std::vector<std::vector<double>> TextVectors::of(std::span<const std::string> texts) const {
  std::vector<std::vector<double>> found(texts.size(), std::vector<double>(impl_->width));
  std::vector<Piece> pieces = pieces_of(texts, *impl_->source);
  tensor::translate_errors("[train::TextVectors]", [&] {
    for (std::size_t begin = 0; begin < pieces.size(); begin += kBatch) {
      const std::size_t count = std::min(kBatch, pieces.size() - begin);
      std::vector<std::vector<std::int32_t>> ids;
      for (std::size_t i = 0; i < count; ++i) ids.push_back(std::move(pieces[begin + i].ids));
      auto vectors = impl_->of_pieces(ids);
      for (std::size_t i = 0; i < count; ++i) {
        normalise(vectors[i]);
        std::vector<double>& sum = found[pieces[begin + i].text];
        for (std::size_t j = 0; j < sum.size(); ++j) {
          sum[j] += static_cast<double>(ids[i].size()) * vectors[i][j];
        }
      }
    }
  });
  for (auto& vector : found) {
    normalise(vector);
    DETENTE_CHECK(
        std::all_of(vector.begin(), vector.end(), [](double x) { return std::isfinite(x); }),
        ErrorCode::kNumeric,
        "[train::TextVectors] a vector is not finite; the run's model has diverged.");
  }
  return found;
}

}  // namespace detente::train
