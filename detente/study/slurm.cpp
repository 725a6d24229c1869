// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/study/slurm.h>
#include <detente/study/written_study.h>
#include <detente/text/shell_word.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <random>
#include <utility>

namespace detente::study {
namespace {

namespace fs = std::filesystem;

constexpr const char* kListFormat = "detente-slurm-1";
constexpr std::size_t kMaxTasks = 1000;  // MaxArraySize is 1001 where nobody has changed it

bool in_path(const std::string& program) {
  const char* list = std::getenv("PATH");
  std::string_view rest = list == nullptr ? "" : list;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const fs::path file = fs::path(rest.substr(0, end)) / program;
    if (end > 0 && ::access(file.c_str(), X_OK) == 0) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

void need(const std::string& program) {
  DETENTE_CHECK(
      in_path(program),
      ErrorCode::kUnsupported,
      "[study::slurm] there is no '{}' in PATH; --submit slurm needs SLURM's commands. Run it on a "
      "machine of the cluster (its login node), or leave out --submit to train here.",
      program);
}

struct Said {
  int code = 0;
  std::string output;
  std::string errors;
};

Said ask(const std::vector<std::string>& arguments, const fs::path& folder) {
  const TemporaryFolder place(folder);
  ChildProcess process(arguments, place.path() / "errors", place.path() / "output");
  const int code = process.wait();
  return {code, read_file(place.path() / "output"), read_file(place.path() / "errors")};
}

std::string trimmed(std::string_view text) { return std::string(trim(text, " \n")); }

// A folder in a pattern of file names, where SLURM would take %A for the job's number.
std::string pattern(const fs::path& folder) {
  std::string out;
  for (const char c : folder.string()) out += c == '%' ? std::string("%%") : std::string(1, c);
  DETENTE_CHECK(
      out.find('\\') == std::string::npos,
      ErrorCode::kInvalidArgument,
      "[study::slurm] SLURM cannot write below '{}', because of the backslash in its name; use "
      "another --out.",
      folder.string());
  return out;
}

// A name that no other job has, by which the queue is asked.
std::string new_name() {
  std::random_device random;
  return fmt::format("detente-{:08x}{:08x}", random(), random());
}

struct Queue {
  std::string job;
  std::size_t waiting = 0;
  std::vector<std::string> running;  // names of runs
};

std::string run_name(const Json& task) {
  return fmt::format(
      "{}, seed {}", variant_from(task.at("variant")).name(), task.at("seed").get<std::int64_t>());
}

Json read_list(const fs::path& path) {
  Json list = Json::parse(read_file(path), nullptr, false);
  DETENTE_CHECK(list.is_object() && list.value("format", Json()) == kListFormat &&
                    list.value("tasks", Json()).is_array(),
                ErrorCode::kData,
                "[study::slurm] '{}' is no list of a study's runs; `detente compare ... --submit "
                "slurm` writes "
                "one.",
                path.string());
  return list;
}

// What of the last job is still in the queue.
Queue queue_of(const fs::path& out) {
  Queue queue;
  const fs::path folder = out / "slurm";
  if (!fs::exists(folder / "job.json")) return queue;
  const Json job = Json::parse(read_file(folder / "job.json"), nullptr, false);
  const Json name = job.is_object() ? job.value("name", Json()) : Json();
  DETENTE_CHECK(
      name.is_string(),
      ErrorCode::kData,
      "[study::slurm] '{}' is damaged, so whether its job still runs is not known. When "
      "squeue shows none of this study's jobs, remove that file and give the same command again.",
      (folder / "job.json").string());
  queue.job = job.value("job", "");
  need("squeue");
  const Said said = ask(
      {"squeue", "--noheader", "--array", "--name=" + name.get<std::string>(), "--format=%K %T"},
      folder);
  DETENTE_CHECK(
      said.code == 0,
      ErrorCode::kIo,
      "[study::slurm] squeue cannot say whether the study's job still runs: {} Nothing was "
      "submitted; give the same command again when the cluster answers.",
      trimmed(said.errors));
  const Json list = read_list(folder / (name.get<std::string>() + ".json"));
  std::string_view rest = said.output;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t blank = line.find(' ');
    if (blank == std::string::npos) continue;
    if (line.substr(blank + 1).starts_with("PENDING")) {
      ++queue.waiting;
      continue;
    }
    const auto index = static_cast<std::size_t>(std::strtoull(line.c_str(), nullptr, 10));
    const Json& tasks = list.at("tasks");
    queue.running.push_back(index < tasks.size() ? run_name(tasks[index]) : line);
  }
  return queue;
}

std::string submit(const std::vector<Variant>& variants,
                   const std::vector<PlannedRun>& runs,
                   const SweepOptions& options,
                   const SlurmOptions& slurm) {
  const fs::path folder = options.out / "slurm";
  const std::string logs = pattern(folder) + "/%A_%a.log";
  const std::string name = new_name();
  const fs::path list = folder / (name + ".json");
  const fs::path script = folder / (name + ".sh");
  Json tasks = Json::array();
  for (const auto& [variant, seed] : runs) {
    tasks.push_back({{"variant", to_json(variants[variant])}, {"seed", seed}});
  }
  write_file_atomic(list,
                    json_text({{"format", kListFormat},
                               {"overrides", options.overrides},
                               {"threads_open", slurm.threads_open},
                               {"tasks", std::move(tasks)}}) +
                        "\n");
  write_file_atomic(script,
                    fmt::format("#!/bin/sh\nexec {} study-task {} \"$SLURM_ARRAY_TASK_ID\"\n",
                                text::shell_word(options.program.string()),
                                text::shell_word(list.string())));
  // Before sbatch, so that a job is never unknown: its name is asked for, whatever happens here.
  write_file_atomic(folder / "job.json", json_text({{"name", name}}) + "\n");
  std::vector<std::string> arguments{
      "sbatch",
      "--parsable",
      "--job-name=" + name,
      fmt::format("--array=0-{}{}",
                  runs.size() - 1,
                  slurm.at_once > 0 ? fmt::format("%{}", slurm.at_once) : ""),
      "--chdir=" + folder.string(),
      "--output=" + logs,
      "--open-mode=append"};
  for (auto& word : sbatch_options(slurm.sbatch)) arguments.push_back(std::move(word));
  arguments.push_back(script.string());
  const Said said = ask(arguments, folder);
  if (said.code != 0) {
    for (const auto& file : {folder / "job.json", list, script}) fs::remove(file);
    fail(ErrorCode::kInvalidArgument,
         "[study::slurm] sbatch refused the job (exit code {}): {}\nNothing was submitted. "
         "--sbatch takes "
         "the options that your cluster wants.",
         said.code,
         trimmed(said.errors.empty() ? said.output : said.errors));
  }
  const std::string job = trimmed(said.output.substr(0, said.output.find_first_of(";\n")));
  write_file_atomic(folder / "job.json", json_text({{"name", name}, {"job", job}}) + "\n");
  return job;
}

// The file of the words for people.
std::string in_words(const SlurmStatus& status, const std::vector<std::string>& running) {
  std::string text = fmt::format("{} runs: {} finished", status.total, status.finished);
  if (status.failed > 0) text += fmt::format(", {} failed", status.failed);
  if (status.running > 0) text += fmt::format(", {} running", status.running);
  if (status.waiting > 0) text += fmt::format(", {} waiting", status.waiting);
  text += ".";
  constexpr std::size_t kNamed = 4;
  for (std::size_t i = 0; i < running.size() && i < kNamed; ++i) {
    text += (i == 0 ? " Running: " : "; ") + running[i];
  }
  if (running.size() > kNamed) text += fmt::format("; and {} more", running.size() - kNamed);
  if (!running.empty()) text += ".";
  return text;
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    DETENTE_CHECK(c != '\0' && c != '\n',
                  ErrorCode::kInvalidArgument,
                  "[study::split_words] options cannot hold line ends or NUL.");
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      inside = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      inside = true;
    } else if (c == ' ' || c == '\t') {
      if (inside) words.push_back(std::move(word));
      word.clear();
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  DETENTE_CHECK(quote == 0,
                ErrorCode::kInvalidArgument,
                "[study::split_words] the quote {} does not end in: {}",
                quote,
                std::string(text));
  if (inside) words.push_back(std::move(word));
  return words;
}

std::vector<std::string> sbatch_options(std::string_view text) {
  auto words = split_words(text);
  bool may_be_value = false;
  for (const auto& word : words) {
    const bool is_long = word.starts_with("--");
    if (!word.starts_with('-')) {
      DETENTE_CHECK(may_be_value,
                    ErrorCode::kInvalidArgument,
                    "[study::sbatch_options] '{}' is no option of sbatch; expected words like "
                    "--partition=gpu --time=2:00:00.",
                    word);
      may_be_value = false;
      continue;
    }
    const std::string name = is_long ? word.substr(2, word.find('=') - 2) : word.substr(1, 1);
    bool own = !is_long && (name == "a" || name == "J" || name == "D");
    for (const std::string_view ours : {"array", "job-name", "chdir", "wrap", "parsable"}) {
      own |= is_long && name.size() > 1 && ours.starts_with(name);  // sbatch takes shortened names
    }
    DETENTE_CHECK(!own && !name.empty(),
                  ErrorCode::kInvalidArgument,
                  "[study::sbatch_options] '{}' is set by detente itself (--jobs says how many "
                  "runs at once); "
                  "leave it out of --sbatch.",
                  word);
    may_be_value = is_long ? word.find('=') == std::string::npos : word.size() == 2;
  }
  return words;
}

SlurmStatus train_on_slurm(const std::vector<Variant>& variants,
                           const SweepOptions& options,
                           const SlurmOptions& slurm) {
  need("sbatch");
  sbatch_options(slurm.sbatch);
  make_directories(options.out / "slurm");
  // First the queue, then the results: what ends in between has its result.
  const Queue queue = queue_of(options.out);
  const auto results = read_results(variants, options);
  auto runs = unfinished_runs(variants.size(), options.seeds, results);
  SlurmStatus status;
  status.total = variants.size() * options.seeds.size();
  status.finished = status.total - runs.size();
  status.failed = results.size() - status.finished;
  status.running = queue.running.size();
  status.waiting = queue.waiting;
  std::string job = queue.job;
  if (status.running + status.waiting > 0) {
    status.text =
        fmt::format("SLURM job {} is in the queue. ", job.empty() ? "(number unknown)" : job) +
        in_words(status, queue.running) +
        " Nothing was submitted; the same command collects later.";
    return status;
  }
  status.complete = status.finished + status.failed == status.total;
  status.text = in_words(status, {});
  if (runs.empty()) return status;
  const std::size_t open = runs.size();
  runs.resize(std::min(open, kMaxTasks));
  job = submit(variants, runs, options, slurm);
  status.submitted = runs.size();
  status.text += fmt::format(
      " Submitted SLURM job {}: {} runs{}; its logs are in {}. The same command collects "
      "what has finished.",
      job,
      runs.size(),
      open > runs.size() ? fmt::format(", the other {} the next time", open - runs.size())
                         : std::string(),
      (options.out / "slurm").string());
  return status;
}

void check_no_job(const fs::path& out) {
  if (!fs::exists(out / "slurm" / "job.json") || !in_path("squeue")) return;
  const Queue queue = queue_of(out);
  DETENTE_CHECK(queue.running.empty() && queue.waiting == 0,
                ErrorCode::kInvalidArgument,
                "[study::check_no_job] SLURM job {} of the study in '{}' is still in the queue ({} "
                "running, {} "
                "waiting). Wait for it or end it (scancel {}); with --submit slurm the same "
                "command collects.",
                queue.job,
                out.string(),
                queue.running.size(),
                queue.waiting,
                queue.job);
}

std::vector<RunResult> train_listed(const fs::path& list_path,
                                    std::size_t index,
                                    const fs::path& program,
                                    const SweepHooks& hooks) {
  const Json list = read_list(list_path);
  const Json& tasks = list.at("tasks");
  DETENTE_CHECK(index < tasks.size(),
                ErrorCode::kData,
                "[study::train_listed] '{}' has {} runs, from 0; there is no {}.",
                list_path.string(),
                tasks.size(),
                index);
  Variant variant;
  SweepOptions options;
  bool threads_open = false;
  try {
    variant = variant_from(tasks[index].at("variant"));
    list.at("overrides").get_to(options.overrides);
    list.at("threads_open").get_to(threads_open);
    options.seeds = {tasks[index].at("seed").get<std::int64_t>()};
  } catch (const Json::exception& error) {
    fail(ErrorCode::kData,
         "[study::train_listed] '{}' is damaged: {}. Give the command with --submit slurm again.",
         list_path.string(),
         error.what());
  }
  options.program = program;
  options.out = fs::absolute(list_path).parent_path().parent_path();
  options.recipe = options.out / "recipe.yaml";
  if (threads_open) {
    const char* cores = std::getenv("SLURM_CPUS_ON_NODE");
    const int given = cores == nullptr ? 1 : std::atoi(cores);
    options.overrides.push_back(fmt::format("threads={}", std::max(1, given)));
  }
  return train_all({variant}, options, hooks);
}

}  // namespace detente::study
