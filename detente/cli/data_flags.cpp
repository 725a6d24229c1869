// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/data_flags.h>

#include <CLI/CLI.hpp>

namespace detente::cli {

data::SourceFiles DataFlags::files(const train::Recipe& recipe) const {
  const data::TableFormat named = format == "csv"   ? data::TableFormat::kCsv
                                  : format == "tsv" ? data::TableFormat::kTsv
                                                    : recipe.data.files.format;
  return data::one_file(data, named);
}

std::string DataFlags::shown() const {
  return data == data::kStandardInput ? "standard input" : data;
}

CLI::Option* add_data_flags(CLI::App& command, DataFlags& flags, const std::string& doc) {
  CLI::Option* option =
      command.add_option("--data", flags.data, doc + "; - for standard input, with --format");
  command
      .add_option("--format",
                  flags.format,
                  "How the file of --data is written, tsv or csv; default: data.format of the "
                  "recipe, else by its ending")
      ->check(CLI::IsMember({"tsv", "csv"}))
      ->needs(option);
  return option;
}

}  // namespace detente::cli
