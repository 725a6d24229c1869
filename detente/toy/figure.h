// SPDX-License-Identifier: Apache-2.0
// One figure of a toy comparison: contours of both losses and of their mean, and per method the
// trajectories coloured by progress, with start and end marks and the Pareto set.
#pragma once

#include <detente/report/canvas.h>
#include <detente/toy/problems.h>
#include <detente/toy/run.h>

#include <span>
#include <string>
#include <vector>

namespace detente::toy {

struct MethodRuns {
  std::string title;
  std::vector<RunResult> runs;
};

report::Canvas draw_figure(const ToyProblem& problem, std::span<const MethodRuns> methods);

}  // namespace detente::toy
