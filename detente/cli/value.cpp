// SPDX-License-Identifier: Apache-2.0
// detente value RUN|RECIPE, detente value clean RUN
#include <detente/appraise/appraise.h>
#include <detente/cli/command.h>
#include <detente/cli/output_file.h>
#include <detente/cli/progress_line.h>
#include <detente/cli/recipe_flags.h>
#include <detente/cli/value_examples.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/data/dropped_rows.h>
#include <detente/report/html_page.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/train/corpus.h>
#include <detente/train/trainer.h>
#include <detente/valuation/clean.h>
#include <detente/valuation/suspects.h>
#include <detente/valuation/value_page.h>
#include <detente/valuation/value_summary.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

struct ValueFlags {
  std::string source;
  std::string method;
  std::string out;
  std::vector<std::string> overrides;
  appraise::Options options;
  bool suspects = false;
  bool force = false;
  bool accept_changed = false;
  bool json = false;
};

struct CleanFlags {
  std::string run;
  std::string values;
  std::string judged;
  double quantile = -1;
  double below = std::nan("");
  bool harmful = false;
  std::vector<std::string> spare;
  bool random = false;
  std::uint64_t seed = 0;
  std::string out;
  std::vector<std::string> overrides;
  bool force = false;
  bool accept_changed = false;
  bool json = false;
};

// What `value` writes into its folder.
constexpr const char* kValues = "values.csv";
constexpr const char* kPage = "value.html";
constexpr const char* kSuspects = "suspects.csv";

// Earlier values are not written over unasked; anything else in the folder stays as it is.
void check_folder(const fs::path& folder, const std::vector<const char*>& names, bool force) {
  DETENTE_CHECK(!train::RunDirectory{folder}.is_run(),
                ErrorCode::kInvalidArgument,
                "[cli::value] --out '{}' is a run's folder; choose another.",
                folder.string());
  for (const char* name : names) {
    std::error_code ignored;
    const fs::file_status status = fs::symlink_status(folder / name, ignored);
    if (!fs::exists(status)) continue;
    DETENTE_CHECK(force && fs::is_regular_file(status),
                  ErrorCode::kInvalidArgument,
                  "[cli::value] '{}' is there already{}.",
                  (folder / name).string(),
                  force ? " and is no plain file; move it away" : "; --force writes over it");
  }
}

// A recipe is trained first, in the folder.
fs::path run_of(const ValueFlags& flags, Context& context) {
  if (fs::is_directory(flags.source)) return flags.source;
  std::vector<std::string> overrides = flags.overrides;
  if (flags.method == "in_run") overrides.push_back("valuation.method=in_run");
  if (flags.method == "tracin") overrides.push_back("train.keep=all");
  const train::Recipe recipe = train::load_recipe(flags.source, overrides);
  train::TrainOptions options;
  options.out = fs::path(flags.out) / "run";
  options.existing = flags.force ? train::ExistingRun::kForce : train::ExistingRun::kRefuse;
  options.progress =
      is_on_terminal(context) ? train::Progress::Style::kBar : train::Progress::Style::kLines;
  const train::TrainOutcome outcome = train::train(recipe, options, context.err);
  if (outcome.interrupted) {
    context.exit_code = 130;
    context.err << fmt::format(
        "Interrupted; everything is saved. Go on with: detente train {} --out {} --resume, then "
        "value that run.\n",
        text::printable(text::shell_word(outcome.run.recipe().string())),
        text::printable(text::shell_word(outcome.run.root.string())));
    return {};
  }
  return outcome.run.root;
}

train::Corpus corpus_of(const train::LoadedRun& run) {
  const data::SourceFiles& files = run.recipe.data.files;
  return {train::load_rows(run.recipe, files, data::Part::kTrain, *run.source, true),
          train::load_rows(run.recipe, files, data::Part::kDev, *run.source, true)};
}

