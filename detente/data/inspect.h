// SPDX-License-Identifier: Apache-2.0
// What a network will be trained on, in numbers, before anything is trained: rows, targets, inputs,
// rows that occur twice, inputs that give a target away. The findings of `detente data check`.
//
//   const DataFindings found = inspect_data(*make_source("table"), files, targets);
//
// Definitions:
//   outlier      a number more than 10 robust deviations from the median of the training rows, the
//                robust deviation being 1.4826 · median |x − median|. A column more than half of
//                whose numbers are equal has none, and no outliers.
//   duplicate    a row all of whose inputs are those of an earlier row, as text without blanks around,
//                missing cells alike. Only inputs that the network sees count.
//   gives away   an input gives a task's targets away when, over the training rows that have both,
//                  equals      the numbers are the same ones
//                  correlates  |Pearson| >= 0.99999, with more than 2 different inputs in 5 rows
//                  determines  rows with one input all have one target, oftener than chance: equal
//                              inputs would have equal targets with a probability below 1e-9 (at
//                              most Π p^(m−1) over the inputs that m rows have, p the share of the
//                              most frequent target)
//                  one to one  that, and rows with one target all have one input
//                Rows are not looked at together: that two inputs add up to a target is not found.
#pragma once

#include <detente/core/json.h>
#include <detente/data/source.h>

#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace detente::data {

struct NumberSummary {
  std::size_t count = 0;  // finite numbers; without any the rest is NaN
  double min = std::numeric_limits<double>::quiet_NaN();
  double median = min, mean = min, max = min;
  double deviation = min;         // of the population
  double robust_deviation = min;  // 0: more than half of the numbers are equal
  std::size_t outliers = 0;
  std::size_t outlier_row = 0;  // the farthest one, where there are any
};

// NaN is missing.
NumberSummary summarise(std::span<const double> values);

// A task's targets in one part.
struct LabelFindings {
  std::size_t labelled = 0;  // rows with a target
  NumberSummary numbers;     // regression
  std::vector<std::size_t>
      counts;  // binary, classes: rows per class, as many as the task's classes
};

struct TaskFindings {
  std::string name;
  std::string source;  // SourceFiles::sources; empty without
  std::string column;
  TaskKind kind = TaskKind::kRegression;
  std::vector<std::string> class_names;  // as long as counts
  std::vector<LabelFindings> parts;      // in the order of DataFindings::parts
};

// Training rows that have a target of both tasks. Tasks of two sources are no pair: none has.
struct TaskPair {
  std::string first, second;
  std::size_t rows = 0;
  std::size_t of = 0;  // rows that could have: of the tasks' source
};

struct InputFindings {
  std::string name;
  std::string kind;             // as InputColumn
  std::size_t missing = 0;      // training rows
  std::size_t distinct = 0;     // different cells of the training rows, missing ones not counted
  NumberSummary numbers;        // number; date: days since 1970; text: characters (code points)
  std::size_t unknown_dev = 0;  // category: validation rows with a word that no training row has
};

struct GivenAway {
  std::string task;
  std::string input;
  std::string how;  // "equals", "correlates", "determines", "one to one"
};

// A task with maps, or a binary one beside it, in one part: what its pixels are.
struct MapPartFindings {
  std::size_t examples = 0;  // whose files could be read
  std::size_t without = 0;   // of those: without any target
  std::size_t pixels = 0;    // with a target
  std::size_t all_pixels = 0;
  // Depth: of the depths. Normals: of the vectors' lengths, which should be 1.
  double min = std::numeric_limits<double>::quiet_NaN();
  double mean = min, max = min;
  std::vector<std::size_t> counts;  // segmentation: pixels per class; binary: examples
  // Depth: mean of the lower third of the images over that of the upper third. Floors and roads are near:
  // distances have less than 1, inverse ones more.
  double lower_to_upper = min;
  std::size_t other_length = 0;  // normals: vectors whose length is not 1
};

struct MapFindings {
  std::string task;
  std::string column;
  TaskKind kind = TaskKind::kSegmentation;
  std::vector<std::string> class_names;
  std::vector<MapPartFindings> parts;  // in the order of DataFindings::parts
};

struct DuplicateFindings {
  std::vector<std::size_t> within;  // rows that repeat an earlier one of their part, per part;
                                    // empty: examples that are no cells are not compared
  std::size_t disagree = 0;         // training rows of those with another target than the first
  std::size_t dev_in_train = 0;     // validation rows with the inputs of a training row
  std::size_t test_in_train = 0;
  std::size_t test_in_dev = 0;
};

struct PartFindings {
  Part part = Part::kTrain;
  std::string file;
  std::size_t rows = 0;
  std::vector<std::pair<std::string, std::size_t>> sources = {};  // rows of each; empty without

  // Of a source, or all.
  std::size_t rows_of(const std::string& source) const;
};

// `about`: reading, labels, balance, outliers, duplicates, leak, unknown, maps.
struct DataWarning {
  std::string about;
  std::string text;
};

struct DataFindings {
  std::string kind;                 // of the data
  std::vector<PartFindings> parts;  // train, dev, and test where there is one
  std::vector<TaskFindings> tasks;
  std::vector<MapFindings> maps;  // of data with maps, in place of tasks and pairs
  std::vector<TaskPair> pairs;    // the fewest rows first
  std::vector<InputFindings> inputs;
  DuplicateFindings duplicates;
  std::vector<GivenAway> given_away;
  std::vector<std::string> notes;     // what encoding did, from the source
  std::vector<DataWarning> warnings;  // a sentence or two each, what to do included

  Json to_json() const;
};

// The rows of one part as read, and their targets.
struct InspectedPart {
  Part part = Part::kTrain;
  Table table;
  std::vector<Target> targets;
  std::vector<std::pair<std::string, std::size_t>> sources = {};
};

// Looks at parts that are read; the first one are the training rows, and all have the columns of
// `inputs`. Targets have one number per row (single_targets). Fills everything but files, kind and what a
// source says.
DataFindings inspect_parts(std::span<const InspectedPart> parts,
                           std::span<const TargetColumn> targets,
                           std::span<const InputColumn> inputs);

// Reads the parts as training would, with the same errors; nothing is written. `source` has the
// options of the kind and stays as it is. Of tasks with maps the files are looked at one by one, and what
// would stop training is a warning ("maps") each, all of them at once; kIo where there are no files.
DataFindings inspect_data(const Source& source,
                          const SourceFiles& files,
                          const std::vector<TargetColumn>& targets);

}  // namespace detente::data
