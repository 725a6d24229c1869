// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/client.h>
#include <detente/annotate/failure.h>
#include <detente/core/fnv.h>
#include <detente/core/json_text.h>
#include <detente/core/stopwatch.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <utility>

namespace detente::annotate {
namespace {

Spent tokens_of(const Reply& reply) {
  if (!reply.answer) return {};
  return {reply.answer->prompt_tokens, reply.answer->answer_tokens};
}

// How long to wait stands in the head, whatever the body says.
Reply with_wait(Reply read, const HttpReply& reply) {
  if (!read.answer) read.failure.retry_after = reply.retry_after;
  return read;
}

}  // namespace

class Client::Turn {
 public:
  // Waits while another thread asks the same; comes back early where all is stopped.
  Turn(Client& client, const std::string& request) : client_(client) {
    std::unique_lock lock(client_.turn_mutex_);
    for (;;) {
      const auto [place, is_new] = client_.asking_.insert(request);
      if (is_new) {
        own_ = place;
        return;
      }
      if (client_.stopped()) return;
      client_.turn_over_.wait_for(lock, std::chrono::milliseconds(100));
    }
  }
  ~Turn() {
    if (!own_) return;
    {
      const std::lock_guard lock(client_.turn_mutex_);
      client_.asking_.erase(*own_);
    }
    client_.turn_over_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Client& client_;
  std::optional<std::set<std::string>::iterator> own_;
};

Client::Client(ClientOptions options,
               Transport* transport,
               Transcript& transcript,
               const Transcript* replay,
               Budget& budget)
    : options_(std::move(options)),
      transport_(transport),
      transcript_(transcript),
      replay_(replay),
      budget_(budget),
      pacer_(options_.calls_per_minute),
      jitter_(options_.jitter_seed) {}

std::string Client::without_key(std::string text) const {
  if (options_.key.empty()) return text;
  for (std::size_t at = 0; (at = text.find(options_.key, at)) != std::string::npos;) {
    text.replace(at, options_.key.size(), "[key]");
    at += 5;
  }
  return text;
}

Reply Client::tried(const Spent& most, const Exchange& exchange, Json& tries) {
  Reply reply;
  for (int tried = 1;; ++tried) {
    if (!pacer_.wait(stop_)) return {std::nullopt, interruption()};
    if (!budget_.reserve(most, stop_)) {
      const bool over = budget_.exhausted();
      return {std::nullopt,
              over ? Failure{FailureKind::kStopped, "the budget is spent", 0} : interruption()};
    }
    ++exchanges_;
    try {
      reply = exchange();
    } catch (...) {
      budget_.settle(most, {});
      throw;
    }
    budget_.settle(most, tokens_of(reply));
    if (reply.answer) {
      reply.answer->text = without_key(std::move(reply.answer->text));
      tries.push_back({{"status", 200}});
      return reply;
    }
    reply.failure.message = without_key(std::move(reply.failure.message));
    Json row{{"status", reply.failure.status}, {"why", reply.failure.message}};
    const double retry_after = reply.failure.retry_after.value_or(0);
    if (retry_after > options_.retry.patience) {
      reply.failure.message += fmt::format(
          "; it asks to wait {:.0f} s, which is longer than we wait. Go on later with --resume",
          retry_after);
      reply.failure.kind = FailureKind::kFatal;
    }
    if (reply.failure.kind != FailureKind::kPassing || tried >= options_.retry.tries) {
      tries.push_back(std::move(row));
      if (reply.failure.kind == FailureKind::kPassing && tried > 1) {
        reply.failure.message += fmt::format(" (tried {} times)", tried);
      }
      return reply;
    }
    double u = 0;
    {
      const std::lock_guard lock(jitter_mutex_);
      u = jitter_.uniform();
    }
    const double wait = wait_before(options_.retry, tried, u, reply.failure.retry_after);
    row["waited"] = std::round(wait * 1000) / 1000;
    tries.push_back(std::move(row));
    // What a server asks of one caller holds for all of them.
    if (retry_after > 0) pacer_.hold(retry_after);
    if (!sleep_unless(wait, stop_)) return {std::nullopt, interruption()};
  }
}

Reply Client::call(const CallKey& key,
                   const Json& request,
                   const Spent& most,
                   const Exchange& exchange) {
  const std::string text = json_text(request, -1);
  if (replay_ != nullptr) {
    const std::optional<Entry> entry = replay_->find(key, text);
    if (!entry) {
      return {std::nullopt,
              {FailureKind::kFatal,
               fmt::format("the transcript has no such call (row {}, task '{}', call {}, hash {}): "
                           "data, examples, pattern, model or flags differ from those it was made "
                           "with, or it was not finished",
                           key.row,
                           key.task,
                           key.call,
                           hash_text(fnv1a(text))),
               0}};
    }
    const Spent spent = tokens_of(entry->reply);
    if (!budget_.reserve(spent, stop_)) {
      return {std::nullopt, {FailureKind::kStopped, "the budget is spent", 0}};
    }
    budget_.settle(spent, spent);
    ++served_;
    transcript_.add(*entry);
    return entry->reply;
  }
  const Turn turn(*this, text);
  if (const std::optional<Entry> entry = transcript_.find(key, text);
      entry && (entry->reply.answer || entry->reply.failure.kind == FailureKind::kRefused)) {
    ++served_;
    return entry->reply;
  }
  Json tries = Json::array();
  const Stopwatch watch;
  Reply reply = tried(most, exchange, tries);
  // What was not asked to its end is no call.
  if (!reply.answer && reply.failure.kind == FailureKind::kStopped) return reply;
  transcript_.add(
      make_entry(key, options_.endpoint.text(), request, tries, watch.seconds(), reply));
  return reply;
}

Reply Client::chat(const CallKey& key, const ChatRequest& request) {
  const Spent most{estimated_tokens(request), request.max_tokens};
  return call(key, request.to_json(), most, [&] {
    StreamReader stream;
    const HttpReply reply = transport_->post(
        options_.endpoint.path("chat/completions"),
        chat_body(request, options_.stream),
        [&](const HttpReply& so_far, std::string_view bytes) {
          return so_far.type != "text/event-stream" || stream.feed(bytes);
        },
        stop_);
    return with_wait(read_chat(reply, request, stream), reply);
  });
}

Reply Client::embed(const CallKey& key,
                    const std::string& model,
                    std::span<const std::string> texts) {
  Json request{{"model", model}, {"input", Json::array()}};
  Spent most;
  for (const std::string& text : texts) {
    request["input"].push_back(text);
    most.prompt_tokens += estimated_tokens(text);
  }
  return call(key, request, most, [&] {
    const HttpReply reply =
        transport_->post(options_.endpoint.path("embeddings"), json_text(request, -1), {}, stop_);
    return with_wait(read_embeddings(reply, texts.size()), reply);
  });
}

}  // namespace detente::annotate
