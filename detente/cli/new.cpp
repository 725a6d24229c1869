// SPDX-License-Identifier: Apache-2.0
// detente new --from FILE|FOLDER --out RECIPE
#include <detente/cli/command.h>
#include <detente/cli/recipe_text.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/image_file.h>
#include <detente/data/propose.h>
#include <detente/data/propose_arrays.h>
#include <detente/data/propose_files.h>
#include <detente/data/sound.h>
#include <detente/data/source_files.h>
#include <detente/text/printable.h>
#include <detente/text/shell_word.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
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
  if (word == "jsonl") return data::TableFormat::kJsonLines;
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

// Without dots, and without a slash at its end.
std::string plain_folder(const std::string& folder) {
  fs::path plain = fs::absolute(folder).lexically_normal();
  if (!plain.has_filename()) plain = plain.parent_path();
  return plain.string();
}

// "a,b" is two names, unless a column is called that.
std::vector<std::string> target_names(const std::vector<std::string>& given,
                                      const std::vector<std::string>& columns) {
  std::vector<std::string> names;
  for (const std::string& words : given) {
    for (std::size_t begin = 0; begin <= words.size();) {
      const bool whole =
          begin == 0 && std::find(columns.begin(), columns.end(), words) != columns.end();
      const std::size_t end = whole ? words.size() : std::min(words.find(',', begin), words.size());
      names.emplace_back(trim(std::string_view(words).substr(begin, end - begin)));
      begin = end + 1;
    }
  }
  return names;
}

std::string count_of(std::size_t count, const std::string& word) {
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

void write_proposal(const NewFlags& flags,
                    const std::string& yaml,
                    std::size_t tasks,
                    const std::string& found,
                    Context& context) {
  if (flags.out == "-") {
    context.out << (shown_on_terminal(context) ? text::printable_lines(yaml) : yaml);
    return;
  }
  write_file_atomic(flags.out, yaml);
  const std::string out = text::printable(text::shell_word(flags.out));
  context.out << "Wrote " << text::printable(flags.out) << ": " << count_of(tasks, "task") << ", "
              << found << ". Look it through, then:\n\n"
              << "  detente data check " << out << "\n  detente train " << out << "\n";
  if (tasks > 1) {
    context.out << "  detente compare " << out
                << " --methods ew,uw,pcgrad,cagrad --out study   # which method\n";
  } else {
    context.out
        << "\nOne task has nothing to balance, so there are no methods to compare; --targets "
           "a,b learns several\ncolumns at once.\n";
  }
}

void run_new(const NewFlags& flags, Context& context) {
  const bool standard = flags.out == "-";
  if (!standard) demand_free(flags);
  const fs::path folder = standard ? fs::current_path() : fs::absolute(flags.out).parent_path();
  std::error_code ignored;
  const bool of_folder = fs::is_directory(flags.from, ignored);
  const std::string from = of_folder ? plain_folder(flags.from) : flags.from;
  const std::string name =
      of_folder ? text::printable(fs::path(from).filename().string()) : recipe_name(from);
  const std::string train = path_from(folder, from);
  const data::TableFormat format = new_format(flags.format);
  DETENTE_CHECK(
      of_folder || flags.format != "auto" ||
          (!data::has_image_name(from) && !data::has_sound_name(from)),
      ErrorCode::kData,
      "[cli::new] '{}' is a single {}; expected a folder with a folder of them per class, or a "
      "table that names them.",
      from,
      data::has_image_name(from) ? "image" : "recording");
  const auto write_files = [&](const data::FileProposal& proposal, const std::string& what) {
    write_proposal(flags,
                   recipe_text(proposal, name, train, flags.format),
                   proposal.tasks.size(),
                   count_of(proposal.rows, what),
                   context);
  };
  if (const auto arrays = data::propose_arrays(from, target_names(flags.targets, {}))) {
    write_files(*arrays, "example");
    return;
  }
  std::optional<data::Table> table;
  if (!of_folder) table = data::Table::read(flags.from, format);
  const std::vector<std::string> targets =
      target_names(flags.targets, table ? table->column_names() : std::vector<std::string>());
  if (const auto files = data::propose_files(from, format, targets)) {
    write_files(*files,
                files->kind == "images"  ? "image"
                : files->kind == "video" ? "clip"
                                         : "recording");
    return;
  }
  const data::RecipeProposal proposal = data::propose_recipe(*table, targets);
  write_proposal(flags,
                 recipe_text(proposal, name, train, flags.format),
                 proposal.tasks.size(),
                 count_of(proposal.inputs, "input") + ", " +
                     std::to_string(proposal.ignored.size()) + " columns left out",
                 context);
}

}  // namespace

void add_new(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "new", "Propose a recipe for a table, for images, recordings or clips, or for arrays");
  auto flags = std::make_shared<NewFlags>();
  command
      ->add_option("--from",
                   flags->from,
                   "A table (CSV or TSV with a header line, gzip or not), which may name images, "
                   "recordings or "
                   "clips (videos, folders of pictures), a folder with a folder of them per class, "
                   "or NumPy's "
                   "arrays (.npz, .npy, a folder of .npy)")
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
  command->add_option("--format", flags->format, "auto (by the ending), tsv, csv or jsonl")
      ->check(CLI::IsMember({"auto", "tsv", "csv", "jsonl"}))
      ->capture_default_str();
  command->add_flag("--force", flags->force, "Replace a file that is there");
  command->callback([flags, &context] { run_new(*flags, context); });
}

}  // namespace detente::cli
