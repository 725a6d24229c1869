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
  std::string format;  // tsv, csv; empty: data.format of the recipe

  data::SourceFiles files(const train::Recipe& recipe) const;
  // For people and messages.
  std::string shown() const;
};

// The option --data, to be made more of.
CLI::Option* add_data_flags(CLI::App& command, DataFlags& flags, const std::string& doc);

}  // namespace detente::cli
