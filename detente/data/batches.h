// SPDX-License-Identifier: Apache-2.0
// The order of an epoch and padded batches. Order is a function of (lengths, options, seed, epoch)
// alone, so a resumed run sees the batches it would have seen.
#pragma once

#include <detente/data/pairs.h>
#include <detente/text/vocabulary.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

using RowList = std::vector<std::size_t>;

struct BatchOptions {
  std::int64_t batch_size = 32;
  // A last batch smaller than this joins the one before it: correlation losses need some rows.
  std::int64_t min_batch = 8;
  // Rows are shuffled, then sorted by length within pools of so many batches, which saves padding;
  // 1 = no sorting across batches.
  std::int64_t pool_batches = 50;
};

// Batches of the epoch (from 0); each row occurs exactly once. Throws kInvalidArgument for options
// that are not >= 1 (min_batch may be 0).
std::vector<RowList> epoch_batches(std::span<const std::size_t> lengths,
                                   const BatchOptions& options,
                                   std::uint64_t seed,
                                   std::uint64_t epoch);
// The same of rows that lie in groups, which are put in a random order; the rows of each `window` of them
// that follow each other are mixed, and batches are cut from that in order. The groups of a batch are few and
// those of the next one the same, at the price of less chance: two rows of far-off groups never meet in a batch.
std::vector<RowList> windowed_batches(std::span<const std::uint32_t> groups,
                                      std::size_t window,
                                      const BatchOptions& options,
                                      std::uint64_t seed,
                                      std::uint64_t epoch);
// How many epoch_batches gives, for schedules and progress bars.
std::size_t batch_count(std::size_t rows, const BatchOptions& options);

// For evaluation: sorted by length, no randomness, no merging.
std::vector<RowList> evaluation_batches(std::span<const std::size_t> lengths,
                                        std::int64_t batch_size);

// What a row costs: the longer sentence of a pair.
std::vector<std::size_t> row_lengths(const PairData& data);

// Row-major rows × width token ids, short rows filled with `pad`.
struct PaddedBatch {
  std::size_t rows = 0;
  std::size_t width = 0;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> lengths;   // rows
  std::vector<std::int64_t> segments;  // rows × width, only from pad_pairs: 0 for A, 1 for B
};

// One side of the rows, without special tokens.
PaddedBatch pad_rows(std::span<const std::vector<std::int32_t>> ids,
                     std::span<const std::size_t> rows,
                     std::int32_t pad);

// [CLS] A [SEP] B [SEP] in at most `max_length` tokens. The longer sentence is cut first, down to
// the length of the shorter; then both share the room, and an odd token goes to the longer (B when
// equal). For tokenizers with one id per token.
PaddedBatch pad_pairs(const PairData& data,
                      std::span<const std::size_t> rows,
                      const text::SpecialIds& special,
                      std::size_t max_length);

}  // namespace detente::data
