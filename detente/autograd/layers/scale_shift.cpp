// SPDX-License-Identifier: Apache-2.0
// y = x̂ ⊙ γ + β: the normalisations, and single products, quotients, sums, differences and choices with a
// parameter, or one that is repeated for every example (a class token).
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/autograd/layers/row_pairs.h>
#include <detente/autograd/layers/segments.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <string>
#include <vector>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;
using tensor::as_int;
using tensor::as_ints;
using tensor::shape_at;

// A parameter's sizes written against the last dimensions of the output.
Shape align_right(at::IntArrayRef parameter, std::size_t dims) {
  Shape at(dims, 1);
  std::copy(parameter.begin(),
            parameter.end(),
            at.begin() + static_cast<std::ptrdiff_t>(dims - parameter.size()));
  return at;
}

// x̂ of a normalisation over the last n numbers of each row, from its saved mean and 1/σ.
at::Tensor normalized(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& inverse) {
  return (x - mean) * inverse;
}

LayerInput read_scale_shift(const LayerUse& use, const TensorList& shared) {
  LayerInput layer;
  const std::string name = use.node->name();
  const auto self = tensor::owner_of(*use.node);  // saved outputs ask for it
  const Shape out = shape_at(*use.node, 0);
  const std::size_t dims = out.size();
  if (name == "NativeLayerNormBackward0") {
    const auto& norm = static_cast<const gen::NativeLayerNormBackward0&>(*use.node);
    const std::size_t last = as_ints(norm.normalized_shape).size();
    Shape stat(out);
    for (std::size_t d = dims - last; d < dims; ++d) stat[d] = 1;
    layer.input = normalized(norm.input_.unpack(),
                             norm.result1_.unpack(self).view(stat),
                             norm.result2_.unpack(self).view(stat));
  } else if (name == "NativeGroupNormBackward0") {
    const auto& norm = static_cast<const gen::NativeGroupNormBackward0&>(*use.node);
    const std::int64_t n = as_int(norm.N);
    const at::Tensor x = norm.input_.unpack().contiguous().view({n, norm.group, -1});
    layer.input = normalized(x,
                             norm.result1_.unpack(self).view({n, norm.group, 1}),
                             norm.result2_.unpack(self).view({n, norm.group, 1}))
                      .view(out);
    layer.weight_at = layer.bias_at = align_channels(as_int(norm.C), dims);
    return layer;
  } else if (name == "NativeBatchNormBackward0") {
    const auto& norm = static_cast<const gen::NativeBatchNormBackward0&>(*use.node);
    const at::Tensor x = norm.input_.unpack();
    const Shape channels = align_channels(out[1], dims);
    layer.input = norm.training
                      ? normalized(x,
                                   norm.result1_.unpack(self).view(channels),
                                   norm.result2_.unpack(self).view(channels))
                      : normalized(x,
                                   norm.running_mean_.unpack().view(channels),
                                   (norm.running_var_.unpack() + norm.eps).rsqrt().view(channels));
    layer.weight_at = layer.bias_at = channels;
    return layer;
  } else if (name == "MulBackward0") {
    const auto& product = static_cast<const gen::MulBackward0&>(*use.node);
    layer.input = (use.side == 0 ? product.other_ : product.self_).unpack();
  } else if (name == "DivBackward0") {
    const auto& quotient = static_cast<const gen::DivBackward0&>(*use.node);
    const at::Tensor below = quotient.other_.unpack();
    layer.input =
        use.side == 0 ? below.reciprocal() : quotient.self_.unpack().neg().div(below.square());
  } else if (name == "PreluKernelBackward0") {
    layer.input =
        static_cast<const gen::PreluKernelBackward0&>(*use.node).self_.unpack().clamp_max(0);
  } else if (name == "WhereBackward0") {
    const auto& where = static_cast<const gen::WhereBackward0&>(*use.node);
    const at::Tensor taken = where.condition_.unpack();
    layer.input = use.side == 0 ? taken : taken.logical_not();
  } else if (name == "SubBackward0" && use.side == 1) {
    // self - alpha * other
    layer.shift_factor = -static_cast<const gen::SubBackward0&>(*use.node).alpha.toDouble();
  } else if (name == "AddBackward0" && use.side == 1) {
    // self + alpha * other
    layer.shift_factor = static_cast<const gen::AddBackward0&>(*use.node).alpha.toDouble();
  }
  if (name == "RepeatBackward0") {
    const Repeat repeat = read_repeat(*use.node);
    for (std::size_t d = 0; d < dims; ++d) {
      layer.output_as.insert(layer.output_as.end(), {repeat.times[d], repeat.sizes[d]});
      layer.bias_at.insert(layer.bias_at.end(), {1, repeat.sizes[d]});
    }
    return layer;
  }
  if (use.weight >= 0) {
    layer.weight_at = align_right(shared[static_cast<std::size_t>(use.weight)].sizes(), dims);
  }
  if (use.bias >= 0) {
    layer.bias_at = align_right(shared[static_cast<std::size_t>(use.bias)].sizes(), dims);
  }
  return layer;
}

