// SPDX-License-Identifier: Apache-2.0
#include <detente/core/crash_point.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

namespace detente {
namespace {

struct PlannedCrash {
  std::string name;
  std::atomic<long> left = 0;  // times the place is still passed by
};

void plan_crash(PlannedCrash& plan, const char* text) {
  const std::string_view all = text;
  const std::size_t colon = all.find(':');
  plan.name = all.substr(0, colon);
  long times = 1;
  if (colon != std::string_view::npos) {
    const std::string_view number = all.substr(colon + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), times);
    if (error != std::errc() || end != number.data() + number.size() || times < 1) times = 0;
  }
  plan.left = times;
  const std::vector<std::string> names(std::begin(kCrashPoints), std::end(kCrashPoints));
  DETENTE_CHECK(
      times > 0 && std::find(names.begin(), names.end(), plan.name) != names.end(),
      ErrorCode::kInvalidArgument,
      "[core::crash_point] DETENTE_CRASH_AT is '{}'; {} With ':N' after it: at the N-th time.",
      all,
      expected_one_of(plan.name, names));
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
  if (plan->left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

}  // namespace detente