std::optional<valuation::ValueAudit> audit_of(const Json& audit) {
  if (audit.is_null()) return std::nullopt;
  valuation::ValueAudit found;
  const auto number = [](const Json& value) {
    return value.is_number() ? value.get<double>() : std::nan("");
  };
  found.max_relative_error = number(audit["max_relative_error"]);
  found.steps = audit["steps"].get<std::int64_t>();
  found.values = found.remainder = found.total = 0;
  for (const auto& [task, lines] : audit["tasks"].items()) {
    found.values += number(lines["values"]);
    found.total += number(lines["total"]);
    for (const char* other : {"momentum", "weight_decay", "not_followed"}) {
      found.remainder += number(lines[other]);
    }
  }
  return found;
}

void print_values(const valuation::ValueTable& table,
                  const appraise::Appraisal& appraisal,
                  const data::Source& rows,
                  Context& context) {
  report::Table summary({{"judged"},
                         {"trained"},
                         {"examples", report::Align::kRight},
                         {"mean", report::Align::kRight},
                         {"helpful", report::Align::kRight},
                         {"harmful", report::Align::kRight},
                         {"undecided", report::Align::kRight}});
  for (const std::string& judged : valuation::tasks_judged(table)) {
    for (const std::string& trained : valuation::tasks_trained(table)) {
      const auto series = valuation::joined_series(table, judged, trained);
      if (!series) continue;
      const valuation::ValueSummary all = valuation::summarize(*series);
      summary.add_row({text::printable(judged),
                       text::printable(trained),
                       std::to_string(all.known),
                       fmt::format("{:.3g}", all.mean),
                       all.has_errors ? std::to_string(all.helpful) : "–",
                       all.has_errors ? std::to_string(all.harmful) : "–",
                       all.has_errors ? std::to_string(all.undecided) : "–"});
    }
  }
  context.out << summary.text() << "\n";
  for (const std::string& judged : valuation::tasks_judged(table)) {
    const auto series = valuation::joined_series(table, judged);
    if (!series) continue;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < series->values.size(); ++i) {
      if (std::isfinite(series->values[i])) order.push_back(i);
    }
    const std::size_t shown = std::min<std::size_t>(3, order.size());
    std::partial_sort(order.begin(),
                      order.begin() + static_cast<std::ptrdiff_t>(shown),
                      order.end(),
                      [&](std::size_t a, std::size_t b) {
                        return std::pair(series->values[a], a) < std::pair(series->values[b], b);
                      });
    for (std::size_t i = 0; i < shown; ++i) {
      const auto id = table.ids[order[i]];
      const data::RowPlace place = rows.place(static_cast<std::size_t>(id));
      context.out << fmt::format("lowest for {}: example {} ({} {} of {}), {:.3g}\n",
                                 text::printable(judged),
                                 id,
                                 place.line > 0 ? "line" : "row",
                                 place.line > 0 ? place.line : place.row,
                                 text::printable(fs::path(place.file).filename().string()),
                                 series->values[order[i]]);
    }
  }
  for (const std::string& note : appraisal.notes) context.out << text::printable(note) << "\n";
}

void run_value(const ValueFlags& flags, Context& context) {
  const appraise::Method& method = appraise::method_of(flags.method);
  DETENTE_CHECK(
      !flags.source.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::value] expected the folder of a run or a recipe: detente value RUN --method {}",
      flags.method);
  DETENTE_CHECK(fs::exists(flags.source),
                ErrorCode::kIo,
                "[cli::value] '{}' is neither a run's folder nor a recipe: it does not exist.",
                flags.source);
  const fs::path folder = flags.out;
  check_folder(folder, {kValues, kPage, kSuspects}, flags.force);
  make_directories(folder);
  const fs::path root = run_of(flags, context);
  if (root.empty()) return;
  const bool own = !fs::is_directory(flags.source);
  const train::LoadedRun run = train::load_run(
      root, own ? std::vector<std::string>{} : flags.overrides, flags.accept_changed);
  const train::Corpus corpus = corpus_of(run);
  const InterruptGuard interrupt;
  appraise::Options options = flags.options;
  options.progress = progress_line(interrupt, context);
  const appraise::Appraisal appraisal = method.appraise({run, corpus}, options);
  const valuation::ValueTable& table = appraisal.table;
  demand_rows(*corpus.train, table.ids);
  const std::vector<data::TargetColumn> targets = train::target_columns(run.recipe);
  valuation::ValuePageInput page{.run = run.recipe.name, .notes = appraisal.notes};
  page.audit = audit_of(appraisal.audit);
  const ValueExamples examples(*corpus.train, targets);
  page.show = [&](std::int64_t id) { return examples(id); };
  page.labels = given_labels(*corpus.train, targets);
  page.sources = value_sources(*corpus.train);
  std::vector<std::string> files = {(folder / kValues).string(), (folder / kPage).string()};
  if (flags.suspects) {
    page.suspects = valuation::suspects(table, page.labels, 50);
    files.push_back((folder / kSuspects).string());
    write_file_atomic(files.back(), valuation::suspects_csv(page.suspects));
  }
  write_file_atomic(files[0], valuation::to_csv(table));
  write_file_atomic(files[1], valuation::value_page(table, page));
  if (interrupt.interrupted()) {
    tell(context, "warning", "interrupted: the values are those measured so far.");
    context.exit_code = 130;
  }
  if (flags.json) {
    Json result{{"method", flags.method}, {"rows", table.ids.size()}, {"files", files}};
    result["audit"] = appraisal.audit;
    context.out << json_text(result) << "\n";
    return;
  }
  print_values(table, appraisal, *corpus.train, context);
  if (!appraisal.audit.is_null()) {
    context.out << fmt::format("Audit: the values add up to each step's effect within {:.1e}.\n",
                               page.audit->max_relative_error);
  }
  context.out << "Page: " << text::printable(files[1]) << "\n";
}

