// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/failure.h>
#include <detente/annotate/retry.h>
#include <detente/core/ascii.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

namespace detente::annotate {
namespace {

constexpr std::size_t kMostShown = 300;

// The start of what a server said, on one line and valid UTF-8 or not: who shows it sees to that.
std::string shown(std::string_view text) {
  std::string line;
  for (const char c : text.substr(0, kMostShown)) line += c == '\n' || c == '\r' ? ' ' : c;
  return std::string(trim(line)) + (text.size() > kMostShown ? " ..." : "");
}

bool has_any(const std::string& text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text.find(word) != std::string::npos) return true;
  }
  return false;
}

bool is_page(const HttpReply& reply) {
  if (reply.type == "text/html") return true;
  const std::string start =
      lower_ascii(std::string(trim(std::string_view(reply.body).substr(0, 200), " \t\r\n")));
  return start.starts_with("<!doctype html") || start.starts_with("<html");
}

Failure failure_of_status(int status, const std::string& said) {
  const std::string words = lower_ascii(said);
  const std::string tail = said.empty() ? "" : ": " + said;
  const auto made = [&](FailureKind kind, std::string text) {
    return Failure{kind, std::move(text) + tail, status};
  };
  if (has_any(words,
              {"context_length",
               "exceed_context",
               "context length",
               "context size",
               "context window",
               "maximum context",
               "too many tokens",
               "prompt is too long"}) ||
      status == 413) {
    return made(FailureKind::kRefused,
                "the prompt does not fit the model's context; show fewer columns, shorter texts or "
                "fewer examples, or serve the model with a larger context");
  }
  if (status == 401 || status == 403) {
    return made(FailureKind::kFatal,
                fmt::format("the endpoint does not let us in ({}); set DETENTE_API_KEY to a key "
                            "that may use this model",
                            status));
  }
  if (status == 402 || has_any(words, {"insufficient_quota"})) {
    return made(FailureKind::kFatal, "the account has no credit left");
  }
  if (status == 404) {
    return made(FailureKind::kFatal,
                "the endpoint knows no such path or no such model (404); check --endpoint and "
                "--model");
  }
  if (status == 503 && has_any(words, {"loading"})) {
    return made(FailureKind::kPassing,
                "the server is still loading its model (503); wait until it has, then go on with "
                "--resume");
  }
  if (status == 429) return made(FailureKind::kPassing, "the endpoint asks for fewer calls (429)");
  if (may_try_again(status)) {
    return made(FailureKind::kPassing, fmt::format("the endpoint failed ({})", status));
  }
  if (status >= 300 && status < 400) {
    return made(FailureKind::kFatal,
                fmt::format("the endpoint leads elsewhere ({}), which is not followed; name the "
                            "final address as --endpoint",
                            status));
  }
  if (status == 400 || status == 422) {
    return made(FailureKind::kRefused,
                fmt::format("the endpoint refused the request ({})", status));
  }
  return made(FailureKind::kFatal, fmt::format("the endpoint answered with status {}", status));
}

std::string said_by(const Json& json) {
  const auto error = json.find("error");
  if (error == json.end()) return shown(json.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (error->is_string()) return shown(error->get<std::string>());
  if (!error->is_object()) return shown(error->dump());
  std::string text;
  for (const char* key : {"message", "type", "code"}) {
    const auto found = error->find(key);
    if (found == error->end() || found->is_null()) continue;
    const std::string part = found->is_string() ? found->get<std::string>() : found->dump();
    if (part.empty()) continue;
    if (text.empty()) {
      text = shown(part);
    } else {
      text += fmt::format(" ({}: {})", key, shown(part));
    }
  }
  return text;
}

}  // namespace

const char* name_of(FailureKind kind) {
  switch (kind) {
    case FailureKind::kPassing:
      return "passing";
    case FailureKind::kRefused:
      return "refused";
    case FailureKind::kFatal:
      return "fatal";
    case FailureKind::kStopped:
      return "stopped";
  }
  return "";
}

Failure interruption() { return {FailureKind::kStopped, "interrupted", 0}; }

Failure failure_of_error(const Json& json, int status) {
  int meant = status;
  if (status == 200) {
    // An error without a status of its own: the code in it, where there is one, else a passing one.
    meant = 500;
    const auto error = json.find("error");
    if (error != json.end() && error->is_object()) {
      const auto code = error->find("code");
      if (code != error->end() && code->is_number_integer()) {
        const auto value = code->get<std::int64_t>();
        if (value >= 400 && value < 600) meant = static_cast<int>(value);
      }
    }
  }
  return failure_of_status(meant, said_by(json));
}

Failure failure_of(const HttpReply& reply) {
  const auto passing = [&](std::string text) {
    return Failure{FailureKind::kPassing, std::move(text), reply.status};
  };
  switch (reply.fault) {
    case Fault::kNone:
      break;
    case Fault::kConnect:
      return passing("nobody answers at the endpoint's address; is the server running?");
    case Fault::kTls:
      return {FailureKind::kFatal,
              "no encrypted connection: the certificate is not trusted, or the server speaks no "
              "TLS there",
              0};
    case Fault::kCut:
      return passing("the connection was cut in the middle");
    case Fault::kIdle:
      return passing("nothing came for longer than --idle-timeout allows");
    case Fault::kTime:
      return passing("the answer took longer than --total-timeout allows");
    case Fault::kTooLarge:
      return {FailureKind::kRefused, "the answer is larger than any answer may be", reply.status};
    case Fault::kCancelled:
      return interruption();
  }
  const Json json = Json::parse(reply.body, nullptr, false);
  const bool object = !json.is_discarded() && json.is_object();
  if (reply.status != 200) {
    if (object) return failure_of_error(json, reply.status);
    return failure_of_status(reply.status, is_page(reply) ? "a web page" : shown(reply.body));
  }
  if (is_page(reply)) {
    return {FailureKind::kFatal,
            "the endpoint answers with a web page instead of JSON; expected the base address of an "
            "OpenAI-compatible API, e.g. http://127.0.0.1:8080",
            200};
  }
  if (reply.body.empty()) return passing("the answer is empty");
  return passing("the answer is no whole JSON in UTF-8 (cut short, or another protocol): " +
                 shown(reply.body));
}

}  // namespace detente::annotate
