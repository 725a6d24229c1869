// SPDX-License-Identifier: Apache-2.0
// The bodies of /v1/chat/completions and /v1/embeddings: what is asked, what came back, and what it means when
// something else came back.
#pragma once

#include <detente/annotate/prompt.h>
#include <detente/annotate/sse.h>
#include <detente/annotate/transport.h>
#include <detente/core/json.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::annotate {

struct ChatRequest {
  std::string model;
  std::vector<Message> messages;
  double temperature = 0;
  std::int64_t max_tokens = 256;
  std::optional<std::int64_t> seed;
  std::vector<std::string> stop;
  bool logprobs = false;

  // As transcripts and hashes have it: without how it is carried (`stream`).
  Json to_json() const;
};

struct ChatAnswer {
  std::string text;
  std::string finish;  // stop, length, content_filter, ... as the server says, "" where it does not
  std::int64_t prompt_tokens = 0;
  std::int64_t answer_tokens = 0;
  bool tokens_estimated = false;             // the server did not say: a token per four bytes
  std::optional<double> logprob;             // sum over the answer's tokens
  std::vector<std::vector<double>> vectors;  // of /v1/embeddings

  Json to_json() const;
  // Throws kData.
  static ChatAnswer from_json(const Json& json);
};

enum class FailureKind {
  kPassing,  // may go well another time: 429, 5xx, a cut connection, an answer that is no answer
  kRefused,  // this request never will: the context is full, the content is refused
  kFatal,    // no request will: no such model, a wrong key, not an API at all
  kStopped,  // by the caller: Ctrl-C, the budget
};
const char* name_of(FailureKind kind);

struct Failure {
  FailureKind kind = FailureKind::kPassing;
  std::string message;  // what is wrong and what to do, one sentence or two, no brackets in front
  int status = 0;
  std::optional<double> retry_after = std::nullopt;  // seconds the server asked for
};

struct Reply {
  std::optional<ChatAnswer> answer;
  Failure failure;  // of one without answer
};

// "stream": true and that usage is wanted at the end.
std::string chat_body(const ChatRequest& request, bool stream);

// Tokens of a text where nobody counts them: a quarter of its bytes, rounded up.
std::int64_t estimated_tokens(std::string_view text);
std::int64_t estimated_tokens(const ChatRequest& request);

// Puts a streamed answer together. An answer is whole when [DONE] or a finish reason came.
class StreamReader {
 public:
  // False when nothing more is to come: [DONE], or an error in mid-stream.
  bool feed(std::string_view bytes);
  // After the end of the bytes.
  Reply finish(const HttpReply& reply, const ChatRequest& request);

 private:
  bool take(const std::string& event);

  SseReader events_;
  ChatAnswer answer_;
  bool done_ = false;
  bool any_ = false;
  bool usage_ = false;
  std::optional<Failure> failure_;
};

// What a reply to /v1/chat/completions means, streamed (`stream` has read it) or not.
Reply read_chat(const HttpReply& reply, const ChatRequest& request, StreamReader& stream);
// The same for /v1/embeddings: `count` vectors of one length, in the order asked, each finite.
Reply read_embeddings(const HttpReply& reply, std::size_t count);

}  // namespace detente::annotate
