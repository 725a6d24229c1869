// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/solver/solver.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace detente::solver {

using balance::MethodClass;

double scale_factor(Scale scale, std::span<const double> w, MatrixView gram) {
  constexpr double kVanishing = 1e-12;
  const auto k = static_cast<double>(w.size());
  if (scale == Scale::kNative) return 1.0;
  if (scale != Scale::kMeanNorm) {
    double sum = 0;
    double size = 0;
    for (const double x : w) {
      sum += x;
      size += std::abs(x);
    }
    const double wanted = scale == Scale::kSumToOne ? 1.0 : k;
    return sum > kVanishing * size ? wanted / sum : 1.0;
  }
  if (gram.empty()) return 1.0;
  double mean = 0;
  double length = 0;
  double size = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    for (std::size_t j = 0; j < w.size(); ++j) {
      mean += gram(i, j) / k / k;
      length += w[i] * w[j] * gram(i, j);
      size += std::abs(w[i] * w[j] * gram(i, j));
    }
  }
  return length > kVanishing * size && mean > 0 ? std::sqrt(mean / length) : 1.0;
}

double inner_product(std::span<const double> v, MatrixView gram, std::span<const double> w) {
  double sum = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    for (std::size_t j = 0; j < w.size(); ++j) sum += v[i] * w[j] * gram(i, j);
  }
  return sum;
}

double squared_length(std::span<const double> w, MatrixView gram) {
  const double sum = inner_product(w, gram, w);
  return sum > 0 ? sum : 0.0;
}

Solver::Solver(std::shared_ptr<balance::Method> method, std::vector<std::string> names, Scale scale)
    : method_(std::move(method)), names_(std::move(names)), scale_(scale) {
  DETENTE_CHECK(!names_.empty(),
                ErrorCode::kInvalidArgument,
                "[solver::Solver] there is no task; expected at least one name.");
  DETENTE_CHECK(method_ != nullptr,
                ErrorCode::kInvalidArgument,
                "[solver::Solver] there is no method; make one with balance::make_method.");
}

void Solver::balance_by_group(std::vector<std::shared_ptr<balance::Method>> methods) {
  for (const auto& method : methods) {
    DETENTE_CHECK(method != nullptr && (method->method_class() == MethodClass::kGram ||
                                        method->method_class() == MethodClass::kGramLoss),
                  ErrorCode::kInvalidArgument,
                  "[solver::Solver] balance_by_group: method '{}' is of class {}; "
                  "expected methods that see the Gram matrix (G or G+L): others answer the same "
                  "for every group or need all parameters together.",
                  method == nullptr ? "(none)" : method->name(),
                  method == nullptr ? "?" : balance::name_of(method->method_class()));
    DETENTE_CHECK(std::string(method->name()) == methods[0]->name(),
                  ErrorCode::kInvalidArgument,
                  "[solver::Solver] balance_by_group: expected methods of one kind, got '{}' and "
                  "'{}'.",
                  methods[0]->name(),
                  method->name());
  }
  group_methods_ = std::move(methods);
}

bool Solver::sees_gram_alone() const {
  return needs() == MethodClass::kGram || needs() == MethodClass::kGramLoss;
}

void Solver::begin(std::vector<std::size_t> present, std::vector<double> losses) {
  present_ = std::move(present);
  losses_ = std::move(losses);
  present_names_.clear();
  for (const std::size_t i : present_) present_names_.push_back(names_[i]);
  solution_ = {};
}

balance::Problem Solver::problem(MatrixView gram, Rng* rng) const {
  balance::Problem problem{.tasks = present_.size(),
                           .gram = gram,
                           .losses = losses_,
                           .names = present_names_,
                           .rng = rng};
  if (present_.size() < tasks()) {
    problem.ids = present_;
    problem.all_tasks = tasks();
  }
  return problem;
}

