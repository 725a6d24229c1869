// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/internal/highway.h>
#include <detente/simd/target.h>
// Highway's come after ours.
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwy/targets.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace detente::simd {
namespace {

struct Row {
  Target target;
  const char* name;
  std::int64_t bit;  // Highway's
};

// The best first.
constexpr Row kRows[] = {{Target::kAvx512, "avx512", HWY_AVX3},
                         {Target::kAvx2, "avx2", HWY_AVX2},
                         {Target::kSse4, "sse4", HWY_SSE4},
                         {Target::kNeon, "neon", HWY_NEON},
                         {Target::kScalar, "scalar", HWY_SCALAR | HWY_EMU128}};

const Row& row_of(Target target) {
  return *std::find_if(
      std::begin(kRows), std::end(kRows), [&](const Row& row) { return row.target == target; });
}

// Where HWY_EXPORT puts a target's function.
std::size_t index_of([[maybe_unused]] Target target) {
#if (HWY_TARGETS & (HWY_TARGETS - 1)) == 0
  return 0;
#else
  hwy::ChosenTarget chosen;
  chosen.Update(row_of(target).bit);
  return chosen.GetIndex();
#endif
}

bool is_available(Target target) {
  const auto& all = available_targets();
  return std::find(all.begin(), all.end(), target) != all.end();
}

std::string names_of(const std::vector<Target>& targets) {
  std::vector<std::string> names;
  for (const Target target : targets) names.emplace_back(name_of(target));
  return fmt::format("{}", fmt::join(names, ", "));
}

struct Chosen {
  std::atomic<Target> target;
  std::atomic<std::size_t> index;

  explicit Chosen(Target first) : target(first), index(index_of(first)) {}
};

Chosen& chosen() {
  static Chosen one([] {
    const char* name = std::getenv("DETENTE_SIMD");
    return target_named(name == nullptr ? "" : name);
  }());
  return one;
}

void use(Target target) {
  chosen().target = target;
  chosen().index = index_of(target);
}

}  // namespace

const char* name_of(Target target) { return row_of(target).name; }

const std::vector<Target>& available_targets() {
  static const std::vector<Target> all = [] {
    const std::int64_t here = hwy::SupportedTargets() & HWY_TARGETS;
    std::vector<Target> found;
    for (const Row& row : kRows) {
      if ((row.bit & here) != 0) found.push_back(row.target);
    }
    return found;
  }();
  return all;
}

Target target_named(const std::string& name) {
  if (name.empty()) return available_targets().front();
  for (const Row& row : kRows) {
    if (lower_ascii(name) != row.name) continue;
    DETENTE_CHECK(is_available(row.target),
                  ErrorCode::kUnsupported,
                  "[simd::target] DETENTE_SIMD={} is not available on this processor or in this "
                  "program; there is: {}. Leave the variable away for the best of them.",
                  name,
                  names_of(available_targets()));
    return row.target;
  }
  fail(ErrorCode::kInvalidArgument,
       "[simd::target] DETENTE_SIMD='{}' names no instruction set; this processor has: {}. Leave "
       "the variable away for the best of them.",
       name,
       names_of(available_targets()));
}

Target target() { return chosen().target; }

UseTarget::UseTarget(Target target) : before_(simd::target()) {
  DETENTE_CHECK(is_available(target),
                ErrorCode::kUnsupported,
                "[simd::UseTarget] {} is not available here; there is: {}.",
                name_of(target),
                names_of(available_targets()));
  use(target);
}

UseTarget::~UseTarget() { use(before_); }

namespace internal {

std::size_t target_index() { return chosen().index.load(std::memory_order_relaxed); }

}  // namespace internal
}  // namespace detente::simd
