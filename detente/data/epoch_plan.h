// SPDX-License-Identifier: Apache-2.0
// Which rows each step of each epoch takes. Examples of one source: epoch_batches, or windowed_batches
// where they are better read near each other (Source::locality). Examples of several
// (SourceFiles::sources): a batch is some rows of each, and how many is said by the source itself
// (`batch`) or, of train.batch_size rows for all others together, by the sampler.
//
//   shares    source i with n_i rows has the share p_i = n_i^(1/T) / Σ_j n_j^(1/T): T = 1 proportional,
//             2 square root, ∞ equal
//   an epoch  lasts until as many rows are drawn as there are, N: of them source i gives N p_i, rounded up
//             or down at random so that the expectation is exact, spread evenly over the steps. Where some
//             source has a batch of its own, all steps are whole: ⌈N / rows per step⌉ of them
//   rows      each source is gone through in a random order, and in another once it is through,
//             however many epochs that takes: no row comes a second time before all have come once.
//             Proportional epochs without own batches take every row exactly once
//
// Within pools of batches the rows of each source are sorted by length (BatchOptions), but not across two
// passes through it, so that a small source does not fill a batch with one row. Everything is a
// function of (rows, options, seed, epoch), so a resumed run sees the batches it would have seen.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/batches.h>
#include <detente/data/source.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

struct Sampler {
  enum class Kind { kProportional, kSquareRoot, kEqual, kTemperature };

  Kind kind = Kind::kProportional;
  double temperature = 1;  // > 0; of kTemperature

  void describe(FieldVisitor& visitor);
  // Of sources with so many rows; sums to 1. A source without rows has none.
  std::vector<double> shares(std::span<const std::size_t> rows) const;
};

class EpochPlan {
 public:
  // `own_batches`: of each origin of the source in their order, 0: by the sampler; empty where there
  // are no origins. Throws kInvalidArgument as epoch_batches does. Keeps the costs by reference.
  EpochPlan(const Source& source,
            const BatchOptions& options,
            const Sampler& sampler,
            std::vector<std::int64_t> own_batches,
            std::uint64_t seed);
  // The same without a source: costs and origin of each row; `origins` empty: one source.
  EpochPlan(std::span<const std::size_t> costs,
            std::span<const std::uint32_t> origins,
            const BatchOptions& options,
            const Sampler& sampler,
            std::vector<std::int64_t> own_batches,
            std::uint64_t seed);

  // Of every epoch.
  std::int64_t steps() const { return static_cast<std::int64_t>(sizes_.size()); }
  // Rows of an epoch.
  std::size_t rows() const;
  // The batches of an epoch, from 0; the rows of a batch stand together by source. Costs O(N log N), and
  // O(epoch) for what came before.
  std::vector<RowList> batches(std::uint64_t epoch) const;

 private:
  bool plain() const { return members_.size() < 2; }
  // How many rows each source gives in an epoch.
  std::vector<std::size_t> quotas(std::uint64_t epoch) const;
  // Rows number begin to begin + count of the source's passes, sorted within pools as `per_step` says.
  RowList drawn(std::size_t source,
                std::size_t begin,
                const std::vector<std::size_t>& per_step) const;
  std::vector<std::vector<std::size_t>> spread(const std::vector<std::size_t>& quotas,
                                               std::uint64_t epoch) const;

  std::span<const std::size_t> costs_;
  Locality locality_;
  BatchOptions options_;
  std::uint64_t seed_ = 0;
  std::vector<RowList> members_;    // rows of each source
  std::vector<std::size_t> own_;    // batch of its own, or 0
  std::vector<double> bounds_;      // expected rows per epoch of those without, summed up
  std::vector<std::size_t> sizes_;  // per step: rows by the sampler (plain: all)
};

}  // namespace detente::data
