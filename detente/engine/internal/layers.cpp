// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/engine/internal/layers.h>
#include <detente/tensor/graph_compat.h>
#include <detente/tensor/parallel.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <functional>

namespace detente::engine::internal {
namespace {

namespace gen = torch::autograd::generated;
using tensor::as_int;
using tensor::as_ints;
using tensor::shape_at;
using Shape = std::vector<std::int64_t>;

// A parameter's sizes written against the last dimensions of the output.
Shape align_right(at::IntArrayRef parameter, std::size_t dims) {
  Shape at(dims, 1);
  std::copy(parameter.begin(),
            parameter.end(),
            at.begin() + static_cast<std::ptrdiff_t>(dims - parameter.size()));
  return at;
}

Shape align_channels(std::int64_t channels, std::size_t dims) {
  Shape at(dims, 1);
  at[1] = channels;
  return at;
}

// x̂ of a normalisation over the last n numbers of each row, from its saved mean and 1/σ.
at::Tensor normalized(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& inverse) {
  return (x - mean) * inverse;
}

void read_scale_shift(const LayerUse& use, const TensorList& shared, LayerInput& layer) {
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
    return;
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
    return;
  } else if (name == "MulBackward0") {
    const auto& product = static_cast<const gen::MulBackward0&>(*use.node);
    layer.input = (use.side == 0 ? product.other_ : product.self_).unpack();
  } else if (use.side == 1) {
    // self + alpha * other
    layer.shift_factor = static_cast<const gen::AddBackward0&>(*use.node).alpha.toDouble();
  }
  if (use.weight >= 0) {
    layer.weight_at = align_right(shared[static_cast<std::size_t>(use.weight)].sizes(), dims);
  }
  if (use.bias >= 0) {
    layer.bias_at = align_right(shared[static_cast<std::size_t>(use.bias)].sizes(), dims);
  }
}

// A permutation that brings the rows of each task together, for a tensor whose dimension 0 holds
// `outer` blocks of the batch with `inner` neighbours of each example; and where each task's rows
// then lie.
struct Segments {
  at::Tensor order;  // int64; undefined when the rows already lie so
  std::vector<std::int64_t> begin, end;

  // The number of rows per task when all have as many and follow one another; else 0.
  std::int64_t equal() const {
    const std::int64_t n = end.empty() ? 0 : end[0] - begin[0];
    for (std::size_t k = 0; k < end.size(); ++k) {
      if (end[k] - begin[k] != n || begin[k] != begin[0] + static_cast<std::int64_t>(k) * n) {
        return 0;
      }
    }
    return n;
  }
};

Segments segments_of(const RowAssignment& assignment, std::int64_t outer, std::int64_t inner) {
  Segments result;
  const std::size_t tasks = assignment.begin.size();
  if (assignment.contiguous && outer == 1) {
    for (std::size_t k = 0; k < tasks; ++k) {
      result.begin.push_back(assignment.begin[k] * inner);
      result.end.push_back(assignment.end[k] * inner);
    }
    return result;
  }
  std::vector<std::int64_t> order;
  const std::int64_t batch = assignment.size();
  for (std::size_t k = 0; k < tasks; ++k) {
    result.begin.push_back(static_cast<std::int64_t>(order.size()));
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t b = 0; b < batch; ++b) {
        if (assignment.task_of_row[static_cast<std::size_t>(b)] != static_cast<std::int64_t>(k)) {
          continue;
        }
        for (std::int64_t i = 0; i < inner; ++i) order.push_back((o * batch + b) * inner + i);
      }
    }
    result.end.push_back(static_cast<std::int64_t>(order.size()));
  }
  result.order = at::empty({static_cast<std::int64_t>(order.size())}, at::kLong);
  std::copy(order.begin(), order.end(), result.order.data_ptr<std::int64_t>());
  return result;
}

at::Tensor in_order(const at::Tensor& x, const Segments& segments) {
  return segments.order.defined() ? x.index_select(0, segments.order.to(x.device())) : x;
}

void write_product(const TaskRows& to,
                   std::int64_t k,
                   at::IntArrayRef shape,
                   const at::Tensor& left,
                   const at::Tensor& right) {
  at::Tensor row = to.rows[k].view(shape);
  if (left.size(1) == 0) {
    if (!to.add) row.zero_();
  } else if (left.scalar_type() != row.scalar_type()) {
    // Activations of a smaller type than the parameters (autocast).
    const at::Tensor product = left.mm(right);
    if (to.add) {
      row.add_(product);
    } else {
      row.copy_(product);
    }
  } else if (to.add) {
    row.addmm_(left, right);
  } else {
    at::mm_out(row, left, right);
  }
}

