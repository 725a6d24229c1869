// SPDX-License-Identifier: Apache-2.0
// What is lost without the examples that values say are worth least, most, or anything: ridge models on what
// the run's network makes of the rows, refitted without them (valuation/removal.h). It is how good the values
// are for such models; of the network itself only training it anew without them says that.
#pragma once

#include <detente/appraise/appraise.h>
#include <detente/valuation/removal.h>

#include <string>
#include <vector>

namespace detente::appraise {

struct RemovalCurves {
  std::vector<valuation::RemovalCurve> curves;  // of each task that is judged and has one answer
  std::vector<std::string> notes;               // sentences for the user
};

// Values of any method. Of each judged task, examples with a label and a value are removed by its value as
// a whole; scores are the mean over validation rows that did not judge, or where fewer than 50 are left
// all of them, which is said. Throws kInvalidArgument as removal_curve does, and where no task is left.
RemovalCurves removal_curves(const Subject& subject,
                             const Options& options,
                             const valuation::ValueTable& table,
                             const valuation::RemovalOptions& removal);

}  // namespace detente::appraise
