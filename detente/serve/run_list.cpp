// SPDX-License-Identifier: Apache-2.0
#include <detente/serve/run_list.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <type_traits>

namespace detente::serve {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxEntries = 100'000;  // looked at, in all folders together

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The digits from `at` on without leading zeros; `at` moves behind them.
std::string number_from(const std::string& text, std::size_t& at) {
  while (at < text.size() && text[at] == '0') ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return text.substr(begin, at - begin);
}

}  // namespace

bool natural_less(const std::string& a, const std::string& b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string first = number_from(a, i);
      const std::string second = number_from(b, j);
      if (first.size() != second.size()) return first.size() < second.size();
      if (first != second) return first < second;
    } else {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i;
      ++j;
    }
  }
  if (i < a.size() || j < b.size()) return j < b.size();
  return a < b;
}

std::shared_ptr<LiveStudy> RunList::known_study(const Segments& segments) {
  auto& study = known_studies_[joined(segments)];
  if (!study) {
    study = std::make_shared<LiveStudy>(folder_, segments, [this](const Segments& run) {
      const auto found = find(run);
      return found && found->status(Clock::now()).state == RunState::kRunning;
    });
  }
  return study;
}

void RunList::look_in(const Segments& segments, int depth, std::size_t& entries) {
  if (is_run(folder_, segments)) {
    if (found_.size() == kMaxRuns) {
      cut_ = true;
      return;
    }
    auto& run = known_[joined(segments)];
    if (!run) run = std::make_shared<LiveRun>(folder_, segments);
    found_.push_back(run);
    return;
  }
  if (is_study(folder_, segments) && found_studies_.size() < kMaxRuns) {
    found_studies_.push_back(known_study(segments));
  }
  if (depth == kMaxDepth) return;
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder_.path() / joined(segments), error), end;
       !error && it != end;
       it.increment(error)) {
    if (++entries > kMaxEntries) {
      cut_ = true;
      break;
    }
    std::error_code unknown;
    const std::string name = it->path().filename().string();
    if (it->symlink_status(unknown).type() == fs::file_type::directory && name.front() != '.') {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end(), natural_less);
  for (auto& name : names) {
    Segments inside = segments;
    inside.push_back(std::move(name));
    look_in(inside, depth + 1, entries);
  }
}

void RunList::look() {
  const auto begin = Clock::now();
  if (begin < next_look_) return;
  found_.clear();
  found_studies_.clear();
  cut_ = false;
  std::size_t entries = 0;
  look_in({}, 0, entries);
  // Others may stand behind a link or have gone.
  const auto keep = [&](auto& known, const auto& found) {
    const std::set<typename std::decay_t<decltype(known)>::mapped_type> seen(found.begin(),
                                                                             found.end());
    for (auto it = known.begin(); it != known.end();) {
      it->second->forget_unused(begin);
      it = seen.contains(it->second) ? std::next(it) : known.erase(it);
    }
  };
  keep(known_, found_);
  keep(known_studies_, found_studies_);
  const auto now = Clock::now();
  next_look_ = now + std::max<Clock::duration>(std::chrono::seconds(5), 50 * (now - begin));
}

std::vector<std::shared_ptr<LiveRun>> RunList::runs() {
  const std::lock_guard lock(mutex_);
  look();
  return found_;
}

std::shared_ptr<LiveRun> RunList::find(const Segments& segments) {
  if (!is_run(folder_, segments)) return nullptr;
  const std::lock_guard lock(mutex_);
  look();
  auto& run = known_[joined(segments)];
  if (!run) run = std::make_shared<LiveRun>(folder_, segments);
  return run;
}

std::vector<std::shared_ptr<LiveStudy>> RunList::studies() {
  const std::lock_guard lock(mutex_);
  look();
  return found_studies_;
}

std::shared_ptr<LiveStudy> RunList::find_study(const Segments& segments) {
  if (!is_study(folder_, segments)) return nullptr;
  const std::lock_guard lock(mutex_);
  look();
  return known_study(segments);
}

bool RunList::cut() {
  const std::lock_guard lock(mutex_);
  return cut_;
}

}  // namespace detente::serve
