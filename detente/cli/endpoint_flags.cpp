// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/endpoint_flags.h>
#include <detente/cli/progress_line.h>
#include <detente/cli/run_encoder.h>
#include <detente/core/error.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <limits>
#include <random>
#include <utility>

namespace detente::cli {
namespace {

constexpr const char* kKeyVariable = "DETENTE_API_KEY";

double most_cost(const EndpointFlags& flags) {
  DETENTE_CHECK(
      flags.budget_cost < 0 || flags.price.size() == 2,
      ErrorCode::kInvalidArgument,
      "[cli::endpoint] --budget-cost needs to know what tokens cost: --price PROMPT,ANSWER, per "
      "million tokens.");
  return flags.budget_cost < 0 ? std::numeric_limits<double>::infinity() : flags.budget_cost;
}

annotate::Price price_of(const EndpointFlags& flags) {
  return flags.price.size() == 2 ? annotate::Price{flags.price[0], flags.price[1]}
                                 : annotate::Price{};
}

}  // namespace

void add_endpoint_flags(CLI::App& command, EndpointFlags& flags) {
  command.add_option(
      "--endpoint",
      flags.endpoint,
      "Base address of an OpenAI-compatible API, e.g. http://127.0.0.1:8080 (llama.cpp, "
      "vLLM, ...). A key is read from DETENTE_API_KEY alone");
  command.add_option("--model", flags.model, "Name of the model, as the endpoint calls it")
      ->required();
  CLI::Option* embedding =
      command.add_option("--embedding-model",
                         flags.embedding_model,
                         "Compare texts by this model's /v1/embeddings instead of by their words");
  add_encoder_flag(command, flags.encoder)->excludes(embedding);
  command.add_option("--docs", flags.docs, "Folder with .txt and .md files to search in");
  command.add_option("--index",
                     flags.index,
                     "With --encoder or --embedding-model: file that keeps the vectors of --docs");
  command.add_option(
      "--replay", flags.replay, "Take all answers from this transcript; no network is used");
  command
      .add_option(
          "--budget-tokens",
          flags.budget_tokens,
          "Begin no call that might take more tokens than this in all (earlier calls of the "
          "transcript included)")
      ->check(CLI::PositiveNumber)
      ->default_str("no limit");
  command.add_option("--budget-cost", flags.budget_cost, "The same in money; needs --price")
      ->check(CLI::PositiveNumber)
      ->default_str("no limit");
  command.add_option("--price", flags.price, "PROMPT,ANSWER: what a million tokens of either cost")
      ->delimiter(',')
      ->expected(2)
      ->check(CLI::NonNegativeNumber);
  command
      .add_option("--tries", flags.retry.tries, "Times a call is tried in all (408, 429, 5xx, cut)")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command
      .add_option("--first-wait",
                  flags.retry.first_wait,
                  "Longest wait before the second try in seconds; doubles up to 60; the wait "
                  "itself is random. "
                  "Retry-After is heeded")
      ->check(CLI::Range(0.0, 60.0))
      ->capture_default_str();
  command.add_option("--calls-per-minute", flags.calls_per_minute, "Begin no more; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  const auto seconds = CLI::Range(0.05, 86400.0);
  command.add_option("--connect-timeout", flags.timeouts.connect, "Seconds")
      ->check(seconds)
      ->capture_default_str();
  command.add_option("--idle-timeout", flags.timeouts.idle, "Seconds without a byte")
      ->check(seconds)
      ->capture_default_str();
  command.add_option("--total-timeout", flags.timeouts.total, "Seconds for a whole answer")
      ->check(seconds)
      ->capture_default_str();
  command.add_flag(
      "--no-stream", flags.no_stream, "Ask for answers in one piece instead of a stream");
}

EndpointSession::EndpointSession(const EndpointFlags& flags,
                                 const char* command,
                                 const std::filesystem::path& transcript,
                                 bool resume,
                                 std::function<bool()> stop,
                                 Context& context)
    : flags_(flags),
      command_(command),
      context_(context),
      budget_(flags.budget_tokens, most_cost(flags), price_of(flags)) {
  annotate::ClientOptions options;
  DETENTE_CHECK(!flags.endpoint.empty() || !flags.replay.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::{}] expected --endpoint URL, whom to ask, or --replay TRANSCRIPT, earlier "
                "answers.",
                command);
  if (!flags.endpoint.empty()) options.endpoint = annotate::parse_endpoint(flags.endpoint);
  if (!flags.replay.empty()) {
    replay_.emplace();
    replay_->read(flags.replay);
  } else {
    const char* key = std::getenv(kKeyVariable);
    if (key != nullptr) options.key = key;
    if (!options.key.empty() && !options.endpoint.tls && !options.endpoint.is_loopback()) {
      tell(context,
           "warning",
           fmt::format("the key goes to {} without encryption; use https:// if it has it.",
                       options.endpoint.host));
    }
    transport_ = annotate::make_http_client(options.endpoint, options.key, flags.timeouts);
  }
  if (!transcript.empty()) transcript_.open(transcript, resume);
  if (resume) {
    const auto [prompt, answer] = transcript_.tokens();
    budget_.add({prompt, answer});
  }
  options.retry = flags.retry;
  options.calls_per_minute = flags.calls_per_minute;
  options.stream = !flags.no_stream;
  options.jitter_seed = std::random_device()();
  options.stop = std::move(stop);
  client_ = std::make_unique<annotate::Client>(
      std::move(options), transport_.get(), transcript_, replay_ ? &*replay_ : nullptr, budget_);
}

annotate::Encoder& EndpointSession::encoder() {
  if (encoder_ == nullptr) {
    if (!flags_.encoder.empty()) {
      encoder_ = run_encoder(flags_.encoder);
    } else if (flags_.embedding_model.empty()) {
      encoder_ = std::make_unique<annotate::LexicalEncoder>();
    } else {
      encoder_ = std::make_unique<annotate::EndpointEncoder>(*client_, flags_.embedding_model);
    }
  }
  return *encoder_;
}

const annotate::Retriever& EndpointSession::retriever() {
  if (retriever_ != nullptr) return *retriever_;
  DETENTE_CHECK(!flags_.docs.empty(),
                ErrorCode::kInvalidArgument,
                "[cli::{}] expected --docs FOLDER, the texts to search in.",
                command_);
  const bool by_vectors = !flags_.encoder.empty() || !flags_.embedding_model.empty();
  DETENTE_CHECK(
      flags_.index.empty() || by_vectors,
      ErrorCode::kInvalidArgument,
      "[cli::{}] --index keeps vectors, so it needs --encoder or --embedding-model; a search by "
      "words is indexed in memory.",
      command_);
  documents_ = annotate::read_documents(flags_.docs);
  for (const std::string& warning : documents_.warnings) tell(context_, "warning", warning);
  retriever_ = by_vectors ? annotate::vector_retriever(
                                documents_, encoder(), flags_.index, progress_line(context_))
                          : annotate::word_retriever(documents_);
  return *retriever_;
}

std::string spent_text(const annotate::Budget& budget) {
  const annotate::Spent spent = budget.spent();
  std::string text =
      fmt::format("{} prompt and {} answer tokens", spent.prompt_tokens, spent.answer_tokens);
  if (budget.price().prompt > 0 || budget.price().answer > 0) {
    text += fmt::format(", cost {:.4g}", budget.cost());
  }
  return text;
}

}  // namespace detente::cli
