// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/react.h>
#include <detente/core/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace detente::annotate {
namespace {

// The end of the JSON object that begins at `open`, or of the text.
std::size_t object_end(std::string_view text, std::size_t open) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return text.size();
}

constexpr const char* kNeither =
    "Error: neither an action nor an answer. Reply with \"Action: \" and a JSON object, or with "
    "\"Answer: \" and the label.";
constexpr const char* kLast =
    "No more tools can be used. Reply with one line: \"Answer: \" and the label that fits best.";

}  // namespace

Turn read_turn(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trim(text.substr(at, end - at), " \t\r*#");
    const std::string lower = lower_ascii(std::string(line));
    if (lower.starts_with("answer:") || lower.starts_with("final answer:")) {
      return {std::nullopt,
              std::string(trim(line.substr(line.find(':') + 1), " \t*")),
              std::string(text.substr(0, end))};
    }
    if (lower.starts_with("action:")) {
      const auto begin =
          static_cast<std::size_t>(line.data() - text.data()) + std::string_view("action:").size();
      const std::size_t open = text.find('{', begin);
      const bool near = open != std::string_view::npos &&
                        trim(text.substr(begin, open - begin), " \t\r\n`*json").empty();
      const std::size_t stop = near ? object_end(text, open) : end;
      const std::size_t from = near ? open : begin;
      return {std::string(trim(text.substr(from, stop - from), " \t\r\n*")),
              std::nullopt,
              std::string(text.substr(0, stop))};
    }
    at = end + 1;
  }
  return {std::nullopt, std::nullopt, std::string(text)};
}

ReactResult run_react(std::vector<Message> messages,
                      const std::vector<std::string>& tools,
                      const ToolContext& context,
                      const ReactLimits& limits,
                      CallKey& key,
                      const std::function<Reply(const std::vector<Message>&)>& ask) {
  ReactResult result;
  std::set<std::string> seen;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;
  while (result.why.empty()) {
    const Reply reply = ask(messages);
    if (!reply.answer) {
      result.failure = reply.failure;
      return result;
    }
    tokens += reply.answer->prompt_tokens + reply.answer->answer_tokens;
    const Turn turn = read_turn(reply.answer->text);
    if (turn.answer) {
      result.why = "answered";
      result.answer = "Answer: " + *turn.answer;
      return result;
    }
    ++steps;
    messages.push_back({"assistant", defused(turn.kept)});
    std::string observed = kNeither;
    const std::string same = turn.action ? canonical_action(*turn.action) : "";
    if (!seen.insert(same).second) {
      result.why = "same action twice";
      observed = "You did this already.";
    } else if (turn.action) {
      observed = fenced("observation", use_tool(*turn.action, tools, context, key));
    }
    if (result.why.empty() && steps >= limits.max_steps) result.why = "steps";
    if (result.why.empty() && tokens >= limits.row_tokens) result.why = "tokens";
    messages.push_back(
        {"user", result.why.empty() ? observed : observed + "\n" + std::string(kLast)});
  }
  const Reply reply = ask(messages);
  if (reply.answer) {
    result.answer = reply.answer->text;
  } else {
    result.failure = reply.failure;
  }
  return result;
}

}  // namespace detente::annotate
