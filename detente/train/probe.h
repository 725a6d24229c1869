// SPDX-License-Identifier: Apache-2.0
// How good a trunk's features are, told by what simple answers they allow while nothing of the network is
// trained: weighted nearest neighbours and a linear classifier, fitted on the training rows and measured on
// the validation rows. Beside them stand the inputs themselves and the network before its first step,
// without which such numbers say little.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/nn/model.h>
#include <detente/report/run_record.h>
#include <detente/tensor/fwd.h>
#include <detente/train/corpus.h>
#include <detente/train/recipe.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace detente::train {

// What runs are compared by of a probe's metrics; the first chooses an epoch.
inline constexpr const char* kProbeMetrics[] = {"knn20", "linear"};

// [rows, F] on the host, without a graph; in batches of so many rows.
at::Tensor features_of(const nn::Model& model, const data::Source& source, std::int64_t batch_size);
// Of these rows alone.
at::Tensor features_of(const nn::Model& model,
                       const data::Source& source,
                       std::int64_t batch_size,
                       std::span<const std::size_t> rows);

// Of all rows, as features_of() gives them.
struct ProbedFeatures {
  at::Tensor train;
  at::Tensor dev;
};

// The same as plain numbers, row by row.
struct FeatureTable {
  std::size_t rows = 0;
  std::size_t width = 0;
  std::vector<float> values;
};
FeatureTable feature_table(const nn::Model& model,
                           const data::Source& source,
                           std::int64_t batch_size);

class Probes {
 public:
  // What it is made from must outlive it.
  Probes(const Recipe& recipe, const Corpus& corpus) : recipe_(recipe), corpus_(corpus) {}

  bool any() const { return !recipe_.probes.empty(); }
  // Accuracies per probe: "knn20", "knn10", "knn100" and "knn200" (the share of votes of so many
  // neighbours that name the right class first), "linear"; and knn20 and linear of "raw" inputs (images;
  // linear up to 1,024 numbers) and of an "untrained" network, measured at the first call.
  // `kept`: receives the features, where there is a probe.
  report::NamedTables measure(const nn::Model& model,
                              std::optional<ProbedFeatures>* kept = nullptr);

 private:
  report::NamedNumbers scores(std::size_t probe,
                              const at::Tensor& train,
                              const at::Tensor& dev,
                              const std::string& prefix,
                              bool all) const;

  const Recipe& recipe_;
  const Corpus& corpus_;
  report::NamedTables baselines_;
};

}  // namespace detente::train
