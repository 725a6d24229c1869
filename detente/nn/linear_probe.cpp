// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/spread_rows.h>
#include <detente/nn/linear_probe.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace detente::nn {
namespace {

constexpr std::int64_t kMostProbedClasses = 1000;

// The left singular vectors of centred features and the squares of their singular values, without
// what is zero.
struct Spectrum {
  at::Tensor left;     // [N, R]
  at::Tensor squares;  // [R], ascending
};

Spectrum spectrum_of(const at::Tensor& centred) {
  const bool tall = centred.size(0) >= centred.size(1);
  const at::Tensor scatter = tall ? centred.t().mm(centred) : centred.mm(centred.t());
  auto [values, vectors] = at::linalg_eigh(scatter);
  const double floor = 1e-12 * std::max(values[-1].item<double>(), 0.0);
  const at::Tensor kept = (values > floor).nonzero().squeeze(1);
  values = values.index_select(0, kept);
  vectors = vectors.index_select(1, kept);
  if (tall) vectors = centred.mm(vectors) / values.sqrt();
  return {vectors, values};
}

std::vector<double> strengths(double largest) {
  std::vector<double> grid;
  for (int i = 0; i < 25; ++i) grid.push_back(largest * std::pow(10.0, -10.0 + 0.5 * i));
  return grid;
}

// Features of the trunk's first view without its random parts, [rows, F] float64.
at::Tensor features_of(const Model& model,
                       const data::Source& source,
                       const data::RowList& rows,
                       std::size_t batch) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (std::size_t begin = 0; begin < rows.size(); begin += batch) {
    const std::size_t count = std::min(batch, rows.size() - begin);
    parts.push_back(model.trunk()
                        .features(source.batch(std::span(rows).subspan(begin, count), nullptr))
                        .to(torch::kCPU, torch::kFloat64));
  }
  return torch::cat(parts, 0);
}

}  // namespace

Ridge fit_ridge(const at::Tensor& features, const at::Tensor& targets) {
  DETENTE_CHECK(features.dim() == 2 && targets.dim() == 2 && features.size(0) == targets.size(0) &&
                    features.size(0) >= 2,
                ErrorCode::kShape,
                "[nn::fit_ridge] expected features [N, F] and targets [N, C] of two rows or more.");
  const torch::NoGradGuard no_grad;
  const at::Tensor x = features.to(torch::kFloat64);
  const at::Tensor t = targets.to(torch::kFloat64);
  const at::Tensor mean = x.mean(0);
  const at::Tensor centre = t.mean(0);
  const at::Tensor centred = x - mean;
  const at::Tensor rest = t - centre;
  const double rows = static_cast<double>(x.size(0));
  Ridge best;
  best.weight = torch::zeros({t.size(1), x.size(1)}, torch::kFloat64);
  best.bias = centre;
  best.held_out = t - rest * (rows / (rows - 1));
  const Spectrum spectrum = spectrum_of(centred);
  if (spectrum.squares.size(0) == 0) return best;  // constant features
  const at::Tensor along = spectrum.left.t().mm(rest);
  const at::Tensor leverages = spectrum.left.square();
  double smallest = std::numeric_limits<double>::infinity();
  for (const double strength : strengths(spectrum.squares[-1].item<double>())) {
    const at::Tensor shrunk = spectrum.squares / (spectrum.squares + strength);
    const at::Tensor residual = rest - spectrum.left.mm(shrunk.unsqueeze(1) * along);
    const at::Tensor free = 1.0 - 1.0 / rows - leverages.mv(shrunk);
    const at::Tensor error = residual / free.clamp_min(1e-12).unsqueeze(1);
    const double size = error.square().sum().item<double>();
    if (!(size < smallest)) continue;
    smallest = size;
    best.strength = strength;
    best.held_out = t - error;
  }
  const at::Tensor scaled = along / (spectrum.squares + best.strength).unsqueeze(1);
  // V s/(s² + λ) Uᵀ t = Xᵀ U 1/(s² + λ) Uᵀ t, as V s = Xᵀ U.
  best.weight = centred.t().mm(spectrum.left.mm(scaled)).t();
  best.bias = centre - best.weight.mv(mean);
  return best;
}

