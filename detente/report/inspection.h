// SPDX-License-Identifier: Apache-2.0
// How the tasks of a run stand to each other: which gradients oppose each other, how often, how
// hard and in which layers, whose gradient drowns whose, and what follows from it in words.
//
// Everything from the steps of metrics.jsonl in which the tasks' gradients were formed.
#pragma once

#include <detente/core/json.h>
#include <detente/report/run_data.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace detente::report {

// Mean of a series and where it lies with 95 % confidence. Consecutive steps resemble each other,
// so the interval is Student's from the means of (at most) 20 blocks of consecutive steps; NaN
// bounds for fewer than two values.
struct MeanInterval {
  double mean = 0;  // NaN without values
  double low = 0;
  double high = 0;
  std::size_t count = 0;
};
MeanInterval mean_interval(const std::vector<double>& values);  // NaN entries are left out

struct PairFinding {
  std::string first;
  std::string second;
  MeanInterval cosine;
  double conflict_share = 0;        // steps with a negative cosine
  double magnitude_similarity = 0;  // mean of 2ab/(a² + b²) for the gradients' norms a, b
  double size_ratio = 0;            // median of the norm of `first` over that of `second`
  double xi = 0;                    // median of ξ (balance/diagnostics.h); NaN where not logged
};

struct TaskFinding {
  std::string name;
  double gradient_norm = 0;  // median
  double weight = 0;         // median, and where the middle 90 % of the steps lie
  double weight_low = 0;
  double weight_high = 0;
  double pull = 0;  // median share of w·‖g‖ in its sum over the tasks
};

struct GroupFinding {
  std::string name;
  double size = 0;            // its share of Σ_k ‖g_k‖², over all steps
  double cosine = 0;          // mean over pairs and steps
  double conflict_share = 0;  // of pairs and steps
  std::string worst_pair;     // with the lowest mean cosine, and that cosine
  double worst_cosine = 0;
};

// The conditions of the tragic triad, as shares of the pairs and steps in which each was measured;
// NaN when none was.
struct TriadFinding {
  double dominated = 0;
  double curved = 0;
  double large_step = 0;
  double all = 0;
  std::size_t measured = 0;  // pairs and steps with all three
};

struct CurvatureFinding {
  MeanInterval from_gradients;  // ℓ = H/‖g‖²
  MeanInterval from_losses;
  double step = 0;  // median of t
};

struct Advice {
  enum class Topic { kData, kConflict, kPlace, kSize, kWeights, kTriad };
  Topic topic = Topic::kConflict;
  std::string finding;               // what was seen, in numbers
  std::string advice;                // what to do about it
  std::vector<std::string> methods;  // those it names, as in `detente methods`
};
const char* name_of(Advice::Topic topic);

struct Inspection {
  std::string name;
  std::string method;
  std::size_t steps = 0;     // in the run
  std::size_t measured = 0;  // of those looked at, with the tasks' gradients
  double first_step = 0;     // of the measured ones
  double last_step = 0;
  bool of_agent = false;
  std::vector<TaskFinding> tasks;
  std::vector<PairFinding> pairs;    // most opposed first
  std::vector<GroupFinding> groups;  // in the network's order; empty where not logged
  TriadFinding triad;
  CurvatureFinding curvature;
  std::vector<Advice> advice;

  Json json() const;
};

struct InspectOptions {
  std::size_t last = 0;               // only so many measured steps at the end; 0: all
  std::string method;                 // the run's, where its summary does not say
  bool method_uses_gradients = true;  // false for methods that look at the losses alone
};

// kData when the log has no step at all, or none has the gradients of two tasks; the message says
// what to set.
Inspection inspect_run(const RunData& run, const InspectOptions& options);

// Whether the method of this name looks at the tasks' gradients; of names that are no method's,
// yes.
bool method_uses_gradients(std::string_view method);

// The rules alone.
std::vector<Advice> advise(const Inspection& inspection, bool method_uses_gradients);

}  // namespace detente::report
