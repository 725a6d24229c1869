// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/appraise/kronecker_curvature.h>
#include <detente/core/error.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

namespace detente::appraise {
namespace {

// Wider layers would have factors of gigabytes.
constexpr std::int64_t kWidest = 8192;
// What is left of a curvature that is this share of the layer's largest is rounding.
constexpr double kFlat = 1e-14;
// Numbers of examples' gradients of one layer that are formed at once.
constexpr std::int64_t kNumbers = std::int64_t{1} << 22;

// Outputs last: [rows, outputs]. Maps are [B, C, H, W], single numbers [B].
at::Tensor by_outputs(const at::Tensor& prediction) {
  if (prediction.dim() == 1) return prediction.unsqueeze(1);
  return prediction.movedim(1, -1).reshape({-1, prediction.size(1)});
}
at::Tensor as_predicted(const at::Tensor& rows, const at::Tensor& prediction) {
  if (prediction.dim() == 1) return rows.squeeze(1);
  std::vector<std::int64_t> sizes = prediction.movedim(1, -1).sizes().vec();
  return rows.reshape(sizes).movedim(-1, 1);
}

at::Tensor uniform(Rng& rng, std::int64_t rows, std::int64_t columns) {
  at::Tensor drawn = at::empty({rows, columns}, at::TensorOptions(at::kDouble));
  double* place = drawn.data_ptr<double>();
  for (std::int64_t i = 0; i < drawn.numel(); ++i) place[i] = rng.uniform();
  return drawn;
}

// H z of one task, outputs last.
at::Tensor curved(const TrainingBatch& batch, const at::Tensor& prediction, const at::Tensor& z) {
  const TensorList found =
      curve_predictions(batch.part, {prediction}, {{as_predicted(z, prediction)}})[0];
  const at::NoGradGuard no_grad;
  return found[0].defined() ? by_outputs(found[0]) : at::zeros_like(z);
}

// H = s (diag p − p pᵀ) with a factor s for each row: √s (p − e_y) with y drawn from p.
at::Tensor draw_classes(const TrainingBatch& batch, const at::Tensor& prediction, Rng& rng) {
  const at::Tensor p = at::softmax(by_outputs(prediction.detach()), 1);
  const auto [largest, places] = p.topk(2, 1);
  const at::Tensor first = places.narrow(1, 0, 1);
  // Off the diagonal nothing cancels: (H e_first)_second = −s p_first p_second.
  const at::Tensor moved = curved(batch, prediction, at::zeros_like(p).scatter_(1, first, 1.0))
                               .gather(1, places.narrow(1, 1, 1));
  const at::Tensor share = largest.prod(1, /*keepdim=*/true);
  const at::Tensor factor =
      at::where(share > 0, -moved / share, at::zeros_like(share)).clamp_min(0);
  const at::Tensor u = uniform(rng, p.size(0), 1).to(p.options());
  const at::Tensor y = (p.cumsum(1) < u).sum({1}, /*keepdim=*/true).clamp_max(p.size(1) - 1);
  return (p - at::zeros_like(p).scatter_(1, y, 1.0)) * factor.sqrt();
}

// H^½ r by the eigenvectors of each row's own H, a product with H for each output.
at::Tensor draw_signs(const TrainingBatch& batch, const at::Tensor& prediction, Rng& rng) {
  const at::Tensor like = by_outputs(prediction.detach());
  TensorList columns;
  for (std::int64_t c = 0; c < like.size(1); ++c) {
    at::Tensor unit = at::zeros_like(like);
    unit.select(1, c).fill_(1.0);
    columns.push_back(curved(batch, prediction, unit));
  }
  const at::Tensor signs =
      (uniform(rng, like.size(0), like.size(1)) < 0.5).to(like.options()) * 2 - 1;
  if (columns.size() == 1) return columns[0].clamp_min(0).sqrt() * signs;
  const at::Tensor blocks = at::stack(columns, 2);
  const auto [values, vectors] = at::linalg_eigh(0.5 * (blocks + blocks.transpose(1, 2)));
  return vectors.matmul((values.clamp_min(0).sqrt() * signs).unsqueeze(2)).squeeze(2);
}

// Of a matrix with fewer rows behind it than columns, or of no size, many eigenvalues are equal, which
// can stop LAPACK; a ramp too small to matter tells them apart. Any basis will do: Λ is measured in it.
at::Tensor eigenvectors(const at::Tensor& gram) {
  const at::Tensor scaled = gram / gram.diagonal().max().clamp_min(1e-300);
  for (const double ramp : {0.0, 1e-12, 1e-9}) {
    try {
      const at::Tensor steps = at::linspace(0, ramp, gram.size(0), gram.options());
      return std::get<1>(at::linalg_eigh(scaled + at::diag(steps)));
    } catch (const c10::Error&) {
      continue;
    }
  }
  fail(ErrorCode::kNumeric,
       "[appraise] the eigenvectors of a layer's {} inputs or outputs could not be found. Use "
       "--solver cg.",
       gram.size(0));
}

}  // namespace

TensorList draw_slopes(const Judged& judged, const TrainingBatch& batch, Rng rng) {
  TensorList drawn;
  for (std::size_t k = 0; k < judged.recipe.tasks.size(); ++k) {
    const at::Tensor& prediction = batch.losses.predictions[k];
    const at::Tensor& loss = batch.losses.values[k];
    drawn.emplace_back();
    if (!loss.defined() || !loss.requires_grad()) continue;
    const std::string name = judged.recipe.tasks[k].loss->name();
    DETENTE_CHECK(name != "correlation",
                  ErrorCode::kUnsupported,
                  "[appraise] ekfac draws a loss for each row, and task {} has the loss "
                  "'correlation', which is one of whole columns. Use --solver cg.",
                  judged.recipe.tasks[k].name);
    Rng own = rng.fork(k);
    const at::Tensor rows = name == "cross_entropy" ? draw_classes(batch, prediction, own)
                                                    : draw_signs(batch, prediction, own);
    drawn.back() = as_predicted(rows, prediction);
  }
  return drawn;
}

// Inputs [N, R, in], with the 1 of the bias.
at::Tensor KroneckerCurvature::Layer::joined(const autograd::RowLayer& rows) const {
  if (bias < 0) return rows.input;
  return at::cat(
      {rows.input, at::ones({rows.input.size(0), rows.input.size(1), 1}, rows.input.options())}, 2);
}

std::vector<autograd::RowLayer> KroneckerCurvature::drawn_layers(const TrainingBatch& batch,
                                                                 const Rng& rng) const {
  if (!batch.part.defined()) return {};
  const TensorList drawn = draw_slopes(judged_, batch, rng.fork(batch.rows[0]));
  at::Tensor loss;
  for (std::size_t k = 0; k < drawn.size(); ++k) {
    if (!drawn[k].defined()) continue;
    const at::Tensor term = (batch.losses.predictions[k] * drawn[k].detach()).sum();
    loss = loss.defined() ? loss + term : term;
  }
  autograd::ExampleParts parts(batch.losses.predictions, training_.parameters());
  parts.add(loss);
  std::vector<autograd::RowLayer> layers = parts.row_layers(0);
  std::erase_if(layers, [](const autograd::RowLayer& layer) {
    return std::max(layer.input.size(2) + 1, layer.gradient.size(2)) > kWidest;
  });
  return layers;
}

KroneckerCurvature::KroneckerCurvature(const Judged& judged,
                                       const TrainingCurvature& training,
                                       std::uint64_t seed,
                                       const valuation::Progress& progress)
    : judged_(judged), training_(training) {
  const Rng rng(seed);
  std::size_t done = 0;
  const auto each = [&](const std::function<void(const autograd::RowLayer&)>& look) {
    training.each_batch([&](const TrainingBatch& batch) {
      const auto layers = drawn_layers(batch, rng);
      const at::NoGradGuard no_grad;
      for (const auto& layer : layers) look(layer);
      done += batch.rows.size();
      return !progress || progress(done, 2 * static_cast<std::size_t>(judged.n));
    });
  };
  const auto gram = [](const at::Tensor& rows) {
    const at::Tensor flat = rows.flatten(0, 1);
    return flat.t().mm(flat);
  };
  each([&](const autograd::RowLayer& rows) {
    Layer& layer = layers_.try_emplace(rows.weight, Layer{.bias = rows.bias}).first->second;
    // Rows that no loss reaches have no part in the curvature, whatever their inputs.
    const at::Tensor reached = rows.gradient.ne(0).any(2, /*keepdim=*/true);
    const at::Tensor inputs = gram(layer.joined(rows) * reached);
    const at::Tensor gradients = gram(rows.gradient);
    layer.inputs = layer.inputs.defined() ? layer.inputs + inputs : inputs;
    layer.gradients = layer.gradients.defined() ? layer.gradients + gradients : gradients;
  });
  for (auto& [weight, layer] : layers_) {
    layer.inputs = eigenvectors(layer.inputs);
    layer.gradients = eigenvectors(layer.gradients);
    layer.eigenvalues =
        at::zeros({layer.gradients.size(0), layer.inputs.size(0)}, layer.inputs.options());
  }
  each([&](const autograd::RowLayer& rows) {
    const auto found = layers_.find(rows.weight);
    if (found == layers_.end()) return;
    Layer& layer = found->second;
    const at::Tensor a = layer.joined(rows).matmul(layer.inputs);
    const at::Tensor d = rows.gradient.matmul(layer.gradients);
    if (a.size(1) == 1) {
      // An example's gradient is one product, whose square is that of the squares.
      layer.eigenvalues += d.squeeze(1).square().t().mm(a.squeeze(1).square());
      return;
    }
    const std::int64_t together = std::max<std::int64_t>(1, kNumbers / layer.eigenvalues.numel());
    for (std::int64_t i = 0; i < a.size(0); i += together) {
      const std::int64_t n = std::min(together, a.size(0) - i);
      layer.eigenvalues += d.narrow(0, i, n).transpose(1, 2).bmm(a.narrow(0, i, n)).square().sum(0);
    }
  });
  std::erase_if(layers_, [](const auto& entry) {
    return !(entry.second.eigenvalues.max().template item<double>() > 0);
  });
}

std::vector<bool> KroneckerCurvature::covered() const {
  std::vector<bool> all(training_.parameters().size(), false);
  for (const auto& [weight, layer] : layers_) {
    all[static_cast<std::size_t>(weight)] = true;
    if (layer.bias >= 0) all[static_cast<std::size_t>(layer.bias)] = true;
  }
  return all;
}

double KroneckerCurvature::damping_of(const Layer& layer) const {
  return 0.1 * layer.eigenvalues.mean().item<double>();
}

std::vector<double> KroneckerCurvature::default_damping() const {
  std::vector<double> all;
  for (const auto& [weight, layer] : layers_) all.push_back(damping_of(layer));
  return all;
}

TensorList KroneckerCurvature::solve(const TensorList& v, std::optional<double> damping) const {
  const at::NoGradGuard no_grad;
  TensorList solved(v.size());
  const TensorList& parameters = training_.parameters();
  for (const auto& [weight, layer] : layers_) {
    const auto w = static_cast<std::size_t>(weight);
    const auto b = static_cast<std::size_t>(layer.bias);
    const at::Tensor divisor = layer.eigenvalues + damping.value_or(damping_of(layer));
    DETENTE_CHECK(
        divisor.min().item<double>() > 0,
        ErrorCode::kNumeric,
        "[appraise] without damping the curvature of a layer with {} parameters is 0 along "
        "some direction, and there is nothing to divide by. Give --damping a number above "
        "0, or leave it out.",
        layer.eigenvalues.numel());
    const std::int64_t out = layer.gradients.size(0);
    const auto or_zeros = [&](std::size_t p) {
      return v[p].defined() ? v[p] : at::zeros_like(parameters[p]);
    };
    at::Tensor whole = or_zeros(w).reshape({out, -1});
    if (layer.bias >= 0) whole = at::cat({whole, or_zeros(b).reshape({out, 1})}, 1);
    const at::Tensor turned = layer.gradients.t().mm(whole).mm(layer.inputs) / divisor;
    const at::Tensor back = layer.gradients.mm(turned).mm(layer.inputs.t());
    const std::int64_t in = parameters[w].numel() / out;
    solved[w] = back.narrow(1, 0, in).reshape(parameters[w].sizes()).contiguous();
    if (layer.bias >= 0) solved[b] = back.narrow(1, in, 1).reshape(parameters[b].sizes());
  }
  return solved;
}

}  // namespace detente::appraise
