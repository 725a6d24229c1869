// SPDX-License-Identifier: Apache-2.0
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/html_report.h>
#include <detente/serve/live_run.h>
#include <detente/study/results.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <ctime>
#include <fstream>
#include <iterator>

namespace detente::serve {
namespace {

using std::chrono::duration;
using std::chrono::minutes;

constexpr std::size_t kMaxText = 16 << 20;  // of a summary or a recipe
constexpr std::chrono::milliseconds kStatusTime(500);
constexpr double kStillGrows = 120;  // seconds

// A line's type without parsing it; most lines are steps, of which the last alone is read.
bool says_epoch(std::string_view line) {
  std::size_t at = line.find("\"type\"");
  if (at == std::string_view::npos) return false;
  at = line.find_first_not_of(" :", at + 6);
  return at != std::string_view::npos && line.substr(at).starts_with("\"epoch\"");
}

double seconds_since_1970() { return static_cast<double>(std::time(nullptr)); }

std::string this_host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// Whether the system lists a lock on this file. It is not tried for: that would keep a run from
// beginning. Nothing where the system lists none at all.
std::optional<bool> locked(std::uint64_t inode) {
  std::ifstream file("/proc/locks");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) return std::nullopt;
  return text.find(fmt::format(":{} ", inode)) != std::string::npos;
}

std::string word_at(const config::Node& root, const char* path) {
  const config::Node* found = config::find_path(root, path);
  return found != nullptr && found->kind == config::Node::Kind::kScalar ? found->scalar : "";
}

}  // namespace

const char* name_of(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return "running";
    case RunState::kFinished:
      return "finished";
    case RunState::kFailed:
      return "failed";
    case RunState::kInterrupted:
      break;
  }
  return "interrupted";
}

Json RunStatus::to_json() const {
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(); };
  return {{"name", name},
          {"method", method},
          {"state", name_of(state)},
          {"failure", failure},
          {"epoch", epoch},
          {"epochs", epochs},
          {"step", step},
          {"losses", report::to_json(losses)},
          {"best", report::to_json(best)},
          {"progress", number(progress)},
          {"seconds_left", number(seconds_left)},
          {"seconds", number(seconds)}};
}

bool is_run(const Folder& folder, const Segments& segments) {
  // A study's folder of runs, which had a mark as its lock.
  if (!segments.empty() && segments.back() == "runs") {
    Segments study(segments.begin(), segments.end() - 1);
    study.emplace_back("study.json");
    if (folder.has_file(study)) return false;
  }
  for (const char* name : {"metrics.jsonl", "summary.json", report::kRunMark}) {
    Segments file = segments;
    file.emplace_back(name);
    if (folder.has_file(file)) return true;
  }
  return false;
}

LiveRun::LiveRun(const Folder& folder, Segments segments)
    : folder_(folder), segments_(std::move(segments)) {}

Segments LiveRun::file(const char* name) const {
  Segments out = segments_;
  out.emplace_back(name);
  return out;
}

void LiveRun::read_summary() {
  const auto found = folder_.open(file("summary.json"));
  const std::string version = found ? found->version() : "";
  if (version == summary_version_) return;
  summary_version_ = version;
  summary_ = Json();
  summary_modified_ = 0;
  if (!found || found->size() > kMaxText) return;
  summary_modified_ = found->modified();
  summary_ = Json::parse(found->read(0, found->size()), nullptr, false);
  if (!summary_.is_object()) summary_ = Json();
}

void LiveRun::read_recipe() {
  const auto found = folder_.open(file("recipe.yaml"));
  const std::string version = found ? found->version() : "";
  if (version == recipe_version_) return;
  recipe_version_ = version;
  recipe_name_.clear();
  recipe_method_.clear();
  recipe_epochs_ = 0;
  if (!found || found->size() > kMaxText) return;
  try {
    const config::Node root = config::parse_yaml(found->read(0, found->size()), "recipe.yaml");
    recipe_name_ = word_at(root, "name");
    recipe_method_ = word_at(root, "balance.method");
    recipe_epochs_ = std::atoll(word_at(root, "train.epochs").c_str());
  } catch (const Error&) {  // half written, or somebody else's
  }
}

