// SPDX-License-Identifier: Apache-2.0
#include <detente/core/fnv.h>
#include <detente/serve/live_study.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>

namespace detente::serve {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::minutes;

constexpr std::size_t kMostStudyText = 16 << 20;  // of study.json, a result, a summary or a recipe
constexpr double kShare = 200;                    // of the time that looking or making a page takes

// A version is compared, never trusted. The byte behind a text occurs in no UTF-8.
void mix(std::uint64_t& hash, std::string_view text) { hash = fnv1a("\xff", fnv1a(text, hash)); }

}  // namespace

bool is_study(const Folder& folder, const Segments& segments) {
  Segments file = segments;
  file.emplace_back("study.json");
  return folder.has_file(file);
}

Json StudyStatus::to_json() const {
  return {{"name", name},
          {"state", name_of(state)},
          {"ended", ended},
          {"failed", failed},
          {"runs", runs}};
}

LiveStudy::LiveStudy(const Folder& folder, Segments segments, Runs goes_on)
    : folder_(folder), segments_(std::move(segments)), goes_on_(std::move(goes_on)) {}

// `path` is of the study: "runs/ew/seed-0.json".
Segments LiveStudy::file(const std::string& path) const {
  Segments out = segments_;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    out.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

void LiveStudy::read_plan() {
  const auto found = folder_.open(file("study.json"));
  const std::string version = found ? found->version() : "";
  if (version == plan_version_) return;
  plan_version_ = version;
  plan_.reset();
  followed_.clear();
  if (!found || found->size() > kMostStudyText) return;
  const Json json = Json::parse(found->read(0, found->size()), nullptr, false);
  if (json.is_object() && json.contains("plan")) {
    plan_ = study::WrittenStudy::from_json(json.at("plan"));
  }
}

// Looks at runs without a result until one goes on: most often the first of them does.
bool LiveStudy::goes_on(const std::vector<study::RunResult>& results) const {
  std::set<std::pair<std::size_t, std::int64_t>> ended;
  for (const auto& result : results) ended.insert({result.variant, result.seed});
  for (const std::int64_t seed : plan_->seeds) {
    for (std::size_t v = 0; v < plan_->variants.size(); ++v) {
      if (ended.contains({v, seed})) continue;
      const std::string run = study::run_folder(plan_->variants[v], seed).generic_string();
      if (goes_on_(file(run))) return true;
    }
  }
  return false;
}

void LiveStudy::look(Clock::time_point now) {
  if (now < next_look_) return;
  read_plan();
  status_ = {};
  status_.name = segments_.empty() ? folder_.path().filename().string() : joined(segments_);
  std::uint64_t hash = kFnvStart;
  mix(hash, plan_version_);
  results_.clear();
  if (plan_) {
    results_ = study::read_results(
        plan_->variants, plan_->seeds, [&](const std::filesystem::path& result) {
          const auto found = folder_.open(file(result.generic_string()));
          std::optional<std::string> text;
          if (!found || found->size() > kMostStudyText) return text;
          mix(hash, found->version());
          text = found->read(0, found->size());
          return text;
        });
    for (const auto& variant : plan_->variants) {
      for (const std::int64_t seed : plan_->seeds) {
        const std::string log =
            (study::run_folder(variant, seed) / "metrics.jsonl").generic_string();
        if (const auto found = folder_.open(file(log))) mix(hash, found->version());
      }
    }
    const auto findings = study::findings_of(*plan_, results_);
    status_.ended = findings.ended;
    status_.failed = findings.failed;
    status_.runs = findings.runs;
    if (findings.ended >= findings.runs && !findings.untested) {
      status_.state = findings.failed > 0 ? RunState::kFailed : RunState::kFinished;
    } else if (goes_on(results_)) {
      status_.state = RunState::kRunning;
    }
  }
  mix(hash, name_of(status_.state));
  version_ = fmt::format("{:016x}", hash);
  const auto after = Clock::now();
  next_look_ = after + std::max<Clock::duration>(
                           std::chrono::milliseconds(500),
                           duration_cast<Clock::duration>(kShare * duration<double>(after - now)));
}

StudyStatus LiveStudy::status() {
  const std::lock_guard lock(mutex_);
  look(Clock::now());
  return status_;
}

std::string LiveStudy::version() {
  const std::lock_guard lock(mutex_);
  look(Clock::now());
  return version_;
}

std::optional<report::RunData> LiveStudy::follow(const std::string& run,
                                                 Clock::time_point deadline) {
  const auto log = folder_.open(file(run + "/metrics.jsonl"));
  if (!log) {
    followed_.erase(run);
    return std::nullopt;
  }
  Followed& followed = followed_[run];
  const auto begin = [&] {
    followed.run = std::make_unique<report::GrowingRun>(run.substr(run.rfind('/') + 1),
                                                        report::RunParts::kEpochs);
  };
  if (!followed.run) begin();
  followed.tail.read(
      *log, {begin, [&](std::string_view line) { followed.run->add_line(line); }}, deadline);
  followed.run->set_summary(folder_.text(file(run + "/summary.json"), kMostStudyText).value_or(""));
  return followed.run->data();
}

// Of a run that is shown live, whether or not its page has been written.
std::string LiveStudy::address_of(const std::string& run) const {
  const Segments segments = file(run);
  return is_run(folder_, segments) ? "/run/" + joined(segments) : "";
}

std::shared_ptr<const LiveRun::Page> LiveStudy::page() {
  const std::lock_guard lock(mutex_);
  const auto begin = Clock::now();
  page_asked_ = begin;
  look(begin);
  if (!plan_) return nullptr;
  if (page_ && (page_->version == version_ ||
                duration<double>(begin - page_made_).count() < kShare * page_->seconds)) {
    return page_;
  }
  auto made = std::make_shared<LiveRun::Page>();
  made->version = version_;
  study::WrittenStudy study = *plan_;
  study.facts.recipe = folder_.text(file("recipe.yaml"), kMostStudyText).value_or("");
  study::PageRuns runs;
  double reading = 0;
  runs.read = [&](const std::filesystem::path& run) {
    const auto before = Clock::now();
    auto data = follow(run.generic_string(), begin + minutes(2));
    reading += duration<double>(Clock::now() - before).count();
    return data;
  };
  runs.link = [&](const std::filesystem::path& run) { return address_of(run.generic_string()); };
  made->html = study::study_page(study, study::findings_of(study, results_), runs);
  page_made_ = Clock::now();
  // What had to be read before the first page is not read again.
  made->seconds = duration<double>(page_made_ - begin).count() - (page_ ? 0 : reading);
  page_ = std::move(made);
  return page_;
}

double LiveStudy::refresh_seconds() {
  const std::lock_guard lock(mutex_);
  return page_ ? page_->refresh_seconds() : 2.0;
}

void LiveStudy::forget_unused(Clock::time_point now) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;  // it is being looked at
  if (now - page_asked_ < minutes(5)) return;
  followed_.clear();
  page_.reset();
}

}  // namespace detente::serve
