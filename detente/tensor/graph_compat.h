// SPDX-License-Identifier: Apache-2.0
// Autograd nodes across LibTorch versions: shapes, owners, and integers that are symbolic in some
// nodes and plain in others.
// Heavy: for .cpp files of the engine only.
#pragma once

#include <c10/core/SymInt.h>
#include <torch/csrc/autograd/function.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace detente::tensor {

// Of the tensor whose gradient enters `node` at `input`.
std::vector<std::int64_t> shape_at(const torch::autograd::Node& node, std::uint32_t input);

// The smart pointer that edges hold: std::shared_ptr in 2.7, c10::intrusive_ptr in 2.13.
decltype(torch::autograd::Edge::function) owner_of(torch::autograd::Node& node);

// Code of the user's runs when a gradient passes the node (hooks, retained gradients).
bool has_hooks(torch::autograd::Node& node);

inline std::int64_t as_int(std::int64_t value) { return value; }
inline std::int64_t as_int(const c10::SymInt& value) { return value.expect_int(); }

template <class Optional>
std::int64_t as_int_or(const Optional& value, std::int64_t otherwise) {
  return value.has_value() ? as_int(*value) : otherwise;
}

template <class List>
std::vector<std::int64_t> as_ints(const List& values) {
  std::vector<std::int64_t> result;
  for (const auto& value : values) result.push_back(as_int(value));
  return result;
}

}  // namespace detente::tensor