Logistic fit_logistic(std::span<const double> scores, std::span<const double> targets) {
  const std::size_t n = scores.size();
  double mean = 0;
  for (const double s : scores) mean += s / static_cast<double>(n);
  double variance = 0;
  for (const double s : scores) variance += (s - mean) * (s - mean) / static_cast<double>(n);
  const double ones = std::accumulate(targets.begin(), targets.end(), 0.0);
  const double share = std::clamp(ones / static_cast<double>(n), 1e-6, 1 - 1e-6);
  const double unit = variance > 0 ? std::sqrt(variance) : 1.0;
  constexpr double kSlopeRidge = 1e-4;  // per row, of a slope over the score's deviations
  double a = 0;
  double b = std::log(share / (1 - share));
  const auto objective = [&](double slope, double offset) {
    double sum = 0.5 * kSlopeRidge * slope * slope;
    for (std::size_t i = 0; i < n; ++i) {
      const double z = slope * (scores[i] - mean) / unit + offset;
      sum += (std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z))) - targets[i] * z) /
             static_cast<double>(n);
    }
    return sum;
  };
  double value = objective(a, b);
  for (int step = 0; step < 100; ++step) {
    double ga = kSlopeRidge * a, gb = 0, haa = kSlopeRidge, hab = 0, hbb = 1e-12;
    for (std::size_t i = 0; i < n; ++i) {
      const double x = (scores[i] - mean) / unit;
      const double p = 1.0 / (1.0 + std::exp(-(a * x + b)));
      const double g = (p - targets[i]) / static_cast<double>(n);
      const double h = p * (1 - p) / static_cast<double>(n);
      ga += g * x;
      gb += g;
      haa += h * x * x;
      hab += h * x;
      hbb += h;
    }
    const double determinant = haa * hbb - hab * hab;
    const double da = (hbb * ga - hab * gb) / determinant;
    const double db = (haa * gb - hab * ga) / determinant;
    double length = 1;
    double next = objective(a - da, b - db);
    while (!(next <= value) && length > 1e-8) {
      length *= 0.5;
      next = objective(a - length * da, b - length * db);
    }
    if (!(next < value)) break;
    a -= length * da;
    b -= length * db;
    value = next;
  }
  return {a / unit, b - a * mean / unit};
}

double fit_temperature(const at::Tensor& scores, const at::Tensor& classes) {
  const at::Tensor own = scores.gather(1, classes.unsqueeze(1)).squeeze(1);
  const double spread = std::max(scores.std(0, false).max().item<double>(), 1e-12);
  constexpr double kRidge = 1e-4;
  double factor = 0;  // over deviations of the scores
  for (int step = 0; step < 100; ++step) {
    const at::Tensor share = torch::softmax(factor / spread * scores, 1);
    const at::Tensor mean = (share * scores).sum(1);
    const at::Tensor square = (share * scores.square()).sum(1);
    const double gradient = (mean - own).mean().item<double>() / spread + kRidge * factor;
    const double curvature =
        (square - mean.square()).mean().item<double>() / (spread * spread) + kRidge;
    const double next = std::max(0.0, factor - std::clamp(gradient / curvature, -10.0, 10.0));
    if (std::abs(next - factor) < 1e-10 * (1 + factor)) break;
    factor = next;
  }
  return factor / spread;
}

std::size_t probe_heads(Model& model,
                        const data::Source& training,
                        std::size_t batch,
                        std::size_t rows) {
  const torch::NoGradGuard no_grad;
  const data::RowList spread = spread_rows(training.size(), rows);
  if (spread.size() < 2) return 0;
  const at::Tensor features = features_of(model, training, spread, batch);
  if (!torch::isfinite(features).all().item<bool>()) return 0;
  std::size_t set = 0;
  for (std::size_t k = 0; k < model.heads().size(); ++k) {
    const data::Target& target = training.targets().at(k);
    std::vector<std::int64_t> known;
    std::vector<double> values;
    for (std::size_t i = 0; i < spread.size(); ++i) {
      const std::span<const double> row(target.values.data() + spread[i] * target.columns,
                                        target.columns);
      if (std::any_of(row.begin(), row.end(), [](double v) { return std::isnan(v); })) continue;
      known.push_back(static_cast<std::int64_t>(i));
      values.insert(values.end(), row.begin(), row.end());
    }
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    if (known.size() < 2 || !(*low < *high)) continue;
    const at::Tensor x = features.index_select(0, torch::tensor(known));
    const at::Tensor t = torch::tensor(values, torch::kFloat64)
                             .reshape({-1, static_cast<std::int64_t>(target.columns)});
    const HeadOptions& options = model.heads().tasks()[k].options;
    switch (options.kind) {
      case HeadKind::kRegression: {
        const Ridge ridge = fit_ridge(x, model.heads().linear_target(k, t));
        model.heads().set_linear(k, ridge.weight, ridge.bias);
        break;
      }
      case HeadKind::kBinary: {
        const Ridge ridge = fit_ridge(x, t);
        const at::Tensor scores = ridge.held_out.contiguous();
        const Logistic curve =
            fit_logistic({scores.const_data_ptr<double>(), values.size()}, values);
        model.heads().set_linear(
            k, curve.slope * ridge.weight, curve.slope * ridge.bias + curve.offset);
        break;
      }
      case HeadKind::kClasses: {
        if (options.classes > kMostProbedClasses) continue;
        const at::Tensor classes = t.squeeze(1).to(torch::kInt64);
        const Ridge ridge = fit_ridge(x, torch::one_hot(classes, options.classes));
        const double factor = fit_temperature(ridge.held_out, classes);
        model.heads().set_linear(k, factor * ridge.weight, factor * ridge.bias);
        break;
      }
      default:
        continue;  // TaskKinds without a linear answer to one vector
    }
    ++set;
  }
  return set;
}

}  // namespace detente::nn
