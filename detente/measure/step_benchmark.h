// SPDX-License-Identifier: Apache-2.0
// What one training step costs under a method, beside plain training and beside the usual way of
// getting the tasks' gradients, measured in turn in the same run.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/json.h>

#include <cstdint>
#include <functional>
#include <string>

namespace detente::measure {

struct StepBenchmarkOptions {
  std::string model = "mlp";    // see models.h
  std::string input = "multi";  // "multi": own examples per task; "single": one batch for all
  std::int64_t tasks = 10;
  std::int64_t batch = 128;       // examples per task, or of the one batch
  double scale = 1;               // segnet_mtan: of the images' sides, 1: 288 x 384
  std::string method = "cagrad";  // with its default options
  std::string strategy = "auto";  // see engine/multi_task_backward.h
  double gram_rows = 0;           // in (0, 1): the Gram matrix from this share of the examples
  std::string gram_precision = "same";  // "bf16": the Gram matrix from passes in mixed precision
  std::int64_t gram_sketch = 0;         // columns of a random projection, see the engine's option
  std::string passes = "auto";          // see the engine's option
  std::string memory = "fast";          // or "low": see engine/multi_task_backward.h
  std::string optimizer = "adam";       // LibTorch's; "adamw": the one recipes train with
  std::string device = "cpu";           // or "cuda", "cuda:N"
  std::int64_t threads = 1;
  std::int64_t steps = 25;  // timed steps of each kind, after three for warming up
  std::uint64_t seed = 1;

  void describe(FieldVisitor& visitor);
};

// The input, tasks and batch that a model is published with; those of the defaults for others.
StepBenchmarkOptions published_sizes(const std::string& model);

// Times are medians, in milliseconds of a whole step: forward, gradients, method, optimiser. On a CUDA
// device a step begins and ends with the device at rest; its parts are what the host spends on them.
struct StepBenchmarkResult {
  double ms_plain = 0;     // the sum of the losses, one backward pass
  double ms_floor = 0;     // single input: forward, K backward passes to all shared parameters,
                           // optimiser; no method. NaN for multi input
  double ms_method = 0;    // the engine
  double ratio = 0;        // ms_method / ms_plain
  double ratio_floor = 0;  // ms_method / ms_floor; NaN for multi input
  double ms_forward = 0;   // of the method's step; so are the next two
  double ms_backward = 0;
  double ms_solve = 0;
  double plain_min = 0;  // fastest steps, to tell noise
  double method_min = 0;
  // Bytes in tensors at the peak of a method's step beyond the model, its examples and the
  // optimiser's state: activations, gradients, what the engine keeps from step to step.
  std::int64_t peak_bytes = 0;
  std::int64_t plain_peak_bytes = 0;  // the same for plain training
  std::int64_t parameters = 0;        // shared
  std::string strategy;               // the one the engine chose
  std::string notice;
  double estimate_cosine = 0;  // with gram_rows: mean cosine of the direction with the exact one
  double load_before = 0;      // load average of the machine
  double load_after = 0;

  Json to_json() const;
};

// `progress` is told the number of rounds done and to do. Sets LibTorch's threads for the call.
// Throws kInvalidArgument as make_model, make_method and the engine do.
StepBenchmarkResult measure_step(const StepBenchmarkOptions& options,
                                 const std::function<void(std::int64_t, std::int64_t)>& progress);

}  // namespace detente::measure