void run_clean(const CleanFlags& flags, Context& context) {
  const train::LoadedRun run = train::load_run(flags.run, flags.overrides, flags.accept_changed);
  const fs::path values = flags.values.empty() ? run.run.values() : fs::path(flags.values);
  DETENTE_CHECK(
      fs::exists(values),
      ErrorCode::kIo,
      "[cli::value] there are no values in '{}'. Expected what `detente value {} --method M "
      "--out DIR` wrote: --values DIR/values.csv.",
      values.string(),
      flags.run);
  const valuation::ValueTable table = valuation::read_values(values.string());
  const std::vector<std::string> judged = valuation::tasks_judged(table);
  DETENTE_CHECK(
      !flags.judged.empty() || judged.size() == 1,
      ErrorCode::kInvalidArgument,
      "[cli::value] the values are judged by several tasks; say with --drop-harmful which one "
      "the rows harm: {}.",
      join_names(judged));
  valuation::CleanRule rule{.judged = flags.judged.empty() ? judged[0] : flags.judged,
                            .spare = flags.spare,
                            .harmful = flags.harmful};
  if (flags.quantile >= 0) rule.quantile = flags.quantile;
  if (!std::isnan(flags.below)) rule.below = flags.below;
  const valuation::Cleaning cleaning = valuation::choose_removed(table, rule);
  const auto train =
      train::load_rows(run.recipe, run.recipe.data.files, data::Part::kTrain, *run.source, true);
  demand_rows(*train, table.ids);
  std::vector<std::int64_t> ids = cleaning.ids;
  if (flags.random) ids = valuation::random_removed(table, ids.size(), flags.seed);
  const fs::path folder = flags.out;
  check_folder(folder, {"recipe.yaml"}, flags.force);
  train::Recipe recipe = run.recipe;
  const auto dropped = data::dropped_rows(recipe.data.files, *train, ids);
  const auto lists = data::write_dropped_rows(dropped, folder, flags.force, recipe.data.files);
  recipe.output.clear();
  const fs::path recipe_path = folder / "recipe.yaml";
  write_file_atomic(recipe_path, recipe.to_yaml());
  std::vector<std::string> files = {recipe_path.string()};
  for (const auto& list : lists) files.push_back(list.string());
  if (train->is_text()) {
    for (const data::DroppedRows& one : dropped) {
      const fs::path copy = folder / data::copy_name(one.file);
      data::copy_without_rows(one.file, copy, one.rows, recipe.data.files.format, flags.force);
      files.push_back(copy.string());
    }
  }
  if (flags.json) {
    context.out << json_text(Json{{"rows", ids.size()}, {"of", table.ids.size()}, {"files", files}})
                << "\n";
    return;
  }
  context.out << fmt::format("{} of {} training rows are left out{}.\n",
                             ids.size(),
                             table.ids.size(),
                             flags.random ? ", drawn at random for comparison" : "");
  if (flags.harmful && !cleaning.has_errors) {
    context.out << "No standard errors are known, so none is judged harmful.\n";
  }
  for (const auto& file : files) context.out << "wrote " << text::printable(file) << "\n";
  context.out << "Train without them: detente train "
              << text::printable(text::shell_word(recipe_path.string())) << " --out RUN\n";
}

