// SPDX-License-Identifier: Apache-2.0
// What the tests of slides share: files, and the workers that read them where OpenSlide is there.
#pragma once

#include <detente/core/error.h>
#include <detente/slides/sample_slide.h>
#include <detente/slides/slide_workers.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <memory>
#include <string>

// So that `test::` in this folder means both.
namespace detente::test {}

namespace detente::slides::test {

using namespace detente::test;

inline constexpr const char* kAperio = "Aperio Image Library v1|AppMag = 40|MPP = 0.2500";

// Nothing where this machine has no OpenSlide, which is why a test is skipped; any other error is one.
inline std::unique_ptr<SlideWorkers> workers_or_reason(std::string& reason,
                                                       const SlideWorkersOptions& options = {}) {
  try {
    return std::make_unique<SlideWorkers>(options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    reason = error.what();
    return nullptr;
  }
}

// The region of a level's picture, white where it lies outside.
inline Picture cut(
    const Picture& level, std::int64_t x, std::int64_t y, std::int64_t w, std::int64_t h) {
  Picture part{.width = w, .height = h};
  for (std::int64_t j = y; j < y + h; ++j) {
    for (std::int64_t i = x; i < x + w; ++i) {
      const bool inside = i >= 0 && j >= 0 && i < level.width && j < level.height;
      for (std::int64_t c = 0; c < 3; ++c) {
        part.values.push_back(
            inside ? level.values[static_cast<std::size_t>((j * level.width + i) * 3 + c)] : 255);
      }
    }
  }
  return part;
}

}  // namespace detente::slides::test

// A SlideWorkers named `name`, or the test is skipped.
#define DETENTE_SLIDE_WORKERS(name, ...)                                        \
  std::string name##_reason;                                                    \
  const auto name##_owner =                                                     \
      ::detente::slides::test::workers_or_reason(name##_reason, {__VA_ARGS__}); \
  if (name##_owner == nullptr) GTEST_SKIP() << name##_reason;                   \
  ::detente::slides::SlideWorkers& name = *name##_owner