// The sum of each task's rows.
void sum_segments(const at::Tensor& rows, const Segments& segments, const TaskRows& to) {
  const auto tasks = static_cast<std::int64_t>(segments.begin.size());
  if (const std::int64_t n = segments.equal(); n > 0) {
    const at::Tensor batched =
        rows.narrow(0, segments.begin[0], tasks * n).reshape({tasks, n, rows.size(1)});
    if (to.add) {
      at::Tensor(to.rows).add_(batched.sum(1));
    } else {
      at::Tensor target = to.rows;
      at::sum_out(target, batched, {1}, /*keepdim=*/false, c10::nullopt);
    }
    return;
  }
  for (std::int64_t k = 0; k < tasks; ++k) {
    const auto i = static_cast<std::size_t>(k);
    at::Tensor row = to.rows[k];
    const at::Tensor own = rows.narrow(0, segments.begin[i], segments.end[i] - segments.begin[i]);
    if (to.add) {
      row.add_(own.sum(0));
    } else {
      at::sum_out(row, own, {0}, /*keepdim=*/false, c10::nullopt);
    }
  }
}

// Sums of `terms` [out shape] over everything but the parameter's own dimensions, per task.
void task_sums(const at::Tensor& terms,
               const Shape& at_dims,
               std::int64_t inner,
               const RowAssignment& assignment,
               const TaskRows& to) {
  const Shape shape = terms.sizes().vec();
  // The dimension with the batch, see Graph: inner = stride(dim) * within.
  std::size_t dim = 0;
  std::int64_t stride = terms.numel();
  for (;; ++dim) {
    stride /= shape[dim];
    if (inner % stride == 0 && inner / stride * assignment.size() <= shape[dim]) break;
  }
  const std::int64_t within = inner / stride;
  const std::int64_t outer = shape[dim] / (within * assignment.size());
  std::vector<std::int64_t> gone;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (d != dim && at_dims[d] == 1) gone.push_back(static_cast<std::int64_t>(d));
  }
  const at::Tensor exact = terms.to(to.rows.scalar_type());
  at::Tensor rest = gone.empty() ? exact : exact.sum(gone, /*keepdim=*/true);
  rest = rest.movedim(static_cast<std::int64_t>(dim), 0).reshape({shape[dim], -1});
  const Segments segments = segments_of(assignment, outer, within);
  rest = in_order(rest, segments);
  sum_segments(rest, segments, to);
}

void linear_task_gradients(const LayerUse& use,
                           const LayerInput& layer,
                           const at::Tensor& gradient,
                           const RowAssignment& assignment,
                           const TaskRows& weight,
                           const TaskRows& bias) {
  const std::int64_t out = gradient.size(-1);
  const at::Tensor g = gradient.reshape({-1, out});
  const std::int64_t within = use.inner / out;
  const std::int64_t outer = g.size(0) / (within * assignment.size());
  const Segments segments = segments_of(assignment, outer, within);
  const at::Tensor rows = in_order(g, segments).contiguous();
  const at::Tensor x =
      weight.rows.defined()
          ? in_order(layer.input.reshape({-1, layer.input.size(-1)}), segments).contiguous()
          : at::Tensor();
  if (bias.rows.defined()) sum_segments(rows.to(bias.rows.scalar_type()), segments, bias);
  if (!weight.rows.defined()) return;
  const at::Tensor& left = use.weight_is_out_in ? rows : x;
  const at::Tensor& right = use.weight_is_out_in ? x : rows;
  const auto tasks = static_cast<std::int64_t>(segments.begin.size());
  const bool one_type = rows.scalar_type() == weight.rows.scalar_type();
  if (const std::int64_t n = segments.equal(); n > 0 && one_type) {
    const auto batched = [&](const at::Tensor& t) {
      return t.narrow(0, segments.begin[0], tasks * n).view({tasks, n, t.size(1)});
    };
    at::Tensor target = weight.rows.view({tasks, left.size(1), right.size(1)});
    if (weight.add) {
      target.baddbmm_(batched(left).transpose(1, 2), batched(right));
    } else {
      at::bmm_out(target, batched(left).transpose(1, 2), batched(right));
    }
    return;
  }
  for (std::int64_t k = 0; k < tasks; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const std::int64_t n = segments.end[i] - segments.begin[i];
    write_product(weight,
                  k,
                  {left.size(1), right.size(1)},
                  left.narrow(0, segments.begin[i], n).t(),
                  right.narrow(0, segments.begin[i], n));
  }
}

