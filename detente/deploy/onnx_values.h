// SPDX-License-Identifier: Apache-2.0
// What the operations of a recorded graph are given: types, dimensions, options and operands. Inside
// detente/deploy only.
#pragma once

#include <detente/deploy/onnx_graph.h>

#include <cstddef>
#include <cstdint>

namespace detente::deploy {

using Value = OnnxGraph::Value;
using Node = OnnxGraph::Node;
using Integers = OnnxGraph::Integers;

// Of a recorded tensor; kInternal where the recording does not know.
c10::ScalarType type_of(const Value* value);
std::int64_t rank_of(const Value* value);

// Options; kUnsupported for one that depends on the examples.
std::int64_t integer(const OnnxGraph& graph, const Value* value);
Integers integer_list(const OnnxGraph& graph, const Value* value);
bool is_none(const OnnxGraph& graph, const Value* value);
// Dimensions of `value`, counted from the front.
std::int64_t axis_of(const OnnxGraph& graph, const Value* axis, const Value* value);
Integers axes_of(const OnnxGraph& graph, const Value* axes, const Value* value);

Value* scalar(OnnxGraph& graph, const c10::Scalar& value, c10::ScalarType type);
// A tensor or number as an operand of numbers of this type.
Value* operand(OnnxGraph& graph, const Value* value, c10::ScalarType type);

}  // namespace detente::deploy
