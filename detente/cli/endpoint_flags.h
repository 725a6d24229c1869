// SPDX-License-Identifier: Apache-2.0
// Flags of commands that ask a language model, and what is made of them: a client, its transcript, its budget, the
// documents it may be shown.
#pragma once

#include <detente/annotate/budget.h>
#include <detente/annotate/client.h>
#include <detente/annotate/documents.h>
#include <detente/annotate/encoder.h>
#include <detente/annotate/http_client.h>
#include <detente/annotate/retriever.h>
#include <detente/annotate/retry.h>
#include <detente/annotate/transcript.h>
#include <detente/cli/command.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::cli {

struct EndpointFlags {
  std::string endpoint;
  std::string model;
  std::string embedding_model;
  std::string encoder;  // a run
  std::string docs;
  std::string index;
  std::string replay;
  annotate::Timeouts timeouts;
  annotate::RetryOptions retry;
  double calls_per_minute = 0;
  bool no_stream = false;
  std::int64_t budget_tokens = annotate::Budget::kNoLimit;
  double budget_cost = -1;
  std::vector<double> price;
};

void add_endpoint_flags(CLI::App& command, EndpointFlags& flags);

// A client and all it stands on. `command` names the caller in messages.
class EndpointSession {
 public:
  // With `transcript` "" nothing is kept in a file. Throws what parse_endpoint, Transcript::open and make_http_client
  // throw, and kInvalidArgument where neither an endpoint nor a replay is named.
  EndpointSession(const EndpointFlags& flags,
                  const char* command,
                  const std::filesystem::path& transcript,
                  bool resume,
                  std::function<bool()> stop,
                  Context& context);

  annotate::Client& client() { return *client_; }
  annotate::Transcript& transcript() { return transcript_; }
  const annotate::Budget& budget() const { return budget_; }
  bool replays() const { return replay_.has_value(); }

  // By --encoder or --embedding-model, else the lexical one.
  annotate::Encoder& encoder();
  // --docs, read and indexed: by words, or by the vectors of --encoder or --embedding-model. Warnings go to people.
  const annotate::Retriever& retriever();
  const annotate::Documents& documents() const { return documents_; }

 private:
  const EndpointFlags& flags_;
  const char* command_;
  Context& context_;
  annotate::Transcript transcript_;
  std::optional<annotate::Transcript> replay_;
  annotate::Budget budget_;
  std::unique_ptr<annotate::Transport> transport_;
  std::unique_ptr<annotate::Client> client_;
  std::unique_ptr<annotate::Encoder> encoder_;
  annotate::Documents documents_;
  std::unique_ptr<annotate::Retriever> retriever_;
};

// "1,234 prompt and 56 answer tokens", and the cost where prices are known.
std::string spent_text(const annotate::Budget& budget);

}  // namespace detente::cli