at::Tensor unfold(const at::Tensor& x, const LayerInput& layer) {
  const auto kernel = layer.kernel.sizes();
  return at::im2col(x, kernel.slice(2), layer.dilation, layer.padding, layer.stride);
}

// Few output positions make a matrix product on unfolded rows several times faster than the
// convolution's own weight gradient, whose cost there lies in the weight and not in the rows
// (docs/engine.md has the measurement).
bool unfolding_pays(const LayerInput& layer, const at::Tensor& gradient, std::int64_t examples) {
  return layer.kernel.dim() == 4 && layer.groups == 1 &&
         examples * gradient.size(2) * gradient.size(3) <= layer.kernel.size(0);
}

// One task's convolution is too small for several threads; a thread takes whole tasks instead,
// where all get as many.
void for_each_task(std::size_t tasks, bool on_host, const std::function<void(std::size_t)>& form) {
  const auto count = static_cast<std::int64_t>(tasks);
  if (!on_host || count % at::get_num_threads() != 0) {
    for (std::size_t k = 0; k < tasks; ++k) form(k);
    return;
  }
  tensor::parallel_for(0, count, 1, [&](std::int64_t first, std::int64_t last) {
    const at::NoGradGuard no_grad;  // not passed on to other threads
    for (std::int64_t k = first; k < last; ++k) form(static_cast<std::size_t>(k));
  });
}

void convolution_task_gradients(const LayerUse& use,
                                const LayerInput& layer,
                                const at::Tensor& gradient,
                                const RowAssignment& assignment,
                                const TaskRows& weight,
                                const TaskRows& bias) {
  const std::int64_t out = gradient.size(1);
  if (bias.rows.defined()) {
    task_sums(gradient,
              align_channels(out, static_cast<std::size_t>(gradient.dim())),
              use.inner,
              assignment,
              bias);
  }
  if (!weight.rows.defined()) return;
  const Segments segments = segments_of(assignment, 1, 1);
  const at::Tensor g = in_order(gradient, segments);
  const at::Tensor x = in_order(layer.input, segments);
  const std::size_t spatial = static_cast<std::size_t>(gradient.dim()) - 2;
  const Shape no_padding(spatial, 0);
  const auto form = [&](std::size_t k) {
    const auto task = static_cast<std::int64_t>(k);
    const std::int64_t n = segments.end[k] - segments.begin[k];
    at::Tensor row = weight.rows[task];
    if (n == 0) {
      if (!weight.add) row.zero_();
      return;
    }
    const at::Tensor own = g.narrow(0, segments.begin[k], n);
    const at::Tensor in = x.narrow(0, segments.begin[k], n);
    if (unfolding_pays(layer, gradient, n)) {
      const at::Tensor columns = unfold(in, layer);  // [n, C·kernel, positions]
      const std::int64_t width = columns.size(1);
      const at::Tensor left = own.reshape({n, out, -1}).transpose(0, 1).reshape({out, -1});
      const at::Tensor right = columns.transpose(1, 2).reshape({-1, width});
      write_product(weight, task, {out, width}, left, right);
      return;
    }
    const at::Tensor found = std::get<1>(at::convolution_backward(own,
                                                                  in,
                                                                  layer.kernel,
                                                                  c10::nullopt,
                                                                  layer.stride,
                                                                  layer.padding,
                                                                  layer.dilation,
                                                                  /*transposed=*/false,
                                                                  no_padding,
                                                                  layer.groups,
                                                                  {false, true, false}));
    if (weight.add) {
      row.view(found.sizes()).add_(found);
    } else {
      row.view(found.sizes()).copy_(found);
    }
  };
  for_each_task(segments.begin.size(), gradient.is_cpu(), form);
}

// ⟨a, b⟩ in double, block by block: the blocks' float products round like one short sum.
double dot_in_double(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.reshape(-1);
  const at::Tensor y = b.reshape(-1);
  constexpr std::int64_t kBlock = std::int64_t{1} << 15;
  double sum = 0;
  for (std::int64_t begin = 0; begin < x.numel(); begin += kBlock) {
    const std::int64_t n = std::min(kBlock, x.numel() - begin);
    sum += at::dot(x.narrow(0, begin, n), y.narrow(0, begin, n)).item<double>();
  }
  return sum;
}

}  // namespace

