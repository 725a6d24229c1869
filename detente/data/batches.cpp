// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/batches.h>

#include <algorithm>
#include <numeric>

namespace detente::data {
namespace {

void check_options(const BatchOptions& options) {
  const auto require = [](const char* name, std::int64_t value, std::int64_t least) {
    DETENTE_CHECK(value >= least,
                  ErrorCode::kInvalidArgument,
                  "[data::epoch_batches] option {} must be >= {}, got {}.",
                  name,
                  least,
                  value);
  };
  require("batch_size", options.batch_size, 1);
  require("min_batch", options.min_batch, 0);
  require("pool_batches", options.pool_batches, 1);
}

std::vector<RowList> cut(const RowList& order, std::size_t batch_size) {
  std::vector<RowList> batches;
  for (std::size_t begin = 0; begin < order.size(); begin += batch_size) {
    const std::size_t end = std::min(begin + batch_size, order.size());
    batches.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(begin),
                         order.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return batches;
}

// A last batch that is too small goes to the one before it.
std::vector<RowList> cut_epoch(const RowList& order, const BatchOptions& options) {
  const auto batch_size = static_cast<std::size_t>(options.batch_size);
  auto batches = cut(order, batch_size);
  if (batches.size() > 1 && batches.back().size() < static_cast<std::size_t>(options.min_batch) &&
      batches.back().size() < batch_size) {
    RowList& target = batches[batches.size() - 2];
    target.insert(target.end(), batches.back().begin(), batches.back().end());
    batches.pop_back();
  }
  return batches;
}

PaddedBatch empty_batch(std::size_t rows, std::size_t width, std::int32_t pad) {
  PaddedBatch batch;
  batch.rows = rows;
  batch.width = width;
  batch.ids.assign(rows * width, pad);
  return batch;
}

}  // namespace

std::vector<RowList> epoch_batches(std::span<const std::size_t> lengths,
                                   const BatchOptions& options,
                                   std::uint64_t seed,
                                   std::uint64_t epoch) {
  check_options(options);
  Rng rng = Rng(seed).fork(epoch);
  RowList order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  rng.shuffle(order);
  const auto batch_size = static_cast<std::size_t>(options.batch_size);
  if (options.pool_batches > 1) {
    const std::size_t pool = batch_size * static_cast<std::size_t>(options.pool_batches);
    for (std::size_t begin = 0; begin < order.size(); begin += pool) {
      const auto first = order.begin() + static_cast<std::ptrdiff_t>(begin);
      const auto last =
          order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + pool, order.size()));
      std::stable_sort(
          first, last, [&](std::size_t a, std::size_t b) { return lengths[a] < lengths[b]; });
    }
  }
  auto batches = cut_epoch(order, options);
  rng.shuffle(batches);
  return batches;
}

std::vector<RowList> windowed_batches(std::span<const std::uint32_t> groups,
                                      std::size_t window,
                                      const BatchOptions& options,
                                      std::uint64_t seed,
                                      std::uint64_t epoch) {
  check_options(options);
  DETENTE_CHECK(window > 0,
                ErrorCode::kInvalidArgument,
                "[data::windowed_batches] a window holds at least one group.");
  std::vector<RowList> members;
  for (std::size_t row = 0; row < groups.size(); ++row) {
    if (groups[row] >= members.size()) members.resize(groups[row] + 1);
    members[groups[row]].push_back(row);
  }
  Rng rng = Rng(seed).fork(epoch);
  rng.shuffle(members);
  RowList order;
  for (std::size_t begin = 0; begin < members.size(); begin += window) {
    RowList mixed;
    for (std::size_t g = begin; g < std::min(begin + window, members.size()); ++g) {
      mixed.insert(mixed.end(), members[g].begin(), members[g].end());
    }
    rng.shuffle(mixed);
    order.insert(order.end(), mixed.begin(), mixed.end());
  }
  return cut_epoch(order, options);
}

std::size_t batch_count(std::size_t rows, const BatchOptions& options) {
  check_options(options);
  const auto batch_size = static_cast<std::size_t>(options.batch_size);
  const std::size_t rest = rows % batch_size;
  const std::size_t full = rows / batch_size;
  if (rest == 0) return full;
  return full > 0 && rest < static_cast<std::size_t>(options.min_batch) ? full : full + 1;
}

std::vector<RowList> evaluation_batches(std::span<const std::size_t> lengths,
                                        std::int64_t batch_size) {
  check_options({.batch_size = batch_size});
  RowList order(lengths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return lengths[a] < lengths[b];
  });
  return cut(order, static_cast<std::size_t>(batch_size));
}

std::vector<std::size_t> row_lengths(const PairData& data) {
  std::vector<std::size_t> lengths(data.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::size_t second = data.has_pairs() ? data.ids_b[i].size() : 0;
    lengths[i] = std::max(data.ids_a[i].size(), second);
  }
  return lengths;
}

PaddedBatch pad_rows(std::span<const std::vector<std::int32_t>> ids,
                     std::span<const std::size_t> rows,
                     std::int32_t pad) {
  std::size_t width = 0;
  for (const std::size_t row : rows) width = std::max(width, ids[row].size());
  PaddedBatch batch = empty_batch(rows.size(), width, pad);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& source = ids[rows[i]];
    std::copy(
        source.begin(), source.end(), batch.ids.begin() + static_cast<std::ptrdiff_t>(i * width));
    batch.lengths.push_back(static_cast<std::int64_t>(source.size()));
  }
  return batch;
}

PaddedBatch pad_pairs(const PairData& data,
                      std::span<const std::size_t> rows,
                      const text::SpecialIds& special,
                      std::size_t max_length) {
  DETENTE_CHECK(data.has_pairs(),
                ErrorCode::kInvalidArgument,
                "[data::pad_pairs] the data holds single sentences; expected pairs.");
  DETENTE_CHECK(max_length >= 5,
                ErrorCode::kInvalidArgument,
                "[data::pad_pairs] max_length must be >= 5 to hold [CLS] A [SEP] B [SEP], got {}.",
                max_length);
  struct Kept {
    std::size_t a, b;
  };
  const std::size_t budget = max_length - 3;
  std::vector<Kept> kept;
  std::size_t width = 0;
  for (const std::size_t row : rows) {
    const std::size_t a = data.ids_a[row].size();
    const std::size_t b = data.ids_b[row].size();
    const std::size_t shorter = std::min(std::min(a, b), budget / 2);
    const std::size_t longer = std::min(std::max(a, b), budget - shorter);
    const Kept k = a <= b ? Kept{shorter, longer} : Kept{longer, shorter};
    width = std::max(width, k.a + k.b + 3);
    kept.push_back(k);
  }
  PaddedBatch batch = empty_batch(rows.size(), width, special.pad);
  batch.segments.assign(rows.size() * width, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& a = data.ids_a[rows[i]];
    const auto& b = data.ids_b[rows[i]];
    std::int64_t* out = batch.ids.data() + i * width;
    std::size_t n = 0;
    out[n++] = special.cls;
    for (std::size_t k = 0; k < kept[i].a; ++k) out[n++] = a[k];
    out[n++] = special.sep;
    const std::size_t second = n;
    for (std::size_t k = 0; k < kept[i].b; ++k) out[n++] = b[k];
    out[n++] = special.sep;
    std::fill(batch.segments.begin() + static_cast<std::ptrdiff_t>(i * width + second),
              batch.segments.begin() + static_cast<std::ptrdiff_t>(i * width + n),
              1);
    batch.lengths.push_back(static_cast<std::int64_t>(n));
  }
  return batch;
}

}  // namespace detente::data
