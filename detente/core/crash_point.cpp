// SPDX-License-Identifier: Apache-2.0
#include <detente/core/crash_point.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace detente {
namespace {

std::atomic<int> own_rank = 0;

struct PlannedCrash {
  std::string name;
  std::optional<long> rank;
  std::atomic<long> left = 0;  // times the place is still passed by
};

void plan_crash(PlannedCrash& plan, const char* text) {
  const std::string_view all = text;
  const std::size_t colon = all.find(':');
  plan.name = all.substr(0, colon);
  long times = 1;
  if (colon != std::string_view::npos) {
    times = whole_number<long>(all.substr(colon + 1)).value_or(0);
  }
  plan.left = times;
  const std::vector<std::string> names(std::begin(kCrashPoints), std::end(kCrashPoints));
  DETENTE_CHECK(
      times > 0 && std::find(names.begin(), names.end(), plan.name) != names.end(),
      ErrorCode::kInvalidArgument,
      "[core::crash_point] DETENTE_CRASH_AT is '{}'; {} With ':N' after it: at the N-th time.",
      all,
      expected_one_of(plan.name, names));
  const char* rank = std::getenv("DETENTE_CRASH_RANK");
  if (rank == nullptr || *rank == '\0') return;
  plan.rank = whole_number<long>(rank);
  DETENTE_CHECK(plan.rank && *plan.rank >= 0,
                ErrorCode::kInvalidArgument,
                "[core::crash_point] DETENTE_CRASH_RANK is '{}'; expected the rank of a process.",
                rank);
}

PlannedCrash* planned_crash() {
  static PlannedCrash plan;
  static PlannedCrash* const found = []() -> PlannedCrash* {
    const char* text = std::getenv("DETENTE_CRASH_AT");
    if (text == nullptr || *text == '\0') return nullptr;
    plan_crash(plan, text);
    return &plan;
  }();
  return found;
}

}  // namespace

void crash_point(std::string_view name) {
  PlannedCrash* const plan = planned_crash();
  if (plan == nullptr || plan->name != name) return;
  if (plan->rank.value_or(own_rank) != own_rank) return;
  if (plan->left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

void set_crash_rank(int rank) { own_rank = rank; }

}  // namespace detente
