// SPDX-License-Identifier: Apache-2.0
// A study that is looked at while its runs are trained: how far it is, and its page, made from what has ended
// so far. Like LiveRun it follows the files and reads no log twice.
#pragma once

#include <detente/serve/live_run.h>
#include <detente/study/written_study.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace detente::serve {

struct StudyStatus {
  RunState state = RunState::kInterrupted;  // kFailed: all has ended, some of it badly
  std::string name;
  std::size_t ended = 0;
  std::size_t failed = 0;  // of these
  std::size_t runs = 0;    // 0: study.json does not say (an earlier version, or damaged)

  Json to_json() const;
};

class LiveStudy {
 public:
  // Whether a run goes on.
  using Runs = std::function<bool(const Segments& run)>;

  LiveStudy(const Folder& folder, Segments segments, Runs goes_on);

  const Segments& segments() const { return segments_; }

  // The state, and a version of what a page would show; looked at anew at most every 200 times as long as
  // looking takes.
  StudyStatus status();
  std::string version();

  // As LiveRun's. Null where study.json does not say what the study trains: its page is then the file that
  // was made last.
  std::shared_ptr<const LiveRun::Page> page();
  double refresh_seconds();
  void forget_unused(LogTail::Clock::time_point now);

 private:
  using Clock = LogTail::Clock;

  // Epochs of one run.
  struct Followed {
    LogTail tail;
    std::unique_ptr<report::GrowingRun> run;
  };

  Segments file(const std::string& path) const;
  void read_plan();
  void look(Clock::time_point now);
  bool goes_on(const std::vector<study::RunResult>& results) const;
  std::optional<report::RunData> follow(const std::string& run, Clock::time_point deadline);
  std::string address_of(const std::string& run) const;

  const Folder& folder_;
  const Segments segments_;
  const Runs goes_on_;

  std::mutex mutex_;
  std::string plan_version_ = "?";
  std::optional<study::WrittenStudy> plan_;
  std::vector<study::RunResult> results_;
  StudyStatus status_;
  std::string version_;
  Clock::time_point next_look_{};

  std::map<std::string, Followed> followed_;
  std::shared_ptr<const LiveRun::Page> page_;
  Clock::time_point page_made_{};
  Clock::time_point page_asked_{};
};

// Whether a folder is a study's: its study.json stands in it.
bool is_study(const Folder& folder, const Segments& segments);

}  // namespace detente::serve