void LiveRun::follow_log(const OpenFile& log, Clock::time_point deadline) {
  LogTail::Hooks hooks;
  hooks.anew = [this] {
    last_step_.clear();
    last_epoch_.reset();
    best_.reset();
  };
  hooks.line = [this](std::string_view line) {
    if (!says_epoch(line)) {
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) last_step_ = line;
      return;
    }
    auto record = report::EpochRecord::from_json(Json::parse(line, nullptr, false));
    if (!record) return;
    if (record->best || !best_) best_ = record;
    last_epoch_ = std::move(record);
  };
  tail_.read(log, hooks, deadline);
}

RunState LiveRun::state_now(double log_modified) const {
  const auto told = summary_.is_object() ? summary_.value("status", Json()) : Json();
  const bool finished = told.is_string() && told.get<std::string>() == "finished";
  // A run that goes on with more epochs has the summary of the earlier ones.
  if (finished && log_modified < summary_modified_ + 2) return RunState::kFinished;
  const double now = seconds_since_1970();
  const bool grows = log_modified > now - kStillGrows && log_modified > summary_modified_ + 2;
  if (const auto mark = folder_.open(file(report::kRunMark)); mark && mark->size() < 4096) {
    const Json who = Json::parse(mark->read(0, mark->size()), nullptr, false);
    const Json host = who.is_object() ? who.value("host", Json()) : Json();
    const Json pid = who.is_object() ? who.value("pid", Json()) : Json();
    if (host.is_string() && host.get<std::string>() == this_host() && pid.is_number_integer()) {
      const auto process = pid.get<std::int64_t>();
      const bool alive = process > 0 && process < (1LL << 31) &&
                         (::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM);
      if (alive && locked(mark->inode()).value_or(true)) return RunState::kRunning;
    } else if (grows || mark->modified() > now - kStillGrows) {
      return RunState::kRunning;
    }
  } else if (grows) {
    return RunState::kRunning;
  }
  return finished ? RunState::kFinished : RunState::kInterrupted;
}

void LiveRun::judge(double log_modified) {
  RunStatus now;
  now.name = joined(segments_);
  if (now.name.empty()) now.name = folder_.path().filename().string();
  now.method = recipe_method_;
  now.state = state_now(log_modified);
  now.epochs = recipe_epochs_;
  if (const auto step = report::StepRecord::from_json(Json::parse(last_step_, nullptr, false))) {
    now.step = step->step;
    now.epoch = step->epoch;
    now.losses = step->losses;
  }
  if (last_epoch_) {
    now.step = std::max(now.step, last_epoch_->step);
    now.epoch = std::max(now.epoch, last_epoch_->epoch);
    if (now.epochs > 0 && last_epoch_->step > 0 && last_epoch_->epoch > 0) {
      const double in_one =
          static_cast<double>(last_epoch_->step) / static_cast<double>(last_epoch_->epoch);
      const double begun = static_cast<double>(now.step - last_epoch_->step) / in_one;
      now.progress =
          std::clamp((static_cast<double>(last_epoch_->epoch) + std::clamp(begun, 0.0, 1.0)) /
                         static_cast<double>(now.epochs),
                     0.0,
                     1.0);
    }
  }
  if (best_) now.best = best_->dev;
  if (now.state == RunState::kRunning) {
    if (last_epoch_) {
      now.seconds_left =
          static_cast<double>(now.epochs) * (1 - now.progress) * last_epoch_->seconds;
    }
  } else if (summary_.is_object()) {
    now.seconds = report::number_at(summary_, "seconds");
    if (auto told = report::tables_at(summary_, "tasks"); !told.empty()) now.best = std::move(told);
    const double steps = report::number_at(summary_, "steps");
    const double epochs = report::number_at(summary_, "epochs");
    if (now.step == 0 && steps > 0 && steps < 1e15) now.step = static_cast<std::int64_t>(steps);
    if (now.epoch == 0 && epochs > 0 && epochs < 1e15)
      now.epoch = static_cast<std::int64_t>(epochs);
    if (const Json method = summary_.value("method", Json()); method.is_string())
      now.method = method.get<std::string>();
  }
  if (now.state == RunState::kFinished) now.progress = 1;
  if (now.state == RunState::kInterrupted && !segments_.empty()) {
    Segments result = segments_;
    result.back() += ".json";  // study/sweep.h
    if (const auto text = folder_.text(result, kMaxText)) {
      const auto found = study::RunResult::from_json(Json::parse(*text, nullptr, false));
      if (found && !found->failure.empty()) {
        now.state = RunState::kFailed;
        now.failure = found->failure;
      }
    }
  }
  status_ = std::move(now);
}

