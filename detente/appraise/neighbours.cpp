// SPDX-License-Identifier: Apache-2.0
// knn_shapley, lava: by where examples lie among the others.
#include <detente/appraise/frozen_features.h>
#include <detente/core/moments.h>

#include <algorithm>
#include <cmath>

namespace detente::appraise {
namespace {

// Divided by one less than there are.
double deviation(const std::vector<double>& values) {
  const Moments moments = finite_moments(values);
  const auto n = static_cast<double>(moments.count);
  return n > 1 ? moments.deviation * std::sqrt(n / (n - 1)) : 0;
}

}  // namespace

Appraisal knn_shapley(const Subject& subject, const Options& options) {
  FrozenFeatures frozen(subject, options.rows);
  std::vector<valuation::KnnTask> tasks;
  for (const FrozenTask& task : frozen.tasks) {
    valuation::KnnTask one{task.train, task.dev};
    if (task.classes > 0) {
      one.nobody = options.soft ? 1.0 / static_cast<double>(task.classes) : 0.0;
    } else {
      one.tolerance = options.tolerance > 0 ? options.tolerance : 0.5 * deviation(task.train);
      frozen.notes.push_back(fmt::format(
          "Numbers of task '{}' count as equal within {:.3g}.", task.name, one.tolerance));
    }
    tasks.push_back(one);
  }
  const std::size_t rows = frozen.train.size() / std::max<std::size_t>(frozen.width, 1);
  if (options.neighbours >= rows) {
    frozen.notes.push_back(fmt::format(
        "{} neighbours are asked for and there are {} training rows: all vote, near or far.",
        options.neighbours,
        rows));
  }
  auto estimates = valuation::knn_shapley(
      frozen.train,
      frozen.dev,
      frozen.width,
      tasks,
      {.k = options.neighbours,
       .utility = options.soft ? valuation::KnnUtility::kSoft : valuation::KnnUtility::kHard,
       .threads = static_cast<int>(subject.run.recipe.threads),
       .progress = options.progress});
  return frozen.appraisal("knn_shapley", std::move(estimates));
}

Appraisal lava(const Subject& subject, const Options& options) {
  FrozenFeatures frozen(subject, options.rows);
  std::vector<valuation::Estimate> estimates;
  for (const FrozenTask& task : frozen.tasks) {
    valuation::LavaValues values = valuation::lava(
        frozen.train,
        frozen.dev,
        frozen.width,
        {task.train, task.dev, task.classes > 0},
        {.threads = static_cast<int>(subject.run.recipe.threads), .progress = options.progress});
    if (!values.converged) {
      frozen.notes.push_back(
          fmt::format("Task '{}': the transport is not settled after {} rounds "
                      "(marginal error {:.1e}); values are those so far.",
                      task.name,
                      values.iterations,
                      values.marginal_error));
    }
    estimates.push_back(std::move(values.estimate));
  }
  return frozen.appraisal("lava", std::move(estimates));
}

}  // namespace detente::appraise
