// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/data_links.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/graph_links.h>
#include <detente/text/printable.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct LinksFlags {
  std::string graph;
  std::string out;
  data::LinkShares shares;
};

void run_links(const LinksFlags& flags, Context& context) {
  namespace fs = std::filesystem;
  const fs::path folder = flags.out;
  const fs::path graph = folder / "graph.txt";
  const fs::path pairs = folder / "pairs.csv";
  DETENTE_CHECK(
      flags.out != "-",
      ErrorCode::kInvalidArgument,
      "[cli::data] --out is a folder for two files; expected its name, not - for standard output.");
  const data::GraphFile file = data::read_graph_file(flags.graph);
  const data::LinkFiles files = data::hold_out_links(file, flags.shares);
  for (const fs::path& path : {graph, pairs}) {
    DETENTE_CHECK(
        !fs::exists(fs::symlink_status(path)),
        ErrorCode::kInvalidArgument,
        "[cli::data] '{}' is there already; expected --out FOLDER without it. Nothing was written.",
        path.string());
  }
  make_directories(folder);
  write_file_atomic(graph, files.graph);
  write_file_atomic(pairs, files.pairs);
  context.out << text::printable(graph.string()) << ": " << file.nodes() << " nodes, "
              << files.train << " edges\n"
              << text::printable(pairs.string()) << ": " << 2 * files.train
              << " pairs for training, " << 2 * files.dev << " for validation, " << 2 * files.test
              << " for test; one half of each are edges\n\nA recipe's data:\n\n"
              << "  data:\n    kind: graph\n    graph: graph.txt\n    train: pairs.csv\n"
              << "    split: {column: part}\n  tasks:\n    - {name: link, head: binary}\n";
}

}  // namespace

void add_data_links(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand(
      "links",
      "Make a set for link prediction of a graph: some edges are kept back to be predicted");
  auto flags = std::make_shared<LinksFlags>();
  command->add_option("GRAPH", flags->graph, "A graph, the form nodes or edges of docs/data.md")
      ->required();
  command->add_option("--out", flags->out, "Folder for graph.txt and pairs.csv")->required();
  command->add_option("--dev", flags->shares.dev, "Share of the edges for validation")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--test", flags->shares.test, "The same for test")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", flags->shares.seed, "Decides what is kept back and drawn")
      ->capture_default_str();
  command->footer(
      "graph.txt holds the training edges alone, so that a network never sees what it is asked "
      "for.\n"
      "pairs.csv has as many pairs without an edge as edges: node, other, link, same_label, part.");
  command->callback([flags, &context] { run_links(*flags, context); });
}

}  // namespace detente::cli