RunStatus LiveRun::status(Clock::time_point deadline) {
  const std::lock_guard lock(status_mutex_);
  read_summary();
  read_recipe();
  const auto log = folder_.open(file("metrics.jsonl"));
  const std::string version = log ? log->version() : "";
  if (log && (version != log_version_ || !tail_.at_end())) follow_log(*log, deadline);
  log_version_ = version;
  judge(log ? log->modified() : 0);
  return status_;
}

std::string LiveRun::version() {
  const RunStatus now = status(Clock::now() + kStatusTime);
  const std::lock_guard lock(status_mutex_);
  return fmt::format(
      "{} {} {} {}", name_of(now.state), log_version_, summary_version_, recipe_version_);
}

// What summary.json says, or, where it is not written yet or is of an earlier part of the run, what can be
// said now.
std::string LiveRun::summary_for_page() {
  const std::lock_guard lock(status_mutex_);
  if (summary_.is_object() && status_.state != RunState::kRunning) return json_text(summary_);
  Json told{{"method", status_.method}, {"status", name_of(status_.state)}};
  if (!recipe_name_.empty()) told["name"] = recipe_name_;
  return json_text(told);
}

std::shared_ptr<const LiveRun::Page> LiveRun::page() {
  const std::lock_guard lock(page_mutex_);
  const auto begin = Clock::now();
  page_asked_ = begin;
  if (!is_run(folder_, segments_)) return nullptr;
  if (page_ && duration<double>(begin - page_made_).count() < std::max(1.0, 200 * page_->seconds)) {
    return page_;
  }
  auto made = std::make_shared<Page>();
  made->version = version();
  if (page_ && page_->version == made->version) return page_;
  if (!growing_) {
    growing_ = std::make_unique<report::GrowingRun>(
        segments_.empty() ? folder_.path().filename().string() : segments_.back());
    page_tail_ = LogTail();
  }
  LogTail::Hooks hooks;
  hooks.anew = [this] {
    growing_ = std::make_unique<report::GrowingRun>(
        segments_.empty() ? folder_.path().filename().string() : segments_.back());
  };
  hooks.line = [this](std::string_view line) { growing_->add_line(line); };
  if (const auto log = folder_.open(file("metrics.jsonl"))) {
    page_tail_.read(*log, hooks, begin + minutes(2));
  }
  growing_->set_summary(summary_for_page());
  growing_->set_recipe(folder_.text(file("recipe.yaml"), kMaxText).value_or(""));
  growing_->set_answers(folder_.text(file("answers.json"), kMaxText).value_or(""));
  growing_->set_looks(folder_.text(file("looks.json"), kMaxText).value_or(""));
  const bool first = page_ == nullptr;
  const auto reading_done = Clock::now();
  made->html = report::html_report(growing_->data());
  page_made_ = Clock::now();
  // What had to be read before the first page is not read again.
  made->seconds = duration<double>(page_made_ - (first ? reading_done : begin)).count();
  page_ = std::move(made);
  return page_;
}

double LiveRun::Page::refresh_seconds() const { return std::clamp(200 * seconds, 2.0, 60.0); }

double LiveRun::refresh_seconds() {
  const std::lock_guard lock(page_mutex_);
  return page_ ? page_->refresh_seconds() : 2.0;
}

void LiveRun::forget_unused(Clock::time_point now) {
  const std::unique_lock lock(page_mutex_, std::try_to_lock);
  if (!lock) return;  // a page is being made
  if (now - page_asked_ < minutes(5)) return;
  growing_.reset();
  page_.reset();
}

}  // namespace detente::serve
