// SPDX-License-Identifier: Apache-2.0
// The lines of metrics.jsonl: what a step and an epoch of training say, their writer and their
// reader. docs/run_directory.md and docs/inspect.md explain the fields; nothing else spells their
// keys.
//
// Writing is strict, reading forgives: fields may be missing or of another type, because a report
// matters most when a run went wrong.
#pragma once

#include <detente/core/json.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente::report {

inline constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();

// In the file's order; NaN is null in the file.
using NamedNumbers = std::vector<std::pair<std::string, double>>;
// Task → metric → value.
using NamedTables = std::vector<std::pair<std::string, NamedNumbers>>;

// The numbers of the object at `key`; other values than numbers are NaN, other things than objects
// empty.
double number_at(const Json& object, const char* key);
NamedNumbers numbers_at(const Json& object, const char* key);
NamedTables tables_at(const Json& object, const char* key);

Json to_json(const NamedNumbers& numbers);
Json to_json(const NamedTables& tables);

// The name of two tasks together: "a|b".
std::string pair_name(const std::string& first, const std::string& second);

// The conditions of the tragic triad for one pair; nothing where one was not measured.
struct TriadRecord {
  std::optional<bool> dominated;
  std::optional<bool> curved;
  std::optional<bool> large_step;
};

// The gradients' parts in one group of shared parameters.
struct GroupRecord {
  std::string name;
  NamedNumbers grad_norms;
  NamedNumbers cosines;                 // by pair
  std::optional<NamedNumbers> weights;  // where the group has a direction of its own
};

struct DiagnosisRecord {
  // Where the tasks' gradients were formed (else NaN, and the next four are empty).
  double conflict_fraction = kNoNumber;
  NamedNumbers magnitude_similarity;  // by pair, like the next two
  NamedNumbers xi;
  std::vector<std::pair<std::string, TriadRecord>> triad;
  std::vector<GroupRecord> groups;
  // Where it was measured: "gradients", "losses", "squared_norm", "lipschitz", "step".
  NamedNumbers curvature;
};

struct StepRecord {
  std::int64_t epoch = 0;  // from 1
  std::int64_t step = 0;   // from 1, in the whole run
  double lr = kNoNumber;
  NamedNumbers losses;      // by task, NaN for an absent one
  double loss = kNoNumber;  // the sum of weight times loss
  NamedNumbers weights;     // by task, 0 for an absent one

  // Where the tasks' gradients were formed.
  struct Gradients {
    NamedNumbers norms;    // by task
    NamedNumbers cosines;  // by pair
    std::optional<bool> conflict;
  };
  std::optional<Gradients> gradients;

  double direction_norm = kNoNumber;
  bool estimated = false;
  double estimate_cosine = kNoNumber;  // NaN: not measured
  double loss_scale = kNoNumber;       // NaN: losses are not scaled
  bool skipped = false;
  std::string notice;  // empty: none
  std::optional<DiagnosisRecord> diagnosis;
  // What the losses say of themselves (train/loss_source.h): entropies of a teacher, a centre's length.
  NamedNumbers monitor;
  NamedNumbers ms;

  Json to_json() const;
  // Nothing for what is no line of a step or does not say of which.
  static std::optional<StepRecord> from_json(const Json& line);
};

struct EpochRecord {
  std::int64_t epoch = 0;  // from 1
  std::int64_t step = 0;   // the last one of the epoch
  NamedNumbers train_losses;
  NamedTables dev;
  double seconds = kNoNumber;
  double examples_per_second = kNoNumber;
  bool best = false;

  Json to_json() const;
  static std::optional<EpochRecord> from_json(const Json& line);
};

enum class RecordType { kStep, kEpoch, kOther };
RecordType record_type(const Json& line);
// The step after which a line of either type was written; 0 where it does not say.
std::int64_t record_step(const Json& line);

}  // namespace detente::report
