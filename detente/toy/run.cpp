// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/toy/adam.h>
#include <detente/toy/run.h>

#include <algorithm>
#include <cmath>

namespace detente::toy {
namespace {

void set_option(balance::Method& method, const char* option, const char* value) {
  set_field([&](FieldVisitor& visitor) { method.describe(visitor); },
            option,
            value,
            "[toy::make_toy_method]");
}

// The buffers of one step.
class Step {
 public:
  explicit Step(Rng* rng) {
    problem_.tasks = 2;
    problem_.gram = gram_.view();
    problem_.losses = losses_;
    problem_.rng = rng;
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  Vec2 direction(balance::Method& method,
                 const Evaluation& now,
                 const std::array<double, 2>& shift) {
    show_losses(now, shift);
    const auto& [a, b] = now.gradients;
    gram_(0, 0) = a.x1 * a.x1 + a.x2 * a.x2;
    gram_(1, 1) = b.x1 * b.x1 + b.x2 * b.x2;
    gram_(0, 1) = gram_(1, 0) = a.x1 * b.x1 + a.x2 * b.x2;
    if (method.method_class() == balance::MethodClass::kCoordinates) {
      const std::array<double, 4> jacobian = {a.x1, a.x2, b.x1, b.x2};
      std::array<double, 2> d{};
      method.direct(
          problem_, balance::Rows<double>{jacobian.data(), 2, 2, 2}, std::span<double>(d), result_);
      return {d[0], d[1]};
    }
    method.solve(problem_, result_);
    const double w1 = result_.weights[0];
    const double w2 = result_.weights[1];
    return {w1 * a.x1 + w2 * b.x1, w1 * a.x2 + w2 * b.x2};
  }

  void after(balance::Method& method, const Evaluation& now, const std::array<double, 2>& shift) {
    show_losses(now, shift);
    method.losses_after_step(problem_);
  }

 private:
  void show_losses(const Evaluation& now, const std::array<double, 2>& shift) {
    losses_ = {now.losses[0] + shift[0], now.losses[1] + shift[1]};
  }

  std::array<double, 2> losses_{};
  Matrix gram_{2, 2};
  balance::Problem problem_;
  balance::Result result_;
};

}  // namespace

std::unique_ptr<balance::Method> make_toy_method(const ToyProblem& problem, std::string_view name) {
  auto method = balance::make_method(name);
  const char* scale = problem.sum ? "sum" : "mean";
  if (name == "ew") set_option(*method, "scale", scale);
  if (name == "pcgrad") set_option(*method, "reduction", scale);
  if (name == "cagrad") {
    set_option(*method, "c", "0.5");
    set_option(*method, "rescale", "one_plus_c");
  }
  return method;
}

RunResult run(const ToyProblem& problem,
              balance::Method& method,
              Vec2 start,
              const RunOptions& options) {
  DETENTE_CHECK(std::isfinite(start.x1) && std::isfinite(start.x2),
                ErrorCode::kInvalidArgument,
                "[toy::run] a start must be finite; got ({}, {}).",
                start.x1,
                start.x2);
  DETENTE_CHECK(options.steps >= 0,
                ErrorCode::kInvalidArgument,
                "[toy::run] steps must be >= 0, got {}.",
                options.steps);
  DETENTE_CHECK(options.lr > 0 && std::isfinite(options.lr),
                ErrorCode::kInvalidArgument,
                "[toy::run] lr must be > 0, got {}.",
                options.lr);
  const auto samples = static_cast<std::int64_t>(std::max<std::size_t>(options.samples, 1));
  const std::int64_t stride = std::max<std::int64_t>(1, options.steps / samples);

  RunResult out;
  out.method = method.name();
  out.start = start;
  out.steps = options.steps;
  out.trajectory.reserve(static_cast<std::size_t>(options.steps / stride) + 2);
  out.trajectory.push_back(start);

  if (options.shift_losses) out.shift = problem.shift;

  Rng rng(options.seed);
  Step step(&rng);
  Adam adam(options.lr);
  Vec2 x = start;
  Evaluation now = problem.evaluate(x);
  for (std::int64_t i = 1; i <= options.steps; ++i) {
    adam.step(x, step.direction(method, now, out.shift));
    now = problem.evaluate(x);
    if (method.wants_losses_after_step()) step.after(method, now, out.shift);
    if (i % stride == 0 || i == options.steps) {
      out.trajectory.push_back(x);
      if (options.progress) {
        options.progress(static_cast<double>(i) / static_cast<double>(options.steps));
      }
    }
  }
  out.final = x;
  out.losses = now.losses;
  out.mean_loss = 0.5 * (now.losses[0] + now.losses[1]);
  out.min_norm = min_norm(now);
  return out;
}

}  // namespace detente::toy
