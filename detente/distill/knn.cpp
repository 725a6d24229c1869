// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/distill/internal/checks.h>
#include <detente/distill/knn.h>
#include <detente/tensor/parallel.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace detente::distill {
namespace {

constexpr double kShortestRow = 1e-12;
constexpr std::int64_t kTestBlock = 256;
constexpr std::int64_t kTrainBlock = 16384;
// What test rows keep of their neighbours at a time, 16 bytes each.
constexpr std::int64_t kKept = std::int64_t{1} << 21;

struct Neighbour {
  double similarity = 0;
  std::int64_t row = 0;
};

bool closer(const Neighbour& a, const Neighbour& b) {
  return a.similarity != b.similarity ? a.similarity > b.similarity : a.row < b.row;
}

at::Tensor unit_rows(const at::Tensor& features) {
  const at::Tensor x = internal::widened(features.detach());
  return x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(kShortestRow);
}

// Takes the rows of one block into the k closest, a heap whose top is the furthest of them.
void take(const double* similarities,
          std::int64_t first,
          std::int64_t count,
          std::size_t k,
          std::vector<Neighbour>& heap) {
  for (std::int64_t j = 0; j < count; ++j) {
    const Neighbour next{similarities[j], first + j};
    if (heap.size() < k) {
      heap.push_back(next);
      std::push_heap(heap.begin(), heap.end(), closer);
    } else if (closer(next, heap.front())) {
      std::pop_heap(heap.begin(), heap.end(), closer);
      heap.back() = next;
      std::push_heap(heap.begin(), heap.end(), closer);
    }
  }
}

// Calls `use` with every test row and its min(k, n) neighbours, the closest first, in any order of
// rows.
void for_neighbours(const at::Tensor& train_features,
                    const at::Tensor& test_features,
                    std::int64_t k,
                    const std::function<void(std::int64_t, const std::vector<Neighbour>&)>& use) {
  const at::NoGradGuard no_grad;
  const at::Tensor train = unit_rows(train_features);
  const at::Tensor test = unit_rows(test_features).to(train.device(), train.scalar_type());
  const std::int64_t n = train.size(0);
  const std::int64_t m = test.size(0);
  const std::int64_t kept = std::min(k, n);
  const std::int64_t block = std::clamp(kKept / kept, std::int64_t{1}, kTestBlock);
  for (std::int64_t begin = 0; begin < m; begin += block) {
    const std::int64_t count = std::min(block, m - begin);
    const at::Tensor some = test.narrow(0, begin, count);
    std::vector<std::vector<Neighbour>> heaps(static_cast<std::size_t>(count));
    for (std::int64_t first = 0; first < n; first += kTrainBlock) {
      const std::int64_t others = std::min(kTrainBlock, n - first);
      const at::Tensor products =
          some.mm(train.narrow(0, first, others).t()).to(at::kCPU, at::kDouble).contiguous();
      const double* data = products.const_data_ptr<double>();
      tensor::parallel_for(0, count, 8, [&](std::int64_t low, std::int64_t high) {
        for (std::int64_t i = low; i < high; ++i) {
          take(data + i * others,
               first,
               others,
               static_cast<std::size_t>(kept),
               heaps[static_cast<std::size_t>(i)]);
        }
      });
    }
    tensor::parallel_for(0, count, 8, [&](std::int64_t low, std::int64_t high) {
      for (std::int64_t i = low; i < high; ++i) {
        std::vector<Neighbour>& heap = heaps[static_cast<std::size_t>(i)];
        std::sort_heap(heap.begin(), heap.end(), closer);
        use(begin + i, heap);
      }
    });
  }
}

}  // namespace

std::vector<double> knn_accuracy(const at::Tensor& train_features,
                                 std::span<const std::int64_t> train_labels,
                                 const at::Tensor& test_features,
                                 std::span<const std::int64_t> test_labels,
                                 std::span<const std::int64_t> ks,
                                 double temperature) {
  constexpr const char* kWhere = "knn_accuracy";
  internal::check_features(kWhere, "training", train_features, 0);
  internal::check_features(kWhere, "test", test_features, train_features.size(1));
  internal::check_labels(kWhere, "training", train_features, train_labels);
  internal::check_labels(kWhere, "test", test_features, test_labels);
  internal::check_temperature(kWhere, temperature);
  DETENTE_CHECK(!ks.empty() && *std::min_element(ks.begin(), ks.end()) >= 1,
                ErrorCode::kInvalidArgument,
                "[distill::{}] {}; expected one number of neighbours or more, each >= 1.",
                kWhere,
                ks.empty() ? std::string("there is no k")
                           : fmt::format("k is {}", *std::min_element(ks.begin(), ks.end())));

  std::vector<std::int64_t> classes(train_labels.begin(), train_labels.end());
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  std::vector<std::size_t> places(train_labels.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    places[i] = static_cast<std::size_t>(
        std::lower_bound(classes.begin(), classes.end(), train_labels[i]) - classes.begin());
  }

  const std::size_t tests = test_labels.size();
  std::vector<std::uint8_t> right(tests * ks.size());
  const std::int64_t most = *std::max_element(ks.begin(), ks.end());
  for_neighbours(
      train_features,
      test_features,
      most,
      [&](std::int64_t test, const std::vector<Neighbour>& neighbours) {
        std::vector<double> votes(classes.size());
        for (std::size_t a = 0; a < ks.size(); ++a) {
          const std::size_t k = std::min(static_cast<std::size_t>(ks[a]), neighbours.size());
          std::fill(votes.begin(), votes.end(), 0.0);
          for (std::size_t j = 0; j < k; ++j) {
            // Relative to the closest, which keeps any temperature within range.
            votes[places[static_cast<std::size_t>(neighbours[j].row)]] +=
                std::exp((neighbours[j].similarity - neighbours[0].similarity) / temperature);
          }
          const auto best = std::max_element(votes.begin(), votes.end()) - votes.begin();
          const auto row = static_cast<std::size_t>(test);
          right[a * tests + row] =
              classes[static_cast<std::size_t>(best)] == test_labels[row] ? 1 : 0;
        }
      });

  std::vector<double> accuracies;
  for (std::size_t a = 0; a < ks.size(); ++a) {
    const auto begin = right.begin() + static_cast<std::ptrdiff_t>(a * tests);
    const auto hits = std::count(begin, begin + static_cast<std::ptrdiff_t>(tests), 1);
    accuracies.push_back(static_cast<double>(hits) / static_cast<double>(tests));
  }
  return accuracies;
}

std::vector<std::vector<std::size_t>> nearest(const at::Tensor& train,
                                              const at::Tensor& test,
                                              std::int64_t k) {
  constexpr const char* kWhere = "nearest";
  internal::check_features(kWhere, "training", train, 0);
  internal::check_features(kWhere, "test", test, train.size(1));
  DETENTE_CHECK(k >= 1,
                ErrorCode::kInvalidArgument,
                "[distill::{}] k is {}; expected a number of neighbours >= 1.",
                kWhere,
                k);
  std::vector<std::vector<std::size_t>> rows(static_cast<std::size_t>(test.size(0)));
  for_neighbours(train, test, k, [&](std::int64_t row, const std::vector<Neighbour>& neighbours) {
    std::vector<std::size_t>& own = rows[static_cast<std::size_t>(row)];
    own.reserve(neighbours.size());
    for (const Neighbour& neighbour : neighbours) {
      own.push_back(static_cast<std::size_t>(neighbour.row));
    }
  });
  return rows;
}

}  // namespace detente::distill