// What the bias's gradient is a sum of.
at::Tensor shifts(const LayerInput& layer, const at::Tensor& gradient) {
  if (!layer.output_as.empty()) return gradient.reshape(layer.output_as);
  return layer.shift_factor == 1.0 ? gradient : gradient * layer.shift_factor;
}

void scale_shift_task_gradients(const LayerUse& use,
                                const LayerInput& layer,
                                const at::Tensor& gradient,
                                const ExampleTasks& examples,
                                const TaskBlock& weight,
                                const TaskBlock& bias) {
  if (weight.rows.defined()) {
    task_sums(gradient * layer.input, layer.weight_at, use.inner, examples, weight);
  }
  if (bias.rows.defined()) {
    task_sums(shifts(layer, gradient), layer.bias_at, use.inner, examples, bias);
  }
}

void scale_shift_row_products(const LayerUse& use,
                              const ExampleGradients& a,
                              const ExampleGradients& b,
                              at::Tensor& products) {
  const auto scales = [&](const ExampleGradients& of) {
    return example_sums(of.gradient * of.layer.input, of.layer.weight_at, use.inner, of.examples);
  };
  const auto sums = [&](const ExampleGradients& of) {
    return example_sums(shifts(of.layer, of.gradient), of.layer.bias_at, use.inner, of.examples);
  };
  if (use.weight >= 0) add_products(scales(a), scales(b), products);
  if (use.bias >= 0) add_products(sums(a), sums(b), products);
}

at::Tensor scale_shift_moved(const LayerUse&,
                             const LayerInput& layer,
                             const at::Tensor& weight,
                             const at::Tensor& bias) {
  at::Tensor y;
  if (weight.defined()) y = weight.reshape(layer.weight_at) * layer.input;
  if (!bias.defined()) return y;
  at::Tensor shift = bias.reshape(layer.bias_at);
  if (!layer.output_as.empty()) shift = shift.expand(layer.output_as);
  if (layer.shift_factor != 1.0) shift = shift * layer.shift_factor;
  return y.defined() ? y + shift : shift;
}

}  // namespace

std::span<const LayerRule> scale_shift_rules() {
  static const auto rules = [] {
    std::vector<LayerRule> all;
    const auto add = [&](const char* node, int weight_edge, int bias_edge) {
      all.push_back({.kind = LayerKind::kScaleShift,
                     .node = node,
                     .weight_edge = weight_edge,
                     .bias_edge = bias_edge,
                     .read = read_scale_shift,
                     .task_gradients = scale_shift_task_gradients,
                     .row_products = scale_shift_row_products,
                     .moved = scale_shift_moved});
    };
    add("NativeLayerNormBackward0", 1, 2);
    add("NativeGroupNormBackward0", 1, 2);
    add("NativeBatchNormBackward0", 1, 2);
    add("MulBackward0", LayerRule::kEitherSide, LayerRule::kNone);
    add("DivBackward0", LayerRule::kEitherSide, LayerRule::kNone);
    add("WhereBackward0", LayerRule::kEitherSide, LayerRule::kNone);
    add("AddBackward0", LayerRule::kNone, LayerRule::kEitherSide);
    add("SubBackward0", LayerRule::kNone, LayerRule::kEitherSide);
    add("ExpandBackward0", LayerRule::kNone, 0);
    add("RepeatBackward0", LayerRule::kNone, 0);
    add("PreluKernelBackward0", 1, LayerRule::kNone);
    return all;
  }();
  return rules;
}

}  // namespace detente::autograd
