// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/chat.h>
#include <detente/annotate/failure.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace detente::annotate {
namespace {

std::int64_t count_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return 0;
  const double value = found->get<double>();
  return value > 0 && value < 1e12 ? static_cast<std::int64_t>(value) : 0;
}

std::string text_of(const Json& json, const char* key) {
  if (!json.is_object()) return "";
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool take_usage(const Json& json, ChatAnswer& answer) {
  const auto usage = json.find("usage");
  if (usage == json.end() || !usage->is_object()) return false;
  answer.prompt_tokens = count_of(*usage, "prompt_tokens");
  answer.answer_tokens = count_of(*usage, "completion_tokens");
  return answer.prompt_tokens + answer.answer_tokens > 0;
}

// "logprobs": {"content": [{"logprob": -0.1}, ...]}
void take_logprobs(const Json& choice, ChatAnswer& answer) {
  const auto logprobs = choice.find("logprobs");
  if (logprobs == choice.end() || !logprobs->is_object()) return;
  const auto content = logprobs->find("content");
  if (content == logprobs->end() || !content->is_array()) return;
  for (const Json& token : *content) {
    if (!token.is_object()) continue;
    const auto value = token.find("logprob");
    if (value == token.end() || !value->is_number()) continue;
    answer.logprob = answer.logprob.value_or(0) + value->get<double>();
  }
}

const Json* first_choice(const Json& json) {
  const auto choices = json.find("choices");
  if (choices == json.end() || !choices->is_array() || choices->empty()) return nullptr;
  return choices->front().is_object() ? &choices->front() : nullptr;
}

void estimate(ChatAnswer& answer, const ChatRequest& request) {
  answer.prompt_tokens = estimated_tokens(request);
  answer.answer_tokens = estimated_tokens(answer.text);
  answer.tokens_estimated = true;
}

Reply judged(ChatAnswer answer) {
  if (answer.finish == "content_filter" && answer.text.empty()) {
    return {std::nullopt,
            {FailureKind::kRefused, "the endpoint's content filter refused this text", 200}};
  }
  return {std::move(answer), {}};
}

// The JSON object of a reply that is an answer in one piece, else why it is none.
std::optional<Failure> take_body(const HttpReply& reply, Json& json) {
  if (reply.fault != Fault::kNone || reply.status != 200) return failure_of(reply);
  json = Json::parse(reply.body, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return failure_of(reply);
  const auto error = json.find("error");
  if (error != json.end() && !error->is_null()) return failure_of_error(json, 200);
  return std::nullopt;
}

}  // namespace

Json ChatRequest::to_json() const {
  Json json{{"model", model}, {"messages", Json::array()}};
  for (const Message& message : messages) {
    json["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  json["temperature"] = temperature;
  json["max_tokens"] = max_tokens;
  if (seed) json["seed"] = *seed;
  if (!stop.empty()) json["stop"] = stop;
  if (logprobs) json["logprobs"] = true;
  return json;
}

Json ChatAnswer::to_json() const {
  Json json{{"text", text},
            {"finish", finish},
            {"prompt_tokens", prompt_tokens},
            {"answer_tokens", answer_tokens}};
  if (tokens_estimated) json["tokens_estimated"] = true;
  if (logprob) json["logprob"] = *logprob;
  if (!vectors.empty()) json["vectors"] = vectors;
  return json;
}

ChatAnswer ChatAnswer::from_json(const Json& json) {
  try {
    ChatAnswer answer;
    answer.text = json.at("text").get<std::string>();
    answer.finish = json.at("finish").get<std::string>();
    answer.prompt_tokens = json.at("prompt_tokens").get<std::int64_t>();
    answer.answer_tokens = json.at("answer_tokens").get<std::int64_t>();
    answer.tokens_estimated = json.value("tokens_estimated", false);
    if (json.contains("logprob")) answer.logprob = json.at("logprob").get<double>();
    if (json.contains("vectors")) {
      answer.vectors = json.at("vectors").get<std::vector<std::vector<double>>>();
    }
    return answer;
  } catch (const Json::exception& error) {
    fail(ErrorCode::kData,
         "[annotate::ChatAnswer] an answer of the transcript cannot be read: {}",
         error.what());
  }
}

std::string chat_body(const ChatRequest& request, bool stream) {
  Json json = request.to_json();
  if (stream) {
    json["stream"] = true;
    json["stream_options"] = {{"include_usage", true}};
  }
  return json_text(json, -1);
}

std::int64_t estimated_tokens(std::string_view text) {
  return static_cast<std::int64_t>((text.size() + 3) / 4);
}

std::int64_t estimated_tokens(const ChatRequest& request) {
  std::int64_t tokens = 0;
  for (const Message& message : request.messages) tokens += 4 + estimated_tokens(message.content);
  return tokens;
}

bool StreamReader::feed(std::string_view bytes) {
  for (const std::string& event : events_.feed(bytes)) {
    if (!take(event)) return false;
  }
  return true;
}

bool StreamReader::take(const std::string& event) {
  if (done_ || failure_) return false;
  if (event == "[DONE]") {
    done_ = true;
    return false;
  }
  const Json json = Json::parse(event, nullptr, false);
  if (json.is_discarded() || !json.is_object()) {
    failure_ =
        Failure{FailureKind::kPassing,
                "an event of the stream is no JSON in UTF-8 (cut short, or another protocol)",
                200};
    return false;
  }
  if (json.contains("error")) {
    failure_ = failure_of_error(json, 200);
    failure_->message = "the stream broke off with an error: " + failure_->message;
    return false;
  }
  any_ = true;
  usage_ = take_usage(json, answer_) || usage_;
  const Json* choice = first_choice(json);
  if (choice == nullptr) return true;
  if (const auto delta = choice->find("delta"); delta != choice->end()) {
    answer_.text += text_of(*delta, "content");
  }
  take_logprobs(*choice, answer_);
  if (const std::string finish = text_of(*choice, "finish_reason"); !finish.empty()) {
    answer_.finish = finish;
  }
  return true;
}

Reply StreamReader::finish(const HttpReply& reply, const ChatRequest& request) {
  if (failure_) return {std::nullopt, *failure_};
  if (!any_ || (!done_ && answer_.finish.empty())) {
    if (reply.fault != Fault::kNone) return {std::nullopt, failure_of(reply)};
    return {std::nullopt,
            {FailureKind::kPassing, "the stream ended before the answer did", reply.status}};
  }
  if (!usage_) estimate(answer_, request);
  return judged(answer_);
}

Reply read_chat(const HttpReply& reply, const ChatRequest& request, StreamReader& stream) {
  if (reply.status == 200 && reply.type == "text/event-stream") {
    return stream.finish(reply, request);
  }
  Json json;
  if (auto failure = take_body(reply, json)) return {std::nullopt, std::move(*failure)};
  const Json* choice = first_choice(json);
  const Json* message = nullptr;
  if (choice != nullptr && choice->contains("message")) message = &choice->at("message");
  if (message == nullptr || !message->is_object() ||
      !(message->contains("content") && message->at("content").is_string())) {
    return {std::nullopt,
            {FailureKind::kPassing,
             "the answer is JSON without choices[0].message.content: not what "
             "/v1/chat/completions gives",
             200}};
  }
  ChatAnswer answer;
  answer.text = message->at("content").get<std::string>();
  answer.finish = text_of(*choice, "finish_reason");
  take_logprobs(*choice, answer);
  if (!take_usage(json, answer)) estimate(answer, request);
  return judged(std::move(answer));
}

Reply read_embeddings(const HttpReply& reply, std::size_t count) {
  Json json;
  if (auto failure = take_body(reply, json)) return {std::nullopt, std::move(*failure)};
  const auto wrong = [](const std::string& what) {
    return Reply{std::nullopt, {FailureKind::kPassing, "the embeddings are wrong: " + what, 200}};
  };
  const auto data = json.find("data");
  if (data == json.end() || !data->is_array() || data->size() != count) {
    return wrong(fmt::format("expected `data` with {} entries", count));
  }
  ChatAnswer answer;
  answer.vectors.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Json& entry = (*data)[i];
    if (!entry.is_object()) return wrong("an entry is no object");
    std::size_t at = i;
    if (const auto index = entry.find("index");
        index != entry.end() && index->is_number_unsigned()) {
      at = index->get<std::size_t>();
    }
    const auto vector = entry.find("embedding");
    if (at >= count || !answer.vectors[at].empty() || vector == entry.end() ||
        !vector->is_array() || vector->empty()) {
      return wrong("an entry has no vector, or one that was there already");
    }
    for (const Json& value : *vector) {
      if (!value.is_number() || !std::isfinite(value.get<double>())) {
        return wrong("a vector holds something else than numbers");
      }
      answer.vectors[at].push_back(value.get<double>());
    }
  }
  for (const auto& vector : answer.vectors) {
    if (vector.size() != answer.vectors[0].size()) return wrong("vectors differ in length");
  }
  if (!take_usage(json, answer)) answer.tokens_estimated = true;
  answer.finish = "stop";
  return {std::move(answer), {}};
}

}  // namespace detente::annotate
