// SPDX-License-Identifier: Apache-2.0
// Predictions as people and programs read them: the rows' own columns, and of each task what it answers.
#pragma once

#include <detente/data/source.h>
#include <detente/train/evaluate.h>
#include <detente/train/recipe.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::cli {

class AnswerText {
 public:
  // Keeps a reference to the recipe. `terminal`: cells must not command one.
  AnswerText(const train::Recipe& recipe, data::TableFormat format, bool terminal);

  // The columns of the answers. Tasks with an answer for each pixel have none.
  const std::vector<std::string>& names() const { return names_; }
  // The next `count` rows; before the first ones of a table its header.
  std::string rows(const std::vector<data::ShownColumn>& shown,
                   const std::vector<train::TaskPredictions>& predictions,
                   std::size_t count);

 private:
  const train::Recipe& recipe_;
  data::TableFormat format_;
  bool terminal_;
  std::vector<std::string> names_;
  bool begun_ = false;
};

}  // namespace detente::cli
