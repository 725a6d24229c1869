// SPDX-License-Identifier: Apache-2.0
// The runs and studies below the served folder, found again now and then.
#pragma once

#include <detente/serve/live_run.h>
#include <detente/serve/live_study.h>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace detente::serve {

class RunList {
 public:
  // So many runs are shown at most, and so deep below the folder they are looked for. Links to folders are
  // not followed when looking, and nothing is looked for within a run.
  static constexpr std::size_t kMaxRuns = 2000;
  static constexpr int kMaxDepth = 6;

  explicit RunList(const Folder& folder) : folder_(folder) {}

  // In the order of their names, numbers by value. Looks for new ones at most every five seconds, and less
  // often where looking takes long (a fiftieth of the time).
  std::vector<std::shared_ptr<LiveRun>> runs();
  // One of them, or one that has come since; null for a folder that is no run.
  std::shared_ptr<LiveRun> find(const Segments& segments);
  // The folders of studies, in the order of their names; and one of them, null for a folder that is none.
  std::vector<std::shared_ptr<LiveStudy>> studies();
  std::shared_ptr<LiveStudy> find_study(const Segments& segments);
  // Whether there are more than are shown.
  bool cut();

 private:
  using Clock = LogTail::Clock;

  void look();
  std::shared_ptr<LiveStudy> known_study(const Segments& segments);
  void look_in(const Segments& segments, int depth, std::size_t& entries);

  const Folder& folder_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<LiveRun>> known_;  // by joined name
  std::vector<std::shared_ptr<LiveRun>> found_;
  std::map<std::string, std::shared_ptr<LiveStudy>> known_studies_;
  std::vector<std::shared_ptr<LiveStudy>> found_studies_;
  bool cut_ = false;
  Clock::time_point next_look_{};
};

// Order of names in which "seed-2" comes before "seed-10".
bool natural_less(const std::string& a, const std::string& b);

}  // namespace detente::serve