void add_clean(CLI::App& value, Context& context) {
  CLI::App* command =
      value.add_subcommand("clean", "Write a recipe that trains without the rows that harm");
  auto flags = std::make_shared<CleanFlags>();
  command->add_option("RUN", flags->run, "Folder of the run that the values are of")->required();
  command->add_option("--values", flags->values, "values.csv; default: the run's own");
  command->add_option("--drop-harmful",
                      flags->judged,
                      "The task that the rows left out harm; default: the only one");
  command->add_option("--below", flags->quantile, "So large a share at most: the lowest values")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--below-value", flags->below, "Only values below this number");
  command->add_flag(
      "--certain", flags->harmful, "Only rows whose verdict is harmful (2 standard errors)");
  command->add_option("--spare", flags->spare, "Keep rows that are worth something to these tasks");
  command->add_flag("--random", flags->random, "As many rows, drawn at random: for comparison");
  command->add_option("--seed", flags->seed, "Of --random")->capture_default_str();
  command->add_option("--out", flags->out, "Folder for recipe.yaml and drop.txt")->required();
  add_set_flag(*command, flags->overrides);
  command->add_flag("--force", flags->force, "Write over earlier files of these names");
  add_accept_changed_flag(*command, flags->accept_changed);
  command->add_flag("--json", flags->json, "Print {\"rows\": n, \"of\": n, \"files\": [...]}");
  command->callback([flags, &context] { run_clean(*flags, context); });
}

std::string method_list() {
  std::string words;
  for (const auto& method : appraise::methods()) {
    words += fmt::format("\n  {:<12} {}", method.name, method.summary);
  }
  return words;
}

}  // namespace

void add_value(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "value", "What each training example is worth to each task (docs/value.md)");
  command->footer("Methods:" + method_list());
  auto flags = std::make_shared<ValueFlags>();
  auto& options = flags->options;
  command->require_subcommand(0, 1);
  command->add_option(
      "SOURCE", flags->source, "Folder of a run, or a recipe that is trained first");
  CLI::Option* method = command->add_option("--method", flags->method, "How; see below");
  CLI::Option* out =
      command->add_option("--out", flags->out, "Folder for values.csv and value.html");
  add_set_flag(*command, flags->overrides);
  command->add_option("--rows", options.rows, "Validation rows that judge, at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--seed", options.seed, "Of everything drawn")->capture_default_str();
  command->add_flag("--self",
                    options.self,
                    "tracin: minus the example's influence on itself, which finds odd labels");
  command->add_option("--k", options.neighbours, "knn_shapley: neighbours")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_flag("--soft", options.soft, "knn_shapley: divide by the neighbours there are");
  command
      ->add_option("--tolerance",
                   options.tolerance,
                   "knn_shapley: numbers this near are equal; 0: half a standard deviation")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--models", options.models, "oob: models")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--permutations", options.permutations, "tmc, beta: orders at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--samples", options.samples, "banzhaf: sets")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--alpha", options.alpha, "beta: weight of small sets")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--beta", options.beta, "beta: weight of large sets")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag(
      "--suspects", flags->suspects, "Also write labels most likely wrong: suspects.csv");
  command->add_flag("--force", flags->force, "Write over earlier values in the folder");
  add_accept_changed_flag(*command, flags->accept_changed);
  command->add_flag("--json",
                    flags->json,
                    "Print {\"method\", \"rows\", \"files\", \"audit\": {\"max_relative_error\"}}");
  add_clean(*command, context);
  command->callback([flags, command, method, out, &context] {
    if (!command->get_subcommands().empty()) return;
    for (const CLI::Option* option : {method, out}) {
      if (option->count() == 0) throw CLI::RequiredError(option->get_name());
    }
    run_value(*flags, context);
  });
}

}  // namespace detente::cli