LayerInput read_layer_input(const LayerUse& use, const TensorList& shared) {
  const at::NoGradGuard no_grad;
  LayerInput layer;
  switch (use.kind) {
    case LayerKind::kLinear:
      layer.input = use.node->name() == "AddmmBackward0"
                        ? static_cast<const gen::AddmmBackward0&>(*use.node).mat1_.unpack()
                        : static_cast<const gen::MmBackward0&>(*use.node).self_.unpack();
      break;
    case LayerKind::kConvolution: {
      const auto& node = static_cast<const gen::ConvolutionBackward0&>(*use.node);
      layer.input = node.input_.unpack();
      layer.kernel = node.weight_.unpack();
      layer.stride = as_ints(node.stride);
      layer.padding = as_ints(node.padding);
      layer.dilation = as_ints(node.dilation);
      layer.groups = as_int(node.groups);
      break;
    }
    case LayerKind::kEmbedding: {
      const auto& node = static_cast<const gen::EmbeddingBackward0&>(*use.node);
      layer.input = node.indices_.unpack();
      layer.padding_index = as_int(node.padding_idx);
      break;
    }
    case LayerKind::kScaleShift:
      read_scale_shift(use, shared, layer);
      break;
  }
  if (layer.input.defined()) layer.input = layer.input.detach();
  if (layer.kernel.defined()) layer.kernel = layer.kernel.detach();
  return layer;
}

void task_gradients(const LayerUse& use,
                    const LayerInput& layer,
                    const at::Tensor& gradient,
                    const RowAssignment& assignment,
                    const TaskRows& weight,
                    const TaskRows& bias) {
  const at::NoGradGuard no_grad;
  switch (use.kind) {
    case LayerKind::kLinear:
      linear_task_gradients(use, layer, gradient, assignment, weight, bias);
      return;
    case LayerKind::kConvolution:
      convolution_task_gradients(use, layer, gradient, assignment, weight, bias);
      return;
    case LayerKind::kScaleShift:
      if (weight.rows.defined()) {
        task_sums(gradient * layer.input, layer.weight_at, use.inner, assignment, weight);
      }
      if (bias.rows.defined()) {
        const at::Tensor shifted =
            layer.shift_factor == 1.0 ? gradient : gradient * layer.shift_factor;
        task_sums(shifted, layer.bias_at, use.inner, assignment, bias);
      }
      return;
    case LayerKind::kEmbedding:
      break;
  }
  fail(ErrorCode::kInternal, "[engine::task_gradients] embeddings have compact gradients.");
}

bool readable_by_rows(const LayerUse& use) {
  if (use.kind == LayerKind::kLinear) return use.weight_is_out_in;
  return use.kind != LayerKind::kScaleShift;
}

bool has_rows(const LayerUse& use, const LayerInput& layer) {
  if (use.kind == LayerKind::kLinear) return use.weight_is_out_in;
  return use.kind == LayerKind::kConvolution && layer.kernel.dim() == 4 && layer.groups == 1;
}

at::Tensor layer_rows(const LayerUse& use, const LayerInput& layer) {
  const at::NoGradGuard no_grad;
  if (use.kind == LayerKind::kLinear) return layer.input.reshape({-1, layer.input.size(-1)});
  const at::Tensor columns = unfold(layer.input, layer);
  return columns.transpose(1, 2).reshape({-1, columns.size(1)});
}

at::Tensor gradient_rows(const LayerUse& use, const at::Tensor& gradient) {
  const at::NoGradGuard no_grad;
  if (use.kind == LayerKind::kLinear) return gradient.reshape({-1, gradient.size(-1)});
  return gradient.flatten(2).transpose(1, 2).reshape({-1, gradient.size(1)});
}

void add_ghost_gram(const at::Tensor& x,
                    const TensorList& gradients,
                    bool with_bias,
                    Matrix& gram) {
  const at::NoGradGuard no_grad;
  at::Tensor inner = x.mm(x.t());
  if (with_bias) inner.add_(1.0);
  for (std::size_t l = 0; l < gradients.size(); ++l) {
    if (!gradients[l].defined()) continue;
    const at::Tensor turned = inner.mm(gradients[l]);
    for (std::size_t k = 0; k <= l; ++k) {
      if (!gradients[k].defined()) continue;
      const double product = dot_in_double(gradients[k], turned);
      gram(k, l) += product;
      if (k != l) gram(l, k) += product;
    }
  }
}

at::Tensor embedding_ids(const LayerInput& layer) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = layer.input.reshape(-1);
  if (layer.padding_index < 0) return ids;
  return ids.masked_fill(ids == layer.padding_index, -1);
}

}  // namespace detente::engine::internal
