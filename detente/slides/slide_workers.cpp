// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/internal/pool.h>
#include <detente/slides/internal/protocol.h>
#include <detente/slides/openslide.h>
#include <detente/slides/slide_worker.h>
#include <detente/slides/slide_workers.h>

#include <algorithm>
#include <cmath>

namespace detente::slides {
namespace {

// More than any system's limit: what is sent must fit a socket's buffer.
constexpr std::size_t kLongestName = std::size_t{1} << 14;

SlideWorkersOptions checked(const SlideWorkersOptions& options) {
  const auto demand = [](bool good, const char* name, auto value, const char* expected) {
    DETENTE_CHECK(good,
                  ErrorCode::kInvalidArgument,
                  "[slides::SlideWorkers] {} is {}; expected {}.",
                  name,
                  value,
                  expected);
  };
  const auto is_limit = [](double seconds) { return seconds > 0 && seconds <= 1e6; };
  demand(options.workers >= 1 && options.workers <= 64, "workers", options.workers, "1 to 64");
  demand(options.handles >= 1 && options.handles <= 4096, "handles", options.handles, "1 to 4096");
  demand(options.cache_mib >= 1 && options.cache_mib <= 1 << 20,
         "cache_mib",
         options.cache_mib,
         "1 to 1048576");
  demand(options.memory_mib >= 256 && options.memory_mib <= 1 << 24,
         "memory_mib",
         options.memory_mib,
         "256 to 16777216");
  demand(is_limit(options.seconds), "seconds", options.seconds, "more than 0, at most 1e6");
  demand(is_limit(options.start_seconds),
         "start_seconds",
         options.start_seconds,
         "more than 0, at most 1e6");
  return options;
}

void check_region(const Region& region) {
  const auto demand = [](bool good, const char* what, const char* expected) {
    DETENTE_CHECK(good,
                  ErrorCode::kInvalidArgument,
                  "[slides::SlideWorkers] a region's {}; expected {}.",
                  what,
                  expected);
  };
  const auto is_place = [](std::int64_t at) { return at >= -kLongestSide && at <= kLongestSide; };
  demand(is_place(region.x) && is_place(region.y), "corner is out of range", "-2^40 to 2^40");
  demand(region.level >= 0, "level is negative", "0 or more");
  demand(region.width >= 1 && region.height >= 1 &&
             region.width <= internal::kMostRegionPixels / region.height,
         "size is out of range",
         "sides of 1 or more, at most 2^40 pixels");
  demand(region.out_width >= 1 && region.out_height >= 1 && region.out_width <= region.width &&
             region.out_height <= region.height,
         "picture is larger than what is read, or empty",
         "sides of 1 to those of the region");
  demand(region.out_width <= internal::kLongestOutSide &&
             region.out_height <= internal::kLongestOutSide &&
             region.out_width * region.out_height <= internal::kMostOutPixels,
         "picture is too large",
         "sides of at most 65536 and at most 64 Mpixel");
}

}  // namespace

SlideWorkers::SlideWorkers(const SlideWorkersOptions& options)
    : pool_(std::make_unique<Pool>(checked(options))) {}

SlideWorkers::~SlideWorkers() = default;

SlideInfo SlideWorkers::info(const std::string& file) {
  const std::string problem = why_no_file(file);
  DETENTE_CHECK(problem.empty(),
                ErrorCode::kIo,
                "[slides::SlideWorkers] cannot read the slide '{}': {}.",
                file,
                problem);
  return pool_->take_info(pool_->ask(Pool::Kind::kInfo, file, {}));
}

SlideReader::Ticket SlideWorkers::ask(const std::string& file, const Region& region) {
  check_region(region);
  DETENTE_CHECK(file.size() <= kLongestName,
                ErrorCode::kInvalidArgument,
                "[slides::SlideWorkers] a file's name has {} bytes; expected at most {}.",
                file.size(),
                kLongestName);
  return pool_->ask(Pool::Kind::kRegion, file, region);
}

Picture SlideWorkers::take(Ticket ticket) { return pool_->take(ticket); }
void SlideWorkers::drop(Ticket ticket) { pool_->drop(ticket); }
std::map<std::string, std::string> SlideWorkers::bad() const { return pool_->bad(); }
ReaderStatistics SlideWorkers::statistics() const { return pool_->statistics(); }
OpenSlideFacts SlideWorkers::facts() const { return pool_->facts(); }
std::vector<int> SlideWorkers::processes() const { return pool_->processes(); }

Picture SlideWorkers::associated(const std::string& file, const std::string& name) {
  const SlideInfo known = info(file);
  std::string names;
  for (const AssociatedImage& one : known.associated) {
    names += (names.empty() ? "" : ", ") + one.name;
    if (one.name != name) continue;
    const Region region{
        .width = one.width, .height = one.height, .out_width = one.width, .out_height = one.height};
    check_region(region);
    return pool_->take(pool_->ask(Pool::Kind::kAssociated, file, region, name));
  }
  fail(ErrorCode::kInvalidArgument,
       "[slides::SlideWorkers] the slide '{}' has no picture '{}' beside it; it has {}.",
       file,
       name,
       names.empty() ? "none" : names);
}

}  // namespace detente::slides
