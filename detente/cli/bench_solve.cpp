// SPDX-License-Identifier: Apache-2.0
// detente bench solve: the time of one solve for methods, numbers of tasks and kinds of problems.
#include <detente/balance/random_problems.h>
#include <detente/balance/registry.h>
#include <detente/cli/bench.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/core/npy.h>
#include <detente/machine/process.h>
#include <detente/report/table.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

using balance::ProblemFamily;
using balance::RandomProblem;

constexpr std::size_t kProblems = 32;
constexpr double kLongest = 60.0;  // seconds for all rows together, by default
constexpr double kSample = 20e-6;  // solves are timed in runs of at least this many seconds

struct BenchFlags {
  std::vector<std::string> methods;
  std::vector<std::size_t> tasks = {2, 3, 8, 20, 50, 100};
  double seconds = kLongest;
  std::uint64_t seed = 1;
  bool drift = false;
  bool json = false;
  std::string write;
};

struct BenchRow {
  std::string method;
  ProblemFamily family{};
  std::size_t tasks = 0;
  double median_us = 0;
  double certificate = std::nan("");  // the largest; NaN when the method has none
  std::size_t solves = 0;
};

// A method that meets the 32 problems one after the other and then again in the reverse order, so
// that no problem follows itself and a drifting series never jumps.
class BenchRun {
 public:
  BenchRun(const std::string& name, const std::vector<RandomProblem>& problems, std::uint64_t seed)
      : problems_(problems), method_(balance::make_method(name)), rng_(seed) {}

  void next() {
    balance::solve_any(*method_, problems_[at_], rng_, direction_, result_);
    if (at_ + 1 == problems_.size()) forward_ = false;
    if (at_ == 0) forward_ = true;
    at_ = forward_ ? at_ + 1 : at_ - 1;
  }
  double certificate() const { return result_.certificate; }

 private:
  const std::vector<RandomProblem>& problems_;
  std::unique_ptr<balance::Method> method_;
  Rng rng_;
  std::vector<double> direction_;
  balance::Result result_;
  std::size_t at_ = 0;
  bool forward_ = true;
};

// Runs for about `budget` seconds, but over all problems at least once if that takes no more than
// four times as long.
void measure(BenchRun& run, double budget, BenchRow& row) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  const auto begin = Clock::now();
  double total = 0;
  for (; row.solves < kProblems && (row.solves < 3 || total < 4 * budget); ++row.solves) {
    run.next();
    if (!std::isnan(run.certificate())) {
      row.certificate = std::isnan(row.certificate) ? run.certificate()
                                                    : std::max(row.certificate, run.certificate());
    }
    total = seconds(Clock::now() - begin);
  }
  const double mean = std::max(total / static_cast<double>(row.solves), 1e-9);
  const auto each = static_cast<std::size_t>(std::clamp(std::ceil(kSample / mean), 1.0, 1024.0));
  std::vector<double> samples;
  while (samples.size() < 3 || (total < budget && samples.size() < 4096)) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < each; ++i) run.next();
    const auto stop = Clock::now();
    samples.push_back(seconds(stop - start) / static_cast<double>(each));
    row.solves += each;
    total = seconds(stop - begin);
  }
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  row.median_us = 1e6 * *middle;
}

void write_problems(const std::string& folder,
                    ProblemFamily family,
                    const std::vector<RandomProblem>& problems) {
  make_directories(folder);
  const std::size_t k = problems.front().gram.rows();
  std::vector<double> grams;
  for (const RandomProblem& problem : problems) {
    grams.insert(grams.end(), problem.gram.data(), problem.gram.data() + k * k);
  }
  write_npy(std::filesystem::path(folder) / fmt::format("{}_{}.npy", name_of(family), k),
            {problems.size(), k, k},
            grams.data());
}

