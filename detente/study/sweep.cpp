// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/core/stopwatch.h>
#include <detente/report/run_data.h>
#include <detente/study/halving.h>
#include <detente/study/sweep.h>
#include <detente/study/words.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <memory>
#include <set>
#include <thread>

namespace detente::study {
namespace {

namespace fs = std::filesystem;

constexpr int kInterrupted = 130;

struct Place {
  fs::path run;
  fs::path result;
  fs::path log;
};

Place place_of(const Variant& variant, std::int64_t seed, const SweepOptions& options) {
  const std::string run = (options.out / run_folder(variant, seed)).string();
  return {run, run + ".json", run + ".log"};
}

std::optional<std::string> text_of(const fs::path& path) {
  std::error_code none;
  return fs::exists(path, none) ? std::optional(read_file(path)) : std::nullopt;
}

std::optional<RunResult> result_in(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return RunResult::from_json(Json::parse(*text, nullptr, false));
}

std::optional<RunResult> read_result(const fs::path& path) { return result_in(text_of(path)); }

// The last line that a process has written to its log, which began at `from` for it; before that stand the words
// of earlier ones.
std::string last_words(const fs::path& log, std::uintmax_t from) {
  std::error_code none;
  if (!fs::exists(log, none)) return "";
  std::string text = read_file(log);
  if (from > text.size()) return "";
  text.erase(0, from);
  std::size_t end = text.size();
  while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r')) --end;
  const std::size_t begin = text.find_last_of("\n\r", end == 0 ? 0 : end - 1);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1));
}

std::uintmax_t size_of(const fs::path& file) {
  std::error_code none;
  const std::uintmax_t size = fs::file_size(file, none);
  return none ? 0 : size;
}

// How a process ended. Its last line is quoted as that: of one that was killed it says nothing of the cause.
std::string end_text(int code, const fs::path& log, std::uintmax_t log_began) {
  std::string text;
  if (const char* signal = code > 128 ? ::sigabbrev_np(code - 128) : nullptr) {
    text = fmt::format(
        "ended by signal {} (SIG{}{})",
        code - 128,
        signal,
        code - 128 == SIGKILL ? ", which the system also sends where memory is short" : "");
  } else {
    text = fmt::format("exit code {}", code);
  }
  const std::string words = last_words(log, log_began);
  return text + (words.empty() ? "; its log says nothing" : "; last line of its log: " + words);
}

// What came of a task.
struct Ended {
  std::string text;
  bool failed = false;
};

// Starts tasks as places become free, and waits for all.
class Pool {
 public:
  Pool(const SweepOptions& options, const SweepHooks& hooks) : options_(options), hooks_(hooks) {}

