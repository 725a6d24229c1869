// SPDX-License-Identifier: Apache-2.0
// detente toy: methods side by side on a two-dimensional problem.
#include <detente/balance/negative_losses.h>
#include <detente/balance/registry.h>
#include <detente/cli/command.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/toy/figure.h>
#include <detente/toy/run.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

struct ToyFlags {
  std::string problem = "cagrad";
  std::vector<std::string> methods = {"ew", "mgda", "pcgrad", "cagrad"};
  std::vector<std::string> settings;
  std::vector<std::string> starts;
  std::int64_t steps = 0;  // 0: the problem's own
  double lr = 0;           // 0: the problem's own
  std::uint64_t seed = 0;
  std::string out = "runs/toy";
  bool json = false;
};

// Below this the point is Pareto-stationary as far as steps of the default size can tell.
constexpr double kStationary = 1e-3;

Describe fields_of(balance::Method& method) {
  return [&method](FieldVisitor& visitor) { method.describe(visitor); };
}

using Settings = std::vector<std::pair<std::string, std::string>>;

Settings parse_settings(const std::vector<std::string>& texts) {
  Settings settings;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    DETENTE_CHECK(equals != std::string::npos && equals > 0,
                  ErrorCode::kInvalidArgument,
                  "[cli::toy] --set expects KEY=VALUE, got '{}'.",
                  text);
    settings.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return settings;
}

// The names, "all" standing for the whole registry.
std::vector<std::string> chosen_methods(const std::vector<std::string>& names) {
  std::vector<std::string> methods;
  for (const std::string& name : names) {
    if (name != "all") {
      methods.push_back(name);
    } else {
      for (const auto& info : balance::registry()) methods.push_back(info.name);
    }
  }
  return methods;
}

// A method as new, with those of the settings that are options of it.
std::unique_ptr<balance::Method> make_method(const toy::ToyProblem& problem,
                                             const std::string& name,
                                             const Settings& settings) {
  auto method = toy::make_toy_method(problem, name);
  for (const auto& [key, value] : settings) {
    for (const FieldInfo& field : list_fields(fields_of(*method))) {
      if (field.name != key) continue;
      set_field(fields_of(*method), key, value, fmt::format("[cli::toy] method {}:", name));
    }
  }
  return method;
}

// Every setting must be an option of at least one of the methods.
void check_settings(const toy::ToyProblem& problem,
                    const std::vector<std::string>& methods,
                    const Settings& settings) {
  std::vector<std::string> known;
  for (const auto& name : methods) {
    const auto method = make_method(problem, name, settings);
    for (const FieldInfo& field : list_fields(fields_of(*method))) {
      if (std::find(known.begin(), known.end(), field.name) == known.end()) {
        known.push_back(field.name);
      }
    }
  }
  for (const auto& [key, value] : settings) {
    DETENTE_CHECK(std::find(known.begin(), known.end(), key) != known.end(),
                  ErrorCode::kInvalidArgument,
                  "[cli::toy] none of the chosen methods has an option '{}'; expected one of: "
                  "{}.{}",
                  key,
                  known.empty() ? "(they have none)" : join_names(known),
                  did_you_mean(key, known));
  }
}

toy::Vec2 parse_start(const std::string& text) {
  const std::size_t comma = text.find(',');
  DETENTE_CHECK(comma != std::string::npos,
                ErrorCode::kInvalidArgument,
                "[cli::toy] --start expects two numbers X,Y, got '{}'.",
                text);
  return {parse_number(text.substr(0, comma), "[cli::toy]", "--start"),
          parse_number(text.substr(comma + 1), "[cli::toy]", "--start")};
}

std::string point_text(toy::Vec2 x, int decimals) {
  return fmt::format("({:.{}f}, {:.{}f})", x.x1, decimals, x.x2, decimals);
}

std::string start_text(toy::Vec2 x) {
  return fmt::format("({}, {})", number_text(x.x1), number_text(x.x2));
}

// One line that is rewritten; only for eyes, so only on a terminal.
class Progress {
 public:
  Progress(std::ostream& err, std::size_t runs)
      : err_(err), runs_(runs), shown_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (last_ >= 0) err_ << "\r\033[K" << std::flush;
  }

  void update(const std::string& what, std::size_t run, double share) {
    if (!shown_) return;
    const int percent =
        static_cast<int>(100 * (static_cast<double>(run) + share) / static_cast<double>(runs_));
    if (percent == last_) return;
    last_ = percent;
    err_ << fmt::format("\r\033[K{:3d} %  {}", percent, what) << std::flush;
  }

 private:
  std::ostream& err_;
  std::size_t runs_;
  bool shown_;
  int last_ = -1;
};

Json toy_json(const ToyFlags& flags,
              const std::vector<toy::MethodRuns>& all,
              const std::vector<std::string>& files) {
  Json runs = Json::array();
  for (const auto& method : all) {
    for (const auto& run : method.runs) {
      runs.push_back({{"method", run.method},
                      {"start", {run.start.x1, run.start.x2}},
                      {"final", {run.final.x1, run.final.x2}},
                      {"losses", run.losses},
                      {"mean_loss", run.mean_loss},
                      {"min_norm", run.min_norm},
                      {"shift", run.shift},
                      {"steps", run.steps}});
    }
  }
  return {{"problem", flags.problem}, {"runs", std::move(runs)}, {"figures", files}};
}

