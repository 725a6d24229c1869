// SPDX-License-Identifier: Apache-2.0
// Demands that several methods make on their input.
#pragma once

#include <detente/balance/method.h>

#include <string>
#include <vector>

namespace detente::balance::internal {

// "'depth'" where the problem names its tasks, "3" otherwise.
std::string task_name(const Problem& problem, std::size_t i);

// kNumeric, naming the task, unless every loss is > 0; `reason` says what the method does with it.
void check_positive_losses(const Problem& problem, const char* method, const char* reason);
// The same for >= 0.
void check_non_negative_losses(const Problem& problem, const char* method, const char* reason);

// Says of a result that every gradient is zero.
void report_all_zero(Result& result);

// kInvalidArgument unless the problem brings a generator.
Rng& require_rng(const Problem& problem, const char* method);

// The task that option 'task' names by its number, absent ones counted too; kInvalidArgument unless
// there is one of that number.
std::size_t chosen_task(std::int64_t task, const Problem& problem, const char* method);

// kInvalidArgument unless an option's list is empty or has one entry per task, absent ones too.
void check_per_task(std::size_t size,
                    const Problem& problem,
                    const char* method,
                    const char* option);

// The entry of such a list for the i-th task present, or `otherwise` where the list is empty.
inline double per_task(const std::vector<double>& list,
                       const Problem& problem,
                       std::size_t i,
                       double otherwise) {
  return list.empty() ? otherwise : list[problem.id(i)];
}

// The sum of a list of preferences over the tasks present (their number where the list is empty).
// kInvalidArgument when nobody has any. 0 when all who have one are absent: the result then says so
// and its weights are 0.
double total_preference(const std::vector<double>& preference,
                        const Problem& problem,
                        const char* method,
                        Result& result);

}  // namespace detente::balance::internal
