// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/picture_source.h>
#include <detente/distill/knn.h>
#include <detente/distill/linear_probe.h>
#include <detente/train/initial_model.h>
#include <detente/train/probe.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

namespace detente::train {
namespace {

constexpr std::int64_t kWidestLinear = 1024;

template <class Make>
at::Tensor by_batches(const data::Source& source,
                      std::span<const std::size_t> rows,
                      std::int64_t batch_size,
                      const Make& make) {
  const torch::NoGradGuard no_grad;
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(1, batch_size));
  TensorList parts;
  while (!rows.empty()) {
    const auto part = rows.first(std::min(size, rows.size()));
    parts.push_back(make(source.batch(part, nullptr)).to(torch::kCPU, torch::kFloat32));
    rows = rows.subspan(part.size());
  }
  return torch::cat(parts, 0);
}

data::RowList all_rows(const data::Source& source) {
  data::RowList rows(source.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

// Of pictures; nothing of other kinds, whose inputs are no vectors of one length.
std::optional<at::Tensor> raw_inputs(const data::Source& source, std::int64_t batch_size) {
  if (dynamic_cast<const data::PictureSource*>(&source) == nullptr) return std::nullopt;
  return by_batches(source, all_rows(source), batch_size, [](const data::Batch& batch) {
    return nn::tensor_of(data::array_of(batch, "image")).flatten(1);
  });
}

// The rows with a label, and these.
struct Labelled {
  at::Tensor rows;
  std::vector<std::int64_t> labels;
};

Labelled labelled(const data::Target& target) {
  Labelled found;
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < target.values.size(); ++i) {
    if (std::isnan(target.values[i])) continue;
    rows.push_back(static_cast<std::int64_t>(i));
    found.labels.push_back(static_cast<std::int64_t>(target.values[i]));
  }
  found.rows = torch::tensor(rows, torch::kInt64);
  return found;
}

}  // namespace

at::Tensor features_of(const nn::Model& model,
                       const data::Source& source,
                       std::int64_t batch_size) {
  return features_of(model, source, batch_size, all_rows(source));
}

at::Tensor features_of(const nn::Model& model,
                       const data::Source& source,
                       std::int64_t batch_size,
                       std::span<const std::size_t> rows) {
  DETENTE_CHECK(!model.trunk().per_task() && !model.trunk().maps(),
                ErrorCode::kUnsupported,
                "[train::features_of] model.kind {} has no one vector of features for an example.",
                model.trunk().kind());
  return by_batches(source, rows, batch_size, [&](const data::Batch& batch) {
    const TensorList views = model.trunk().views(batch);
    at::Tensor sum = views.front();
    for (std::size_t i = 1; i < views.size(); ++i) sum = sum + views[i];
    return sum / static_cast<double>(views.size());
  });
}

FeatureTable feature_table(const nn::Model& model,
                           const data::Source& source,
                           std::int64_t batch_size) {
  const at::Tensor features = features_of(model, source, batch_size).contiguous();
  const float* values = features.data_ptr<float>();
  return {static_cast<std::size_t>(features.size(0)),
          static_cast<std::size_t>(features.size(1)),
          {values, values + features.numel()}};
}

report::NamedNumbers Probes::scores(std::size_t probe,
                                    const at::Tensor& train,
                                    const at::Tensor& dev,
                                    const std::string& prefix,
                                    bool all) const {
  const std::string& name = recipe_.probes[probe].name;
  const Labelled known = labelled(corpus_.train->target(name));
  const Labelled asked = labelled(corpus_.dev->target(name));
  report::NamedNumbers numbers;
  if (known.labels.empty() || asked.labels.empty()) return numbers;
  const at::Tensor from = train.index_select(0, known.rows);
  const at::Tensor to = dev.index_select(0, asked.rows);
  std::vector<std::int64_t> ks = {20};
  if (all) ks = {20, 10, 100, 200};
  const auto accuracies = distill::knn_accuracy(from, known.labels, to, asked.labels, ks);
  for (std::size_t i = 0; i < ks.size(); ++i) {
    numbers.emplace_back(prefix + "knn" + std::to_string(ks[i]), accuracies[i]);
  }
  // Newton's method on thousands of pixels would take longer than the training.
  if (from.size(1) <= kWidestLinear) {
    numbers.emplace_back(prefix + "linear",
                         distill::linear_accuracy(from, known.labels, to, asked.labels));
  }
  return numbers;
}

report::NamedTables Probes::measure(const nn::Model& model, std::optional<ProbedFeatures>* kept) {
  report::NamedTables tables;
  if (!any()) return tables;
  const std::int64_t batch = 4 * recipe_.loop.batches.batch_size;
  if (baselines_.empty()) {
    const auto raw_train = raw_inputs(*corpus_.train, batch);
    const auto raw_dev = raw_inputs(*corpus_.dev, batch);
    const auto untrained = make_model(recipe_, *corpus_.train);
    const at::Tensor first_train = features_of(*untrained, *corpus_.train, batch);
    const at::Tensor first_dev = features_of(*untrained, *corpus_.dev, batch);
    for (std::size_t p = 0; p < recipe_.probes.size(); ++p) {
      report::NamedNumbers numbers;
      if (raw_train && raw_dev) numbers = scores(p, *raw_train, *raw_dev, "raw_", false);
      for (auto& number : scores(p, first_train, first_dev, "untrained_", false)) {
        numbers.push_back(std::move(number));
      }
      baselines_.emplace_back(recipe_.probes[p].name, std::move(numbers));
    }
  }
  const at::Tensor train = features_of(model, *corpus_.train, batch);
  const at::Tensor dev = features_of(model, *corpus_.dev, batch);
  for (std::size_t p = 0; p < recipe_.probes.size(); ++p) {
    report::NamedNumbers numbers = scores(p, train, dev, "", true);
    for (const auto& number : baselines_[p].second) numbers.push_back(number);
    tables.emplace_back(recipe_.probes[p].name, std::move(numbers));
  }
  if (kept != nullptr) *kept = ProbedFeatures{train, dev};
  return tables;
}

}  // namespace detente::train
