// SPDX-License-Identifier: Apache-2.0
// detente data get [NAME]
#include <detente/cli/data_get.h>
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <detente/core/json_text.h>
#include <detente/core/suggest.h>
#include <detente/data/table.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

struct DataGetFlags {
  std::string name;
  std::string from;
  std::string folder = "data";
  bool accept_terms = false;
  bool json = false;
};

struct DataSet {
  std::string name;
  std::string title;
  std::string licence;
  std::string how;  // shipped, fetched, own copy
};

std::vector<DataSet> data_sets(const std::filesystem::path& folder) {
  const auto list = folder / "sets.csv";
  DETENTE_CHECK(
      std::filesystem::exists(list) && std::filesystem::exists(folder / "get.sh"),
      ErrorCode::kIo,
      "[cli::data_get] '{}' has no data sets: sets.csv and get.sh are not there. Run this in "
      "a checkout of Detente, or name its data folder with --folder.",
      folder.string());
  const data::Table table = data::Table::read(list);
  const auto column = [&](const char* name) { return table.column_index(name); };
  std::vector<DataSet> sets;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    sets.push_back({std::string(table.cell(row, column("name"))),
                    std::string(table.cell(row, column("title"))),
                    std::string(table.cell(row, column("licence"))),
                    std::string(table.cell(row, column("how")))});
  }
  return sets;
}

void list_sets(const std::vector<DataSet>& sets, bool json, std::ostream& out) {
  if (json) {
    Json list = Json::array();
    for (const auto& set : sets) {
      list.push_back(
          {{"name", set.name}, {"title", set.title}, {"licence", set.licence}, {"how", set.how}});
    }
    out << json_text(list) << "\n";
    return;
  }
  out << fmt::format("{:<14} {:<10} {:<52} {}\n", "name", "how", "what", "licence");
  for (const auto& set : sets) {
    out << fmt::format("{:<14} {:<10} {:<52} {}\n", set.name, set.how, set.title, set.licence);
  }
  out << "\nshipped: part of the checkout; fetched: `detente data get NAME` brings it; own copy: "
         "no\n"
         "command can, data/NAME/README.md says where it comes from.\n";
}

void run_data_get(const DataGetFlags& flags, Context& context) {
  const std::filesystem::path folder(flags.folder);
  const auto sets = data_sets(folder);
  if (flags.name.empty()) {
    list_sets(sets, flags.json, context.out);
    return;
  }
  std::vector<std::string> names;
  const DataSet* chosen = nullptr;
  for (const auto& set : sets) {
    names.push_back(set.name);
    if (set.name == flags.name) chosen = &set;
  }
  DETENTE_CHECK(chosen != nullptr,
                ErrorCode::kInvalidArgument,
                "[cli::data_get] there is no data set '{}'; {}",
                flags.name,
                expected_one_of(flags.name, names));
  context.out << fmt::format("{}: {}. Licence: {}.\n", chosen->name, chosen->title, chosen->licence)
              << std::flush;
  std::vector<std::string> arguments{"sh", (folder / "get.sh").string(), chosen->name};
  if (flags.accept_terms) arguments.emplace_back("--accept-terms");
  if (!flags.from.empty()) arguments.push_back(std::filesystem::absolute(flags.from).string());
  context.exit_code = run_program(arguments);
}

}  // namespace

void add_data_get(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand(
      "get",
      "Bring a data set of the recipes to its folder and check it; without a name: list them");
  auto flags = std::make_shared<DataGetFlags>();
  command->add_option("NAME", flags->name, "The data set, as its folder below data/ is called");
  command
      ->add_option(
          "--from", flags->from, "Take your own copy (a file or folder) instead of fetching")
      ->excludes(command->add_flag("--accept-terms",
                                   flags->accept_terms,
                                   "You agree to the terms of a set that asks for it"));
  command->add_option("--folder", flags->folder, "The data folder of a checkout")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print the list as JSON");
  command->footer(
      "Checksums are those of the files our numbers were measured on. Exit code 3: no network,\n"
      "files that differ, or a set that no command can fetch; nothing half is left behind.");
  command->callback([flags, &context] { run_data_get(*flags, context); });
}

}  // namespace detente::cli