std::vector<BenchRow> measure_all(const BenchFlags& flags, Context& context) {
  const auto names = flags.methods.empty() ? balance::method_names() : flags.methods;
  for (const auto& name : names) balance::make_method(name);  // refuse a wrong name at once
  const double budget = flags.seconds / static_cast<double>(names.size() * flags.tasks.size() *
                                                            std::size(balance::kProblemFamilies));
  std::vector<BenchRow> rows;
  for (const ProblemFamily family : balance::kProblemFamilies) {
    for (const std::size_t k : flags.tasks) {
      const auto problems = balance::random_problems(family, k, kProblems, flags.seed, flags.drift);
      if (!flags.write.empty()) write_problems(flags.write, family, problems);
      for (const auto& name : names) {
        BenchRow row{.method = name, .family = family, .tasks = k};
        try {
          BenchRun run(name, problems, flags.seed);
          measure(run, budget, row);
        } catch (const Error& error) {
          if (!flags.methods.empty()) throw;
          tell(context, "warning", name + " is left out: " + error.what());
          continue;
        }
        rows.push_back(row);
      }
    }
  }
  // Method by method, as people look them up; measured problem by problem.
  const auto rank = [&](const BenchRow& row) {
    return std::find(names.begin(), names.end(), row.method) - names.begin();
  };
  std::stable_sort(
      rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return rows;
}

Json rows_json(const std::vector<BenchRow>& rows) {
  Json all = Json::array();
  for (const BenchRow& row : rows) {
    all.push_back({{"method", row.method},
                   {"family", name_of(row.family)},
                   {"tasks", row.tasks},
                   {"median_us", row.median_us},
                   {"certificate", json_number(row.certificate)},
                   {"solves", row.solves}});
  }
  return all;
}

std::string rows_text(const std::vector<BenchRow>& rows) {
  using report::Align;
  report::Table table({{"method"},
                       {"family"},
                       {"tasks", Align::kRight},
                       {"median us", Align::kRight},
                       {"certificate", Align::kRight}});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const BenchRow& row = rows[i];
    if (i > 0 && rows[i - 1].method != row.method) table.add_rule();
    table.add_row({row.method,
                   name_of(row.family),
                   std::to_string(row.tasks),
                   fmt::format("{:.{}f}", row.median_us, row.median_us < 100 ? 2 : 0),
                   std::isnan(row.certificate) ? "-" : fmt::format("{:.1e}", row.certificate)});
  }
  return table.text();
}

void bench_solve(const BenchFlags& flags, Context& context) {
  const auto cpu = machine::look_at_process().cpu;
  const auto rows = measure_all(flags, context);
  if (flags.json) {
    Json json = {{"machine",
                  {{"cpu", cpu.model},
                   {"cores", cpu.cores},
                   {"load_before", json_number(cpu.load)},
                   {"load_after", json_number(machine::look_at_process().cpu.load)}}},
                 {"problems", kProblems},
                 {"drift", flags.drift},
                 {"seed", flags.seed},
                 {"rows", rows_json(rows)}};
    json.update(bench_machine());
    context.out << json_text(json) << "\n";
    return;
  }
  context.out << rows_text(rows)
              << fmt::format(
                     "\nMedian time of one solve over {} {}. certificate: the largest of them.\n"
                     "{}, {} core(s), load average {:.2f} before and {:.2f} after; other programs "
                     "lengthen the times.\n",
                     kProblems,
                     flags.drift ? "problems, each the one before slightly changed"
                                 : "problems that share nothing, so no warm start helps",
                     bench_machine_text(),
                     cpu.cores,
                     cpu.load,
                     machine::look_at_process().cpu.load);
}

}  // namespace

void add_bench_solve(CLI::App& bench, Context& context) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = bench.add_subcommand(
      "solve", "The time of one solve on random problems, method by method; about a minute");
  command->add_option("--method", flags->methods, "Only these; 'detente methods' lists them")
      ->type_name("NAME");
  command->add_option("--tasks", flags->tasks, "Numbers of tasks")
      ->type_name("K")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_flag(
      "--drift", flags->drift, "Problems that change slowly, as in training, instead of new ones");
  command->add_option("--seconds", flags->seconds, "Time for all rows together, about")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "Of the problems")->capture_default_str();
  command->add_option("--write", flags->write, "Write the Gram matrices there, one .npy a family")
      ->type_name("DIR");
  command->add_flag("--json", flags->json, "JSON instead of text");
  command->callback([flags, &context] { bench_solve(*flags, context); });
}

}  // namespace detente::cli