const Solution& Solver::solve(MatrixView gram, MatrixView cross, Rng& rng) {
  balance::Problem given = problem(needs() == MethodClass::kLoss ? MatrixView{} : gram, &rng);
  if (needs() == MethodClass::kCross) given.cross = cross;
  method().solve(given, result_);
  take_certificate(result_);
  return take_weights(result_.weights, scale_factor(scale_, result_.weights, gram));
}

const Solution& Solver::solve_groups(std::span<const Matrix> grams,
                                     std::span<const double> sizes,
                                     Rng& rng) {
  std::vector<double> means(present_.size(), 0.0);
  double total = 0;
  for (const double size : sizes) total += size;
  total = std::max(total, 1.0);
  solution_.by_group.clear();
  for (std::size_t g = 0; g < group_methods_.size(); ++g) {
    group_methods_[g]->solve(problem(grams[g], &rng), result_);
    std::vector<double> weights = result_.weights;
    const double scale = scale_factor(scale_, weights, grams[g]);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] *= scale;
      means[i] += sizes[g] / total * weights[i];
    }
    solution_.by_group.push_back(std::move(weights));
    take_certificate(result_);
  }
  return take_weights(std::move(means), 1.0);
}

const Solution& Solver::solve_objectives(const Matrix& gram, std::size_t objectives, Rng& rng) {
  balance::Problem given = problem(gram, &rng);
  given.objectives = objectives;
  method().solve(given, result_);
  take_certificate(result_);
  return take_weights(result_.weights, scale_factor(scale_, result_.weights, {}));
}

const Solution& Solver::take(const balance::Result& direct) {
  take_certificate(direct);
  return take_weights(direct.weights, 1.0);
}

const Solution& Solver::take_weights(std::vector<double> weights, double factor) {
  for (double& w : weights) w *= factor;
  solution_.weights = std::move(weights);
  check_finite(solution_.weights);
  return solution_;
}

void Solver::check_finite(const std::vector<double>& weights) const {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    DETENTE_CHECK(std::isfinite(weights[i]),
                  ErrorCode::kNumeric,
                  "[solver::Solver] method '{}' gave task '{}' the weight {}{}.",
                  method().name(),
                  present_names_[i],
                  weights[i],
                  by_group() ? " in one group of parameters" : "");
  }
}

void Solver::take_certificate(const balance::Result& from) {
  const bool worse = static_cast<int>(from.stop) > static_cast<int>(solution_.stop);
  if (worse) solution_.stop = from.stop;
  solution_.iterations = std::max(solution_.iterations, from.iterations);
  if (!(solution_.certificate >= from.certificate)) solution_.certificate = from.certificate;
  if (solution_.message.empty() || (worse && !from.message.empty())) {
    solution_.message = from.message;
  }
}

double Solver::direction_squared(const Matrix& gram, std::span<const Matrix> group_grams) const {
  if (solution_.by_group.empty()) return squared_length(solution_.weights, gram);
  double sum = 0;
  for (std::size_t g = 0; g < solution_.by_group.size(); ++g) {
    sum += squared_length(solution_.by_group[g], group_grams[g]);
  }
  return sum;
}

double Solver::estimate_cosine(const Matrix& estimate, const Matrix& exact, const Rng& rng) const {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  if (estimate.rows() == 0 || !method().state().is_null()) return kUnknown;
  Rng copy = rng;
  balance::Result tried;
  method().solve(problem(estimate, &copy), tried);
  // As the method gave them: a scale changes no cosine.
  const double both = inner_product(result_.weights, exact, tried.weights);
  const double right = inner_product(result_.weights, exact, result_.weights);
  const double rough = inner_product(tried.weights, exact, tried.weights);
  if (!(right > 0) || !(rough > 0)) return kUnknown;
  return both / std::sqrt(right) / std::sqrt(rough);
}

void Solver::losses_after_step(std::span<const double> losses) {
  balance::Problem given = problem({}, nullptr);
  given.losses = losses;
  method().losses_after_step(given);
}

}  // namespace detente::solver
