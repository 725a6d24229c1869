// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/measure/kernel_benchmark.h>
#include <detente/measure/timing.h>
#include <detente/simd/target.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/narrow_product.h>
#include <detente/tensor/relu_rows.h>
#include <detente/tensor/weighted_sum.h>
#include <detente/train/adamw.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

namespace detente::measure {
namespace {

// One loop on one shape: what is timed, and what it has to do at least.
struct KernelCase {
  std::string kernel;
  std::string shape;
  double flops;  // of one call
  double bytes;
  std::function<void()> ours;
  std::function<void()> libtorch;
};
using MakeCase = std::function<KernelCase()>;

const char* type_name(at::ScalarType type) { return type == at::kFloat ? "float32" : "float64"; }
double size_of(at::ScalarType type) { return type == at::kFloat ? 4.0 : 8.0; }

KernelCase gram_case(std::int64_t k, std::int64_t p, at::ScalarType type) {
  const at::Tensor rows = at::randn({k, p}, type);
  const auto numbers = static_cast<double>(k * p);
  return {"gram",
          fmt::format("[{}, {}] {}", k, p, type_name(type)),
          numbers * static_cast<double>(k + 1),
          numbers * size_of(type),
          [rows] { tensor::gram(rows); },
          [rows] { at::mm(rows, rows.t()); }};
}

KernelCase products_case(std::int64_t k, std::int64_t p, at::ScalarType type) {
  const at::Tensor a = at::randn({k, p}, type);
  const at::Tensor b = at::randn({k, p}, type);
  const auto numbers = static_cast<double>(k * p);
  return {"inner_products",
          fmt::format("[{}, {}] [{}, {}] {}", k, p, k, p, type_name(type)),
          2 * numbers * static_cast<double>(k),
          2 * numbers * size_of(type),
          [a, b] { tensor::inner_products(a, b); },
          [a, b] { at::mm(a, b.t()); }};
}

KernelCase sum_case(std::int64_t k, std::int64_t p, at::ScalarType type) {
  const at::Tensor rows = at::randn({k, p}, type);
  const at::Tensor weights = at::rand({k}, type);
  at::Tensor sum = at::empty({p}, type);
  const at::Tensor wide = weights.to(at::kDouble);
  const std::vector<double> factors(wide.data_ptr<double>(), wide.data_ptr<double>() + k);
  const auto numbers = static_cast<double>(k * p);
  return {"weighted_sum",
          fmt::format("[{}, {}] {}", k, p, type_name(type)),
          2 * numbers,
          (numbers + static_cast<double>(p)) * size_of(type),
          [rows, factors, sum]() mutable { tensor::weighted_sum(rows, factors, sum); },
          [rows, weights, sum]() mutable { at::mv_out(sum, rows.t(), weights); }};
}

KernelCase narrow_case(std::int64_t r, std::int64_t m, std::int64_t n, at::ScalarType type) {
  const at::Tensor wide = at::randn({r, m}, type);
  const at::Tensor narrow = at::randn({r, n}, type);
  at::Tensor sum = at::zeros({m * n}, type);
  at::Tensor columns = at::zeros({m}, type);
  return {"narrow_product",
          fmt::format("[{}, {}] [{}, {}] {}", r, m, r, n, type_name(type)),
          static_cast<double>(r * m * (2 * n + 1)),
          static_cast<double>(r * m + r * n + 2 * m * n) * size_of(type),
          [wide, narrow, sum, columns]() mutable {
            tensor::add_narrow_product(wide, narrow, sum, columns);
          },
          [wide, narrow, sum, columns, m, n]() mutable {
            sum.view({m, n}).addmm_(wide.t(), narrow);
            columns.add_(wide.sum(0));
          }};
}

KernelCase relu_case(std::int64_t r, std::int64_t n, at::ScalarType type) {
  const at::Tensor out = at::randn({r, n}, type);
  const at::Tensor saved = at::relu(at::randn({r, n}, type));
  at::Tensor in = at::empty({r, n}, type);
  at::Tensor sum = at::zeros({n}, type);
  return {"relu_rows",
          fmt::format("[{}, {}] {}", r, n, type_name(type)),
          static_cast<double>(r * n),
          static_cast<double>(3 * r * n) * size_of(type),
          [out, saved, in, sum]() mutable { tensor::relu_backward_rows(out, saved, in, sum); },
          [out, saved, in, sum]() mutable {
            at::threshold_backward_out(in, out, saved, 0);
            sum.add_(in.sum(0));
          }};
}

KernelCase adamw_case(std::int64_t n, at::ScalarType type) {
  at::Tensor theta = at::randn({n}, type);
  const at::Tensor gradient = at::randn({n}, type);
  theta.mutable_grad() = gradient;
  const auto optimizer =
      std::make_shared<train::AdamW>(NamedTensors{{"theta", theta}}, train::AdamWOptions());
  const at::Tensor m = at::zeros({n}, type);
  const at::Tensor v = at::zeros({n}, type);
  const at::Tensor step = at::ones({}, at::kFloat);
  return {
      "adamw",
      fmt::format("[{}] {}", n, type_name(type)),
      14 * static_cast<double>(n),
      7 * static_cast<double>(n) * size_of(type),
      [optimizer] { optimizer->step(1.0); },
      [theta, gradient, m, v, step] {
        at::_fused_adamw_(
            {theta}, {gradient}, {m}, {v}, {}, {step}, 1e-3, 0.9, 0.999, 0.0, 1e-8, false, false);
      }};
}

// Sizes of the benchmark's models: rows are the gradients of 10 and 50 tasks for the whole mlp and
// for one of its layers, of a transformer's layer, of an embedding.
std::vector<std::pair<std::string, MakeCase>> all_cases() {
  std::vector<std::pair<std::string, MakeCase>> all;
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (const std::int64_t k : {2, 10, 50}) {
      all.emplace_back("gram", [=] { return gram_case(k, 336800, type); });
    }
    all.emplace_back("gram", [=] { return gram_case(50, 15600, type); });
    all.emplace_back("gram", [=] { return gram_case(200, 40000, type); });
    all.emplace_back("inner_products", [=] { return products_case(10, 336800, type); });
    all.emplace_back("inner_products", [=] { return products_case(1, 336800, type); });
    for (const std::int64_t k : {10, 50}) {
      all.emplace_back("weighted_sum", [=] { return sum_case(k, 336800, type); });
    }
    all.emplace_back("narrow_product", [=] { return narrow_case(1024, 1024, 8, type); });
    all.emplace_back("narrow_product", [=] { return narrow_case(1024, 256, 16, type); });
    all.emplace_back("relu_rows", [=] { return relu_case(640, 400, type); });
    all.emplace_back("adamw", [=] { return adamw_case(2048000, type); });
  }
  return all;
}

double timed(const std::function<void()>& call) {
  const double start = now_ms();
  call();
  return now_ms() - start;
}

std::vector<KernelTime> measure_case(const KernelCase& one, double budget_ms) {
  const auto& targets = simd::available_targets();
  std::vector<std::vector<double>> ours(targets.size());
  std::vector<double> libtorch;
  const double begin = now_ms();
  for (int round = 0; round < 4 || now_ms() - begin < budget_ms; ++round) {
    for (std::size_t t = 0; t < targets.size(); ++t) {
      const simd::UseTarget use(targets[t]);
      const double ms = timed(one.ours);
      if (round > 0) ours[t].push_back(ms);  // the first for warming up
    }
    const double ms = timed(one.libtorch);
    if (round > 0) libtorch.push_back(ms);
  }
  std::vector<KernelTime> rows;
  for (std::size_t t = 0; t < targets.size(); ++t) {
    const double ms = median(ours[t]);
    rows.push_back({one.kernel,
                    one.shape,
                    simd::name_of(targets[t]),
                    ms,
                    one.flops / ms / 1e6,
                    one.bytes / ms / 1e6,
                    median(libtorch)});
  }
  return rows;
}

}  // namespace

