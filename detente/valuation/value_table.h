// SPDX-License-Identifier: Apache-2.0
// What training examples are worth: one number for each example, the task that was trained on it,
// the task that is judged, and the part of the network. Positive is helpful: the judged task's loss
// falls, or its score rises, because the example is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace detente::valuation {

// "all" in place of a task or a modality: not told apart.
inline constexpr const char* kAll = "all";

// One number per example, in the order of the table's ids.
struct ValueSeries {
  std::string task_trained = kAll;
  std::string task_judged = kAll;
  std::string modality = kAll;
  std::vector<double> values;             // NaN: unknown
  std::vector<double> standard_errors{};  // NaN: unknown; empty: of all
  std::vector<std::int64_t> counts{};     // what each value was measured on; empty: 1 each
};

struct ValueTable {
  std::string method;
  std::vector<std::int64_t> ids;  // the training example's row, from 0 in the order they were read
  std::vector<ValueSeries> series;
};

// 0 to n - 1: the ids of a table of all training rows.
std::vector<std::int64_t> all_ids(std::int64_t n);

enum class Verdict { kHelpful, kHarmful, kUndecided };
const char* name_of(Verdict verdict);  // "helpful", "harmful", "undecided"

// Undecided within two standard errors of 0, and where either is unknown.
Verdict verdict(double value, double standard_error);

// Columns id, task_trained, task_judged, modality, value, stderr, count, method, as RFC 4180 has
// them (lines end in LF), one line for each series and example, series after series; numbers that
// read back to the bit, nothing where unknown. Throws kShape where a series has not as many numbers
// as the table has ids, kInvalidArgument for a negative or repeated id, a negative count and two
// series of the same tasks and modality: nobody could tell such lines apart.
std::string to_csv(const ValueTable& table);
// The table of such a file, gzip or not; standard errors that are all unknown and counts that are
// all 1 come back as empty lists. A table without lines has lost its ids and method. Throws kData
// naming the line for what to_csv cannot have written: a file that was cut is noticed wherever a
// line, or a series after the first, is incomplete (of a single series whole lines may be missing).
// kIo.
ValueTable read_values(const std::string& path);
// The same for what such a file holds; messages call it `name`.
ValueTable parse_values(std::string_view text, const std::string& name);

}  // namespace detente::valuation
