// SPDX-License-Identifier: Apache-2.0
#include <detente/data/picture_source.h>
#include <detente/data/views.h>
#include <detente/distill/knn.h>
#include <detente/nn/vit_trunk.h>
#include <detente/train/look_record.h>
#include <detente/train/picture.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace detente::train {
namespace {

constexpr std::uint64_t kLookStream = 0x6c6f6f6b;
constexpr std::size_t kMostSearched = 2000;

double cosine_of(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.to(torch::kFloat64);
  const at::Tensor y = b.to(torch::kFloat64);
  const double lengths = std::sqrt(x.dot(x).item<double>() * y.dot(y).item<double>());
  return lengths > 0 ? x.dot(y).item<double>() / lengths : 0.0;
}

bool all_finite(const at::Tensor& values) { return values.isfinite().all().item<bool>(); }

}  // namespace

LookRecord::LookRecord(const Recipe& recipe, const Corpus& corpus)
    : recipe_(recipe), corpus_(corpus) {
  const auto* train = dynamic_cast<const data::PictureSource*>(corpus.train.get());
  const auto* dev = dynamic_cast<const data::PictureSource*>(corpus.dev.get());
  if (train == nullptr || dev == nullptr || train->size() == 0 || dev->size() == 0) return;
  views_ = recipe.loop.objective->views(train->shape());
  if (views_.empty() && recipe.probes.empty()) return;
  source_ = train;
  asked_ = dev;
}

report::LookPixels LookRecord::looks(std::int64_t epoch,
                                     const nn::Model& model,
                                     const ProbedFeatures* features) const {
  const torch::NoGradGuard no_grad;
  report::LookPixels looks;
  looks.epoch = epoch;
  add_views(looks);
  add_attention(looks, model);
  add_neighbours(looks, model, features);
  return looks;
}

void LookRecord::add_views(report::LookPixels& looks) const {
  if (views_.empty()) return;
  const Rng stream = Rng(static_cast<std::uint64_t>(recipe_.seed)).fork(kLookStream);
  for (const std::size_t row : report::evenly_chosen(source_->size(), report::kViewedImages)) {
    auto& viewed = looks.views.emplace_back();
    viewed.row = row + 1;
    viewed.image = pixels_of(source_->example(row));
    for (std::size_t v = 0; v < std::min(views_.size(), report::kMostViews); ++v) {
      viewed.views.push_back(
          {views_[v].name,
           pixels_of(data::view_picture(*source_, row, views_[v].options, stream, v))});
    }
  }
}

void LookRecord::add_attention(report::LookPixels& looks, const nn::Model& model) const {
  const auto* vit = dynamic_cast<const nn::VitTrunk*>(&model.trunk());
  if (vit == nullptr || !vit->has_token()) return;
  const auto rows = report::evenly_chosen(asked_->size(), report::kAttendedImages);
  const at::Tensor weights = vit->attention_of(asked_->batch(rows, nullptr))
                                 .mean(1)
                                 .to(torch::kCPU, torch::kFloat32)
                                 .contiguous();
  if (!all_finite(weights)) return;
  const auto height = static_cast<std::size_t>(weights.size(1));
  const auto width = static_cast<std::size_t>(weights.size(2));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto& attended = looks.attention.emplace_back();
    attended.row = rows[i] + 1;
    attended.image = pixels_of(asked_->example(rows[i]));
    const float* own = weights.data_ptr<float>() + i * height * width;
    const std::span<const float> all(own, height * width);
    attended.attention = report::attention_pixels(attended.image, all, height, width);
    const double mean =
        std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
    if (mean > 0) attended.peak = *std::max_element(all.begin(), all.end()) / mean;
  }
}

void LookRecord::add_neighbours(report::LookPixels& looks,
                                const nn::Model& model,
                                const ProbedFeatures* features) const {
  if (model.trunk().per_task() || model.trunk().maps()) return;
  const auto rows = report::evenly_chosen(asked_->size(), report::kAskedImages);
  const std::int64_t batch = 4 * recipe_.loop.batches.batch_size;
  std::vector<std::size_t> among;
  at::Tensor known;
  at::Tensor asked;
  if (features != nullptr) {
    among.resize(source_->size());
    std::iota(among.begin(), among.end(), std::size_t{0});
    known = features->train;
    const std::vector<std::int64_t> places(rows.begin(), rows.end());
    asked = features->dev.index_select(0, torch::tensor(places, torch::kInt64));
  } else {
    among = report::evenly_chosen(source_->size(), kMostSearched);
    known = features_of(model, *source_, batch, among);
    asked = features_of(model, *asked_, batch, rows);
  }
  if (!all_finite(known) || !all_finite(asked)) return;
  looks.searched = among.size();
  if (!recipe_.probes.empty()) looks.probe = recipe_.probes.front().name;
  const auto nearest =
      distill::nearest(known, asked, static_cast<std::int64_t>(report::kNeighbours));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto& one = looks.asked.emplace_back();
    one.row = rows[i] + 1;
    one.label = label_of(*asked_, rows[i]);
    one.image = pixels_of(asked_->example(rows[i]));
    for (const std::size_t place : nearest[i]) {
      auto& near = one.nearest.emplace_back();
      near.row = among[place] + 1;
      near.cosine =
          cosine_of(known[static_cast<std::int64_t>(place)], asked[static_cast<std::int64_t>(i)]);
      near.label = label_of(*source_, among[place]);
      near.right = !near.label.empty() && near.label == one.label;
      near.image = pixels_of(source_->example(among[place]));
    }
  }
}

std::string LookRecord::label_of(const data::Source& rows, std::size_t row) const {
  if (recipe_.probes.empty()) return "";
  const TaskRecipe& probe = recipe_.probes.front();
  const double id = rows.target(probe.name).values[row];
  if (!(id >= 0)) return "";
  const auto place = static_cast<std::size_t>(id);
  const auto names =
      probe.class_names.empty() ? source_->class_names(probe.column) : probe.class_names;
  return place < names.size() && !names[place].empty() ? names[place] : std::to_string(place);
}

}  // namespace detente::train
