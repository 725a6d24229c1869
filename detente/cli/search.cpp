// SPDX-License-Identifier: Apache-2.0
// detente search "query" --docs FOLDER, detente search --docs FOLDER --judged FILE
#include <detente/annotate/retrieval_quality.h>
#include <detente/annotate/retriever.h>
#include <detente/cli/command.h>
#include <detente/cli/output_file.h>
#include <detente/cli/progress_line.h>
#include <detente/cli/run_encoder.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/interrupt.h>
#include <detente/core/json_text.h>
#include <detente/data/table.h>
#include <detente/text/printable.h>
#include <detente/text/unicode.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct SearchFlags {
  std::string query;
  std::string judged;
  std::string docs;
  std::string encoder;
  std::string index;
  std::size_t passages = 5;
  bool json = false;
};

constexpr std::size_t kShownBytes = 240;

// The beginning of a passage, as one line.
std::string beginning(const std::string& passage) {
  std::string line(text::whole_letters(passage, kShownBytes));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  return text::printable(trim(line, " ")) + (passage.size() > kShownBytes ? " ..." : "");
}

void show_passages(const SearchFlags& flags,
                   const annotate::Documents& documents,
                   const annotate::Retriever& retriever,
                   Context& context) {
  annotate::CallKey key{-1, "@query", 0};
  const auto hits = retriever.search(flags.query, flags.passages, key);
  if (flags.json) {
    Json list = Json::array();
    for (const annotate::Hit& hit : hits) {
      const annotate::Passage& passage = documents.passages[hit.passage];
      list.push_back({{"file", passage.file},
                      {"line", passage.line},
                      {"score", json_number(hit.score)},
                      {"text", passage.text}});
    }
    context.out << json_text(Json{{"query", flags.query}, {"passages", std::move(list)}}) << "\n";
    return;
  }
  if (hits.empty()) {
    context.out << fmt::format("Nothing in {} passages has anything of the query.\n",
                               documents.passages.size());
  }
  for (const annotate::Hit& hit : hits) {
    const annotate::Passage& passage = documents.passages[hit.passage];
    context.out << fmt::format("{}, line {} ({:.3f})\n  {}\n",
                               text::printable(passage.file),
                               passage.line,
                               hit.score,
                               beginning(passage.text));
  }
}

void show_quality(const annotate::RetrievalQuality& quality,
                  std::size_t asked,
                  const std::string& how,
                  bool json,
                  Context& context) {
  const auto json_of = [](const annotate::QueryMean& mean) {
    return Json{{"mean", json_number(mean.mean)}, {"half_width", json_number(mean.half_width)}};
  };
  if (json) {
    Json all{{"search", how}, {"queries", quality.queries}, {"ndcg@10", json_of(quality.ndcg10)}};
    for (const auto& [k, mean] : quality.recall) all[fmt::format("recall@{}", k)] = json_of(mean);
    context.out << json_text(all) << "\n";
    return;
  }
  const auto line = [&](const std::string& name, const annotate::QueryMean& mean) {
    context.out << fmt::format("  {:<10} {:.3f} +- {:.3f}\n", name, mean.mean, mean.half_width);
  };
  context.out << fmt::format("{} queries{}, searched {} (mean and its 95 % interval)\n",
                             quality.queries,
                             quality.queries < asked ? fmt::format(" of {}", asked) : "",
                             how);
  for (const auto& [k, mean] : quality.recall) line(fmt::format("recall@{}", k), mean);
  line("nDCG@10", quality.ndcg10);
}

void run_search(const SearchFlags& flags, Context& context) {
  DETENTE_CHECK(
      flags.query.empty() != flags.judged.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::search] expected either a query in quotes, or --judged FILE with queries and the "
      "files that answer them.");
  DETENTE_CHECK(
      !flags.judged.empty() || (!trim(flags.query, " \t\r\n").empty() &&
                                text::find_invalid_utf8(flags.query) == std::string::npos),
      ErrorCode::kInvalidArgument,
      "[cli::search] expected a query, as text in UTF-8.");
  DETENTE_CHECK(
      flags.index.empty() || !flags.encoder.empty(),
      ErrorCode::kInvalidArgument,
      "[cli::search] --index keeps vectors, so it needs --encoder; a search by words is indexed "
      "in memory.");
  if (!flags.index.empty()) demand_harmless("search", flags.index, {flags.judged});
  const annotate::Documents documents = annotate::read_documents(flags.docs);
  for (const std::string& warning : documents.warnings) tell(context, "warning", warning);
  std::unique_ptr<annotate::Encoder> encoder;
  if (!flags.encoder.empty()) encoder = run_encoder(flags.encoder);
  const auto retriever =
      encoder ? annotate::vector_retriever(documents, *encoder, flags.index, progress_line(context))
              : annotate::word_retriever(documents);
  if (flags.judged.empty()) {
    show_passages(flags, documents, *retriever, context);
    return;
  }
  const auto judged = annotate::judged_queries(data::Table::read(flags.judged), documents);
  const InterruptGuard interrupt;
  const auto progress = progress_line(interrupt, context);
  const auto quality =
      annotate::retrieval_quality(judged, documents, *retriever, [&](std::size_t done) {
        return progress(done, judged.size());
      });
  show_quality(quality,
               judged.size(),
               encoder ? "by " + encoder->name() : "by words (BM25)",
               flags.json,
               context);
  if (quality.queries < judged.size()) context.exit_code = 130;
}

}  // namespace

void add_search(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "search", "Find passages in your own documents; judge how well that works");
  auto flags = std::make_shared<SearchFlags>();
  command->add_option("QUERY", flags->query, "In quotes");
  command->add_option("--docs", flags->docs, "Folder with .txt and .md files to search in")
      ->required();
  add_encoder_flag(*command, flags->encoder);
  command->add_option(
      "--index", flags->index, "With --encoder: file that keeps the vectors of --docs");
  command->add_option("--passages", flags->passages, "Passages to show")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option(
      "--judged",
      flags->judged,
      "Table with the columns query and file (which answers it): prints recall at 1, 5 "
      "and 10, and nDCG at 10");
  command->add_flag("--json", flags->json, "Print passages or measures as JSON");
  command->footer(
      "Examples:\n"
      "  detente search --docs handbook \"days of leave\"\n"
      "  detente search --docs handbook --judged questions.csv\n"
      "  detente search --docs handbook --judged questions.csv --encoder runs/klue_sts\n"
      "By words (BM25), or by the vectors of a run of your own. What finds more with --judged is "
      "what\n"
      "`detente ask` and `detente annotate --pattern rag` should search by.");
  command->callback([flags, &context] { run_search(*flags, context); });
}

}  // namespace detente::cli
