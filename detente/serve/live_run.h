// SPDX-License-Identifier: Apache-2.0
// One run that is looked at while it trains: a short state for the list of runs, and its page. Both
// follow the run's files and read nothing twice.
#pragma once

#include <detente/core/json.h>
#include <detente/report/run_data.h>
#include <detente/serve/log_tail.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace detente::serve {

// kRunning: a process of this machine has the run's lock, or its log has grown within two minutes.
// kFailed: a study wrote down that it failed. kInterrupted: none of these, and it has not finished.
enum class RunState { kRunning, kFinished, kFailed, kInterrupted };
const char* name_of(RunState state);

struct RunStatus {
  RunState state = RunState::kInterrupted;
  std::string name;
  std::string method;
  std::string failure;                      // of kFailed: its words
  std::int64_t epoch = 0;                   // the one it is in, from 1; 0: no line yet
  std::int64_t epochs = 0;                  // in all; 0: not known
  std::int64_t step = 0;                    // the last
  report::NamedNumbers losses;              // of the last step
  report::NamedTables best;                 // of the best epoch so far
  double progress = report::kNoNumber;      // share of the epochs
  double seconds_left = report::kNoNumber;  // at the pace of the last epoch
  double seconds = report::kNoNumber;       // that it took, where it has ended

  Json to_json() const;
};

class LiveRun {
 public:
  LiveRun(const Folder& folder, Segments segments);

  const Segments& segments() const { return segments_; }

  // The state now. Where reading takes longer than until `deadline`, that of what was read.
  RunStatus status(LogTail::Clock::time_point deadline);
  // Of the files' state; another text when a page would show something else.
  std::string version();

  struct Page {
    std::string html;     // report::html_report of what is there now
    std::string version;  // of what it shows
    double seconds = 0;   // to make it

    // After which asking for another is worth it: 2 to 60.
    double refresh_seconds() const;
  };
  // Made at most every 200 times as long as it takes, so that a run costs half a percent of a core,
  // however many look at it; in between the earlier one is given. Null where the folder is no run
  // any more.
  std::shared_ptr<const Page> page();
  // Page::refresh_seconds of the page that was made last.
  double refresh_seconds();
  // Forgets what only pages need, where none was asked for in five minutes.
  void forget_unused(LogTail::Clock::time_point now);

 private:
  using Clock = LogTail::Clock;

  Segments file(const char* name) const;
  void read_summary();
  void read_recipe();
  void follow_log(const OpenFile& log, Clock::time_point deadline);
  RunState state_now(double log_modified) const;
  void judge(double log_modified);
  std::string summary_for_page();

  const Folder& folder_;
  const Segments segments_;

  std::mutex status_mutex_;
  LogTail tail_;
  RunStatus status_;
  std::string summary_version_;
  std::string recipe_version_;
  Json summary_;
  double summary_modified_ = 0;
  std::string log_version_;
  std::string recipe_name_;
  std::string recipe_method_;
  std::int64_t recipe_epochs_ = 0;
  std::string last_step_;  // its line, not parsed yet
  std::optional<report::EpochRecord> last_epoch_;
  std::optional<report::EpochRecord> best_;

  std::mutex page_mutex_;
  LogTail page_tail_;
  std::unique_ptr<report::GrowingRun> growing_;
  std::shared_ptr<const Page> page_;
  Clock::time_point page_made_{};
  Clock::time_point page_asked_{};
};

// Whether a folder is a run's: one of its files stands in it.
bool is_run(const Folder& folder, const Segments& segments);

}  // namespace detente::serve
