// SPDX-License-Identifier: Apache-2.0
// answers.json: what a run's model answered on the validation rows at the epoch that is kept, as far as a
// page shows it. A summary of bounded size (the kMost... below), so that a report needs neither the model
// nor the data. docs/run_directory.md explains the fields; nothing else spells their keys.
//
// Writing is strict, and so is reading: a file that is not wholly as it was written is damaged.
#pragma once

#include <detente/core/json.h>
#include <detente/core/task_kind.h>
#include <detente/report/run_record.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::report {

inline constexpr std::size_t kMostAnswerTasks = 24;  // further ones are left out
inline constexpr std::size_t kMostClasses =
    20;  // of a confusion matrix, the rest as the last of them
inline constexpr std::size_t kMostOutputs = 24;       // of a regression, the worst
inline constexpr std::size_t kMostScatters = 4;       // of them, with points
inline constexpr std::size_t kMostPoints = 400;       // of a scatter
inline constexpr std::size_t kMostLabels = 30;        // the worst
inline constexpr std::size_t kMostLegend = 40;        // classes of a task's maps
inline constexpr std::size_t kMostExamples = 3;       // with pictures
inline constexpr std::size_t kMostName = 80;          // bytes of a name
inline constexpr std::size_t kMostPictures = 600000;  // bytes of all pictures' text together

// Counts of rows (of segmentation: pixels) by what is true (rows) and what was answered (columns).
struct ConfusionAnswers {
  std::vector<std::string> names;
  std::vector<std::uint64_t> counts;  // names × names
  std::size_t classes = 0;            // of the task; where there are more than names, the last name
                                      // stands for all that have no own
  std::uint64_t right = 0;  // answers that are right: the diagonal, less what of its last cell
                            // confuses classes without a name of their own
  std::uint64_t total() const;
};

// Of a binary task the probability of 1 against the share of ones; of classes that of the class answered
// against the share of right answers (metrics/calibration.h).
struct ReliabilityAnswers {
  struct Bin {
    std::uint64_t rows = 0;
    double probability = 0;  // mean
    double share = 0;
  };
  std::vector<Bin> bins;
  double error = kNoNumber;
};

// One number of a regression.
struct OutputAnswers {
  std::string name;  // empty where it is the task's only one
  std::uint64_t rows = 0;
  double r2 = kNoNumber;
  double mean_residual = kNoNumber;
  // Of the residuals, prediction − target, at kResidualQuantiles; empty without rows.
  std::vector<double> residuals;
  // True and predicted, evenly chosen among the rows in the order of the true values; those at both ends
  // are there. Rounded to six digits.
  std::vector<std::pair<double, double>> points;
};
inline constexpr double kResidualQuantiles[] = {0, 0.05, 0.25, 0.5, 0.75, 0.95, 1};

struct LabelAnswers {
  std::string name;
  std::uint64_t rows = 0;       // for which it is known
  std::uint64_t there = 0;      // of them, with the label
  std::uint64_t predicted = 0;  // with a probability of at least one half
  std::uint64_t both = 0;

  double precision() const;  // NaN where it was never predicted
  double recall() const;     // NaN where no row has it
  double f1() const;         // NaN where both are
};

// What a task's maps look like, or its answers where they lie on a slide, one for each of
// RunAnswers::examples: PNG in base64.
struct MapAnswers {
  struct Pair {
    std::string truth;
    std::string answer;
  };
  struct Class {
    std::size_t id = 0;
    std::string name;
  };
  std::vector<Pair> pairs;
  std::vector<Class> classes;  // of ids: those to be seen
  double low = kNoNumber;      // of numbers: the ends of the colours; values beyond have those
  double high = kNoNumber;
};

struct TaskAnswers {
  std::string task;
  TaskKind kind = TaskKind::kRegression;
  // With a target, and of them those without a finite answer, which are left out below. Of several
  // numbers per row: numbers. Of maps: examples that have a target anywhere.
  std::uint64_t rows = 0;
  std::uint64_t not_finite = 0;
  // By kind: binary, classes and ordinal have the first two, segmentation the first.
  std::optional<ConfusionAnswers> confusion;
  std::optional<ReliabilityAnswers> reliability;
  std::vector<OutputAnswers> outputs;  // regression, worst first
  std::size_t all_outputs = 0;
  std::vector<LabelAnswers> labels;  // worst first
  std::size_t all_labels = 0;
  std::optional<MapAnswers> maps;
};

struct RunAnswers {
  std::int64_t epoch = 0;
  std::uint64_t rows = 0;
  std::vector<TaskAnswers> tasks;
  std::size_t all_tasks = 0;
  struct Example {
    std::uint64_t row = 0;  // from 1; of a slide its first
    std::string name = {};  // of a slide; empty: none
    std::string input;      // PNG in base64; empty: no picture
  };
  std::vector<Example> examples;

  Json to_json() const;
  // Nothing for what to_json could not have made.
  static std::optional<RunAnswers> from_json(const Json& json);
};

// The file's text, and what it holds; nothing where it is damaged.
std::string answers_text(const RunAnswers& answers);
std::optional<RunAnswers> parse_answers(std::string_view text);

// At most kMostName bytes, cut before a letter and marked with an ellipsis; bytes that are no UTF-8 become
// U+FFFD.
std::string short_name(std::string_view name);

}  // namespace detente::report
