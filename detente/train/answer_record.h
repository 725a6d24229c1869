// SPDX-License-Identifier: Apache-2.0
// What the run's answers.json says of an epoch's predictions on the validation rows (report/answers.h).
#pragma once

#include <detente/data/source.h>
#include <detente/report/answers.h>
#include <detente/train/evaluate.h>
#include <detente/train/recipe.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace detente::data {
class SlideSource;
}

namespace detente::train {

// Of one pass over the rows: beside the predictions that metrics need it keeps the maps of the few
// examples that are shown, and nothing else.
class AnswerRecord {
 public:
  // `fitted` knows what classes are called where the recipe does not. All three outlive the record.
  AnswerRecord(const Recipe& recipe, const data::Source& fitted, const data::Source& rows);

  // For predict_rows on the same rows; for as long as the record lives.
  MapSink sink();

  // After it. `epoch`: from 1.
  report::RunAnswers answers(std::int64_t epoch,
                             const std::vector<TaskPredictions>& predictions) const;
  // The text of answers.json.
  std::string text(std::int64_t epoch, const std::vector<TaskPredictions>& predictions) const {
    return report::answers_text(answers(epoch, predictions));
  }

 private:
  std::vector<std::string> names_of(const TaskRecipe& task) const;
  void add_maps(report::RunAnswers& answers) const;
  // Answers that lie side by side on slides, over pictures of those.
  void add_slides(report::RunAnswers& answers,
                  const data::SlideSource& slides,
                  const std::vector<TaskPredictions>& predictions) const;

  const Recipe& recipe_;
  const data::Source& fitted_;
  const data::Source& rows_;
  std::vector<std::size_t> shown_;  // of examples with maps, ascending
  // Task and row → the map predicted.
  std::map<std::pair<std::size_t, std::size_t>, std::vector<double>> maps_;
};

}  // namespace detente::train
