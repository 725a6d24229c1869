// SPDX-License-Identifier: Apache-2.0
// A call with all that belongs to it: what the transcript has already is not asked again; passing failures are tried
// again within limits; what came of it is recorded and paid from the budget.
#pragma once

#include <detente/annotate/budget.h>
#include <detente/annotate/chat.h>
#include <detente/annotate/endpoint.h>
#include <detente/annotate/pacer.h>
#include <detente/annotate/retry.h>
#include <detente/annotate/transcript.h>
#include <detente/annotate/transport.h>
#include <detente/core/rng.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <span>
#include <string>

namespace detente::annotate {

struct ClientOptions {
  Endpoint endpoint;
  std::string key;  // to be kept out of what is recorded and shown; sent by the transport
  RetryOptions retry;
  double calls_per_minute = 0;
  bool stream = true;
  std::uint64_t jitter_seed = 0;
  std::function<bool()> stop;
};

class Client {
 public:
  // `transport` null: every call must be in `replay`. `replay` null: calls are looked up in `transcript`.
  Client(ClientOptions options,
         Transport* transport,
         Transcript& transcript,
         const Transcript* replay,
         Budget& budget);

  // Never throws for what a server does; kIo where the transcript cannot be written. Many threads may call.
  Reply chat(const CallKey& key, const ChatRequest& request);
  // Of texts, by the named model: their vectors, in `answer->vectors`.
  Reply embed(const CallKey& key, const std::string& model, std::span<const std::string> texts);

  // Exchanges with the endpoint and answers from the transcript so far.
  std::int64_t exchanges() const { return exchanges_; }
  std::int64_t served() const { return served_; }
  bool stopped() const { return cancelled_ || (options_.stop && options_.stop()); }
  // Ends what is under way and lets nothing begin: the endpoint has shown itself to be of no use.
  void cancel() { cancelled_ = true; }

 private:
  using Exchange = std::function<Reply()>;
  Reply call(const CallKey& key, const Json& request, const Spent& most, const Exchange& exchange);
  Reply tried(const Spent& most, const Exchange& exchange, Json& tries);
  std::string without_key(std::string text) const;

  // One of equal requests is asked at a time, so that the others find its answer.
  class Turn;

  const ClientOptions options_;
  const std::function<bool()> stop_ = [this] { return stopped(); };
  std::atomic<bool> cancelled_{false};
  Transport* const transport_;
  Transcript& transcript_;
  const Transcript* const replay_;
  Budget& budget_;
  Pacer pacer_;
  std::mutex turn_mutex_;
  std::condition_variable turn_over_;
  std::set<std::string> asking_;
  std::mutex jitter_mutex_;
  Rng jitter_;
  std::atomic<std::int64_t> exchanges_{0};
  std::atomic<std::int64_t> served_{0};
};

}  // namespace detente::annotate
