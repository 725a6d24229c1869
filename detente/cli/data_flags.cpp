// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/data_flags.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/data/table.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <vector>

namespace detente::cli {

namespace {

data::TableFormat named_format(const std::string& format, const train::Recipe& recipe) {
  return format == "csv"     ? data::TableFormat::kCsv
         : format == "tsv"   ? data::TableFormat::kTsv
         : format == "jsonl" ? data::TableFormat::kJsonLines
                             : recipe.data.files.format;
}

std::vector<std::string> source_names(const train::Recipe& recipe) {
  std::vector<std::string> names;
  for (const data::NamedFiles& source : recipe.data.files.sources) names.push_back(source.name);
  return names;
}

// The sources all of whose tasks have their columns in the table.
std::vector<std::string> fitting_sources(const train::Recipe& recipe, const data::Table& table) {
  std::vector<std::string> fitting;
  for (const data::NamedFiles& source : recipe.data.files.sources) {
    const bool fits =
        std::all_of(recipe.tasks.begin(), recipe.tasks.end(), [&](const train::TaskRecipe& task) {
          const auto columns = task.file_columns();
          return task.source != source.name ||
                 std::all_of(columns.begin(), columns.end(), [&](const std::string& name) {
                   return table.has_column(name);
                 });
        });
    if (fits) fitting.push_back(source.name);
  }
  return fitting;
}

}  // namespace

data::SourceFiles DataFlags::files(const train::Recipe& recipe) const {
  return data::one_file(data, named_format(format, recipe));
}

data::SourceFiles DataFlags::files_with_targets(const train::Recipe& recipe) const {
  std::vector<std::string> names = source_names(recipe);
  DETENTE_CHECK(source.empty() || !names.empty(),
                ErrorCode::kInvalidArgument,
                "[cli] --source '{}' is given, and the recipe has no data.sources.",
                source);
  if (names.empty()) return files(recipe);
  const data::TableFormat as = named_format(format, recipe);
  DETENTE_CHECK(source.empty() || std::find(names.begin(), names.end(), source) != names.end(),
                ErrorCode::kInvalidArgument,
                "[cli] --source '{}' is none of data.sources; {}",
                source,
                expected_one_of(source, names));
  if (!source.empty()) return data::one_file(data, as, source);
  if (names.size() > 1) {
    const bool piped = data == data::kStandardInput;
    names = piped ? names : fitting_sources(recipe, data::Table::read(data, as));
  }
  DETENTE_CHECK(names.size() == 1,
                ErrorCode::kInvalidArgument,
                "[cli] '{}' {}; expected --source NAME, whose tasks it has targets of: one of {}.",
                shown(),
                names.empty() ? "has the target columns of none of data.sources"
                              : "may be of several of data.sources",
                join_names(source_names(recipe)));
  return data::one_file(data, as, names.front());
}

void add_source_flag(CLI::App& command, DataFlags& flags) {
  command.add_option(
      "--source",
      flags.source,
      "With a recipe of several data.sources: whose tasks the file of --data has targets "
      "of; needed only where its columns do not tell");
}

std::string DataFlags::shown() const {
  return data == data::kStandardInput ? "standard input" : data;
}

CLI::Option* add_data_flags(CLI::App& command, DataFlags& flags, const std::string& doc) {
  CLI::Option* option =
      command.add_option("--data", flags.data, doc + "; - for standard input, with --format");
  command
      .add_option(
          "--format",
          flags.format,
          "How the file of --data is written, tsv, csv or jsonl; default: data.format of the "
          "recipe, else by its ending")
      ->check(CLI::IsMember({"tsv", "csv", "jsonl"}))
      ->needs(option);
  return option;
}

}  // namespace detente::cli
