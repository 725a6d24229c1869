// SPDX-License-Identifier: Apache-2.0
// --data and --format: the rows that eval and predict are given.
#pragma once

#include <detente/data/source_files.h>
#include <detente/train/recipe.h>

#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace detente::cli {

struct DataFlags {
  std::string data;    // "-": standard input
  std::string format;  // tsv, csv, jsonl; empty: data.format of the recipe
  std::string source;  // of a recipe with data.sources: whose tasks the file has targets of

  data::SourceFiles files(const train::Recipe& recipe) const;
  // The same for reading targets, too: of a recipe with several sources those of one, the one named or
  // the only one whose columns the file has. Throws kInvalidArgument where that is not clear.
  data::SourceFiles files_with_targets(const train::Recipe& recipe) const;
  // For people and messages.
  std::string shown() const;
};

// The option --source.
void add_source_flag(CLI::App& command, DataFlags& flags);

// The option --data, to be made more of.
CLI::Option* add_data_flags(CLI::App& command, DataFlags& flags, const std::string& doc);

}  // namespace detente::cli