  // `start` makes a task's process, `end` gets its exit code and the size that its log had before.
  // `before` and `after`: runs that were or will be made elsewhere, for the counts.
  void run(const std::vector<PlannedRun>& tasks,
           const std::function<ChildProcess(const PlannedRun&)>& start,
           const std::function<Ended(const PlannedRun&, int code, std::uintmax_t log_began)>& end,
           const std::function<fs::path(const PlannedRun&)>& log_of,
           std::size_t before = 0,
           std::size_t after = 0) {
    const Stopwatch watch;
    const std::size_t total = tasks.size() + after;
    std::size_t next = 0;
    std::size_t ended = 0;
    bool stopping = false;
    const auto tell = [&](const Ended& what) {
      if (!hooks_.on_change) return;
      SweepProgress progress;
      progress.text = what.text;
      progress.failed = what.failed;
      progress.ended = before + ended;
      progress.total = before + total;
      progress.seconds_left = ended == 0 ? report::kNoNumber
                                         : watch.seconds() / static_cast<double>(ended) *
                                               static_cast<double>(total - ended);
      for (const auto& one : running_) progress.running.push_back(one.task);
      hooks_.on_change(progress);
    };
    while (next < tasks.size() || !running_.empty()) {
      if (!stopping && hooks_.stop && hooks_.stop()) {
        stopping = true;
        // Not SIGINT, which a script's background jobs ignore.
        for (const auto& one : running_) one.process->send(SIGTERM);
      }
      if (stopping && running_.empty()) return;
      while (!stopping && next < tasks.size() &&
             running_.size() < static_cast<std::size_t>(std::max(1, options_.jobs))) {
        const PlannedRun& task = tasks[next++];
        const std::uintmax_t log_began = size_of(log_of(task));
        running_.push_back({task, std::make_unique<ChildProcess>(start(task)), log_began});
        tell({});
      }
      bool any = false;
      for (std::size_t i = 0; i < running_.size();) {
        const auto code = running_[i].process->poll();
        if (!code) {
          ++i;
          continue;
        }
        any = true;
        const PlannedRun task = running_[i].task;
        const std::uintmax_t log_began = running_[i].log_began;
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
        const Ended what = end(task, *code, log_began);
        ++ended;
        tell(what);
      }
      if (!any) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

 private:
  struct Running {
    PlannedRun task;
    std::unique_ptr<ChildProcess> process;
    std::uintmax_t log_began;
  };
  const SweepOptions& options_;
  const SweepHooks& hooks_;
  std::vector<Running> running_;
};

std::string metrics_text(const report::NamedTables& tables) {
  std::string text;
  for (const auto& [task, numbers] : tables) {
    if (numbers.empty()) continue;
    text += fmt::format("{}{} {} {}",
                        text.empty() ? "" : ", ",
                        task,
                        numbers.front().first,
                        score_text(numbers.front().second));
  }
  return text;
}

}  // namespace

fs::path run_folder(const Variant& variant, std::int64_t seed) {
  return fs::path("runs") / variant.folder / fmt::format("seed-{}", seed);
}

std::vector<RunResult> read_results(const std::vector<Variant>& variants,
                                    const SweepOptions& options) {
  return read_results(
      variants, options.seeds, [&](const fs::path& file) { return text_of(options.out / file); });
}

std::vector<RunResult> read_results(std::span<const Variant> variants,
                                    std::span<const std::int64_t> seeds,
                                    const ReadText& text) {
  std::vector<RunResult> results;
  for (std::size_t v = 0; v < variants.size(); ++v) {
    for (const std::int64_t seed : seeds) {
      auto result = result_in(text(run_folder(variants[v], seed).string() + ".json"));
      if (!result) continue;
      // Where it stands says what it is: the plan may have grown since.
      result->variant = v;
      result->seed = seed;
      results.push_back(std::move(*result));
    }
  }
  return results;
}

namespace {

std::function<fs::path(const PlannedRun&)> log_of(const std::vector<Variant>& variants,
                                                  const SweepOptions& options) {
  return [&](const PlannedRun& task) {
    return place_of(variants[task.variant], task.seed, options).log;
  };
}

void train_runs(const std::vector<PlannedRun>& runs,
                const std::vector<Variant>& variants,
                const SweepOptions& options,
                const SweepHooks& hooks,
                std::size_t before = 0,
                std::size_t after = 0) {
  const auto start = [&](const PlannedRun& task) {
    const Variant& variant = variants[task.variant];
    const Place place = place_of(variant, task.seed, options);
    fs::create_directories(place.run.parent_path());
    std::vector<std::string> arguments{options.program.string(),
                                       "train",
                                       options.recipe.string(),
                                       "--quiet",
                                       "--out",
                                       place.run.string()};
    for (const auto* list : {&options.overrides, &variant.overrides}) {
      for (const auto& text : *list) arguments.insert(arguments.end(), {"--set", text});
    }
    arguments.insert(arguments.end(), {"--set", fmt::format("seed={}", task.seed)});
    if (fs::exists(place.run)) {
      if (hooks.wait_until_free) hooks.wait_until_free(place.run);
      arguments.emplace_back("--resume");
    }
    return ChildProcess(arguments, place.log);
  };
  const auto end = [&](const PlannedRun& task, int code, std::uintmax_t log_began) -> Ended {
    const Variant& variant = variants[task.variant];
    const Place place = place_of(variant, task.seed, options);
    const std::string name = fmt::format("{}, seed {}", variant.name(), task.seed);
    if (code == kInterrupted) return {name + ": interrupted, goes on next time"};
    RunResult result;
    result.variant = task.variant;
    result.seed = task.seed;
    if (code == 0) {
      const report::RunData run = report::read_run(place.run);
      result.dev = run.results();
      result.seconds = run.number("seconds");
      result.ms_per_step = 1000 * result.seconds / run.number("steps");
    } else {
      result.failure = "failed: " + end_text(code, place.log, log_began);
    }
    write_file_atomic(place.result, json_text(result.to_json()) + "\n");
    if (!result.failure.empty()) return {name + " " + result.failure, true};
    return {fmt::format("{}: {:.0f} s, {}", name, result.seconds, metrics_text(result.dev))};
  };
  Pool(options, hooks).run(runs, start, end, log_of(variants, options), before, after);
}

}  // namespace

std::vector<PlannedRun> unfinished_runs(std::size_t variants,
                                        std::span<const std::int64_t> seeds,
                                        std::span<const RunResult> results) {
  std::set<std::pair<std::size_t, std::int64_t>> good;
  for (const RunResult& result : results) {
    if (result.failure.empty()) good.insert({result.variant, result.seed});
  }
  std::vector<PlannedRun> runs;
  for (const std::int64_t seed : seeds) {
    for (std::size_t v = 0; v < variants; ++v) {
      if (!good.contains({v, seed})) runs.push_back({v, seed});
    }
  }
  return runs;
}

std::vector<RunResult> train_all(const std::vector<Variant>& variants,
                                 const SweepOptions& options,
                                 const SweepHooks& hooks) {
  train_runs(unfinished_runs(variants.size(), options.seeds, read_results(variants, options)),
             variants,
             options,
             hooks);
  return read_results(variants, options);
}

std::vector<RunResult> train_by_halving(const std::vector<Variant>& variants,
                                        std::span<const StudyTask> tasks,
                                        const SweepOptions& options,
                                        const SweepHooks& hooks) {
  std::set<std::pair<std::size_t, std::int64_t>> tried;
  std::size_t ended = 0;
  while (!hooks.stop || !hooks.stop()) {
    auto results = read_results(variants, options);
    // What failed earlier is tried again, what failed now has failed.
    std::erase_if(results, [&](const RunResult& result) {
      return !result.failure.empty() && !tried.contains({result.variant, result.seed});
    });
    Halving halving = halve(variants, tasks, options.seeds, results);
    // One that was interrupted by somebody has no result and is not tried for ever.
    std::erase_if(halving.next, [&](const PlannedRun& run) {
      return !tried.insert({run.variant, run.seed}).second;
    });
    if (halving.next.empty()) break;
    train_runs(halving.next, variants, options, hooks, ended, halving.later);
    ended += halving.next.size();
  }
  return read_results(variants, options);
}

std::vector<RunResult> test_chosen(const std::vector<Variant>& variants,
                                   std::span<const std::size_t> chosen,
                                   const SweepOptions& options,
                                   const SweepHooks& hooks) {
  std::vector<PlannedRun> tasks;
  for (const std::int64_t seed : options.seeds) {
    for (const std::size_t v : chosen) {
      const auto result = read_result(place_of(variants[v], seed, options).result);
      if (result && result->failure.empty() && result->test.empty()) tasks.push_back({v, seed});
    }
  }
  const auto answer_of = [&](const Place& place) {
    return fs::path(place.run.string() + ".test.json");
  };
  const auto start = [&](const PlannedRun& task) {
    const Place place = place_of(variants[task.variant], task.seed, options);
    return ChildProcess(
        {options.program.string(), "eval", place.run.string(), "--part", "test", "--json"},
        place.log,
        answer_of(place));
  };
  const auto end = [&](const PlannedRun& task, int code, std::uintmax_t log_began) -> Ended {
    const Place place = place_of(variants[task.variant], task.seed, options);
    const std::string name =
        fmt::format("{}, seed {}, test", variants[task.variant].name(), task.seed);
    auto result = read_result(place.result);
    if (!result || code == kInterrupted) return {name + ": not measured"};
    const Json answer =
        code == 0 ? Json::parse(read_file(answer_of(place)), nullptr, false) : Json::object();
    result->test = report::tables_at(answer, "tasks");
    std::error_code none;
    fs::remove(answer_of(place), none);
    if (result->test.empty()) {
      return {name + " failed: " + end_text(code, place.log, log_began), true};
    }
    write_file_atomic(place.result, json_text(result->to_json()) + "\n");
    return {name + ": " + metrics_text(result->test)};
  };
  Pool(options, hooks).run(tasks, start, end, log_of(variants, options));
  return read_results(variants, options);
}

}  // namespace detente::study
