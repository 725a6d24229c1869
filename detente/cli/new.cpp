// SPDX-License-Identifier: Apache-2.0
// detente new --from FILE --out RECIPE
#include <detente/cli/command.h>
#include <detente/cli/recipe_text.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/propose.h>
#include <detente/data/source_files.h>
#include <detente/text/printable.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;

struct NewFlags {
  std::string from;
  std::string out;
  std::string format = "auto";
  std::vector<std::string> targets;
  bool force = false;
};

data::TableFormat new_format(const std::string& word) {
  if (word == "tsv") return data::TableFormat::kTsv;
  if (word == "csv") return data::TableFormat::kCsv;
  return data::TableFormat::kAuto;
}

// The data file seen from the recipe's folder. The file's own name stays, though it may be a link:
// its ending says the format.
std::string path_from(const fs::path& folder, const std::string& file) {
  const fs::path name = fs::path(file).filename();
  const fs::path there = data::absolute_path(fs::absolute(file).parent_path().string(), "/");
  const fs::path here = data::absolute_path(folder.string(), "/");
  // Checks that a recipe, which is text, can name it.
  data::absolute_path((there / name).string(), "/");
  return (there.lexically_relative(here) / name).lexically_normal().string();
}

void demand_free(const NewFlags& flags) {
  std::error_code error;
  DETENTE_CHECK(!fs::equivalent(flags.out, flags.from, error),
                ErrorCode::kInvalidArgument,
                "[cli::new] --out '{}' is the data itself, which would be gone. Name another file.",
                flags.out);
  const bool taken = fs::is_regular_file(flags.out, error) || fs::is_symlink(flags.out, error);
  DETENTE_CHECK(
      flags.force || !taken,
      ErrorCode::kInvalidArgument,
      "[cli::new] '{}' is there already; it stays as it is. Name another file, or replace "
      "it with --force.",
      flags.out);
}

std::string recipe_name(const std::string& file) {
  fs::path name = fs::path(file).filename();
  if (name.extension() == ".gz") name = name.stem();
  return text::printable(name.stem().string());
}

// "a,b" is two names, unless a column is called that.
std::vector<std::string> target_names(const std::vector<std::string>& given,
                                      const data::Table& table) {
  std::vector<std::string> names;
  for (const std::string& words : given) {
    for (std::size_t begin = 0; begin <= words.size();) {
      const bool whole = begin == 0 && table.has_column(words);
      const std::size_t end = whole ? words.size() : std::min(words.find(',', begin), words.size());
      names.emplace_back(data::trim(std::string_view(words).substr(begin, end - begin)));
      begin = end + 1;
    }
  }
  return names;
}

void run_new(const NewFlags& flags, Context& context) {
  const bool standard = flags.out == "-";
  if (!standard) demand_free(flags);
  const data::Table table = data::Table::read(flags.from, new_format(flags.format));
  const data::RecipeProposal proposal =
      data::propose_recipe(table, target_names(flags.targets, table));
  const fs::path folder = standard ? fs::current_path() : fs::absolute(flags.out).parent_path();
  const std::string yaml =
      recipe_text(proposal, recipe_name(flags.from), path_from(folder, flags.from), flags.format);
  if (standard) {
    context.out << (shown_on_terminal(context) ? text::printable_lines(yaml) : yaml);
    return;
  }
  write_file_atomic(flags.out, yaml);
  const std::string out = text::printable(flags.out);
  context.out << "Wrote " << out << ": " << proposal.tasks.size()
              << (proposal.tasks.size() == 1 ? " task, " : " tasks, ") << proposal.inputs
              << (proposal.inputs == 1 ? " input, " : " inputs, ") << proposal.ignored.size()
              << " columns left out. Look it through, then:\n\n  detente data check " << out
              << "\n  detente train " << out << "\n";
}

}  // namespace

void add_new(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("new", "Propose a recipe for a table");
  auto flags = std::make_shared<NewFlags>();
  command
      ->add_option("--from", flags->from, "The table: CSV or TSV with a header line, gzip or not")
      ->required();
  command
      ->add_option("--targets",
                   flags->targets,
                   "Columns to predict, separated by commas (or the flag several times); default: "
                   "those whose names begin with target, label, class, outcome or y, else the last")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  command->add_option("--out", flags->out, "Recipe to write; - for standard output")->required();
  command->add_option("--format", flags->format, "auto (by the ending), tsv or csv")
      ->check(CLI::IsMember({"auto", "tsv", "csv"}))
      ->capture_default_str();
  command->add_flag("--force", flags->force, "Replace a file that is there");
  command->callback([flags, &context] { run_new(*flags, context); });
}

}  // namespace detente::cli
