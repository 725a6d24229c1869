// SPDX-License-Identifier: Apache-2.0
// Convolutions and pools of images and clips, and normalisations as ONNX nodes of opset 17, for the table of
// onnx_operations.cpp. Inside detente/deploy only.
#pragma once

#include <detente/deploy/onnx_values.h>

namespace detente::deploy {

Value* convolution(const Node& node, OnnxGraph& graph);
Value* plain_convolution(const Node& node, OnnxGraph& graph);
Value* max_pool(const Node& node, OnnxGraph& graph);
// Sets the second result, the places, too.
Value* max_pool2d_with_indices(const Node& node, OnnxGraph& graph);
Value* max_unpool2d(const Node& node, OnnxGraph& graph);
Value* upsample_bilinear2d(const Node& node, OnnxGraph& graph);
Value* group_norm(const Node& node, OnnxGraph& graph);
Value* layer_norm(const Node& node, OnnxGraph& graph);
Value* batch_norm(const Node& node, OnnxGraph& graph);

}  // namespace detente::deploy
