// SPDX-License-Identifier: Apache-2.0
// What the training examples of a run are worth, by each of the methods (docs/value.md). A method is one
// function and a line of the table.
#pragma once

#include <detente/core/json.h>
#include <detente/train/corpus.h>
#include <detente/train/loaded_run.h>
#include <detente/valuation/estimate.h>
#include <detente/valuation/value_table.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::appraise {

struct Subject {
  const train::LoadedRun& run;
  const train::Corpus&
      corpus;  // the rows that the run was trained with and judged by, in its order
};

struct Options {
  std::size_t rows = 1000;  // of validation that judge, evenly spread
  std::uint64_t seed = 0;
  bool self = false;               // tracin
  bool cosine = false;             // tracin: gradients of length 1
  std::string solver = "cg";       // influence, one of influence_solvers()
  std::optional<double> damping;   // influence, >= 0; none: by the curvature
  std::size_t iterations = 1000;   // influence, cg and lissa: steps at most
  std::size_t neighbours = 10;     // knn_shapley
  bool soft = false;               // knn_shapley
  double tolerance = 0;            // knn_shapley, of numbers; 0: half their standard deviation
  std::size_t models = 100;        // oob
  std::size_t permutations = 200;  // tmc, beta
  std::size_t samples = 2000;      // banzhaf
  double alpha = 16;               // beta
  double beta = 1;                 // beta
  valuation::Progress progress = {};
};

struct Appraisal {
  valuation::ValueTable table;
  std::vector<std::string> notes;  // sentences for the user
  Json audit = nullptr;            // of methods that have one
  Json validation = nullptr;       // what some say of the validation rows as a whole, by task
};

struct Method {
  const char* name;
  const char* summary;
  Appraisal (*appraise)(const Subject& subject, const Options& options);
};

// In the order of the documentation.
std::span<const Method> methods();
// Throws kInvalidArgument with the nearest name.
const Method& method_of(std::string_view name);

// Of influence; the default first.
std::span<const std::string> influence_solvers();
// What options say whatever the run: kInvalidArgument for an unknown solver, a damping that is no number
// of at least 0, and both self and cosine.
void check_options(const Options& options);

// One file each. Methods on frozen features look at what the run's network makes of the rows before any
// head, and at tasks with one number or class for each example; others are left out with a note.
Appraisal in_run(const Subject& subject, const Options& options);
Appraisal tracin(const Subject& subject, const Options& options);
Appraisal influence(const Subject& subject, const Options& options);
Appraisal loss(const Subject& subject, const Options& options);
// Of the parts of joined data, 2 to 6: exact Shapley values over all sets of them of minus each training
// row's own loss, a series for each task and part.
Appraisal modality(const Subject& subject, const Options& options);
Appraisal knn_shapley(const Subject& subject, const Options& options);
Appraisal lava(const Subject& subject, const Options& options);
Appraisal oob(const Subject& subject, const Options& options);
Appraisal tmc(const Subject& subject, const Options& options);
Appraisal beta(const Subject& subject, const Options& options);
Appraisal banzhaf(const Subject& subject, const Options& options);
Appraisal loo(const Subject& subject, const Options& options);

}  // namespace detente::appraise
