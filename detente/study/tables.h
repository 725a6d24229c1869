// SPDX-License-Identifier: Apache-2.0
// A study's numbers as tables for people and papers.
#pragma once

#include <detente/report/table.h>
#include <detente/study/results.h>

#include <string>

namespace detente::study {

// A row per task and metric, a column per method (and for single-task baselines, where there are any):
// "0.6123 ± 0.0045", the half width of the 95 % interval; without one the mean alone, "–" where none.
report::Table result_table(const Analysis& analysis);

// A row per method: setting, both delta m, mean rank, time of a run and of a step, runs that finished.
report::Table method_table(const Analysis& analysis);

// The result table for a paper: a tabular with the rules of booktabs.
std::string latex_table(const Analysis& analysis);

// One line per method, task, metric: mean, low, high, seeds, and the value of each seed. RFC 4180, numbers
// with all their digits.
std::string result_csv(const Analysis& analysis);

}  // namespace detente::study
