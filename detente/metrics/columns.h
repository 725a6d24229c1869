// SPDX-License-Identifier: Apache-2.0
// Metrics of tasks with several numbers per row: outputs of a regression, labels, probabilities of
// classes. Tables are row-major, rows × columns; a target of NaN is missing, each cell by itself.
#pragma once

#include <detente/metrics/metrics.h>

#include <cstddef>

namespace detente::metrics {

using Metric = Score (*)(Values predictions, Values targets);

// All throw kShape when a table has no whole number of rows, or tables differ in size.

// The mean of a metric over the columns; undefined where it is for one of them, which the reason names.
Score mean_over_columns(Metric metric, Values predictions, Values targets, std::size_t columns);

// The same over the columns for which it is defined: a label that no row here has, or all have, says
// nothing of a ranking. Undefined where there is none.
Score mean_over_defined(Metric metric, Values predictions, Values targets, std::size_t columns);

// Mean over the classes of a metric of "this class or not", from the probabilities of the classes and
// the targets' ids. Every class counts the same. Undefined, naming a class, where the metric is for
// one: a mean over other classes would be another number.
Score one_vs_rest(Metric metric, Values probabilities, Values targets, std::size_t classes);

// Labels; one is predicted where its probability is at least `threshold`.
// F1 over all cells together. Undefined when no label is there.
Score micro_f1(Values predictions, Values targets, double threshold = 0.5);
// Mean F1 over the labels that occur in targets or predictions. Undefined when none does.
Score macro_f1_of_labels(Values predictions,
                         Values targets,
                         std::size_t columns,
                         double threshold = 0.5);
// Share of the rows with a target all of whose known labels are right.
Score exact_match(Values predictions, Values targets, std::size_t columns, double threshold = 0.5);

}  // namespace detente::metrics
