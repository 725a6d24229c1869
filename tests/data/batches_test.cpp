// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/core/rng.h>
#include <detente/data/batches.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace detente::data {
namespace {

using Lengths = std::vector<std::size_t>;

Lengths random_lengths(std::size_t rows) {
  Rng rng(9);
  Lengths lengths(rows);
  for (auto& length : lengths) length = 1 + static_cast<std::size_t>(rng.below(60));
  return lengths;
}

RowList flatten(const std::vector<RowList>& batches) {
  RowList rows;
  for (const auto& batch : batches) rows.insert(rows.end(), batch.begin(), batch.end());
  return rows;
}

std::size_t padded_tokens(const std::vector<RowList>& batches, const Lengths& lengths) {
  std::size_t total = 0;
  for (const auto& batch : batches) {
    std::size_t width = 0;
    for (const std::size_t row : batch) width = std::max(width, lengths[row]);
    total += width * batch.size();
  }
  return total;
}

TEST(EpochBatches, HoldEveryRowOnce) {
  for (const std::size_t rows : {0U, 1U, 7U, 31U, 32U, 33U, 39U, 40U, 64U, 1000U}) {
    const Lengths lengths = random_lengths(rows);
    auto seen = flatten(epoch_batches(lengths, {}, 1, 0));
    std::sort(seen.begin(), seen.end());
    RowList all(rows);
    std::iota(all.begin(), all.end(), std::size_t{0});
    EXPECT_EQ(seen, all) << rows;
  }
}

TEST(EpochBatches, AreAsManyAsAnnounced) {
  for (const std::int64_t min_batch : {0, 1, 8, 32, 100}) {
    for (std::size_t rows = 0; rows < 100; ++rows) {
      const BatchOptions options{.batch_size = 32, .min_batch = min_batch, .pool_batches = 2};
      EXPECT_EQ(epoch_batches(random_lengths(rows), options, 1, 0).size(),
                batch_count(rows, options))
          << rows << " rows, min_batch " << min_batch;
    }
  }
}

TEST(EpochBatches, MergeASmallRestIntoOneBatch) {
  const auto sizes = [](std::size_t rows, std::int64_t min_batch) {
    Lengths list;
    for (const auto& batch : epoch_batches(random_lengths(rows), {.min_batch = min_batch}, 1, 0)) {
      list.push_back(batch.size());
    }
    std::sort(list.begin(), list.end());
    return list;
  };
  EXPECT_EQ(sizes(71, 8), (Lengths{32, 39}));     // a rest of 7 joins
  EXPECT_EQ(sizes(72, 8), (Lengths{8, 32, 32}));  // a rest of 8 stands alone
  EXPECT_EQ(sizes(65, 0), (Lengths{1, 32, 32}));
  EXPECT_EQ(sizes(5, 8), (Lengths{5}));  // nothing to join
}

TEST(EpochBatches, DependOnSeedAndEpochAlone) {
  const Lengths lengths = random_lengths(500);
  const auto first = epoch_batches(lengths, {}, 7, 3);
  EXPECT_EQ(epoch_batches(lengths, {}, 7, 3), first);
  EXPECT_NE(epoch_batches(lengths, {}, 7, 4), first);
  EXPECT_NE(epoch_batches(lengths, {}, 8, 3), first);
}

TEST(EpochBatches, SavePaddingByBuckets) {
  const Lengths lengths = random_lengths(3000);
  const std::size_t plain =
      padded_tokens(epoch_batches(lengths, {.pool_batches = 1}, 1, 0), lengths);
  const std::size_t pooled = padded_tokens(epoch_batches(lengths, {}, 1, 0), lengths);
  const std::size_t needed = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
  EXPECT_LT(static_cast<double>(pooled), 1.05 * static_cast<double>(needed));
  EXPECT_GT(static_cast<double>(plain), 1.5 * static_cast<double>(needed));
}

TEST(EpochBatches, DoNotComeInOrderOfLength) {
  const Lengths lengths = random_lengths(1600);
  const auto batches = epoch_batches(lengths, {}, 1, 0);
  std::size_t rising = 0;
  for (std::size_t i = 1; i < batches.size(); ++i) {
    rising += lengths[batches[i][0]] > lengths[batches[i - 1][0]] ? 1 : 0;
  }
  // 49 coin flips for a shuffled order; outside [10, 39] with probability below 1e-4.
  EXPECT_GE(rising, 10U);
  EXPECT_LE(rising, 39U);
}

TEST(EpochBatches, RefuseSizesBelowOne) {
  EXPECT_THROW(epoch_batches(Lengths{1}, {.batch_size = 0}, 1, 0), Error);
  EXPECT_THROW(epoch_batches(Lengths{1}, {.min_batch = -1}, 1, 0), Error);
  EXPECT_THROW(epoch_batches(Lengths{1}, {.pool_batches = 0}, 1, 0), Error);
  EXPECT_THROW(evaluation_batches(Lengths{1}, 0), Error);
}

TEST(EvaluationBatches, ComeInOrderOfLength) {
  const Lengths lengths = {5, 1, 4, 1, 3};
  EXPECT_EQ(evaluation_batches(lengths, 2), (std::vector<RowList>{{1, 3}, {4, 2}, {0}}));
  EXPECT_TRUE(evaluation_batches(Lengths{}, 2).empty());
}

TEST(PadRows, FillsShortRows) {
  const std::vector<std::vector<std::int32_t>> ids = {{5, 6}, {7}, {8, 9, 10}};
  const RowList rows = {2, 1};
  const PaddedBatch batch = pad_rows(ids, rows, 99);
  EXPECT_EQ(batch.rows, 2U);
  EXPECT_EQ(batch.width, 3U);
  EXPECT_EQ(batch.ids, (std::vector<std::int64_t>{8, 9, 10, 7, 99, 99}));
  EXPECT_EQ(batch.lengths, (std::vector<std::int64_t>{3, 1}));
  EXPECT_TRUE(batch.segments.empty());
  EXPECT_EQ(pad_rows(ids, RowList{}, 0).ids.size(), 0U);
}

PairData two_pairs() {
  PairData data;
  data.ids_a = {{10, 11, 12}, {13}};
  data.ids_b = {{20}, {21, 22}};
  return data;
}

TEST(PadPairs, LaysOutBothSentencesWithSegments) {
  const PaddedBatch batch = pad_pairs(two_pairs(), RowList{0, 1}, {}, 64);
  EXPECT_EQ(batch.width, 7U);
  EXPECT_EQ(batch.ids,
            (std::vector<std::int64_t>{2, 10, 11, 12, 3, 20, 3, 2, 13, 3, 21, 22, 3, 0}));
  EXPECT_EQ(batch.segments, (std::vector<std::int64_t>{0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0}));
  EXPECT_EQ(batch.lengths, (std::vector<std::int64_t>{7, 6}));
}

TEST(PadPairs, CutsTheLongerSentenceFirst) {
  const PaddedBatch batch = pad_pairs(two_pairs(), RowList{0}, {}, 5);
  EXPECT_EQ(batch.ids, (std::vector<std::int64_t>{2, 10, 3, 20, 3}));
  EXPECT_THROW(pad_pairs(two_pairs(), RowList{0}, {}, 4), Error);
}

TEST(PadPairs, NeedsPairs) {
  PairData single = two_pairs();
  single.ids_b.clear();
  EXPECT_THROW(pad_pairs(single, RowList{0}, {}, 10), Error);
}

TEST(PadPairs, GivesHuggingFacesLayoutAndTruncation) {
  const Json golden =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/text/wordpiece.json"));
  text::TokenizerOptions options;
  options.kind = text::TokenizerOptions::Kind::kWordpiece;
  options.vocab = DETENTE_SOURCE_DIR "/data/vocab/koelectra.txt";
  const auto tokenizer = text::make_tokenizer(options, {});
  PairData data;
  for (const auto& pair : golden.at("pairs")) {
    data.ids_a.push_back(tokenizer->encode(pair.at("a").get<std::string>()));
    data.ids_b.push_back(tokenizer->encode(pair.at("b").get<std::string>()));
  }
  ASSERT_GE(data.size(), 40U);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto max_length = golden.at("pair_max_length").get<std::size_t>();
    const PaddedBatch batch = pad_pairs(data, RowList{i}, tokenizer->special(), max_length);
    EXPECT_EQ(batch.ids, golden.at("pairs")[i].at("ids").get<std::vector<std::int64_t>>()) << i;
    EXPECT_EQ(batch.segments, golden.at("pairs")[i].at("segments").get<std::vector<std::int64_t>>())
        << i;
  }
}

TEST(RowLengths, TakeTheLongerSentence) { EXPECT_EQ(row_lengths(two_pairs()), (Lengths{3, 2})); }

}  // namespace
}  // namespace detente::data
