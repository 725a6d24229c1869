// SPDX-License-Identifier: Apache-2.0
#include <detente/distill/knn.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "distill_support.h"
#include "tests/support/error_of.h"

namespace detente::distill {
namespace {

using Labels = std::vector<std::int64_t>;
using test::error_of;

Labels labels_of(std::size_t rows, std::uint64_t classes, std::uint64_t seed) {
  Rng rng(seed);
  Labels labels;
  for (std::size_t i = 0; i < rows; ++i) {
    labels.push_back(static_cast<std::int64_t>(rng.below(classes)) * 7 - 5);
  }
  return labels;
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    const double x = a[i].item<double>(), y = b[i].item<double>();
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

// Everything in plain numbers: all similarities, sorted.
std::vector<std::size_t> sorted_rows(const at::Tensor& train, const at::Tensor& row) {
  std::vector<double> similarity;
  std::vector<std::size_t> order;
  for (std::int64_t j = 0; j < train.size(0); ++j) {
    similarity.push_back(cosine(train[j], row));
    order.push_back(static_cast<std::size_t>(j));
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return similarity[a] > similarity[b];
  });
  return order;
}

double brute_force(const at::Tensor& train,
                   const Labels& train_labels,
                   const at::Tensor& test,
                   const Labels& test_labels,
                   std::size_t k) {
  double hits = 0;
  for (std::int64_t i = 0; i < test.size(0); ++i) {
    const auto order = sorted_rows(train, test[i]);
    std::map<std::int64_t, double> votes;
    for (std::size_t j = 0; j < std::min(k, order.size()); ++j) {
      votes[train_labels[order[j]]] +=
          std::exp(cosine(train[static_cast<std::int64_t>(order[j])], test[i]) / 0.07);
    }
    const auto best =
        std::max_element(votes.begin(), votes.end(), [](const auto& a, const auto& b) {
          return a.second < b.second;
        });
    if (best->first == test_labels[static_cast<std::size_t>(i)]) ++hits;
  }
  return hits / static_cast<double>(test.size(0));
}

TEST(Knn, IsWhatBruteForceSays) {
  for (const std::int64_t rows : {1, 3, 40}) {
    const at::Tensor train = noise({rows, 5}, 1), test = noise({30, 5}, 2);
    const Labels train_labels = labels_of(static_cast<std::size_t>(rows), 4, 3);
    const Labels test_labels = labels_of(30, 4, 4);
    const Labels ks = {20, 1, 3, 10, 200};
    const auto accuracies = knn_accuracy(train, train_labels, test, test_labels, ks);
    ASSERT_EQ(accuracies.size(), ks.size());
    for (std::size_t a = 0; a < ks.size(); ++a) {
      EXPECT_EQ(
          accuracies[a],
          brute_force(train, train_labels, test, test_labels, static_cast<std::size_t>(ks[a])))
          << rows << " rows, k " << ks[a];
    }
  }
}

TEST(Knn, NearestRowsAreTheMostSimilarOnes) {
  const at::Tensor train = noise({25, 4}, 1), test = noise({7, 4}, 2);
  const auto rows = nearest(train, test, 6);
  ASSERT_EQ(rows.size(), 7U);
  for (std::int64_t i = 0; i < 7; ++i) {
    auto expected = sorted_rows(train, test[i]);
    expected.resize(6);
    EXPECT_EQ(rows[static_cast<std::size_t>(i)], expected);
  }
  EXPECT_EQ(nearest(train, test, 1000)[0].size(), 25U);
}

TEST(Knn, BlocksOfRowsChangeNothing) {
  // More training rows than one block has, and a test block that is not full.
  const std::int64_t n = 40000, m = 300;
  const at::Tensor train = noise({n, 3}, 1), test = noise({m, 3}, 2);
  const auto rows = nearest(train, test, 5);
  const auto unit = [](const at::Tensor& x) { return x / x.norm(2, {1}, true); };
  const at::Tensor expected = std::get<1>(torch::mm(unit(test), unit(train).t()).topk(5, 1));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < 5; ++j) {
      EXPECT_EQ(
          static_cast<std::int64_t>(rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]),
          expected[i][j].item<std::int64_t>());
    }
  }
}