// What was done to let methods run that do not fit the problem as it is; "" if nothing.
std::string toy_notes(const std::vector<toy::MethodRuns>& all) {
  std::vector<std::string> shifted;
  std::vector<std::string> at_features;
  std::vector<std::string> crossed;
  std::array<double, 2> shift{};
  for (const auto& method : all) {
    const std::string& name = method.runs.front().method;
    const auto fresh = balance::make_method(name);
    if (fresh->at_features()) at_features.push_back(name);
    if (fresh->method_class() == balance::MethodClass::kCross) crossed.push_back(name);
    if (method.runs.front().shift[0] == 0) continue;
    shifted.push_back(name);
    shift = method.runs.front().shift;
  }
  std::string text;
  if (!shifted.empty()) {
    text += fmt::format(
        "These refuse negative losses and were shown loss 1 + {:.4g} and loss 2 + {:.4g}, which "
        "are "
        "at least 1: {}.\n",
        shift[0],
        shift[1],
        join_names(shifted));
  }
  if (!at_features.empty()) {
    text += fmt::format("Without a shared representation these act on the parameters: {}.\n",
                        join_names(at_features));
  }
  if (!crossed.empty()) {
    text += fmt::format("Without batches, the Gram matrix stands for two of them in: {}.\n",
                        join_names(crossed));
  }
  return text;
}

std::string toy_text(const std::vector<toy::MethodRuns>& all) {
  using report::Align;
  report::Table table({{"method"},
                       {"start", Align::kRight},
                       {"end", Align::kRight},
                       {"loss 1", Align::kRight},
                       {"loss 2", Align::kRight},
                       {"mean", Align::kRight},
                       {"min-norm", Align::kRight},
                       {"Pareto"}});
  for (const auto& method : all) {
    if (table.rows() > 0) table.add_rule();
    for (const auto& run : method.runs) {
      table.add_row({method.title,
                     start_text(run.start),
                     point_text(run.final, 3),
                     fmt::format("{:.4f}", run.losses[0]),
                     fmt::format("{:.4f}", run.losses[1]),
                     fmt::format("{:.4f}", run.mean_loss),
                     fmt::format("{:.1e}", run.min_norm),
                     run.min_norm < kStationary ? "yes" : "no"});
    }
  }
  return table.text();
}

void run_toy(const ToyFlags& flags, Context& context) {
  const toy::ToyProblem& problem = toy::find_problem(flags.problem);
  const Settings settings = parse_settings(flags.settings);
  const std::vector<std::string> methods = chosen_methods(flags.methods);
  check_settings(problem, methods, settings);
  std::vector<toy::Vec2> starts;
  for (const auto& text : flags.starts) starts.push_back(parse_start(text));
  if (starts.empty()) starts = problem.starts;
  const std::filesystem::path folder = flags.out;
  make_directories(folder);  // before the work, so that a bad --out costs nothing

  toy::RunOptions options;
  options.steps = flags.steps > 0 ? flags.steps : problem.steps;
  options.lr = flags.lr > 0 ? flags.lr : problem.lr;
  options.seed = flags.seed;
  std::vector<toy::MethodRuns> all;
  {
    Progress progress(context.err, methods.size() * starts.size());
    std::size_t done = 0;
    for (const auto& name : methods) {
      std::string title = name;
      const Json fields = fields_to_json(fields_of(*make_method(problem, name, settings)));
      if (fields.contains("c")) title += " (c = " + number_text(fields["c"].get<double>()) + ")";
      all.push_back({title, {}});
      options.shift_losses =
          balance::refuses_negative_losses(*make_method(problem, name, settings));
      for (const toy::Vec2 start : starts) {
        options.progress = [&](double share) {
          progress.update(title + " from " + start_text(start), done, share);
        };
        // Methods with a state start afresh.
        const auto method = make_method(problem, name, settings);
        all.back().runs.push_back(toy::run(problem, *method, start, options));
        ++done;
      }
    }
  }

  const report::Canvas figure = toy::draw_figure(problem, all);
  const std::vector<std::string> files = {(folder / "toy.svg").string(),
                                          (folder / "toy.png").string()};
  report::write_svg(figure, files[0]);
  report::write_png(figure, files[1]);
  if (flags.json) {
    context.out << json_text(toy_json(flags, all, files)) << "\n";
  } else {
    context.out << problem.title << ", " << options.steps << " steps of Adam, lr "
                << number_text(options.lr) << "\n\n"
                << toy_text(all) << "\nPareto: yes where the gradients' convex hull comes within "
                << number_text(kStationary) << " of zero.\n"
                << toy_notes(all) << "Figure: " << text::printable(files[0]) << ", "
                << text::printable(files[1]) << "\n";
  }
}

}  // namespace

void add_toy(CLI::App& app, Context& context) {
  auto flags = std::make_shared<ToyFlags>();
  CLI::App* command = app.add_subcommand(
      "toy", "Compare methods on a two-dimensional problem and draw their paths");
  command->add_option("--problem", flags->problem, "cagrad or pcgrad")->capture_default_str();
  command
      ->add_option("--method", flags->methods, "The methods, or all; 'detente methods' lists them")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option(
          "--set", flags->settings, "An option of the methods that have it (may be repeated)")
      ->type_name("KEY=VALUE");
  command
      ->add_option(
          "--start", flags->starts, "Where to start (may be repeated; default: the paper's starts)")
      ->type_name("X,Y");
  command
      ->add_option("--steps",
                   flags->steps,
                   "Steps of each run (default: 100000 for cagrad, 500000 for pcgrad)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  command->add_option("--lr", flags->lr, "Adam's learning rate (default: 0.001)")
      ->check(CLI::PositiveNumber);
  command->add_option("--seed", flags->seed, "For methods with random numbers")
      ->capture_default_str();
  command->add_option("--out", flags->out, "Folder for toy.svg and toy.png")
      ->type_name("DIR")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "JSON instead of a table");
  command->callback([flags, &context] { run_toy(*flags, context); });
}

}  // namespace detente::cli
