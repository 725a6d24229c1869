// SPDX-License-Identifier: Apache-2.0
// What a step of several processes costs: time, bytes sent, memory for gradients. Each process calls this with its
// place among them; all measure the same.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/json.h>
#include <detente/launch/launch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace detente::measure {

struct ParallelBenchmarkOptions {
  std::string model = "mlp";  // see models.h
  std::string input = "single";
  std::int64_t tasks = 8;
  std::int64_t batch = 128;       // examples of each process and task, or of each process
  std::string method = "cagrad";  // of the modes that look at gradients
  std::string mode = "all";       // one of mode_names(), or all
  std::int64_t threads = 1;       // of each process
  std::int64_t steps = 20;        // timed steps of each mode, after three for warming up
  std::uint64_t seed = 1;

  void describe(FieldVisitor& visitor);
};

// "alone": no exchange at all. "ddp": plain training, one gradient summed. "naive", "sharded", "features":
// see parallel.mode of recipes.
std::vector<std::string> mode_names();

struct ParallelBenchmarkRow {
  std::string mode;
  double ms_step = 0;               // median, the slowest process
  double ms_wait = 0;               // of it: in which it waited for an operation of the group
  std::int64_t bytes_sent = 0;      // in a step, by all processes
  std::int64_t bytes_bound = 0;     // what the scheme needs at least: (W-1)(K+1)·4P and so on
  std::int64_t gradient_bytes = 0;  // at the peak, beyond plain training alone; of one process
  double overlap = 0;  // share of the time with an operation under way in which it computed

  Json to_json() const;
};

struct ParallelBenchmarkResult {
  std::vector<ParallelBenchmarkRow> rows;
  int world = 1;
  std::int64_t parameters = 0;      // shared
  std::int64_t own_parameters = 0;  // of all tasks
};

// Joins the processes that `launch` says.
ParallelBenchmarkResult measure_parallel(const ParallelBenchmarkOptions& options,
                                         const launch::Launch& launch);

}  // namespace detente::measure
