// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/layers/segments.h>
#include <detente/tensor/parallel.h>

#include <algorithm>

namespace detente::autograd {
namespace {

// The dimension with the batch, see LayerUse: inner = stride(dim) * within.
struct BatchPlace {
  std::size_t dim = 0;
  std::int64_t within = 1;
  std::int64_t outer = 1;
};

BatchPlace place_of(const Shape& shape, std::int64_t inner, std::int64_t examples) {
  BatchPlace place;
  std::int64_t stride = numel(shape);
  for (;; ++place.dim) {
    stride /= shape[place.dim];
    if (inner % stride == 0 && inner / stride * examples <= shape[place.dim]) break;
  }
  place.within = inner / stride;
  place.outer = shape[place.dim] / (place.within * examples);
  return place;
}

}  // namespace

Segments segments_of(const ExampleTasks& examples, std::int64_t outer, std::int64_t inner) {
  Segments result;
  const std::size_t tasks = examples.begin.size();
  if (examples.contiguous && outer == 1) {
    for (std::size_t k = 0; k < tasks; ++k) {
      result.begin.push_back(examples.begin[k] * inner);
      result.end.push_back(examples.end[k] * inner);
    }
    return result;
  }
  std::vector<std::int64_t> order;
  const std::int64_t batch = examples.size();
  for (std::size_t k = 0; k < tasks; ++k) {
    result.begin.push_back(static_cast<std::int64_t>(order.size()));
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t b = 0; b < batch; ++b) {
        if (examples.task_of[static_cast<std::size_t>(b)] != static_cast<std::int64_t>(k)) {
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

void write_row(const TaskBlock& to, std::int64_t k, const at::Tensor& values) {
  at::Tensor row = to.rows[k];
  if (to.add) {
    row.add_(values.reshape(-1));
  } else {
    row.copy_(values.reshape(-1));
  }
}

void write_product(const TaskBlock& to,
                   std::int64_t k,
                   at::IntArrayRef shape,
                   const at::Tensor& left,
                   const at::Tensor& right) {
  at::Tensor row = to.rows[k].view(shape);
  if (left.size(1) == 0) {
    if (!to.add) row.zero_();
  } else if (left.scalar_type() != row.scalar_type()) {
    // Activations of a smaller type than the parameters (autocast).
    write_row(to, k, left.mm(right));
  } else if (to.add) {
    row.addmm_(left, right);
  } else {
    at::mm_out(row, left, right);
  }
}

// The sum of each task's rows.
void sum_segments(const at::Tensor& rows, const Segments& segments, const TaskBlock& to) {
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
               const ExampleTasks& examples,
               const TaskBlock& to) {
  const Shape shape = terms.sizes().vec();
  const BatchPlace place = place_of(shape, inner, examples.size());
  const std::size_t dim = place.dim;
  std::vector<std::int64_t> gone;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (d != dim && at_dims[d] == 1) gone.push_back(static_cast<std::int64_t>(d));
  }
  const at::Tensor exact = terms.to(to.rows.scalar_type());
  at::Tensor rest = gone.empty() ? exact : exact.sum(gone, /*keepdim=*/true);
  rest = rest.movedim(static_cast<std::int64_t>(dim), 0).reshape({shape[dim], -1});
  const Segments segments = segments_of(examples, place.outer, place.within);
  rest = in_order(rest, segments);
  sum_segments(rest, segments, to);
}

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

Shape align_channels(std::int64_t channels, std::size_t dims) {
  Shape at(dims, 1);
  at[1] = channels;
  return at;
}

at::Tensor by_example(const at::Tensor& x, std::int64_t inner, std::int64_t examples) {
  const BatchPlace place = place_of(x.sizes().vec(), inner, examples);
  const at::Tensor first = x.movedim(static_cast<std::int64_t>(place.dim), 0);
  return first.reshape({place.outer, examples, place.within, -1})
      .transpose(0, 1)
      .reshape({examples, place.outer * place.within, -1});
}

at::Tensor example_sums(const at::Tensor& terms,
                        const Shape& at_dims,
                        std::int64_t inner,
                        std::int64_t examples) {
  const BatchPlace place = place_of(terms.sizes().vec(), inner, examples);
  std::vector<std::int64_t> gone;
  for (std::size_t d = 0; d < at_dims.size(); ++d) {
    if (d != place.dim && at_dims[d] == 1) gone.push_back(static_cast<std::int64_t>(d));
  }
  const at::Tensor rest = gone.empty() ? terms : terms.sum(gone, /*keepdim=*/true);
  return by_example(rest, place.within * stride_of(rest.sizes().vec(), place.dim), examples).sum(1);
}

}  // namespace detente::autograd
