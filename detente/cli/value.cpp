// SPDX-License-Identifier: Apache-2.0
// detente value RUN|RECIPE
#include <detente/appraise/appraise.h>
#include <detente/appraise/removal_curves.h>
#include <detente/cli/command.h>
#include <detente/cli/output_file.h>
#include <detente/cli/progress_line.h>
#include <detente/cli/recipe_flags.h>
#include <detente/cli/value_clean.h>
#include <detente/cli/value_examples.h>
#include <detente/cli/value_text.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/json_text.h>
#include <detente/data/repeated_rows.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>
#include <detente/train/corpus.h>
#include <detente/train/trainer.h>
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
  std::vector<double> curve;  // shares
  std::size_t curve_seeds = 5;
  bool suspects = false;
  bool force = false;
  bool accept_changed = false;
  bool json = false;
};

// What `value` writes into its folder.
constexpr const char* kValues = "values.csv";
constexpr const char* kPage = "value.html";
constexpr const char* kSuspects = "suspects.csv";
constexpr const char* kCurve = "curve.csv";

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

// Of methods that share out a known total.
std::optional<valuation::ValueAudit> audit_of(const Json& audit) {
  if (!audit.contains("max_relative_error")) return std::nullopt;
  valuation::ValueAudit found;
  const auto number = [](const Json& value) {
    return value.is_number() ? value.get<double>() : std::nan("");
  };
  found.max_relative_error = number(audit["max_relative_error"]);
  found.steps = audit["steps"].get<std::int64_t>();
  found.values = found.remainder = found.total = 0;
  for (const auto& [task, lines] : audit["tasks"].items()) {
    for (const auto& [line, value] : lines.items()) {
      double& sum = line == "values"  ? found.values
                    : line == "total" ? found.total
                                      : found.remainder;
      sum += number(value);
    }
  }
  return found;
}

void print_lowest(const std::vector<std::int64_t>& ids,
                  const std::vector<double>& values,
                  const std::string& whom,
                  const data::Source& rows,
                  Context& context) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) order.push_back(i);
  }
  const std::size_t shown = std::min<std::size_t>(3, order.size());
  std::partial_sort(order.begin(),
                    order.begin() + static_cast<std::ptrdiff_t>(shown),
                    order.end(),
                    [&](std::size_t a, std::size_t b) {
                      return std::pair(values[a], a) < std::pair(values[b], b);
                    });
  for (std::size_t i = 0; i < shown; ++i) {
    const auto id = ids[order[i]];
    const data::RowPlace place = rows.place(static_cast<std::size_t>(id));
    context.out << fmt::format("lowest for {}: example {} ({} {} of {}), {:.3g}\n",
                               text::printable(whom),
                               id,
                               place.line > 0 ? "line" : "row",
                               place.line > 0 ? place.line : place.row,
                               text::printable(fs::path(place.file).filename().string()),
                               values[order[i]]);
  }
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
    print_lowest(table.ids, series->values, judged, rows, context);
    for (const std::string& part : valuation::few_modalities(table)) {
      const auto through = valuation::joined_series(table, judged, valuation::kAll, part);
      if (!through) continue;
      print_lowest(table.ids, through->values, judged + " through " + part, rows, context);
    }
  }
  for (const std::string& note : appraisal.notes) context.out << text::printable(note) << "\n";
}

// Those that another method has would say nothing here.
void check_flags_of_method(const ValueFlags& flags) {
  const appraise::Options& options = flags.options;
  const appraise::Options usual;
  const auto demand = [&](bool given, const char* flag, const char* method) {
    DETENTE_CHECK(!given || flags.method == method,
                  ErrorCode::kInvalidArgument,
                  "[cli::value] {} is for --method {}; got --method {}.",
                  flag,
                  method,
                  flags.method);
  };
  demand(options.self, "--self", "tracin");
  demand(options.cosine, "--cosine", "tracin");
  demand(options.solver != usual.solver, "--solver", "influence");
  demand(options.damping.has_value(), "--damping", "influence");
  demand(options.iterations != usual.iterations, "--iterations", "influence");
}

