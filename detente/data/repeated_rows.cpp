// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/data/repeated_rows.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace detente::data {
namespace {

std::string_view bytes_of(const Array& array) {
  return std::visit(
      [](const auto& values) {
        using Value = typename std::decay_t<decltype(values)>::value_type;
        return std::string_view(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(Value));
      },
      array.values);
}

Batch inputs_of(const Source& source, std::size_t row) {
  return source.batch(std::span<const std::size_t>(&row, 1), nullptr);
}

std::uint32_t sum_of(const Batch& inputs) {
  std::uint32_t sum = 0;
  for (const Array& array : inputs) sum = crc32c(bytes_of(array), crc32c(array.name, sum));
  return sum;
}

bool same(const Batch& a, const Batch& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Array& x, const Array& y) {
    return x.name == y.name && x.shape == y.shape && x.values.index() == y.values.index() &&
           bytes_of(x) == bytes_of(y);
  });
}

bool other_target(const Source& a, std::size_t row_a, const Source& b, std::size_t row_b) {
  for (std::size_t k = 0; k < std::min(a.targets().size(), b.targets().size()); ++k) {
    const Target& x = a.targets()[k];
    const Target& y = b.targets()[k];
    if (x.map || y.map || x.columns != y.columns) continue;
    for (std::size_t c = 0; c < x.columns; ++c) {
      const double first = x.values[row_a * x.columns + c];
      const double second = y.values[row_b * y.columns + c];
      if (!std::isnan(first) && !std::isnan(second) && first != second) return true;
    }
  }
  return false;
}

// The training rows by a sum of their inputs; of equal rows the first.
class Known {
 public:
  explicit Known(const Source& train) : train_(train) {}

  void add(std::uint32_t sum, std::size_t row) { rows_.emplace(sum, row); }
  std::optional<std::size_t> find(std::uint32_t sum, const Batch& inputs) const {
    const auto [begin, end] = rows_.equal_range(sum);
    for (auto at = begin; at != end; ++at) {
      if (same(inputs, inputs_of(train_, at->second))) return at->second;
    }
    return std::nullopt;
  }

 private:
  const Source& train_;
  std::unordered_multimap<std::uint32_t, std::size_t> rows_;
};

}  // namespace

RepeatedRows repeated_rows(const Source& train, const Source& dev) {
  RepeatedRows found;
  if (train.size() == 0) return found;
  if (find_array(inputs_of(train, 0), "asked") != nullptr) return found;  // data/graph_source.h
  Known known(train);
  for (std::size_t row = 0; row < train.size(); ++row) {
    const Batch inputs = inputs_of(train, row);
    const std::uint32_t sum = sum_of(inputs);
    if (const auto first = known.find(sum, inputs)) {
      found.train.push_back({row, *first, other_target(train, *first, train, row)});
    } else {
      known.add(sum, row);
    }
  }
  for (std::size_t row = 0; row < dev.size(); ++row) {
    const Batch inputs = inputs_of(dev, row);
    if (const auto first = known.find(sum_of(inputs), inputs)) {
      found.dev.push_back({row, *first, other_target(train, *first, dev, row)});
    }
  }
  return found;
}

}  // namespace detente::data
