// SPDX-License-Identifier: Apache-2.0
// What methods on frozen features see of a run: a vector for each row, and the tasks' labels.
#pragma once

#include <detente/appraise/appraise.h>
#include <detente/valuation/knn_shapley.h>
#include <detente/valuation/lava.h>
#include <detente/valuation/ridge.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::appraise {

struct FrozenTask {
  std::string name;
  std::vector<double> train, dev;  // NaN: no label
  std::size_t classes = 0;         // 0: numbers
};

struct FrozenFeatures {
  std::size_t width = 0;
  std::vector<float> train, dev;  // [rows, width]
  std::vector<FrozenTask> tasks;  // with a label on either side
  std::vector<std::string> notes;

  // With at most so many validation rows, evenly spread, or with these. Throws kInvalidArgument where no
  // task is left, kNumeric for features that are not finite.
  FrozenFeatures(const Subject& subject, std::size_t most_rows);
  FrozenFeatures(const Subject& subject, const std::vector<std::size_t>& rows);

  std::vector<valuation::RidgeTask> train_tasks() const;
  std::vector<valuation::RidgeTask> dev_tasks() const;
  // Ids from 0, one series for each task, trained and judged by it.
  Appraisal appraisal(const char* method, std::vector<valuation::Estimate> estimates) const;
};

}  // namespace detente::appraise