void run_value(const ValueFlags& flags, Context& context) {
  const appraise::Method& method = appraise::method_of(flags.method);
  appraise::check_options(flags.options);
  check_flags_of_method(flags);
  DETENTE_CHECK(
      !flags.source.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::value] expected the folder of a run or a recipe: detente value RUN --method {}",
      flags.method);
  DETENTE_CHECK(fs::exists(flags.source),
                ErrorCode::kIo,
                "[cli::value] '{}' is neither a run's folder nor a recipe: it does not exist.",
                flags.source);
  if (!flags.curve.empty()) valuation::check_shares(flags.curve);
  const fs::path folder = flags.out;
  check_value_folder(folder, {kValues, kPage, kSuspects, kCurve}, flags.force);
  make_directories(folder);
  const fs::path root = run_of(flags, context);
  if (root.empty()) return;
  const bool own = !fs::is_directory(flags.source);
  const train::LoadedRun run = train::load_run(
      root, own ? std::vector<std::string>{} : flags.overrides, flags.accept_changed);
  const train::Corpus corpus = corpus_of(run);
  const data::RepeatedRows repeated = data::repeated_rows(*corpus.train, *corpus.dev);
  const std::vector<std::string> warnings = repeated_warnings(repeated, corpus.dev->size());
  for (const std::string& warning : warnings) tell(context, "warning", warning);
  const InterruptGuard interrupt;
  appraise::Options options = flags.options;
  options.progress = progress_line(interrupt, context);
  const appraise::Appraisal appraisal = method.appraise({run, corpus}, options);
  const valuation::ValueTable& table = appraisal.table;
  demand_rows(*corpus.train, table.ids);
  const std::vector<data::TargetColumn> targets = train::target_columns(run.recipe);
  valuation::ValuePageInput page{.run = run.recipe.name, .notes = appraisal.notes};
  page.notes.insert(page.notes.begin(), warnings.begin(), warnings.end());
  page.audit = audit_of(appraisal.audit);
  const ValueExamples examples(*corpus.train, targets);
  page.show = [&](std::int64_t id) { return examples(id); };
  page.labels = given_labels(*corpus.train, targets);
  page.sources = value_sources(*corpus.train);
  std::vector<std::string> files = {(folder / kValues).string(), (folder / kPage).string()};
  write_file_atomic(files[0], valuation::to_csv(table));
  if (flags.suspects) {
    page.suspects = valuation::suspects(table, page.labels, 50);
    files.push_back((folder / kSuspects).string());
    write_file_atomic(files.back(), valuation::suspects_csv(page.suspects));
  }
  appraise::RemovalCurves removal;
  if (!flags.curve.empty() && !interrupt.interrupted()) {
    removal = appraise::removal_curves({run, corpus},
                                       options,
                                       table,
                                       {.shares = flags.curve,
                                        .seeds = flags.curve_seeds,
                                        .seed = options.seed,
                                        .progress = options.progress});
    page.removal = removal.curves;
    page.notes.insert(page.notes.end(), removal.notes.begin(), removal.notes.end());
    files.push_back((folder / kCurve).string());
    write_file_atomic(files.back(), valuation::removal_csv(removal.curves));
  }
  write_file_atomic(files[1], valuation::value_page(table, page));
  if (interrupt.interrupted()) {
    tell(context, "warning", "interrupted: the values are those measured so far.");
    context.exit_code = 130;
  }
  if (flags.json) {
    Json result{{"method", flags.method}, {"rows", table.ids.size()}, {"files", files}};
    result["audit"] = appraisal.audit;
    result["repeated"] = repeated_json(repeated);
    if (!appraisal.validation.is_null()) result["validation"] = appraisal.validation;
    if (!flags.curve.empty()) result["curves"] = curves_json(removal.curves);
    context.out << json_text(result) << "\n";
    return;
  }
  print_values(table, appraisal, *corpus.train, context);
  if (page.audit) {
    context.out << fmt::format("Audit: the values add up to {} within {:.1e}.\n",
                               page.audit->steps > 0 ? "each step's effect" : "what is shared out",
                               page.audit->max_relative_error);
  }
  print_curves(removal.curves, context.out);
  for (const std::string& note : removal.notes) context.out << text::printable(note) << "\n";
  context.out << "Page: " << text::printable(files[1]) << "\n";
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
  command->add_flag("--cosine",
                    options.cosine,
                    "tracin: with gradients of length 1 (Grad-Cos), so that size plays no part");
  command
      ->add_option("--solver",
                   options.solver,
                   "influence: how the curvature is divided by. cg: exact to a residual that is "
                   "told; ekfac: by layers, two passes whatever the size, approximate; direct: up "
                   "to 4000 parameters; lissa: by small steps")
      ->capture_default_str();
  command->add_option("--damping",
                      options.damping,
                      "influence: is added to the curvature, as a penalty of this half times the "
                      "squared parameters would; default: a tenth of the typical curvature");
  command->add_option("--iterations", options.iterations, "influence, cg and lissa: steps at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
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
  command
      ->add_option("--curve",
                   flags->curve,
                   "Also measure what is lost without these shares of the examples, such as "
                   "0.1,0.2,0.4: curve.csv")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--curve-seeds", flags->curve_seeds, "--curve: orders at random")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--force", flags->force, "Write over earlier values in the folder");
  add_accept_changed_flag(*command, flags->accept_changed);
  command->add_flag(
      "--json",
      flags->json,
      "Print {\"method\", \"rows\", \"files\", \"repeated\", \"audit\": of in_run and modality "
      "{\"max_relative_error\"}, of influence {\"solver\", \"damping\", \"tasks\": {task: "
      "{\"residual\", \"steps\", \"reached\"}}}, and where they are there \"validation\", "
      "\"curves\"}");
  add_value_clean(*command, context);
  command->callback([flags, command, method, out, &context] {
    if (!command->get_subcommands().empty()) return;
    for (const CLI::Option* option : {method, out}) {
      if (option->count() == 0) throw CLI::RequiredError(option->get_name());
    }
    run_value(*flags, context);
  });
}

}  // namespace detente::cli