void KernelBenchmarkOptions::describe(FieldVisitor& visitor) {
  visitor.integer("threads", threads, {.min = 1, .max = 1024}, "Threads of LibTorch.");
  visitor.number("seconds", seconds, {.min = 0, .max = 86400}, "For all rows together, about.");
}

const std::vector<std::string>& kernel_names() {
  static const std::vector<std::string> names = {
      "gram", "inner_products", "weighted_sum", "narrow_product", "relu_rows", "adamw"};
  return names;
}

std::vector<KernelTime> measure_kernels(
    const KernelBenchmarkOptions& given,
    const std::function<void(std::int64_t, std::int64_t)>& progress) {
  KernelBenchmarkOptions options = given;
  validate_fields([&](FieldVisitor& v) { options.describe(v); }, "[measure::kernels] option");
  for (const std::string& name : options.kernels) {
    const auto& names = kernel_names();
    DETENTE_CHECK(std::find(names.begin(), names.end(), name) != names.end(),
                  ErrorCode::kInvalidArgument,
                  "[measure::kernels] there is no kernel '{}'; there is: {}.",
                  name,
                  fmt::join(names, ", "));
  }
  std::vector<MakeCase> cases;
  for (const auto& [kernel, make] : all_cases()) {
    const bool wanted =
        options.kernels.empty() ||
        std::find(options.kernels.begin(), options.kernels.end(), kernel) != options.kernels.end();
    if (wanted) cases.push_back(make);
  }
  const Threads threads(options.threads);
  const double budget_ms = 1e3 * options.seconds / static_cast<double>(cases.size());
  std::vector<KernelTime> rows;
  tensor::translate_errors("measure::kernels", [&] {
    const at::NoGradGuard no_grad;
    std::int64_t done = 0;
    for (const MakeCase& make : cases) {
      for (KernelTime& row : measure_case(make(), budget_ms)) rows.push_back(std::move(row));
      if (progress) progress(++done, static_cast<std::int64_t>(cases.size()));
    }
  });
  return rows;
}

Json KernelTime::to_json() const {
  return {{"kernel", kernel},
          {"shape", shape},
          {"target", target},
          {"ms", ms},
          {"gflops", gflops},
          {"gbs", gbs},
          {"ms_libtorch", ms_libtorch}};
}

}  // namespace detente::measure