TEST(Knn, FindsAClassThatIsThereAndCannotFindOneThatIsNot) {
  const at::Tensor train = noise({10, 4}, 1), test = noise({6, 4}, 2);
  const Labels one(10, 42);
  const Labels ks = {1, 20};
  EXPECT_THAT(knn_accuracy(train, one, test, Labels(6, 42), ks), testing::ElementsAre(1, 1));
  EXPECT_THAT(knn_accuracy(train, one, test, Labels(6, 41), ks), testing::ElementsAre(0, 0));
  EXPECT_THAT(knn_accuracy(train, labels_of(10, 4, 1), train, labels_of(10, 4, 1), Labels{1}),
              testing::ElementsAre(1));
}

TEST(Knn, LengthDoesNotCountAndTiesGoToTheEarlierRowAndTheLowerClass) {
  const at::Tensor train =
      torch::tensor({{3.0, 0.0}, {0.0, 5.0}, {1.0, 0.0}, {0.0, 0.0}}, torch::kDouble);
  const at::Tensor test = torch::tensor({{0.1, 0.0}, {2.0, 2.0}}, torch::kDouble);
  const auto rows = nearest(train, test, 4);
  EXPECT_THAT(rows[0], testing::ElementsAre(0, 2, 1, 3));
  EXPECT_THAT(rows[1], testing::ElementsAre(0, 1, 2, 3));
  // Two neighbours at 45 degrees, of classes 9 and 4: equal votes.
  EXPECT_THAT(knn_accuracy(train, Labels{9, 4, 9, 4}, test, Labels{9, 4}, Labels{2}),
              testing::ElementsAre(1));
}

TEST(Knn, FloatsAndTemperaturesOfAnySizeDo) {
  const at::Tensor train = noise({40, 5}, 1), test = noise({30, 5}, 2);
  const Labels train_labels = labels_of(40, 3, 3), test_labels = labels_of(30, 3, 4);
  const Labels ks = {1, 5};
  EXPECT_EQ(knn_accuracy(train, train_labels, test, test_labels, ks),
            knn_accuracy(train.to(torch::kFloat), train_labels, test, test_labels, ks));
  // So cold that only the closest counts, whatever k is.
  const auto cold = knn_accuracy(train, train_labels, test, test_labels, ks, 1e-9);
  EXPECT_EQ(cold[0], cold[1]);
  EXPECT_EQ(cold[0], knn_accuracy(train, train_labels, test, test_labels, ks)[0]);
}

TEST(Knn, SaysWhatIsWrong) {
  const at::Tensor x = torch::ones({3, 2});
  const Labels y = {0, 1, 2};
  const Labels one = {1};
  const auto code = [](const std::function<void()>& body) { return error_of(body).code(); };
  constexpr auto kBad = ErrorCode::kInvalidArgument;
  const Error k = error_of([&] { knn_accuracy(x, y, x, y, Labels{5, 0}); });
  EXPECT_EQ(k.code(), kBad);
  EXPECT_THAT(k.what(), testing::HasSubstr("k is 0"));
  EXPECT_EQ(code([&] { knn_accuracy(x, y, x, y, Labels{}); }), kBad);
  EXPECT_EQ(code([&] { knn_accuracy(torch::ones({0, 2}), Labels{}, x, y, one); }), kBad);
  EXPECT_EQ(code([&] { knn_accuracy(x, y, torch::ones({0, 2}), Labels{}, one); }), kBad);
  EXPECT_EQ(code([&] { knn_accuracy(x, y, torch::ones({3, 4}), y, one); }), kBad);
  EXPECT_EQ(code([&] { knn_accuracy(x, Labels{1}, x, y, one); }), kBad);
  EXPECT_EQ(code([&] { knn_accuracy(x, y, x, Labels{1}, one); }), kBad);
  EXPECT_EQ(code([&] { knn_accuracy(x, y, x, y, one, 0); }), kBad);
  EXPECT_EQ(code([&] { nearest(x, x, 0); }), kBad);
  const at::Tensor bad = torch::full({3, 2}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(code([&] { nearest(bad, x, 1); }), ErrorCode::kNumeric);
}

}  // namespace
}  // namespace detente::distill
