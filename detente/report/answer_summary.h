// SPDX-License-Identifier: Apache-2.0
// From all answers to what is kept of them (answers.h). What is counted does not depend on the order of the
// rows; sums of it do in their last digits.
#pragma once

#include <detente/metrics/map_tally.h>
#include <detente/metrics/registry.h>
#include <detente/report/answers.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::report {

// The names of a task's classes, labels or numbers; ids (from 0) stand for those without one.
using AnswerNames = std::vector<std::string>;

// What a task with one answer per row (or several numbers) has answered, `answers` as metrics take them:
// kInternal for a task of maps. Classes with a confidence that is not finite have no finite answer.
// `points`: of each scatter, at most kMostPoints. Throws kShape where the sizes do not fit each other, or
// an id is none of the classes. Costs O(rows log rows) for each number of a regression, else O(rows).
TaskAnswers summarize(const std::string& task,
                      TaskKind kind,
                      const metrics::Answers& answers,
                      const AnswerNames& names,
                      std::size_t points = kMostPoints);

// The classes of pixels. `counts` as metrics::MapTally::confusion: classes × classes, not empty.
ConfusionAnswers pixel_confusion(std::span<const std::size_t> counts, const AnswerNames& names);

// Of how many points a scatter is where there are so many of them: pages of many tasks stay small.
std::size_t points_of_each(std::size_t scatters);

}  // namespace detente::report
