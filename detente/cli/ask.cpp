// SPDX-License-Identifier: Apache-2.0
// detente ask "question" --docs FOLDER --endpoint URL --model M
#include <detente/annotate/question.h>
#include <detente/cli/command.h>
#include <detente/cli/endpoint_flags.h>
#include <detente/cli/output_file.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/interrupt.h>
#include <detente/core/json_text.h>
#include <detente/text/printable.h>
#include <detente/text/unicode.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

namespace detente::cli {
namespace {

struct AskFlags {
  std::string question;
  std::size_t passages = 5;
  std::int64_t max_tokens = 600;
  std::string transcript;
  bool force = false;
  bool json = false;
  EndpointFlags endpoint;
};

std::string place_of(const annotate::Passage& passage) {
  return fmt::format("{}, line {}", passage.file, passage.line);
}

Json json_of(const annotate::QuestionAnswer& answer, const annotate::Documents& documents) {
  Json sources = Json::array();
  for (std::size_t i = 0; i < answer.hits.size(); ++i) {
    const annotate::Passage& passage = documents.passages[answer.hits[i].passage];
    const auto& cited = answer.citations.cited;
    sources.push_back({{"number", i + 1},
                       {"file", passage.file},
                       {"line", passage.line},
                       {"score", json_number(answer.hits[i].score)},
                       {"cited", std::find(cited.begin(), cited.end(), i + 1) != cited.end()},
                       {"text", passage.text}});
  }
  return {{"answer", *answer.text},
          {"in_sources", !answer.not_found},
          {"supported", answer.is_supported()},
          {"foreign_citations", answer.citations.foreign},
          {"sources", sources}};
}

void run_ask(const AskFlags& flags, Context& context) {
  DETENTE_CHECK(!trim(flags.question, " \t\r\n").empty() &&
                    text::find_invalid_utf8(flags.question) == std::string::npos,
                ErrorCode::kInvalidArgument,
                "[cli::ask] expected a question, as text in UTF-8.");
  if (!flags.transcript.empty()) {
    demand_harmless("ask", flags.transcript, {flags.endpoint.replay, flags.endpoint.index});
    std::error_code ignored;
    DETENTE_CHECK(flags.force || !std::filesystem::exists(
                                     std::filesystem::symlink_status(flags.transcript, ignored)),
                  ErrorCode::kInvalidArgument,
                  "[cli::ask] --transcript '{}' is there already; --force writes over it.",
                  flags.transcript);
  }
  const InterruptGuard interrupt;
  EndpointSession session(
      flags.endpoint,
      "ask",
      flags.transcript,
      false,
      [&] { return interrupt.interrupted(); },
      context);
  annotate::QuestionAnswer answer;
  try {
    const annotate::Retriever& retriever = session.retriever();
    answer = annotate::answer_question(flags.question,
                                       session.documents(),
                                       retriever,
                                       session.client(),
                                       {flags.endpoint.model, flags.passages, flags.max_tokens});
  } catch (const annotate::CallFailed&) {  // of vectors
    if (!interrupt.interrupted()) throw;
  }
  session.transcript().finish();
  if (interrupt.interrupted()) {
    context.exit_code = 130;
    return;
  }
  DETENTE_CHECK(
      answer.text.has_value(), ErrorCode::kIo, "[cli::ask] no answer: {}.", answer.failure.message);
  if (flags.json) {
    context.out << json_text(json_of(answer, session.documents())) << "\n";
  } else {
    context.out << text::printable_lines(trim(*answer.text, " \t\r\n")) << "\n";
    if (!answer.citations.cited.empty()) context.out << "\n";
    for (const std::size_t number : answer.citations.cited) {
      const auto& passage = session.documents().passages[answer.hits[number - 1].passage];
      context.out << fmt::format("[{}] {}\n", number, text::printable(place_of(passage)));
    }
  }
  if (answer.not_found || answer.is_supported()) return;
  // An answer that nothing shows to rest on the documents is no success.
  tell(context,
       "warning",
       answer.citations.foreign.empty()
           ? "the answer cites no passage: nothing shows that it rests on the documents."
           : fmt::format("the answer cites {}, which was not among the {} passages shown.",
                         answer.citations.foreign[0],
                         answer.hits.size()));
  context.exit_code = 5;
}

}  // namespace

void add_ask(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("ask", "Answer a question from your own documents, with citations");
  auto flags = std::make_shared<AskFlags>();
  command->add_option("QUESTION", flags->question, "In quotes")->required();
  add_endpoint_flags(*command, flags->endpoint);
  command->add_option("--passages", flags->passages, "Passages shown to the model")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command->add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--transcript", flags->transcript, "Keep the calls in this file (.jsonl)");
  command->add_flag("--force", flags->force, "Write over an earlier transcript");
  command->add_flag("--json", flags->json, "Print answer and passages as JSON");
  command->footer(
      "Example:\n"
      "  detente ask --docs handbook --endpoint http://127.0.0.1:8080 --model any \\\n"
      "    \"How many days of leave are there?\"\n"
      "Passages are found by their words (BM25), or with --embedding-model by vectors. Exit code "
      "5:\n"
      "the answer cites nothing, or what was not shown. docs/annotate.md has the rest.");
  command->callback([flags, &context] { run_ask(*flags, context); });
}

}  // namespace detente::cli
