// SPDX-License-Identifier: Apache-2.0
#include <detente/serve/log_tail.h>

#include <algorithm>

namespace detente::serve {
namespace {

constexpr std::size_t kChunk = 1 << 18;
constexpr std::size_t kMaxLine = 16 << 20;
// So many bytes before the offset are looked at again: a log that was cut and has grown past the offset
// since holds other times there.
constexpr std::size_t kSeen = 128;

}  // namespace

void LogTail::start_anew(const OpenFile& file) {
  inode_ = file.inode();
  offset_ = 0;
  seen_.clear();
  partial_.clear();
  passing_ = false;
}

bool LogTail::take(std::string_view bytes, const Hooks& hooks) {
  bool told = false;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (!passing_ && partial_.size() + part.size() > kMaxLine) {
      passing_ = true;
      partial_.clear();
      partial_.shrink_to_fit();
    }
    if (end == std::string_view::npos) {
      if (!passing_) partial_ += part;
      break;
    }
    if (!passing_) {
      if (partial_.empty()) {
        hooks.line(part);
      } else {
        partial_ += part;
        hooks.line(partial_);
      }
      told = true;
    }
    partial_.clear();
    passing_ = false;
    bytes.remove_prefix(end + 1);
  }
  return told;
}

bool LogTail::read(const OpenFile& file, const Hooks& hooks, Clock::time_point deadline) {
  bool told = false;
  const bool same = inode_ == file.inode() && file.size() >= offset_ &&
                    file.read(offset_ - seen_.size(), seen_.size()) == seen_;
  if (!same) {
    if (offset_ > 0) {
      hooks.anew();
      told = true;
    }
    start_anew(file);
  }
  at_end_ = offset_ >= file.size();
  while (!at_end_) {
    const std::string bytes = file.read(offset_, kChunk);
    at_end_ = bytes.size() < kChunk;
    offset_ += bytes.size();
    seen_ += bytes;
    if (seen_.size() > kSeen) seen_.erase(0, seen_.size() - kSeen);
    told = take(bytes, hooks) || told;
    if (Clock::now() >= deadline) break;
  }
  return told;
}

}  // namespace detente::serve
